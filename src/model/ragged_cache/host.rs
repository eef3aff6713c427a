//! [`HostStore`]: a layer's lists in host memory, attention over slices of them.

use burn::prelude::*;
use burn::tensor::DType;
use rayon::prelude::*;

use super::{Attended, List};
use crate::error::Result;
use crate::model::read_back;
use crate::model::softmax::softmax;

/// Lanes of a product: independent sums, which a compiler can put into vector registers.
const LANES: usize = 16;
/// Tokens whose weighted values are summed before they join the rest: a sum of very many small
/// shares loses digits.
const BLOCK: usize = 256;
/// Multiplications for which a thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 16;

/// Keys and values of all lists of a layer, `[slots, D]` each, in f32.
#[derive(Debug, Clone)]
pub(super) struct HostStore {
    dim: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
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
        let dim = self.dim;
        let q = q.cast(DType::F32).mul_scalar(1.0 / (dim as f64).sqrt());
        let q = read_back::floats(q, "a query")?;
        let readers = q.len() / dim / lists.len();
        let work = lists.iter().map(|list| list.len() * readers * dim).sum::<usize>();
        let lists_per_thread = (WORTH_A_THREAD * lists.len()).div_ceil(work.max(1));
        let (output, rows): (Vec<Vec<f32>>, Vec<Vec<f32>>) = lists
            .par_iter()
            .zip(q.par_chunks(readers * dim))
            .with_min_len(lists_per_thread)
            .map(|(list, queries)| {
                let (output, rows) = self.attend_to_list(list, queries, oldest);
                (output, if want_rows { rows } else { Vec::new() })
            })
            .unzip();
        let output = TensorData::new(output.concat(), shape);
        Ok(Attended {
            output: Tensor::from_data(output, (&device, dtype)),
            rows: if want_rows { rows } else { Vec::new() },
        })
    }

    /// Output, `[readers, D]`, and rows, `[readers, len]`, of one list; `queries`, `[readers, D]`,
    /// are scaled.
    fn attend_to_list(&self, list: &List, queries: &[f32], oldest: usize) -> (Vec<f32>, Vec<f32>) {
        let (dim, len, hidden) = (self.dim, list.len(), list.first_seen(oldest));
        let seen = (list.start + hidden) * dim..(list.start + len) * dim;
        let mut rows = vec![0.0; queries.len() / dim * len];
        for (j, key) in self.keys[seen.clone()].chunks_exact(dim).enumerate() {
            for (row, query) in rows.chunks_exact_mut(len).zip(queries.chunks_exact(dim)) {
                row[hidden + j] = dot(query, key);
            }
        }
        rows.chunks_exact_mut(len).for_each(|row| softmax(&mut row[hidden..]));
        let mut output = vec![0.0; queries.len()];
        let mut share = vec![0.0; queries.len()];
        for (block, values) in self.values[seen].chunks(BLOCK * dim).enumerate() {
            share.fill(0.0);
            for (j, value) in values.chunks_exact(dim).enumerate() {
                let slot = hidden + block * BLOCK + j;
                for (share, row) in share.chunks_exact_mut(dim).zip(rows.chunks_exact(len)) {
                    add_scaled(share, row[slot], value);
                }
            }
            add_scaled(&mut output, 1.0, &share);
        }
        (output, rows)
    }
}

/// `a · b`.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// `to += factor * x`.
fn add_scaled(to: &mut [f32], factor: f32, x: &[f32]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to += factor * x);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_have_lanes_and_a_rest() {
        for n in [1, 15, 16, 17, 40] {
            // 1·1 + 2·1 + … + n·1.
            let (a, b): (Vec<f32>, Vec<f32>) = ((1..=n).map(|i| i as f32).collect(), vec![1.0; n]);
            assert_eq!(dot(&a, &b), (n * (n + 1) / 2) as f32);
        }
        let mut to = [1.0, 2.0, 3.0];
        add_scaled(&mut to, 2.0, &[10.0, 0.0, -1.0]);
        assert_eq!(to, [21.0, 2.0, 1.0]);
    }
}
