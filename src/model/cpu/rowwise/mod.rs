//! Norm, gate and rotation: one pass over the rows each, on all threads.
//!
//! Each gives `None` for tensors that do not lie in host memory in f32 without gaps, of other
//! shapes than one sequence has, or that are watched for a gradient; the caller then does without.

use burn::prelude::*;
use burn::tensor::DType;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::OnHost;
use super::exp::exp;

#[cfg(test)]
mod tests;

/// Numbers for which a thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 14;
/// Numbers of a stretch of [`gated`].
const STRETCH: usize = 1 << 12;

/// `x / rms(x) ⊙ weight` along the last dimension, with `eps` below the root.
pub fn rms_norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, eps: f64) -> Option<Tensor<D>> {
    let (numbers, scale) = (OnHost::new(x)?, OnHost::new(weight)?);
    let (numbers, scale) = (numbers.all()?, scale.all()?);
    let width = scale.len();
    let mut out = vec![0.0; numbers.len()];
    rows(&mut out, width, |i, out| {
        let x = &numbers[i * width..][..width];
        Arch::new().dispatch(Norm { x, scale, eps: eps as f32, out });
    });
    Some(like(x, out))
}

/// `gate · sigmoid(gate) ⊙ up`, the gate of SwiGLU (Shazeer 2020, arXiv 2002.05202).
pub fn gated(gate: &Tensor<2>, up: &Tensor<2>) -> Option<Tensor<2>> {
    let (a, b) = (OnHost::new(gate)?, OnHost::new(up)?);
    let (a, b) = (a.all()?, b.all()?);
    if a.len() != b.len() {
        return None;
    }
    let mut out = vec![0.0; a.len()];
    let each = out.par_chunks_mut(STRETCH).with_min_len(WORTH_A_THREAD / STRETCH);
    each.zip(a.par_chunks(STRETCH)).zip(b.par_chunks(STRETCH)).for_each(|((out, gate), up)| {
        Arch::new().dispatch(Gate { gate, up, out });
    });
    Some(like(gate, out))
}

/// Turns pairs of `x`, `[1, heads, n, D]`, dimension `i` with `i + D / 2`, by the angles whose
/// cosines and sines, `[1, 1, n, D / 2]`, are given.
pub fn rotated(x: &Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Option<Tensor<4>> {
    let [1, heads, n, dim] = x.dims() else { return None };
    let (numbers, cos, sin) = (OnHost::new(x)?, OnHost::new(cos)?, OnHost::new(sin)?);
    let (cos, sin) = (cos.all()?, sin.all()?);
    let half = dim / 2;
    let mut out = vec![0.0; heads * n * dim];
    rows(&mut out, dim, |i, out| {
        let (head, token) = (i / n, i % n);
        let (a, b) = numbers.rows(&[0, head]).row(token)[..dim].split_at(half);
        let (cos, sin) = (&cos[token * half..][..half], &sin[token * half..][..half]);
        let (first, second) = out.split_at_mut(half);
        for j in 0..half {
            first[j] = a[j] * cos[j] - b[j] * sin[j];
            second[j] = b[j] * cos[j] + a[j] * sin[j];
        }
    });
    Some(like(x, out))
}

/// Calls `each(i, row)` for the rows of `out`, `width` numbers each.
fn rows(out: &mut [f32], width: usize, each: impl Fn(usize, &mut [f32]) + Sync) {
    let at_once = WORTH_A_THREAD.div_ceil(width.max(1));
    let rows = out.par_chunks_exact_mut(width.max(1)).with_min_len(at_once);
    rows.enumerate().for_each(|(i, row)| each(i, row));
}

/// `numbers` in the shape of `x`, where that is.
fn like<const D: usize>(x: &Tensor<D>, numbers: Vec<f32>) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers, x.dims()), (&x.device(), DType::F32))
}

struct Norm<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl WithSimd for Norm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, scale, eps, out } = self;
        let (whole, rest) = S::as_simd_f32s(x);
        // Several sums: one would wait for its last addition.
        let mut sums = [simd.splat_f32s(0.0); 4];
        for part in whole.chunks(4) {
            for (sum, x) in sums.iter_mut().zip(part) {
                *sum = simd.mul_add_e_f32s(*x, *x, *sum);
            }
        }
        let [a, b, c, d] = sums;
        let sum = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
        let sum = simd.reduce_sum_f32s(sum) + rest.iter().map(|x| x * x).sum::<f32>();
        let factor = 1.0 / (sum / x.len() as f32 + eps).sqrt();
        for ((out, x), scale) in out.iter_mut().zip(x).zip(scale) {
            *out = x * factor * scale;
        }
    }
}

struct Gate<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ((gate, gate_rest), (up, up_rest)) =
            (S::as_simd_f32s(self.gate), S::as_simd_f32s(self.up));
        let (out, out_rest) = S::as_mut_simd_f32s(self.out);
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = simd.mul_f32s(gate_of(simd, *gate), *up);
        }
        let [gate, up] = [gate_rest, up_rest].map(|rest| simd.partial_load_f32s(rest));
        simd.partial_store_f32s(out_rest, simd.mul_f32s(gate_of(simd, gate), up));
    }
}

/// `x · sigmoid(x)`.
#[inline(always)]
fn gate_of<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    // With e = exp(-|x|): 1 / (1 + e) for x >= 0, e / (1 + e) below.
    let e = exp(simd, simd.neg_f32s(simd.abs_f32s(x)));
    let above = simd.select_f32s(simd.less_than_f32s(x, zero), e, one);
    simd.div_f32s(simd.mul_f32s(x, above), simd.add_f32s(one, e))
}
