//! Prefill that also records what eviction methods want to know: [`TokenStats`].
//!
//! Attention is computed as always. The rows whose sums are wanted are computed beside it, a block
//! of queries at a time, added up per key and dropped, so that `[L, H, T]` numbers are all that
//! stays and no `T x T` matrix exists. For a picture, the rows of one head can be added up per cell
//! on the way: [`AttentionMap`].

mod by_layer;
mod row_sums;

#[cfg(test)]
pub(super) mod tests;

use burn::prelude::*;
use burn::tensor::DType;

use row_sums::RowSums;

use super::attention;
use super::attention_map::{AttentionMap, CellSums, MapOf};
use super::kv_cache::KvCache;
use super::llama::Llama;
use super::read_back;
use crate::error::{Error, Result};
use crate::eviction::{TokenStats, ValueNorms, Wanted};

impl Llama {
    /// Runs `ids` after what `cache` holds, `chunk` tokens at a time, and returns the logits,
    /// `[V]`, after the last, and the `wanted` statistics of all `T` tokens that the cache then
    /// holds.
    ///
    /// Without anything wanted it costs what [`Llama::run`] costs. Sums over all rows cost a second
    /// `q · Kᵀ` and one exponential per query, head and visible key.
    ///
    /// # Errors
    /// As [`Llama::run`]; [`Error::Bug`] if rows are wanted whose queries `cache` already holds.
    pub fn prefill(
        &self,
        ids: &[u32],
        cache: &mut KvCache,
        chunk: usize,
        wanted: &Wanted,
    ) -> Result<(Vec<f32>, TokenStats)> {
        let at_once = row_sums::scores_at_once(self.compute());
        self.prefill_in_blocks(ids, cache, chunk, wanted, at_once, None)
    }

    /// The `wanted` statistics of `ids`, run as one prompt, and the map of one head's attention.
    ///
    /// # Errors
    /// As [`Llama::prefill`]; [`Error::Bug`] if the model has no such head.
    pub fn prefill_with_map(
        &self,
        ids: &[u32],
        chunk: usize,
        wanted: &Wanted,
        of: MapOf,
    ) -> Result<(TokenStats, AttentionMap)> {
        let at_once = row_sums::scores_at_once(self.compute());
        self.map_in_blocks(ids, chunk, wanted, of, at_once)
    }

    /// [`Llama::prefill_with_map`] with the number of scores that exist at a time.
    fn map_in_blocks(
        &self,
        ids: &[u32],
        chunk: usize,
        wanted: &Wanted,
        of: MapOf,
        at_once: usize,
    ) -> Result<(TokenStats, AttentionMap)> {
        let c = self.config();
        if of.layer >= c.layers || of.head >= c.heads {
            return Err(Error::bug("a map of a head that the model does not have")
                .got(format!("layer {}, head {}", of.layer, of.head))
                .expected(format!("{} layers x {} heads", c.layers, c.heads)));
        }
        let window = c.sliding_window[of.layer];
        let mut cells = CellSums::new(of, c.group(), ids.len(), window, at_once);
        let mut cache = self.new_cache(ids.len());
        let (_, stats) =
            self.prefill_in_blocks(ids, &mut cache, chunk, wanted, at_once, Some(&mut cells))?;
        Ok((stats, cells.finish()))
    }

    /// [`Llama::prefill`] with the number of scores that exist at a time, and the cells of a map to
    /// fill on the way.
    fn prefill_in_blocks(
        &self,
        ids: &[u32],
        cache: &mut KvCache,
        chunk: usize,
        wanted: &Wanted,
        at_once: usize,
        cells: Option<&mut CellSums>,
    ) -> Result<(Vec<f32>, TokenStats)> {
        let (before, tokens) = (cache.len(), cache.len() + ids.len());
        self.check_ids(ids, cache)?;
        let c = self.config();
        let mut sums = RowSums::new([c.layers, c.heads], self.compute(), wanted, tokens, at_once);
        if sums.first_query().is_some_and(|first| first < before) {
            return Err(Error::bug(
                "the rows to add up belong to tokens that have been run before",
            )
            .got(format!("{before} of {tokens} tokens in the cache")));
        }
        let logits = self.observed(ids, cache, chunk, &mut sums, cells);
        let logits = self.finite(logits, ids, cache, before, chunk)?;
        let value_norms = match wanted.value_norms {
            true => Some(value_norms(cache)?),
            false => None,
        };
        let projected_norms = match wanted.projected_norms {
            true => Some(self.projected_value_norms(cache)?),
            false => None,
        };
        let stats = TokenStats {
            layers: c.layers,
            heads: c.heads,
            kv_heads: c.kv_heads,
            tokens,
            row_sums: sums.finish()?,
            value_norms,
            projected_norms,
            replayed: None,
        };
        Ok((logits, stats))
    }

    /// The logits after `ids`; `sums` and `cells` see every query.
    fn observed(
        &self,
        ids: &[u32],
        cache: &mut KvCache,
        chunk: usize,
        sums: &mut RowSums,
        mut cells: Option<&mut CellSums>,
    ) -> Result<Vec<f32>> {
        let on_host = self.compute().on_host;
        let mut last = None;
        for part in self.parts(ids, chunk) {
            let (start, n) = (cache.len(), part.len());
            let followed = if cells.is_some() { n } else { sums.followed(start..start + n) };
            let mut attend = |layer: usize, q: Tensor<4>, k, v| {
                let held = cache.append(layer, k, v);
                let window = self.config().sliding_window[layer];
                let attended = attention::outputs(q.clone(), held.clone(), window, on_host);
                let first = start + n - q.dims()[2];
                sums.add(layer, first, &q, &held, window, attended.totals)?;
                if let Some(cells) = &mut cells {
                    cells.add(layer, start, &q, &held)?;
                }
                Ok(attended.output)
            };
            let hidden = self.pass(part, start, followed, &mut attend)?;
            cache.advance(n);
            last = Some(hidden.narrow(0, followed - 1, 1));
        }
        self.logits(last.ok_or_else(|| Error::bug("no tokens were run"))?)
    }
}

/// Norms of all values that `cache` holds; one read-back per layer.
pub(super) fn value_norms(cache: &KvCache) -> Result<ValueNorms> {
    let [layers, ..] = cache.shape();
    let mut norms = ValueNorms { l1: vec![], l2: vec![], linf: vec![] };
    for layer in 0..layers {
        let values = cache.values(layer).cast(DType::F32).abs();
        let each = vec![
            values.clone().sum_dim(3),
            values.clone().square().sum_dim(3).sqrt(),
            values.max_dim(3),
        ];
        let numbers = read_back::floats(Tensor::cat(each, 0), "norms of values")?;
        let (l1, rest) = numbers.split_at(numbers.len() / 3);
        let (l2, linf) = rest.split_at(rest.len() / 2);
        norms.l1.extend(l1);
        norms.l2.extend(l2);
        norms.linf.extend(linf);
    }
    Ok(norms)
}
