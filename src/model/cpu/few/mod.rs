//! Products of a few rows and a weight, as in a step of answers.
//!
//! They are bound by reading the weight: it is read once for all rows, where it lies and in the type that it was
//! saved in, on all threads. A row gets the same numbers, to the bit, whatever rows are beside it and however
//! many threads there are.

#[cfg(test)]
mod tests;

use std::array::from_fn;
use std::ops::Range;

use burn::prelude::*;
use burn::tensor::DType;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::dot::{AT_ONCE, dots};
use super::stored::{Stored, Weight, of_any_type};
use super::{OnHost, Rows};

/// Rows that are few: with more, the arithmetic is what takes time, and products in tiles are faster.
pub(super) const FEW: usize = 16;
/// Multiplications for which a thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 16;
/// Rows of a weight that are read together.
const TOGETHER: usize = 8;
/// Stretches of a weight's rows, at most. Where there are enough of them, each is read from one end to the other, all
/// columns: a processor reads ahead in memory, not across it.
const STRETCHES: usize = 16;
/// Rows of a stretch, at least.
const ROWS_OF_STRETCH: usize = 64;
/// Columns that are multiplied before the next are, at most, so that their sums stay in a core's own cache.
const COLUMNS: usize = 8192;
/// Columns that are, at least, and of which their number is a multiple, as it is of what a register holds: so an
/// output does not depend on it.
const FEWEST_COLUMNS: usize = 512;
/// Outputs of a transposed weight, its rows, that a thread makes at a time.
const BLOCK: usize = 256;
/// Rows that are multiplied together.
const ROWS: usize = 4;

/// `x`, `[m, K]`, `· w`, `[K, N]`.
///
/// `None` where there is nothing to add up, for more rows than [`FEW`], for sizes that do not match, for `x` that is not in host memory in f32, and for
/// `w` that does not lie there row by row, in any type of floats; the caller then does without.
pub fn product(x: &Tensor<2>, w: &Tensor<2>) -> Option<Tensor<2>> {
    let ([m, width], [inner, outputs]) = (x.dims(), w.dims());
    if m > FEW || width != inner || m * inner * outputs == 0 {
        return None;
    }
    let (rows, w) = (OnHost::new(x)?, Weight::new(w)?);
    let numbers = rows.all()?;
    let all = of_any_type!(w.numbers(), w => product_of(numbers, w, [m, inner, outputs]));
    Some(Tensor::from_data(TensorData::new(all, [m, outputs]), (&x.device(), DType::F32)))
}

/// `[m, N]`: the sum of the products with each stretch of `w`, `[K, N]`, in order.
fn product_of<T: Stored>(x: &[f32], w: Rows<T>, [m, inner, outputs]: [usize; 3]) -> Vec<f32> {
    // Few stretches of wide weights: the sums of all exist at the same time.
    let most = STRETCHES.div_ceil(outputs.div_ceil(COLUMNS));
    let rows = inner.div_ceil(most).next_multiple_of(TOGETHER).max(ROWS_OF_STRETCH);
    let stretches = inner.div_ceil(rows);
    // Four pieces for each thread, or more.
    let columns = (stretches * outputs).div_ceil(4 * rayon::current_num_threads());
    let width = columns.next_multiple_of(FEWEST_COLUMNS).min(COLUMNS);
    let blocks = outputs.div_ceil(width);
    let columns = |block: usize| block * width..outputs.min((block + 1) * width);
    let multiplications = m * rows * outputs.min(width);
    let pieces: Vec<Vec<f32>> = (0..stretches * blocks)
        .into_par_iter()
        .with_min_len(WORTH_A_THREAD.div_ceil(multiplications))
        .map(|piece| {
            let (first, columns) = (piece / blocks * rows, columns(piece % blocks));
            let w = w.from(first).columns_from(columns.start);
            let mut out = vec![0.0; m * columns.len()];
            let (x, inner) = (Rows { data: &x[first..], stride: inner }, rows.min(inner - first));
            Arch::new().dispatch(Product { x, w, inner, width: columns.len(), out: &mut out });
            out
        })
        .collect();
    let mut all = vec![0.0; m * outputs];
    let blocks_per_thread = WORTH_A_THREAD.div_ceil(stretches * width);
    for (row, all) in all.chunks_mut(outputs).enumerate() {
        let of_blocks = all.par_chunks_mut(width).with_min_len(blocks_per_thread);
        of_blocks.enumerate().for_each(|(block, all)| {
            for sums in pieces.iter().skip(block).step_by(blocks) {
                let sums = &sums[row * all.len()..];
                all.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
            }
        });
    }
    all
}

/// `x`, `[m, K]`, `·` the transpose of `w`, `[N, K]`; else as [`product`]. More rows than a few, too, where `w` is not of
/// f32: widened for the library, the embedding of a large vocabulary would be gigabytes.
pub fn transposed(x: &Tensor<2>, w: &Tensor<2>) -> Option<Tensor<2>> {
    let ([m, width], [outputs, inner]) = (x.dims(), w.dims());
    if width != inner || m > FEW && w.dtype() == DType::F32 {
        return None;
    }
    let w = Weight::new(w)?;
    of_any_type!(w.numbers(), w => of_blocks(x, outputs, |x, rows, out| {
        Arch::new().dispatch(Transposed { x, w: w.from(rows.start), width: rows.len(), out });
    }))
}

/// `[m, N]`, made of blocks: `each(x, range, out)` makes the outputs `[m, range]`, zeros before.
fn of_blocks(
    x: &Tensor<2>,
    outputs: usize,
    each: impl Fn(&[f32], Range<usize>, &mut [f32]) + Sync,
) -> Option<Tensor<2>> {
    let [m, inner] = x.dims();
    if m == 0 {
        return None;
    }
    let rows = OnHost::new(x)?;
    let numbers = rows.all()?;
    let blocks_per_thread = WORTH_A_THREAD.div_ceil((m * inner * BLOCK).max(1));
    let blocks: Vec<Vec<f32>> = (0..outputs.div_ceil(BLOCK))
        .into_par_iter()
        .with_min_len(blocks_per_thread)
        .map(|block| {
            let range = block * BLOCK..outputs.min((block + 1) * BLOCK);
            let mut out = vec![0.0; m * range.len()];
            each(numbers, range, &mut out);
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

/// Sums of the first `inner` products of the first `width` columns of `w`.
struct Product<'a, T> {
    /// `[m, ..]`.
    x: Rows<'a, f32>,
    /// `[.., ..]`.
    w: Rows<'a, T>,
    inner: usize,
    width: usize,
    /// `[m, width]`, zeros before.
    out: &'a mut [f32],
}

impl<T: Stored> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, w, inner, width, out } = self;
        let whole = inner - inner % TOGETHER;
        for k in (0..whole).step_by(TOGETHER) {
            let rows: [&[T]; TOGETHER] = from_fn(|i| &w.row(k + i)[..width]);
            add_rows(simd, out, x, k, rows);
        }
        for k in whole..inner {
            add_rows(simd, out, x, k, [&w.row(k)[..width]]);
        }
    }
}

/// `out`, `[m, width]`, `+= x`, numbers `k` and after of each row, `· w`, `[G, width]`.
#[inline(always)]
fn add_rows<S: Simd, T: Stored, const G: usize>(
    simd: S,
    out: &mut [f32],
    x: Rows,
    k: usize,
    w: [&[T]; G],
) {
    let width = w[0].len();
    let mut row = 0;
    for out in out.chunks_mut(ROWS * width) {
        let factors = |r: usize| from_fn(|g| x.row(row + r)[k + g]);
        match out.len() / width {
            4 => add::<S, T, 4, G>(simd, out, from_fn(factors), w),
            3 => add::<S, T, 3, G>(simd, out, from_fn(factors), w),
            2 => add::<S, T, 2, G>(simd, out, from_fn(factors), w),
            _ => add::<S, T, 1, G>(simd, out, from_fn(factors), w),
        }
        row += ROWS;
    }
}

#[inline(always)]
fn add<S: Simd, T: Stored, const R: usize, const G: usize>(
    simd: S,
    out: &mut [f32],
    x: [[f32; G]; R],
    w: [&[T]; G],
) {
    let width = w[0].len();
    let mut rest = out;
    let rows: [&mut [f32]; R] = from_fn(|_| {
        let (row, after) = std::mem::take(&mut rest).split_at_mut(width);
        rest = after;
        row
    });
    let mut rows = rows.map(|row| S::as_mut_simd_f32s(row));
    let registers = width / S::F32_LANES;
    for j in 0..registers {
        let w: [S::f32s; G] = from_fn(|g| T::load(simd, &w[g][j * S::F32_LANES..]));
        for ((out, _), x) in rows.iter_mut().zip(&x) {
            let mut sum = out[j];
            for (w, x) in w.iter().zip(x) {
                sum = simd.mul_add_e_f32s(simd.splat_f32s(*x), *w, sum);
            }
            out[j] = sum;
        }
    }
    let rests = w.map(|w| &w[registers * S::F32_LANES..]);
    for ((_, out), x) in rows.iter_mut().zip(&x) {
        for (j, to) in out.iter_mut().enumerate() {
            for (w, x) in rests.iter().zip(x) {
                *to = w[j].wide().mul_add(*x, *to);
            }
        }
    }
}

/// Outputs of the first `width` rows of `w`.
struct Transposed<'a, T> {
    /// `[m, K]`.
    x: &'a [f32],
    /// `[.., K]`.
    w: Rows<'a, T>,
    width: usize,
    /// `[m, width]`.
    out: &'a mut [f32],
}

impl<T: Stored> WithSimd for Transposed<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, w, width, out } = self;
        let inner = x.len() / (out.len() / width);
        for from in (0..width).step_by(AT_ONCE) {
            let n = AT_ONCE.min(width - from);
            // Of fewer rows the last is taken again, and its product written once.
            let rows: [&[T]; AT_ONCE] = from_fn(|i| &w.row(from + i.min(n - 1))[..inner]);
            for (x, out) in x.chunks_exact(inner).zip(out.chunks_exact_mut(width)) {
                out[from..from + n].copy_from_slice(&dots(simd, x, rows)[..n]);
            }
        }
    }
}
