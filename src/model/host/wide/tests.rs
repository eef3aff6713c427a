use burn::prelude::*;
use burn::tensor::DType;

use super::super::cases::{numbers, vec_of};
use super::*;

fn matrix(rows: usize, columns: usize, seed: u32) -> Tensor<2> {
    let numbers = TensorData::new(numbers(rows * columns, seed), [rows, columns]);
    Tensor::from_data(numbers, &Device::flex())
}

#[test]
fn equals_the_formula() {
    // One of each; borders of parts of the inner dimension and of pieces of columns.
    for [m, inner, columns] in [[1, 1, 1], [17, 33, 31], [40, 256, 256], [21, 700, 530]] {
        for dtype in [DType::F16, DType::BF16] {
            let x = matrix(m, inner + 3, 1).narrow(1, 2, inner);
            let w = matrix(inner + 2, columns + 5, 2).cast(dtype);
            let w = w.narrow(0, 1, inner).narrow(1, 3, columns);
            let got = vec_of(product(&x, &w).unwrap());
            let (x, w) = (vec_of(x), vec_of(w.cast(DType::F32)));
            assert_eq!(got.len(), m * columns);
            for (i, got) in got.iter().enumerate() {
                let (row, column) = (i / columns, i % columns);
                let terms = (0..inner)
                    .map(|k| f64::from(x[row * inner + k]) * f64::from(w[k * columns + column]));
                let size: f64 = terms.clone().map(f64::abs).sum();
                let off = (f64::from(*got) - terms.sum::<f64>()).abs() / size;
                assert!(off < 1e-6, "{m} x {inner} x {columns}, {row}, {column}: off by {off}");
            }
        }
    }
}

#[test]
fn threads_change_nothing() {
    for columns in [193, 1100] {
        let (x, w) = (matrix(70, 300, 3), matrix(300, columns, 4).cast(DType::BF16));
        let whole = vec_of(product(&x, &w).unwrap());
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let again = pool.install(|| vec_of(product(&x, &w).unwrap()));
            assert_eq!(again, whole, "{columns} columns, {threads} threads");
        }
    }
}

#[test]
fn others_are_left_to_the_caller() {
    let (x, w) = (matrix(20, 8, 5), matrix(8, 9, 6));
    let narrow = w.clone().cast(DType::F16);
    assert!(product(&x, &narrow).is_some() && product(&x, &w).is_none(), "f32");
    assert!(product(&x, &narrow.clone().transpose()).is_none(), "sizes");
    assert!(product(&x.clone().cast(DType::F16), &narrow).is_none(), "another type");
    let across = matrix(9, 8, 7).cast(DType::F16).transpose();
    assert!(product(&x, &across).is_none(), "does not lie in rows");
    assert!(product(&x.slice([0..0]), &narrow).is_none(), "no rows");
}
