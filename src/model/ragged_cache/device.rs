//! [`DeviceStore`]: a layer's lists in a device's memory, attention by tensor operations.
//!
//! One small matrix product per list, over a view of its slots: nothing is padded, and the cache is
//! not copied where the device can view a range of rows. Many heads mean many small kernels.

use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::activation::softmax;

use super::{Attended, List};
use crate::error::Result;
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
        let slots = tokens.len();
        let tokens: Tensor<1, Int> =
            Tensor::from_data(TensorData::new(tokens, [slots]), &keys.device());
        let gather =
            |all: Tensor<4>| all.reshape([kv_heads * capacity, dim]).select(0, tokens.clone());
        Self { keys: gather(keys), values: gather(values) }
    }

    /// Writes one token's `keys` and `values`, `[1, G, 1, D]`, behind the tokens of every list.
    pub fn append(&mut self, lists: &[List], keys: Tensor<4>, values: Tensor<4>) {
        for (all, new) in [(&mut self.keys, keys), (&mut self.values, values)] {
            let [_, kv_heads, _, dim] = new.dims();
            let new = new.reshape([kv_heads, dim]);
            for list in lists {
                let slot = list.start + list.len();
                let token = new.clone().narrow(0, list.kv_head, 1);
                // `inplace` hands over the only reference, so that the write copies no cache.
                all.inplace(|all| all.slice_assign([slot..slot + 1, 0..dim], token));
            }
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
        let readers = heads / lists.len();
        let dtype = q.dtype();
        let q = q.cast(DType::F32).mul_scalar(1.0 / (dim as f64).sqrt()).reshape([heads, dim]);
        let (mut outputs, mut rows) = (Vec::new(), Vec::new());
        for (s, list) in lists.iter().enumerate() {
            let hidden = list.first_seen(oldest);
            let (first, seen) = (list.start + hidden, list.len() - hidden);
            let keys = self.keys.clone().narrow(0, first, seen).cast(DType::F32);
            let scores = q.clone().narrow(0, s * readers, readers).matmul(keys.transpose());
            let weights = softmax(scores, 1);
            if want_rows {
                rows.push(weights.clone().reshape([readers * seen]));
            }
            outputs.push(weights.cast(dtype).matmul(self.values.clone().narrow(0, first, seen)));
        }
        let rows = match want_rows {
            true => {
                let seen = read_back::floats(Tensor::cat(rows, 0), "attention rows")?;
                whole_rows(&seen, lists, readers, oldest)
            }
            false => vec![],
        };
        Ok(Attended { output: Tensor::cat(outputs, 0).reshape([1, heads, 1, dim]), rows })
    }
}

/// Rows of each list, `[readers, len]`, of their weights from `oldest` on, one list behind the
/// other; 0 before.
fn whole_rows(mut weights: &[f32], lists: &[List], readers: usize, oldest: usize) -> Vec<Vec<f32>> {
    let mut all = Vec::with_capacity(lists.len());
    for list in lists {
        let (len, hidden) = (list.len(), list.first_seen(oldest));
        let mut rows = vec![0.0; readers * len];
        for row in rows.chunks_exact_mut(len) {
            let (seen, rest) = weights.split_at(len - hidden);
            row[hidden..].copy_from_slice(seen);
            weights = rest;
        }
        all.push(rows);
    }
    all
}
