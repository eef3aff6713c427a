//! What a ragged cache has to equal: a full cache whose evicted entries are masked, by the formula
//! of attention, in f64 and plain loops.

use burn::prelude::*;

use crate::eviction::Kept;
use crate::heads::CacheHeads;
use crate::model::{KvCache, Llama};

pub struct MaskedCache {
    cache: KvCache,
    heads: CacheHeads,
    /// Of every stored head, `[L * S]`, which positions it has.
    has: Vec<Vec<bool>>,
}

/// Logits, `[V]`, and rows, `[L][H][t]`.
pub struct Step {
    pub logits: Vec<f32>,
    pub rows: Vec<Vec<Vec<f64>>>,
}

impl MaskedCache {
    pub fn new(cache: KvCache, kept: &Kept) -> Self {
        let heads = kept.heads();
        let has = |i: usize| {
            let list = kept.positions(i / heads.stored(), i % heads.stored());
            (0..cache.len()).map(|p| list.contains(&(p as u32))).collect()
        };
        Self { has: (0..heads.layers * heads.stored()).map(has).collect(), heads, cache }
    }

    pub fn remove(&mut self, layer: usize, s: usize, position: usize) {
        self.has[layer * self.heads.stored() + s][position] = false;
    }

    /// What stored head `s` has at `position`, `[D]`.
    pub fn value(&self, layer: usize, s: usize, position: usize) -> Vec<f32> {
        let values = self.cache.values(layer).narrow(1, self.heads.kv_head(s), 1);
        values.narrow(2, position, 1).into_data().try_into_vec().unwrap()
    }

    pub fn decode(&mut self, model: &Llama, id: u32) -> Step {
        let (c, start, heads) = (model.config(), self.cache.len(), self.heads);
        let (t, dim, mut rows) = (start + 1, c.head_dim, Vec::new());
        self.has.iter_mut().for_each(|has| has.push(true));
        let mut attend = |layer: usize, q: Tensor<4>, k, v| {
            let (shape, device) = (q.dims(), q.device());
            let held = self.cache.append(layer, k, v);
            let [q, k, v] = [q, held.keys(), held.values()]
                .map(|x| x.into_data().try_into_vec::<f32>().unwrap());
            let at = |x: &[f32], i: usize, d: usize| f64::from(x[i * dim + d]);
            let (mut layer_rows, mut output) = (Vec::new(), Vec::new());
            for h in 0..c.heads {
                let (g, s) = (h / c.group(), h / heads.readers());
                let seen = |j: usize| {
                    self.has[layer * heads.stored() + s][j]
                        && c.sliding_window[layer].is_none_or(|w| j + w > start)
                };
                let exponential = |j: usize| {
                    let score: f64 = (0..dim).map(|d| at(&q, h, d) * at(&k, g * t + j, d)).sum();
                    if seen(j) { (score / (dim as f64).sqrt()).exp() } else { 0.0 }
                };
                let row: Vec<f64> = (0..t).map(exponential).collect();
                let sum: f64 = row.iter().sum();
                let row: Vec<f64> = row.iter().map(|w| w / sum).collect();
                let mix = |d| (0..t).map(|j| row[j] * at(&v, g * t + j, d)).sum::<f64>() as f32;
                output.extend((0..dim).map(mix));
                layer_rows.push(row);
            }
            rows.push(layer_rows);
            Ok(Tensor::from_data(TensorData::new(output, shape), &device))
        };
        let hidden = model.pass(&[id], start, 1, &mut attend).unwrap();
        self.cache.advance(1);
        Step { logits: model.logits(hidden).unwrap(), rows }
    }
}
