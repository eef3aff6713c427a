//! Products of a few rows and a weight, as in a step of answers.
//!
//! They are bound by reading the weight: it is read once for all rows, where it lies, on all threads. A row
//! gets the same numbers, to the bit, whatever rows are beside it and however many threads there are.

#[cfg(test)]
mod tests;

use std::array::from_fn;
use std::ops::Range;

use burn::prelude::*;
use burn::tensor::DType;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::dot::{AT_ONCE, dots};
use super::{OnHost, Rows};

/// Rows that are few: with more, the arithmetic is what takes time, and products in tiles are faster.
pub(super) const FEW: usize = 16;
/// Multiplications for which a thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 16;
/// Outputs that a thread makes at a time; those of [`FEW`] rows stay in the nearest cache.
const BLOCK: usize = 256;
/// Rows of a weight that are read together.
const TOGETHER: usize = 8;
/// Rows that are multiplied together.
const ROWS: usize = 4;

/// `x`, `[m, K]`, `· w`, `[K, N]`.
///
/// `None` for no row or more than [`FEW`], for sizes that do not match, and for numbers that do not lie in host memory in f32, row by row;
/// the caller then does without.
pub fn product(x: &Tensor<2>, w: &Tensor<2>) -> Option<Tensor<2>> {
    let [inner, outputs] = w.dims();
    if x.dims()[1] != inner {
        return None;
    }
    of_blocks(x, w, outputs, |x, w, columns, out| {
        let w = Rows { data: &w.data[columns.start..], ..w };
        Arch::new().dispatch(Product { x, w, width: columns.len(), out });
    })
}

/// `x`, `[m, K]`, `·` the transpose of `w`, `[N, K]`; else as [`product`].
pub fn transposed(x: &Tensor<2>, w: &Tensor<2>) -> Option<Tensor<2>> {
    let [outputs, inner] = w.dims();
    if x.dims()[1] != inner {
        return None;
    }
    of_blocks(x, w, outputs, |x, w, rows, out| {
        Arch::new().dispatch(Transposed { x, w: w.from(rows.start), width: rows.len(), out });
    })
}

/// `[m, N]`, made of blocks: `each(x, w, range, out)` makes the outputs `[m, range]`, zeros before.
fn of_blocks(
    x: &Tensor<2>,
    w: &Tensor<2>,
    outputs: usize,
    each: impl Fn(&[f32], Rows, Range<usize>, &mut [f32]) + Sync,
) -> Option<Tensor<2>> {
    let [m, inner] = x.dims();
    if m == 0 || m > FEW {
        return None;
    }
    let (rows, w) = (OnHost::new(x)?, OnHost::in_rows(w)?);
    let (numbers, w) = (rows.all()?, w.rows(&[]));
    let blocks_per_thread = WORTH_A_THREAD.div_ceil((m * inner * BLOCK).max(1));
    let blocks: Vec<Vec<f32>> = (0..outputs.div_ceil(BLOCK))
        .into_par_iter()
        .with_min_len(blocks_per_thread)
        .map(|block| {
            let range = block * BLOCK..outputs.min((block + 1) * BLOCK);
            let mut out = vec![0.0; m * range.len()];
            each(numbers, w, range, &mut out);
            out
        })
        .collect();
    let mut all = Vec::with_capacity(m * outputs);
    for row in 0..m {
        for block in &blocks {
            let width = block.len() / m;
            all.extend_from_slice(&block[row * width..][..width]);
        }
    }
    Some(Tensor::from_data(TensorData::new(all, [m, outputs]), (&x.device(), DType::F32)))
}

/// Outputs of the first `width` columns of `w`.
struct Product<'a> {
    /// `[m, K]`.
    x: &'a [f32],
    /// `[K, ..]`.
    w: Rows<'a>,
    width: usize,
    /// `[m, width]`, zeros before.
    out: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, w, width, out } = self;
        let inner = x.len() / (out.len() / width);
        let whole = inner - inner % TOGETHER;
        for k in (0..whole).step_by(TOGETHER) {
            let rows: [&[f32]; TOGETHER] = from_fn(|i| &w.row(k + i)[..width]);
            add_rows(simd, out, &x[k..], inner, rows);
        }
        for k in whole..inner {
            add_rows(simd, out, &x[k..], inner, [&w.row(k)[..width]]);
        }
    }
}

/// `out`, `[m, width]`, `+= x`, `[m, G]` with rows `stride` apart, `· w`, `[G, width]`.
#[inline(always)]
fn add_rows<S: Simd, const G: usize>(
    simd: S,
    out: &mut [f32],
    x: &[f32],
    stride: usize,
    w: [&[f32]; G],
) {
    let width = w[0].len();
    let mut row = 0;
    for out in out.chunks_mut(ROWS * width) {
        let factors = |r: usize| from_fn(|g| x[(row + r) * stride + g]);
        match out.len() / width {
            4 => add::<S, 4, G>(simd, out, from_fn(factors), w),
            3 => add::<S, 3, G>(simd, out, from_fn(factors), w),
            2 => add::<S, 2, G>(simd, out, from_fn(factors), w),
            _ => add::<S, 1, G>(simd, out, from_fn(factors), w),
        }
        row += ROWS;
    }
}

#[inline(always)]
fn add<S: Simd, const R: usize, const G: usize>(
    simd: S,
    out: &mut [f32],
    x: [[f32; G]; R],
    w: [&[f32]; G],
) {
    let width = w[0].len();
    let mut rest = out;
    let rows: [&mut [f32]; R] = from_fn(|_| {
        let (row, after) = std::mem::take(&mut rest).split_at_mut(width);
        rest = after;
        row
    });
    let parts = w.map(|w| S::as_simd_f32s(w));
    for (out, x) in rows.into_iter().zip(x) {
        let (out, out_rest) = S::as_mut_simd_f32s(out);
        let columns = parts.map(|(w, _)| &w[..out.len()]);
        for (j, to) in out.iter_mut().enumerate() {
            let mut sum = *to;
            for g in 0..G {
                sum = simd.mul_add_e_f32s(simd.splat_f32s(x[g]), columns[g][j], sum);
            }
            *to = sum;
        }
        for (j, to) in out_rest.iter_mut().enumerate() {
            for (g, (_, w)) in parts.iter().enumerate() {
                *to = w[j].mul_add(x[g], *to);
            }
        }
    }
}

/// Outputs of the first `width` rows of `w`.
struct Transposed<'a> {
    /// `[m, K]`.
    x: &'a [f32],
    /// `[.., K]`.
    w: Rows<'a>,
    width: usize,
    /// `[m, width]`.
    out: &'a mut [f32],
}

impl WithSimd for Transposed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, w, width, out } = self;
        let inner = x.len() / (out.len() / width);
        for from in (0..width).step_by(AT_ONCE) {
            let n = AT_ONCE.min(width - from);
            // Of fewer rows the last is taken again, and its product written once.
            let rows: [&[f32]; AT_ONCE] = from_fn(|i| &w.row(from + i.min(n - 1))[..inner]);
            for (x, out) in x.chunks_exact(inner).zip(out.chunks_exact_mut(width)) {
                out[from..from + n].copy_from_slice(&dots(simd, x, rows)[..n]);
            }
        }
    }
}
