//! [`HostStore`]: a layer's lists in host memory, attention over slices of them.
//!
//! ```text
//! list   = piece 0 | piece 1 | ...          of PIECE tokens each
//! piece:   m = max s,  e_j = exp(s_j - m),  z = sum e_j,  o = sum e_j v_j        side by side
//! list:    M = max m,  output = sum exp(m - M) o  /  sum exp(m - M) z            in order
//! ```
//!
//! So a single long list is work for all threads (split along the keys as in Flash-Decoding, Dao et
//! al. 2023, <https://pytorch.org/blog/flash-decoding/>). Neither the pieces nor the order in which
//! they are put together depend on the number of threads: the result does not either, to the bit.

use std::ops::Range;

use burn::prelude::*;
use burn::tensor::DType;
use rayon::prelude::*;

use super::{Attended, List};
use crate::error::Result;
use crate::model::cpu::single::Share;
use crate::model::read_back;

#[cfg(test)]
mod tests;

/// Tokens of a piece; a list of no more is not split. The values of a piece should stay in the
/// nearest cache.
const PIECE: usize = 256;
/// Multiplications for which a thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 16;

/// Keys and values of all lists of a layer, `[slots, D]` each, in f32.
#[derive(Debug, Clone)]
pub(super) struct HostStore {
    dim: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// Tokens of one list that are attended to in one go.
struct Piece {
    list: usize,
    /// Slots of the list.
    slots: Range<usize>,
    /// The first of them in the store.
    start: usize,
}

impl HostStore {
    /// Copies what `lists` keep of `keys` and `values`, `[1, G, capacity, D]` each, of which the
    /// keys are freed before the values are read.
    pub fn gather(lists: &[List], keys: Tensor<4>, values: Tensor<4>) -> Result<Self> {
        let [_, _, capacity, dim] = keys.dims();
        let slots: usize = lists.iter().map(|list| list.slots).sum();
        let gather = |all: Tensor<4>| -> Result<Vec<f32>> {
            let all = read_back::data(all.cast(DType::F32), "the cache")?;
            let all = read_back::slice(&all)?;
            let mut kept = vec![0.0; slots * dim];
            for list in lists {
                let room = &mut kept[list.start * dim..][..list.slots * dim];
                for (slot, position) in room.chunks_mut(dim).zip(&list.positions) {
                    let token = list.kv_head * capacity + *position as usize;
                    slot.copy_from_slice(&all[token * dim..][..dim]);
                }
            }
            Ok(kept)
        };
        Ok(Self { dim, keys: gather(keys)?, values: gather(values)? })
    }

    /// Writes one token's `keys` and `values`, `[1, G, 1, D]`, behind the tokens of every list.
    pub fn append(&mut self, lists: &[List], keys: Tensor<4>, values: Tensor<4>) -> Result<()> {
        let dim = self.dim;
        for (all, new) in [(&mut self.keys, keys), (&mut self.values, values)] {
            let new = read_back::floats(new.cast(DType::F32), "a token's keys and values")?;
            for list in lists {
                let slot = list.start + list.len();
                all[slot * dim..][..dim].copy_from_slice(&new[list.kv_head * dim..][..dim]);
            }
        }
        Ok(())
    }

    /// Moves what lies behind `slot` in `list` up by one.
    pub fn close_gap(&mut self, list: &List, slot: usize) {
        let (gap, end) = (list.start + slot, list.start + list.len());
        for all in [&mut self.keys, &mut self.values] {
            all.copy_within((gap + 1) * self.dim..end * self.dim, gap * self.dim);
        }
    }

    /// Attention of one query, `[1, H, 1, D]`, that sees positions from `oldest` on.
    pub fn attend(
        &self,
        lists: &[List],
        q: Tensor<4>,
        oldest: usize,
        want_rows: bool,
    ) -> Result<Attended> {
        let (shape, dtype, device) = (q.dims(), q.dtype(), q.device());
        let q = q.cast(DType::F32).mul_scalar(1.0 / (self.dim as f64).sqrt());
        let q = read_back::floats(q, "a query")?;
        let (output, rows) = self.attend_to_lists(lists, &q, oldest, want_rows);
        let output = TensorData::new(output, shape);
        Ok(Attended { output: Tensor::from_data(output, (&device, dtype)), rows })
    }

    /// Output, `[H, D]`, and, if wanted, the rows of each list, `[readers, len]`. The queries `q`,
    /// `[H, D]`, are scaled.
    fn attend_to_lists(
        &self,
        lists: &[List],
        q: &[f32],
        oldest: usize,
        want_rows: bool,
    ) -> (Vec<f32>, Vec<Vec<f32>>) {
        let width = q.len() / lists.len();
        let pieces: Vec<Piece> =
            lists.iter().enumerate().flat_map(|(l, list)| pieces(l, list, oldest)).collect();
        let tokens: usize = pieces.iter().map(|piece| piece.slots.len()).sum();
        let pieces_per_thread = (WORTH_A_THREAD * pieces.len()).div_ceil((tokens * width).max(1));
        let shares: Vec<Share> = pieces
            .par_iter()
            .with_min_len(pieces_per_thread)
            .map(|piece| self.attend_to_piece(piece, &q[piece.list * width..][..width]))
            .collect();
        let (mut output, mut rows) = (Vec::with_capacity(q.len()), Vec::new());
        let mut shares = &shares[..];
        // Every list has a piece: a query sees its own token.
        for pieces in pieces.chunk_by(|a, b| a.list == b.list) {
            let (own, rest) = shares.split_at(pieces.len());
            shares = rest;
            let list_rows =
                want_rows.then(|| vec![0.0; width / self.dim * lists[pieces[0].list].len()]);
            rows.extend(put_together(pieces, own, self.dim, &mut output, list_rows));
        }
        (output, rows)
    }

    /// The share of one piece; `queries`, `[readers, D]`, are its list's.
    fn attend_to_piece(&self, piece: &Piece, queries: &[f32]) -> Share {
        let dim = self.dim;
        let stored = piece.start * dim..(piece.start + piece.slots.len()) * dim;
        Share::new(queries, &self.keys[stored.clone()], &self.values[stored], dim)
    }
}

/// What a query that sees positions from `oldest` on sees of list number `l`, cut into pieces.
fn pieces(l: usize, list: &List, oldest: usize) -> impl Iterator<Item = Piece> {
    let (hidden, len, start) = (list.first_seen(oldest), list.len(), list.start);
    (hidden..len).step_by(PIECE).map(move |from| Piece {
        list: l,
        slots: from..len.min(from + PIECE),
        start: start + from,
    })
}

/// Appends the output of one list, `[readers, D]`, to `output`, and fills its `rows`,
/// `[readers, len]`, which hold zeros.
fn put_together(
    pieces: &[Piece],
    shares: &[Share],
    dim: usize,
    output: &mut Vec<f32>,
    mut rows: Option<Vec<f32>>,
) -> Option<Vec<f32>> {
    let readers = shares[0].sums.len();
    for r in 0..readers {
        let largest = shares.iter().fold(f32::NEG_INFINITY, |m, share| m.max(share.largest[r]));
        let factor = |share: &Share| f64::from(share.largest[r] - largest).exp();
        let sum: f64 = shares.iter().map(|share| factor(share) * share.sums[r]).sum();
        let mut mixed = vec![0f64; dim];
        for (piece, share) in pieces.iter().zip(shares) {
            let factor = factor(share) / sum;
            let own = &share.mixed[r * dim..][..dim];
            mixed.iter_mut().zip(own).for_each(|(to, v)| *to += factor * f64::from(*v));
            if let Some(rows) = &mut rows {
                let (len, n) = (rows.len() / readers, piece.slots.len());
                let row = &mut rows[r * len..][piece.slots.clone()];
                let weights = &share.weights[r * n..][..n];
                row.iter_mut().zip(weights).for_each(|(to, w)| *to = factor as f32 * w);
            }
        }
        output.extend(mixed.into_iter().map(|v| v as f32));
    }
    rows
}
