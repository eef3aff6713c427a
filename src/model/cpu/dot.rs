//! Products of one vector and some others.

use pulp::Simd;

use super::stored::Stored;

/// Vectors that are read together.
pub(super) const AT_ONCE: usize = 4;

/// `x · v` for each of `vectors`, all as long as `x`.
#[inline(always)]
pub(super) fn dots<S: Simd, T: Stored>(
    simd: S,
    x: &[f32],
    vectors: [&[T]; AT_ONCE],
) -> [f32; AT_ONCE] {
    let (x, x_rest) = S::as_simd_f32s(x);
    let parts = vectors.map(|v| v.split_at(x.len() * S::F32_LANES));
    let mut sums = [simd.splat_f32s(0.0); AT_ONCE];
    for (i, x) in x.iter().enumerate() {
        for (sum, (v, _)) in sums.iter_mut().zip(&parts) {
            let v = T::load(simd, &v[i * S::F32_LANES..]);
            *sum = simd.mul_add_e_f32s(*x, v, *sum);
        }
    }
    let mut dots = [0.0; AT_ONCE];
    for ((dot, sum), (_, rest)) in dots.iter_mut().zip(sums).zip(&parts) {
        let rest: f32 = x_rest.iter().zip(*rest).map(|(x, v)| x * v.wide()).sum();
        *dot = simd.reduce_sum_f32s(sum) + rest;
    }
    dots
}
