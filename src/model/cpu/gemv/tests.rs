use super::super::cases::{matrix, off, tensor, vec_of};
use super::*;

#[test]
fn equal_the_sums() {
    // One row and many, with a rest of a tile; inner dimensions and outputs that no vector divides.
    for (m, inner, outputs) in [
        (1, 64, 128),
        (1, 1, 1),
        (2, 33, 17),
        (3, 256, 640),
        (4, 8, 16),
        (7, 75, 300),
        (16, 9, 513),
        (70, 40, 300),
        // Several stretches, several blocks of columns; the fewest stretches.
        (3, 1100, 8200),
        (1, 70, 140_000),
    ] {
        let (x, w) = (matrix(m, inner, 1), matrix(inner, outputs, 2));
        match product(&x, &w) {
            Some(got) => assert!(off(got, &x, &w) < 1e-6, "{m} {inner} {outputs}"),
            None => assert!(m > FEW, "{m} {inner} {outputs}"),
        }
        let lying = vec_of(w.clone().transpose());
        let lying = tensor(lying, [1, 1, outputs, inner]).reshape([outputs, inner]);
        let narrow = lying.clone().cast(DType::BF16);
        let wide = narrow.clone().cast(DType::F32).transpose();
        let got = transposed(&x, &narrow).unwrap();
        assert!(off(got, &x, &wide) < 1e-6, "transposed, narrow, {m} {inner} {outputs}");
        match transposed(&x, &lying) {
            Some(got) => assert!(off(got, &x, &w) < 1e-6, "transposed, {m} {inner} {outputs}"),
            None => assert!(m > FEW, "transposed, {m} {inner} {outputs}"),
        }
    }
}

#[test]
fn a_row_is_on_its_own() {
    let (x, w, lying) = (matrix(11, 1100, 3), matrix(1100, 700, 4), matrix(700, 1100, 5));
    let all = || [product(&x, &w), transposed(&x, &lying)].map(|y| vec_of(y.unwrap()));
    let whole = all();
    // With 8, columns are cut in two.
    for threads in [1, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(all) == whole, "{threads} threads");
    }
    for row in 0..11 {
        let x = x.clone().narrow(0, row, 1);
        let alone = [product(&x, &w), transposed(&x, &lying)].map(|y| vec_of(y.unwrap()));
        for (alone, whole) in alone.iter().zip(&whole) {
            assert!(alone[..] == whole[row * 700..][..700], "row {row}");
        }
    }
}

#[test]
fn others_are_left_to_the_caller() {
    let (w, half) = (matrix(8, 8, 1), matrix(8, 8, 1).cast(DType::F16));
    assert!(product(&matrix(FEW + 1, 8, 2), &w).is_none());
    assert!(product(&matrix(2, 8, 2).slice([0..0]), &w).is_none(), "no rows");
    assert!(product(&matrix(2, 8, 2), &w.clone().slice([0..8, 0..0])).is_none(), "no columns");
    let (no_numbers, no_rows) = (matrix(2, 8, 2).slice([0..2, 0..0]), w.clone().slice([0..0]));
    assert!(product(&no_numbers, &no_rows).is_none(), "nothing to add up");
    assert!(product(&matrix(2, 9, 2), &w).is_none() && transposed(&matrix(2, 9, 2), &w).is_none());
    assert!(product(&half, &w).is_none() && transposed(&half, &w).is_none());
    // What is transposed already would have to be copied.
    assert!(product(&w, &w.clone().transpose()).is_none());
    assert!(transposed(&w, &w.clone().transpose()).is_none());
}
