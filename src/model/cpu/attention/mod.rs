//! Causal attention of many queries over keys and values in host memory.
//!
//! The queries of the heads that share a key/value head are taken together, [`LANES`] at a time in the
//! order of their positions, so that keys and values are read once for all of these. Scores exist for
//! one tile of keys at a time, with the running largest and sum of online softmax (Milakov and
//! Gimelshein 2018, arXiv 1805.02867), as in FlashAttention (arXiv 2205.14135).
//!
//! What a query gets depends on its keys and values alone, to the bit: not on the number of threads,
//! nor, where all values are finite, on the queries that are computed beside it.

#[cfg(test)]
mod tests;

use std::ops::Range;

use burn::prelude::*;
use burn::tensor::DType;
use rayon::prelude::*;

use super::OnHost;
use super::lanes::{LANES, Lanes};

/// Multiplications for which a thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 18;

/// Output, `[1, H, n, D]`, of the `n` newest queries `q` (`[1, H, n, D]`) over all keys and values
/// (`[1, G, t, D]`), causal, each query seeing at most the last `window` keys.
///
/// `None` if they do not lie in host memory in f32, or are several sequences; the caller then does
/// without.
pub fn chunk(
    q: &Tensor<4>,
    k: &Tensor<4>,
    v: &Tensor<4>,
    window: Option<usize>,
) -> Option<Tensor<4>> {
    let ([1, heads, queries, dim], [1, kv_heads, keys, _]) = (q.dims(), k.dims()) else {
        return None;
    };
    let shape = Shape { heads, kv_heads, queries, keys, dim, window };
    let output = shape.attend(&OnHost::new(q)?, &OnHost::new(k)?, &OnHost::new(v)?);
    let output = TensorData::new(output, [1, queries, heads, dim]);
    Some(Tensor::from_data(output, (&q.device(), DType::F32)).swap_dims(1, 2))
}

/// The sizes of one call: `[H, n, D]`, `[G, t, D]`, and the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub heads: usize,
    pub kv_heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub dim: usize,
    pub window: Option<usize>,
}

impl Shape {
    /// The outputs, `[n, H, D]`.
    fn attend(&self, q: &OnHost, k: &OnHost, v: &OnHost) -> Vec<f32> {
        let group = self.heads / self.kv_heads;
        // A lane is a query of one of the heads that share keys and values.
        let strips = (self.queries * group).div_ceil(LANES);
        let work = strips * self.kv_heads * LANES * self.keys * self.dim;
        let strips_per_thread = (WORTH_A_THREAD * strips * self.kv_heads).div_ceil(work.max(1));
        let outputs: Vec<Vec<f32>> = (0..self.kv_heads * strips)
            .into_par_iter()
            .with_min_len(strips_per_thread)
            .map_init(
                || Lanes::new(self.dim),
                |lanes, task| {
                    let (kv_head, strip) = (task / strips, task % strips);
                    let own = strip * LANES..(self.queries * group).min((strip + 1) * LANES);
                    self.fill(lanes, q, kv_head, own.clone());
                    lanes.attend(k.rows(&[0, kv_head]), v.rows(&[0, kv_head]));
                    lanes.outputs(own.len())
                },
            )
            .collect();
        let mut all = vec![0.0; self.queries * self.heads * self.dim];
        for (task, outputs) in outputs.iter().enumerate() {
            let (kv_head, strip) = (task / strips, task % strips);
            for (output, lane) in outputs.chunks_exact(self.dim).zip(strip * LANES..) {
                let head = kv_head * group + lane % group;
                let to = (lane / group * self.heads + head) * self.dim;
                all[to..to + self.dim].copy_from_slice(output);
            }
        }
        all
    }

    /// Puts the queries that `own` are the numbers of into `lanes`, query by query and head by head
    /// of those that share `kv_head`.
    fn fill(&self, lanes: &mut Lanes, q: &OnHost, kv_head: usize, own: Range<usize>) {
        let group = self.heads / self.kv_heads;
        let scale = 1.0 / (self.dim as f32).sqrt();
        for lane in 0..LANES {
            // Lanes without a query do what the last one does.
            let number = (own.start + lane).min(own.end - 1);
            let query = number / group;
            let rows = q.rows(&[0, kv_head * group + number % group]);
            let numbers = &rows.row(query)[..self.dim];
            for (to, x) in lanes.queries[lane..].iter_mut().step_by(LANES).zip(numbers) {
                *to = x * scale;
            }
            let position = self.keys - self.queries + query;
            let first = self.window.map_or(0, |w| (position + 1).saturating_sub(w));
            lanes.seen[lane] = first..position + 1;
        }
    }
}
