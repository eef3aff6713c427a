use burn::tensor::DType;
use half::{bf16, f16};

use super::super::amx;
use super::super::cases::{matrix, vec_of};
use super::super::gemv::{FEW, product, transposed};
use super::*;

const TYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// All there are, at lengths that no vector divides.
#[test]
fn every_number_is_widened_to_itself() {
    let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let short: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
    let same = |got: f32, want: f32| got == want || got.is_nan() && want.is_nan();
    for (f, b) in halves.iter().zip(&short) {
        assert!(same(f.wide(), f.to_f32()) && same(b.wide(), b.to_f32()), "{f:?} {b:?}");
        assert_eq!(f.wide().is_sign_negative(), f.is_sign_negative(), "{f:?}");
    }
    let all_archs = || {
        let archs = [Arch::new(), Arch::Scalar];
        #[cfg(target_arch = "x86_64")]
        let archs = archs.into_iter().chain(V3::try_new().map(Arch::V3));
        archs.into_iter()
    };
    for arch in all_archs() {
        let (mut to, mut of_short) = (vec![0.0; 1 << 16], vec![0.0; 1 << 16]);
        for (from, columns) in [(0, 3), (3, 61), (64, (1 << 16) - 64)] {
            let range = from..from + columns;
            let w = RowsView { data: &halves[from..], stride: columns };
            arch.dispatch(Widen { w, columns, out: &mut to[range.clone()] });
            let w = RowsView { data: &short[from..], stride: columns };
            arch.dispatch(Widen { w, columns, out: &mut of_short[range] });
        }
        for i in 0..1 << 16 {
            assert!(same(to[i], halves[i].to_f32()), "{arch:?}, f16 {i:04x}: {}", to[i]);
            assert!(
                same(of_short[i], short[i].to_f32()),
                "{arch:?}, bf16 {i:04x}: {}",
                of_short[i]
            );
        }
    }
}

/// The same numbers, however they are held: whole, and parts of something larger.
#[test]
fn products_are_those_with_widened_weights() {
    let [inner, columns] = [75, 333];
    for dtype in TYPES {
        let held = matrix(inner + 2, columns + 9, 1).cast(dtype);
        let part = held.clone().narrow(0, 1, inner).narrow(1, 4, columns);
        let wide = widened(&part, DType::F32);
        assert_eq!(wide.dtype(), DType::F32);
        assert_eq!(vec_of(wide.clone()), vec_of(part.clone().cast(DType::F32)));
        for m in [1, 3, FEW] {
            let (x, across) = (matrix(m, inner, 2), matrix(m, columns, 3));
            let (got, want) = (product(&x, &part).unwrap(), product(&x, &wide).unwrap());
            assert_eq!(vec_of(got), vec_of(want), "{m} rows, {dtype:?}");
            let got = transposed(&across, &part).unwrap();
            let want = transposed(&across, &wide).unwrap();
            assert_eq!(vec_of(got), vec_of(want), "{m} rows, {dtype:?}, transposed");
        }
        let x = matrix(40, inner, 4);
        // Beside a weight of f32.
        let (got, want) = (amx::products(&x, [&part, &wide]), amx::products(&x, [&wide]));
        #[cfg(all(target_arch = "x86_64", target_pointer_width = "64", target_os = "linux"))]
        assert_eq!(got.is_some(), amx::unit::Unit::get().is_some());
        let got = got.map(|both| both.map(vec_of));
        let want = want.map(|[one]| vec_of(one)).map(|one| [one.clone(), one]);
        assert_eq!(got, want, "tiles, {dtype:?}");
    }
}

/// In several pieces.
#[test]
fn much_is_widened_on_all_threads() {
    let w = matrix(700, 333, 6).cast(DType::BF16);
    const { assert!(700 * 333 > 3 * PIECE) };
    assert_eq!(vec_of(widened(&w, DType::F32)), vec_of(w.cast(DType::F32)));
}

#[test]
fn others_are_left_to_the_library() {
    let w = matrix(6, 4, 5);
    assert!(Weight::new(&w.clone().transpose()).is_none(), "lies in columns");
    assert!(Weight::new(&w.clone().cast(DType::F64)).is_none(), "f64");
    let across = widened(&w.clone().cast(DType::BF16).transpose(), DType::F32);
    assert_eq!(vec_of(across), vec_of(w.clone().cast(DType::BF16).cast(DType::F32).transpose()));
    assert_eq!(widened(&w, DType::F16).dtype(), DType::F16);
    assert_eq!(widened(&w.clone().slice([0..0]), DType::F32).dims(), [0, 4]);
}
