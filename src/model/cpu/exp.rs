//! The exponential function in vector registers.

use pulp::Simd;

/// `e^x` of `x <= 0` to about 2 units in the last place by range reduction and a polynomial
/// (Cephes' `expf`); 0 below -87.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    const TERMS: [f32; 5] = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let number = |x| simd.splat_f32s(x);
    let shifted = simd.mul_add_e_f32s(x, number(std::f32::consts::LOG2_E), number(MAGIC));
    let n = simd.sub_f32s(shifted, number(MAGIC));
    let r = simd.mul_add_e_f32s(n, number(-0.693_359_4), x);
    let r = simd.mul_add_e_f32s(n, number(2.121_944_4e-4), r);
    let mut p = number(1.987_569_1e-4);
    for term in TERMS {
        p = simd.mul_add_e_f32s(p, r, number(term));
    }
    let p = simd.mul_add_e_f32s(p, simd.mul_f32s(r, r), r);
    let p = simd.add_f32s(p, number(1.0));
    let power = simd.transmute_u32s_f32s(shifted);
    let power = simd.wrapping_dyn_shl_u32s(power, simd.splat_u32s(23));
    let power = simd.transmute_f32s_u32s(simd.add_u32s(power, simd.splat_u32s(0x3f80_0000)));
    let small = simd.less_than_f32s(x, number(-87.0));
    simd.select_f32s(small, number(0.0), simd.mul_f32s(p, power))
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct Exp<'a>(&'a mut [f32]);

    impl WithSimd for Exp<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            S::as_mut_simd_f32s(self.0).0.iter_mut().for_each(|x| *x = exp(simd, *x));
        }
    }

    #[test]
    fn exponentials_are_right_to_the_last_places() {
        let arguments: Vec<f32> = (0..1 << 16).map(|i| i as f32 * (-87.0 / 65536.0)).collect();
        let mut got = arguments.clone();
        Arch::new().dispatch(Exp(&mut got));
        for (x, got) in arguments.iter().zip(&got) {
            let expected = f64::from(*x).exp();
            let off = (f64::from(*got) / expected - 1.0).abs();
            assert!(off < 2.5e-7, "exp({x}) = {got}, expected {expected}");
        }
        let mut ends = [0.0, -87.5, -1e30, f32::MIN, f32::NEG_INFINITY, f32::NAN].repeat(16);
        Arch::new().dispatch(Exp(&mut ends));
        assert_eq!(ends[..5], [1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(ends[5].is_nan());
    }
}
