//! Products of matrices in f32 on the tile unit of x86 processors (Intel's AMX, since Sapphire
//! Rapids).
//!
//! The unit multiplies matrices of bf16 and adds in f32, sixteen times as fast as vector registers
//! multiply f32. A number of f32 is the sum of three of bf16 (8 bits each of its 24), so that a
//! product is the sum of a few products of such parts (Henry, Tang, Heinecke 2019, arXiv
//! 1904.06376):
//!
//! ```text
//! x = x1 + x2 + x3,  w = w1 + w2 + w3
//! x · w = x1·w1 + (x2·w1 + x1·w2) + (x3·w1 + x2·w2 + x1·w3) + what is at most about 2^-24 of x·w
//! ```
//!
//! Weights that were saved in bf16 have one part, and those in f16 two, to the bit: then three and
//! five of the six are computed. The others would add zeros, so that the result is the same.
//!
//! An output depends on its row and its column alone, to the bit, not on what is beside them nor on
//! the number of threads (fewer rows than [`products`] takes are multiplied elsewhere, with other
//! roundings). The unit takes what is below 2^-126 for zero; infinities, and what is above 3.39e38,
//! the largest of bf16, give numbers that are none.

mod operands;
#[cfg(test)]
mod tests;
pub(super) mod unit;
mod vectors;

use std::cell::RefCell;
use std::ops::Range;

use burn::prelude::*;
use burn::tensor::DType;
use rayon::prelude::*;

use super::gemv::FEW;
use super::stored::{Weight, of_any_type};
use super::{OnHost, Out, RowsView};
use operands::{BLOCK, Block, Panels, STEP, SplitRows};
use unit::Unit;
use vectors::Parts;

/// Multiplications for which a thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 20;
/// Numbers of the inner dimension that are multiplied before the next are: those of [`ROWS`] rows,
/// and of [`COLUMNS`] columns, stay in a core's own cache.
const INNER: usize = 512;
/// Rows that are multiplied with some columns before the next are.
const ROWS: usize = 256;
/// Columns that a thread splits at a time.
const COLUMNS: usize = 256;
/// Rows that are split at a time, which bounds the memory for it.
const ROWS_AT_ONCE: usize = 512;

/// Whether there is such a unit.
pub fn is_there() -> bool {
    Unit::get().is_some()
}

/// `x`, `[m, K]`, `· w`, `[K, N]`, for each of `weights`.
///
/// `None` without such a unit, for few rows ([`gemv`](super::gemv)), for sizes that do not match,
/// for `x` that is not in host memory in f32, and for weights that do not lie there row by row, in
/// any type of floats; the caller then does without.
pub fn products<const W: usize>(x: &Tensor<2>, weights: [&Tensor<2>; W]) -> Option<[Tensor<2>; W]> {
    let (unit, [m, inner]) = (Unit::get()?, x.dims());
    if m <= FEW || inner == 0 || weights.iter().any(|w| w.dims()[0] != inner || w.dims()[1] == 0) {
        return None;
    }
    let numbers = OnHost::new(x)?;
    let held: Vec<Weight> = weights.into_iter().map(Weight::new).collect::<Option<_>>()?;
    let mut all = weights.map(|w| (w.dims()[1], Vec::<f32>::with_capacity(m * w.dims()[1])));
    // Groups of rows as large as each other, as weights are split for each.
    let group = m.div_ceil(m.div_ceil(ROWS_AT_ONCE)).next_multiple_of(BLOCK);
    for from in (0..m).step_by(group) {
        let some = group.min(m - from);
        let rows = numbers.rows(&[]).from(from);
        let rows: Vec<SplitRows> =
            parts(inner).map(|part| SplitRows::new(unit, rows, some, part)).collect();
        for ((columns, out), w) in all.iter_mut().zip(&held) {
            let free = &mut out.spare_capacity_mut()[..some * *columns];
            let out = Out { numbers: free.as_mut_ptr().cast(), rows: some, columns: *columns };
            of_any_type!(w.numbers(), w => product(unit, &rows, w, inner, &out));
        }
        for (columns, out) in &mut all {
            // SAFETY: pieces cover all columns, and each has written them for all of these rows.
            unsafe { out.set_len((from + some) * *columns) };
        }
    }
    Some(all.map(|(columns, out)| {
        Tensor::from_data(TensorData::new(out, [m, columns]), (&x.device(), DType::F32))
    }))
}

/// Parts of the inner dimension, as large as each other but for what a tile needs, [`INNER`] at
/// most.
fn parts(inner: usize) -> impl Iterator<Item = Range<usize>> {
    let steps = inner.div_ceil(STEP);
    let each = steps.div_ceil(inner.div_ceil(INNER)) * STEP;
    (0..inner).step_by(each).map(move |from| from..inner.min(from + each))
}

/// Writes the product of rows, in [`parts`] of their numbers, and `w` to `out`.
fn product<T: Parts>(unit: Unit, rows: &[SplitRows], w: RowsView<T>, inner: usize, out: &Out) {
    // Two pieces for each thread, or more.
    let pieces = (2 * rayon::current_num_threads()).max(out.columns.div_ceil(COLUMNS));
    let width = out.columns.div_ceil(pieces).next_multiple_of(BLOCK);
    let pieces = out.columns.div_ceil(width);
    let per_thread = WORTH_A_THREAD.div_ceil(out.rows * inner * width);
    (0..pieces).into_par_iter().with_min_len(per_thread).for_each(|piece| {
        let columns = piece * width..out.columns.min((piece + 1) * width);
        let blocks_beside = columns.len().div_ceil(BLOCK);
        let mut blocks = BLOCKS.take();
        let len = out.rows.div_ceil(BLOCK) * blocks_beside;
        blocks.resize(blocks.len().max(len), [[0.0; BLOCK]; BLOCK]);
        for (rows, part) in rows.iter().zip(parts(inner)) {
            let anew = part.start == 0;
            let panels = Panels::new(unit, w, part, columns.clone());
            let xs: Vec<Block> = rows.blocks().collect();
            let groups = blocks[..len].chunks_mut(ROWS / BLOCK * blocks_beside);
            unit.with_tiles(|tiles| {
                for (xs, blocks) in xs.chunks(ROWS / BLOCK).zip(groups) {
                    for (i, panel) in panels.iter().enumerate() {
                        for (x, blocks) in xs.iter().zip(blocks.chunks_mut(blocks_beside)) {
                            tiles.multiply(*x, panel, &mut blocks[i], anew);
                        }
                    }
                }
            });
        }
        for (i, block) in blocks[..len].iter().enumerate() {
            let (top, left) =
                (i / blocks_beside * BLOCK, columns.start + i % blocks_beside * BLOCK);
            let width = BLOCK.min(out.columns - left);
            for (row, from) in block.iter().take(out.rows - top).enumerate() {
                // SAFETY: a part of a row of the product, in this piece's columns.
                unsafe {
                    let to = out.numbers.add((top + row) * out.columns + left);
                    to.copy_from_nonoverlapping(from.as_ptr(), width);
                }
            }
        }
        BLOCKS.set(blocks);
    });
}

thread_local! {
    /// Blocks of a product, in memory that a thread uses again.
    static BLOCKS: RefCell<Vec<[[f32; BLOCK]; BLOCK]>> = const { RefCell::new(Vec::new()) };
}
