use std::array::from_fn;

use super::super::RowsView;
use super::super::cases::numbers;
use super::*;

fn matrix(numbers: Vec<f32>, shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(numbers, shape), &Device::flex())
}

fn vec_of(x: Tensor<2>) -> Vec<f32> {
    x.into_data().try_into_vec_as().unwrap()
}

/// The product, unless this processor has no unit for it: then there must be none.
fn got(x: &[f32], w: &[f32], [m, inner, columns]: [usize; 3]) -> Option<Vec<f32>> {
    let [x, w] = [(x, [m, inner]), (w, [inner, columns])].map(|(n, s)| matrix(n.to_vec(), s));
    let products = products(&x, [&w]);
    assert_eq!(products.is_some(), Unit::get().is_some());
    products.map(|[product]| vec_of(product))
}

/// By what the kernel says of the processor: one that knows tiles gives them to a process that
/// asks.
#[test]
fn the_unit_is_found_where_it_is() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let has = |flag| cpu.split_whitespace().any(|word| word == flag);
    let flags = ["amx_tile", "amx_bf16", "avx512bw", "avx512_bf16"].into_iter().all(has);
    assert_eq!(Unit::get().is_some(), flags);
}

/// Rows and weights that are parts of larger ones, and rows that lie in columns.
#[test]
fn reads_views_where_they_lie() {
    let [m, inner, columns] = [40, 70, 50];
    let (x, w) = (numbers(m * inner, 8), numbers(inner * columns, 9));
    let Some(whole) = got(&x, &w, [m, inner, columns]) else { return };
    let [x, w] = [(x, [m, inner]), (w, [inner, columns])].map(|(n, s)| matrix(n, s));
    let around = |x: Tensor<2>| {
        let [rows, columns] = x.dims();
        let nan = |shape: [usize; 2]| matrix(vec![f32::NAN; shape[0] * shape[1]], shape);
        let beside = Tensor::cat(vec![nan([rows, 5]), x, nan([rows, 3])], 1);
        let above = nan([4, columns + 8]);
        Tensor::cat(vec![above.clone(), beside, above], 0).narrow(0, 4, rows).narrow(1, 5, columns)
    };
    let in_columns = matrix(vec_of(x.clone().transpose()), [inner, m]).transpose();
    for (x, w) in [(around(x.clone()), around(w.clone())), (in_columns, w)] {
        let [product] = products(&x, [&w]).unwrap();
        assert_eq!(vec_of(product), whole);
    }
}

/// As saved in f32, f16 and bf16.
const KINDS: [fn(f32) -> f32; 3] =
    [|x| x, |x| half::f16::from_f32(x).to_f32(), |x| half::bf16::from_f32(x).to_f32()];

#[test]
fn equals_the_formula() {
    let sizes = [
        // One product alone shows every part that is missing.
        [17, 1, 1],
        [18, 2, 5],
        // Borders of tiles, blocks, panels and groups of rows.
        [17, 33, 31],
        [32, 64, 64],
        [33, 40, 100],
        [70, 257, 33],
        [300, 48, 40],
        [530, 40, 36],
        // Parts of the inner dimension, pieces of columns.
        [40, 4100, 130],
        [35, 544, 600],
    ];
    for [m, inner, columns] in sizes {
        let x: Vec<f32> = numbers(m * inner, 1).into_iter().map(|x| 8.0 * x).collect();
        for kind in KINDS {
            let w: Vec<f32> = numbers(inner * columns, 2).into_iter().map(kind).collect();
            let Some(got) = got(&x, &w, [m, inner, columns]) else { return };
            for (i, got) in got.iter().enumerate() {
                let (row, column) = (i / columns, i % columns);
                let terms = (0..inner)
                    .map(|k| f64::from(x[row * inner + k]) * f64::from(w[k * columns + column]));
                let size: f64 = terms.clone().map(f64::abs).sum();
                let off = (f64::from(*got) - terms.sum::<f64>()).abs() / size;
                // Some roundings to f32; a missing part would be up to 4e-6.
                assert!(off < 2.5e-7, "{m} x {inner} x {columns}, {row}, {column}: off by {off}");
            }
        }
    }
}

/// Weights of less precision take fewer products.
#[test]
fn parts_are_as_many_as_numbers_need() {
    let Some(unit) = Unit::get() else { return };
    let (inner, columns) = (70, 50);
    let parts = KINDS.map(|kind| {
        let w: Vec<f32> = numbers(inner * columns, 3).into_iter().map(kind).collect();
        let panels =
            Panels::new(unit, RowsView { data: &w, stride: columns }, 0..inner, 0..columns);
        let all: Vec<u8> = panels.iter().flat_map(|panel| panel.parts.to_vec()).collect();
        assert_eq!(all.len(), 2 * 3);
        from_fn(|i| all[i])
    });
    assert_eq!(parts, [[3; 6], [2; 6], [1; 6]]);
}

/// To the bit: neither threads nor rows and columns beside them change an output.
#[test]
fn an_output_is_on_its_own() {
    let [m, inner, columns] = [600, 700, 170];
    let (x, w) = (numbers(m * inner, 4), numbers(inner * columns, 5));
    let Some(whole) = got(&x, &w, [m, inner, columns]) else { return };
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let again = pool.install(|| got(&x, &w, [m, inner, columns])).unwrap();
        assert_eq!(again, whole, "{threads} threads");
    }
    for rows in [7..30, 500..530] {
        let some = &x[rows.start * inner..rows.end * inner];
        let part = got(some, &w, [rows.len(), inner, columns]).unwrap();
        assert_eq!(part, whole[rows.start * columns..rows.end * columns]);
    }
    // Columns 20 to 99, read where they lie.
    let [rows, weight] = [(x, [m, inner]), (w, [inner, columns])].map(|(n, s)| matrix(n, s));
    let narrow = weight.clone().narrow(1, 20, 80);
    let [both, some] = products(&rows, [&weight, &narrow]).unwrap().map(vec_of);
    assert_eq!(both, whole);
    for (some, whole) in some.chunks(80).zip(whole.chunks(columns)) {
        assert_eq!(some, &whole[20..100]);
    }
}

/// What is not a number must be seen to be none, and nowhere else.
#[test]
fn damage_shows() {
    let [m, inner, columns] = [40, 70, 50];
    let (x, w) = (numbers(m * inner, 6), numbers(inner * columns, 7));
    for bad in [f32::NAN, f32::INFINITY, f32::MAX] {
        let (mut damaged_x, mut damaged_w) = (x.clone(), w.clone());
        damaged_x[35 * inner + 66] = bad;
        damaged_w[66 * columns + 41] = bad;
        let (Some(by_row), Some(by_column)) =
            (got(&damaged_x, &w, [m, inner, columns]), got(&x, &damaged_w, [m, inner, columns]))
        else {
            return;
        };
        for i in 0..m * columns {
            assert_eq!(by_row[i].is_finite(), i / columns != 35);
            assert_eq!(by_column[i].is_finite(), i % columns != 41);
        }
    }
}

#[test]
fn others_are_left_to_the_caller() {
    let x = matrix(vec![1.0; 64 * 32], [64, 32]);
    let square = matrix(vec![1.0; 32 * 32], [32, 32]);
    assert_eq!(products(&x, [&square]).is_some(), Unit::get().is_some());
    assert!(products(&x, [&x]).is_none(), "sizes");
    assert!(products(&x, [&square, &x]).is_none(), "sizes of one");
    assert!(products(&x.clone().narrow(0, 0, 16), [&square]).is_none(), "few rows");
    let half = [&x, &square].map(|x| x.clone().cast(DType::F16));
    assert!(products(&half[0], [&half[1]]).is_none(), "f16");
    assert!(products(&x, [&square.transpose()]).is_none(), "a weight that does not lie in rows");
}
