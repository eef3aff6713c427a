//! A context that the model writes once more, and what that gives to its tokens (KVzip).
//!
//! ```text
//! context: [ sinks . . . . | chunk . . . . . . | . . . . ]   cache, not run again
//! replay:  "write … again" chunk                             rows, forgotten again
//! softmax: over sinks, chunk and replay, as if nothing else were there
//! ```

use std::ops::Range;

use burn::prelude::*;

use crate::error::{Error, Result};
use crate::model::{KvCache, Llama, RowSink, read_back};
use crate::score::ReplayedTokens;

/// Tokens of the context that are replayed at a time (Kim et al. 2025).
pub const CHUNK: usize = 2048;
/// First tokens of a context that are always seen.
const SINKS: usize = 4;
/// Tokens before a later chunk that tell where it begins.
const LEAD: usize = 8;
/// Weights of a layer that exist at a time, about: 64 MiB.
const AT_ONCE: usize = 1 << 24;

/// How a model is asked to write a context once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Behind the context, before its first chunk.
    pub from_the_start: Vec<u32>,
    /// Behind the context, before the tokens that tell where a later chunk begins, and behind them.
    pub going_on: [Vec<u32>; 2],
}

impl Replay {
    /// Tokens that a cache needs behind `context` tokens.
    pub fn room(&self, context: usize) -> usize {
        let going_on = self.going_on.iter().map(Vec::len).sum::<usize>() + LEAD;
        context.min(CHUNK) + self.from_the_start.len().max(going_on)
    }

    /// The tokens that replay `chunk` of `context`.
    fn ids(&self, context: &[u32], chunk: Range<usize>) -> Vec<u32> {
        let ask = match chunk.start {
            0 => self.from_the_start.clone(),
            start => {
                let [before, behind] = &self.going_on;
                [before, &context[start.saturating_sub(LEAD)..start], behind].concat()
            }
        };
        [&ask, &context[chunk]].concat()
    }
}

/// The largest weights of tokens.
struct Most<'a> {
    tokens: &'a mut ReplayedTokens,
    chunk: Range<usize>,
    /// Tokens of the context.
    context: usize,
    kv_heads: usize,
}

impl RowSink for Most<'_> {
    fn rows(&mut self, layer: usize, rows: Tensor<3>) -> Result<()> {
        let [heads, n, keys] = rows.dims();
        let weights = read_back::floats(rows, "attention rows")?;
        let (chunk, group) = (self.chunk.clone(), heads / self.kv_heads);
        let sinks = 0..SINKS.min(chunk.start);
        for (i, row) in weights.chunks_exact(keys).enumerate() {
            let parts = [&row[sinks.clone()], &row[chunk.clone()], &row[self.context..]];
            let sum: f64 = parts.into_iter().flatten().map(|w| f64::from(*w)).sum();
            if sum == 0.0 {
                // All of its weight is on what lies between, as far as f32 can tell.
                continue;
            }
            let at = (layer * self.kv_heads + i / n / group) * self.context;
            let most = &mut self.tokens.most[at..][chunk.clone()];
            for (most, weight) in most.iter_mut().zip(&row[chunk.clone()]) {
                *most = most.max((f64::from(*weight) / sum) as f32);
            }
        }
        Ok(())
    }
}

/// Replays `context`, which `cache` holds and nothing else, and forgets the replay again: the most
/// that any of its rows gives to each token, of the query heads of each KV head.
///
/// # Errors
/// [`Error::Bug`] if the cache holds anything else; as [`Llama::run`].
pub fn replayed(
    model: &Llama,
    cache: &mut KvCache,
    context: &[u32],
    replay: &Replay,
) -> Result<ReplayedTokens> {
    let (tokens, c) = (context.len(), model.config());
    if cache.len() != tokens || tokens == 0 {
        return Err(Error::bug("what is replayed is not what the cache holds")
            .got(cache.len())
            .expected(tokens));
    }
    let most = vec![0.0; c.layers * c.kv_heads * tokens];
    let mut replayed = ReplayedTokens { tokens, most };
    for start in (0..tokens).step_by(CHUNK) {
        let chunk = start..tokens.min(start + CHUNK);
        let ids = replay.ids(context, chunk.clone());
        let rows = (AT_ONCE / (c.heads * (tokens + ids.len()))).clamp(1, 256);
        let tokens = &mut replayed;
        let mut sink = Most { tokens, chunk, context: context.len(), kv_heads: c.kv_heads };
        for part in ids.chunks(rows) {
            model.run(part, cache, part.len(), part.len(), &mut sink)?;
        }
        cache.rewind(context.len());
    }
    Ok(replayed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::full_rows::FullRows;
    use crate::model::{Compute, NoRows};

    fn replay() -> Replay {
        Replay { from_the_start: vec![90, 91], going_on: [vec![92], vec![93, 94]] }
    }

    #[test]
    fn a_later_chunk_is_told_by_what_stands_before_it() {
        let context: Vec<u32> = (0..20).collect();
        assert_eq!(replay().ids(&context, 0..3), [90, 91, 0, 1, 2]);
        assert_eq!(replay().ids(&context, 10..12), [92, 2, 3, 4, 5, 6, 7, 8, 9, 93, 94, 10, 11]);
        assert_eq!((replay().room(20), replay().room(5000)), (20 + 11, CHUNK + 11));
    }

    /// By whole rows: of the context's first chunk, which is all of it, sinks are no others.
    #[test]
    fn tokens_have_the_most_that_any_row_gives_them() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama-biases");
        let model = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let context: Vec<u32> = (0..30).map(|i| (i * 37 + i / 5) % 90).collect();
        let mut cache = model.new_cache(80);
        model.run(&context, &mut cache, 16, 0, &mut NoRows).unwrap();
        let mut other = cache.clone();
        let got = replayed(&model, &mut cache, &context, &replay()).unwrap();
        assert_eq!((cache.len(), got.tokens), (30, 30));
        let ids = replay().ids(&context, 0..30);
        let mut full = FullRows::default();
        model.run(&ids, &mut other, 64, ids.len(), &mut full).unwrap();
        let c = model.config();
        for (layer, rows) in full.take().iter().enumerate() {
            for j in 0..30 {
                for kv_head in 0..c.kv_heads {
                    let heads = kv_head * c.group()..(kv_head + 1) * c.group();
                    let of = |head: usize| (0..ids.len()).map(move |t| (head, t));
                    let want = heads.flat_map(of).map(|(head, t)| rows.row(head, t)[j]);
                    let want = want.fold(0.0, f32::max);
                    let got = got.most[(layer * c.kv_heads + kv_head) * 30 + j];
                    assert!((got - want).abs() < 2e-5, "{layer} {kv_head} {j}: {got} {want}");
                }
            }
        }
        assert!(replayed(&model, &mut cache, &context[..29], &replay()).is_err());
    }

    /// What lies between the sinks and a later chunk gets nothing, and takes nothing.
    #[test]
    fn a_later_chunk_shares_with_sinks_and_replay_alone() {
        let mut tokens = ReplayedTokens { tokens: 10, most: vec![0.0; 10] };
        let mut sink = Most { tokens: &mut tokens, chunk: 6..8, context: 10, kv_heads: 1 };
        // Two query heads of one row; 10 of context, 2 of replay.
        let one = [0.1, 0., 0., 0., 0.3, 0.2, 0.1, 0.05, 0.1, 0.0, 0.1, 0.05];
        let two = [0., 0., 0., 0., 0.2, 0.2, 0.0, 0.3, 0.0, 0.0, 0.2, 0.1];
        let data = TensorData::new([one, two].concat(), [2, 1, 12]);
        sink.rows(0, Tensor::from_data(data, &Device::flex())).unwrap();
        let near = |got: f32, want: f32| assert!((got - want).abs() < 1e-6, "{got} {want}");
        near(tokens.most[6], 0.1 / 0.4);
        near(tokens.most[7], 0.5);
        assert_eq!(tokens.most.iter().filter(|m| **m > 0.0).count(), 2);
    }
}
