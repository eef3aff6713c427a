//! Prefill layer by layer, for callers that are done with a layer's keys and values before the next
//! layer's exist.
//!
//! ```text
//! Llama::prefill           for each chunk, for each layer:   at the end K, V of L layers
//! Llama::prefill_by_layer  for each layer, for each chunk:   K, V of one layer at a time, and
//!                                                            x [T, hidden] between the layers
//! ```
//!
//! The same passes over the same chunks in another order: the numbers are the same, to the bit on
//! the host.

use burn::prelude::*;

use super::row_sums::{self, RowSums};
use super::value_norms;
use crate::error::{Error, Result};
use crate::eviction::{TokenStats, Wanted};
use crate::model::attention;
use crate::model::kv_cache::KvCache;
use crate::model::llama::Llama;
use crate::model::rope::Angles;

/// Takes a layer's number, the cache of this layer alone, which holds all tokens, and the
/// statistics of this layer alone.
pub type LayerDone<'a> = &'a mut dyn FnMut(usize, KvCache, &TokenStats) -> Result<()>;

impl Llama {
    /// Runs `ids`, `chunk` tokens at a time, from an empty cache, and hands every layer over to
    /// `done` when all tokens have passed it. Returns the logits, `[V]`, after the last token and
    /// the `wanted` statistics of all layers: what [`Llama::prefill`] returns.
    ///
    /// # Errors
    /// As [`Llama::prefill`], and the first error of `done`.
    pub fn prefill_by_layer(
        &self,
        ids: &[u32],
        chunk: usize,
        wanted: &Wanted,
        done: LayerDone,
    ) -> Result<(Vec<f32>, TokenStats)> {
        if ids.is_empty() {
            return Err(Error::bug("no tokens were run"));
        }
        self.check_vocabulary(ids)?;
        let mut all: Option<TokenStats> = None;
        let logits = self.layers_in_turn(ids, chunk, wanted, &mut |layer, cache, stats| {
            done(layer, cache, &stats)?;
            match &mut all {
                None => all = Some(stats),
                Some(all) => all.append_layers(stats),
            }
            Ok(())
        });
        let logits = match logits {
            Ok(logits) if logits.iter().all(|l| l.is_finite()) => logits,
            // A cache of all layers only where the damaged one has to be found.
            damaged => self.finite(damaged, ids, &self.new_cache(ids.len()), 0, chunk)?,
        };
        Ok((logits, all.ok_or_else(|| Error::bug("a model without layers"))?))
    }

    /// The logits after `ids`.
    fn layers_in_turn(
        &self,
        ids: &[u32],
        chunk: usize,
        wanted: &Wanted,
        done: &mut dyn FnMut(usize, KvCache, TokenStats) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let (c, compute, tokens) = (self.config(), self.compute(), ids.len());
        let mut start = 0;
        let mut passes: Vec<(usize, Angles)> = Vec::new();
        let mut hidden: Vec<Tensor<2>> = Vec::new();
        for part in self.parts(ids, chunk) {
            passes.push((start, self.angles(&[start..start + part.len()])));
            hidden.push(self.decoder().embed(self.tokens(part)));
            start += part.len();
        }
        for layer in 0..c.layers {
            let mut cache = KvCache::new_layer(c, layer, tokens, compute);
            let at_once = row_sums::scores_at_once(compute);
            let mut sums = RowSums::new([1, c.heads], compute, wanted, tokens, at_once);
            for ((start, angles), x) in passes.iter().zip(&mut hidden) {
                let n = x.dims()[0];
                let followed = match layer + 1 == c.layers {
                    true => sums.followed(*start..start + n),
                    false => n,
                };
                let last = [n - followed..n];
                let wanted = (followed < n).then_some(&last[..]);
                let mut attend = |layer: usize, q: Tensor<4>, k, v| {
                    let held = cache.append(0, k, v);
                    let window = c.sliding_window[layer];
                    let first = start + n - q.dims()[2];
                    let attended =
                        attention::outputs(q.clone(), held.clone(), window, compute.on_host);
                    sums.add(0, first, &q, &held, window, attended.totals)?;
                    Ok(attended.output)
                };
                *x = self.decoder().layer(layer, x.clone(), 1, angles, wanted, &mut attend)?;
                cache.advance(n);
            }
            let value_norms = wanted.value_norms.then(|| value_norms(&cache)).transpose()?;
            let projected = || self.projected_norms(layer, cache.values(0));
            let projected_norms = wanted.projected_norms.then(projected).transpose()?;
            let stats = TokenStats {
                layers: 1,
                heads: c.heads,
                kv_heads: c.kv_heads,
                tokens,
                row_sums: sums.finish()?,
                value_norms,
                projected_norms,
                replayed: None,
            };
            done(layer, cache, stats)?;
        }
        let last = hidden.pop().ok_or_else(|| Error::bug("no tokens were run"))?;
        let n = last.dims()[0];
        self.logits(last.narrow(0, n - 1, 1))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::eviction::QueryRows;
    use crate::model::Compute;

    fn load(name: &str) -> Llama {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name);
        Llama::from_dir(&dir, &Compute::cpu()).unwrap()
    }

    /// Logits, statistics, keys and values, with grouped queries, a window that hides tokens and
    /// head norms; chunks that do not divide the prompt.
    #[test]
    fn the_order_makes_no_difference_to_the_bit() {
        for name in ["llama-biases", "mistral-window", "qwen3"] {
            let model = load(name);
            let ids: Vec<u32> = (0..70u32).map(|i| (i * 37 + i / 5) % 96).collect();
            let rows = [QueryRows::All, QueryRows::Last(9)].into_iter().collect();
            let wanted =
                Wanted { row_sums: rows, value_norms: true, projected_norms: true, replay: false };
            let mut full = model.new_cache(ids.len());
            let want = model.prefill(&ids, &mut full, 16, &wanted).unwrap();
            let mut full = full.into_single_layers();
            let mut seen = Vec::new();
            let mut done = |layer: usize, cache: KvCache, stats: &TokenStats| {
                assert_eq!((cache.len(), stats.layers), (ids.len(), 1));
                assert_eq!(
                    stats.row_sums(QueryRows::All, 0).unwrap(),
                    want.1.row_sums(QueryRows::All, layer).unwrap()
                );
                let numbers = |cache: KvCache| -> Vec<Vec<f32>> {
                    let both = cache.into_layers().flat_map(|(k, v)| [k, v]);
                    both.map(|t| t.into_data().try_into_vec().unwrap()).collect()
                };
                assert_eq!(numbers(cache), numbers(full.next().unwrap()), "{name}");
                seen.push(layer);
                Ok(())
            };
            let got = model.prefill_by_layer(&ids, 16, &wanted, &mut done).unwrap();
            assert_eq!(got, want, "{name}");
            assert_eq!(seen, (0..model.config().layers).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_cannot_be_run_is_refused_and_an_error_of_the_caller_ends_it() {
        let model = load("llama-biases");
        let run = |ids: &[u32], done: LayerDone| {
            model.prefill_by_layer(ids, 16, &Wanted::default(), done).unwrap_err()
        };
        assert_eq!(run(&[], &mut |_, _, _| Ok(())).exit_code(), 1);
        assert_eq!(run(&[96], &mut |_, _, _| Ok(())).exit_code(), 4);
        let mut layers = 0;
        let e = run(&[1, 2, 3], &mut |_, _, _| {
            layers += 1;
            Err(Error::usage("enough"))
        });
        assert_eq!((e.exit_code(), layers), (2, 1));
    }
}
