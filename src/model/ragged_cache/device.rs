//! [`DeviceStore`]: a layer's lists in a device's memory, attention by the kernel of
//! [`ragged`].

use burn::prelude::*;
use burn::tensor::{DType, IndexingUpdateOp};

use super::{Attended, List};
use crate::error::Result;
use crate::model::cpu::softmax;
use crate::model::kernels::ragged::{self, Seen};
use crate::model::read_back;

/// Keys and values of all lists of a layer, `[slots, D]` each, in the model's dtype.
#[derive(Debug, Clone)]
pub(super) struct DeviceStore {
    keys: Tensor<2>,
    values: Tensor<2>,
}

impl DeviceStore {
    /// Copies what `lists` keep of `keys` and `values`, `[1, G, capacity, D]` each.
    pub fn gather(lists: &[List], keys: Tensor<4>, values: Tensor<4>) -> Self {
        let [_, kv_heads, capacity, dim] = keys.dims();
        // The token of each slot; that of free slots does not matter.
        let mut tokens = Vec::new();
        for list in lists {
            let first = list.kv_head * capacity;
            tokens.extend(list.positions.iter().map(|p| (first + *p as usize) as i32));
            tokens.resize(list.start + list.slots, 0);
        }
        let tokens = indices(tokens, &keys.device());
        let gather =
            |all: Tensor<4>| all.reshape([kv_heads * capacity, dim]).select(0, tokens.clone());
        Self { keys: gather(keys), values: gather(values) }
    }

    /// Writes one token's `keys` and `values`, `[1, G, 1, D]`, behind the tokens of every list.
    pub fn append(&mut self, lists: &[List], keys: Tensor<4>, values: Tensor<4>) {
        let slots = lists.iter().map(|list| (list.start + list.len()) as i32).collect();
        let slots = indices(slots, &keys.device());
        for (all, new) in [(&mut self.keys, keys), (&mut self.values, values)] {
            let [_, kv_heads, _, dim] = new.dims();
            let lists_of_one = lists.len() / kv_heads;
            let new = new
                .reshape([kv_heads, 1, dim])
                .expand([kv_heads, lists_of_one, dim])
                .reshape([lists.len(), dim]);
            // `inplace` hands over the only reference, so that the write copies no cache.
            let slots = slots.clone();
            all.inplace(|all| all.select_assign(0, slots, new, IndexingUpdateOp::Assign));
        }
    }

    /// Moves what lies behind `slot` in `list` up by one.
    pub fn close_gap(&mut self, list: &List, slot: usize) {
        let (gap, behind) = (list.start + slot, list.len() - slot - 1);
        if behind == 0 {
            return;
        }
        for all in [&mut self.keys, &mut self.values] {
            let dim = all.dims()[1];
            // Selected, not sliced: a slice may be a view, and writing would then copy the store.
            let from = (gap + 1) as i64;
            let tail = Tensor::<1, Int>::arange(from..from + behind as i64, &all.device());
            let tail = all.clone().select(0, tail);
            all.inplace(|all| all.slice_assign([gap..gap + behind, 0..dim], tail));
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
        let [_, heads, _, dim] = q.dims();
        let seen = |list: &List| {
            let hidden = list.first_seen(oldest);
            Seen { first: list.start + hidden, tokens: list.len() - hidden }
        };
        let seen: Vec<Seen> = lists.iter().map(seen).collect();
        let q = q.reshape([heads, dim]);
        let (keys, values) = (self.keys.clone(), self.values.clone());
        let (output, scores) = ragged::attend(q, keys, values, &seen, want_rows);
        let rows = match want_rows {
            true => {
                let scores = read_back::floats(scores, "attention rows")?;
                rows(&scores, lists, &seen, heads / lists.len())
            }
            false => vec![],
        };
        Ok(Attended { output: output.reshape([1, heads, 1, dim]), rows })
    }
}

fn indices(indices: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let n = indices.len();
    Tensor::from_data(TensorData::new(indices, [n]), (device, DType::I32))
}

/// Rows of each list, `[readers, len]`, of the scores of what is `seen`, one list behind the other;
/// 0 before.
fn rows(mut scores: &[f32], lists: &[List], seen: &[Seen], readers: usize) -> Vec<Vec<f32>> {
    let mut all = Vec::with_capacity(lists.len());
    for (list, seen) in lists.iter().zip(seen) {
        let len = list.len();
        let mut rows = vec![0.0; readers * len];
        for row in rows.chunks_exact_mut(len) {
            let (own, rest) = scores.split_at(seen.tokens);
            let row = &mut row[len - seen.tokens..];
            row.copy_from_slice(own);
            softmax::weights(row);
            scores = rest;
        }
        all.push(rows);
    }
    all
}
