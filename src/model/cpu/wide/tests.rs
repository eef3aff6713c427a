use burn::tensor::DType;

use super::super::cases::{matrix, off, vec_of};
use super::*;

#[test]
fn equals_the_formula() {
    // One of each; borders of parts of the inner dimension and of pieces of columns.
    for [m, inner, columns] in [[1, 1, 1], [17, 33, 31], [40, 256, 256], [21, 700, 530]] {
        for dtype in [DType::F16, DType::BF16] {
            let x = matrix(m, inner + 3, 1).narrow(1, 2, inner);
            let w = matrix(inner + 2, columns + 5, 2).cast(dtype);
            let w = w.narrow(0, 1, inner).narrow(1, 3, columns);
            let got = product(&x, &w).unwrap();
            let off = off(got, &x, &w.cast(DType::F32));
            assert!(off < 1e-6, "{m} x {inner} x {columns}: off by {off}");
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
