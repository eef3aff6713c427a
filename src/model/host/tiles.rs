//! Products of matrices in f32 on the tile unit of x86 processors (Intel's AMX, since Sapphire Rapids).
//!
//! The unit multiplies matrices of bf16 and adds in f32, sixteen times as fast as vector registers
//! multiply f32. A number of f32 is the sum of three of bf16 (8 bits each of its 24), so that a product is
//! the sum of a few products of such parts (Henry, Tang, Heinecke 2019, arXiv 1904.06376):
//!
//! ```text
//! x = x1 + x2 + x3,  w = w1 + w2 + w3
//! x · w = x1·w1 + (x2·w1 + x1·w2) + (x3·w1 + x2·w2 + x1·w3) + what is below 2^-25 of x·w
//! ```
//!
//! Weights that were saved in bf16 have one part, and those in f16 two, to the bit: then three and five of
//! the six are computed. The others would add zeros, so that the result is the same.
//!
//! An output depends on its row and its column alone, to the bit, not on what is beside them nor on the
//! number of threads. Numbers above 3.39e38 in size, the largest of bf16, become infinite.

pub(super) mod attention;
mod operands;
#[cfg(test)]
mod tests;
#[cfg_attr(not(all(target_arch = "x86_64", target_os = "linux")), path = "tiles/no_unit.rs")]
mod unit;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod vectors;

use std::mem::MaybeUninit;
use std::ops::Range;

use burn::prelude::*;
use burn::tensor::DType;
use rayon::prelude::*;

use super::few::FEW;
use super::{OnHost, Rows};
use operands::{BLOCK, Block, Panel, Panels, SplitRows};
use unit::{Tiles, Unit};

/// Multiplications for which a thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 20;
/// Rows that are split at a time, which bounds the memory for it.
const ROWS_AT_ONCE: usize = 512;
/// Bytes of a weight's parts that are made at a time: they stay in a core's own cache.
const PACKED: usize = 1 << 20;

/// `x`, `[m, K]`, `· w`, `[K, N]`, for each of `weights`.
///
/// `None` without such a unit, for few rows ([`few`](super::few)), for sizes that do not match, and for numbers
/// that do not lie in host memory in f32, row by row; the caller then does without.
pub fn products<const W: usize>(x: &Tensor<2>, weights: [&Tensor<2>; W]) -> Option<[Tensor<2>; W]> {
    let (unit, [m, inner]) = (Unit::get()?, x.dims());
    if m <= FEW || inner == 0 || weights.iter().any(|w| w.dims()[0] != inner || w.dims()[1] == 0) {
        return None;
    }
    let numbers = OnHost::new(x)?;
    let held: Vec<OnHost> = weights.into_iter().map(OnHost::in_rows).collect::<Option<_>>()?;
    let columns = weights.map(|w| w.dims()[1]);
    let mut all = columns.map(|columns| Vec::with_capacity(m * columns));
    for from in (0..m).step_by(ROWS_AT_ONCE) {
        let some = ROWS_AT_ONCE.min(m - from);
        let rows = SplitRows::new(unit, numbers.rows(&[]).from(from), some, inner);
        for ((out, w), columns) in all.iter_mut().zip(&held).zip(columns) {
            let free = &mut out.spare_capacity_mut()[..some * columns];
            product(unit, &rows, w.rows(&[]), inner, free, columns);
            // SAFETY: all of them were written.
            unsafe { out.set_len((from + some) * columns) };
        }
    }
    Some(all.map(|out| {
        let shape = [m, out.len() / m];
        Tensor::from_data(TensorData::new(out, shape), (&x.device(), DType::F32))
    }))
}

/// Writes `rows · w`, `[rows, columns]`, to `out`, all of it.
fn product(
    unit: Unit,
    rows: &SplitRows,
    w: Rows,
    inner: usize,
    out: &mut [MaybeUninit<f32>],
    columns: usize,
) {
    let at_once = (PACKED / Panels::bytes_of_one(inner)).max(1) * BLOCK;
    for first in (0..columns).step_by(at_once) {
        let panels = Panels::new(unit, w, inner, first..columns.min(first + at_once));
        let blocks_per_thread = WORTH_A_THREAD.div_ceil(inner * BLOCK * at_once.min(columns));
        let blocks = out.par_chunks_mut(BLOCK * columns).enumerate();
        blocks.with_min_len(blocks_per_thread).for_each(|(block, out)| {
            unit.with_tiles(|tiles| {
                for (panel, from) in panels.iter().zip((first..).step_by(BLOCK)) {
                    multiply(&tiles, rows.block(block), panel, out, from..columns);
                }
            });
        });
    }
}

/// Writes a block of the product: rows of `out`, as long as `columns` ends, from where `columns` begins.
fn multiply(
    tiles: &Tiles,
    x: Block,
    panel: Panel,
    out: &mut [MaybeUninit<f32>],
    columns: Range<usize>,
) {
    let stride = columns.end;
    if out.len() == BLOCK * stride && columns.len() >= BLOCK {
        return tiles.multiply(x, panel, &mut out[columns.start..], stride);
    }
    let mut block = [MaybeUninit::uninit(); BLOCK * BLOCK];
    tiles.multiply(x, panel, &mut block, BLOCK);
    let width = columns.len().min(BLOCK);
    for (out, row) in out.chunks_exact_mut(stride).zip(block.chunks_exact(BLOCK)) {
        out[columns.start..][..width].copy_from_slice(&row[..width]);
    }
}
