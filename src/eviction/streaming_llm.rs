//! StreamingLLM: the first tokens and the last ones, whatever is attended to.
//!
//! Xiao et al. 2023, *Efficient Streaming Language Models with Attention Sinks*,
//! <https://arxiv.org/abs/2309.17453>.
//!
//! ```text
//! score[j] = 2 T - j   j < sinks: the first of the prompt first
//!            j         else: the latest first                           [S, T - W]
//! ```
//!
//! So a list keeps its sinks (4) and the last tokens, the window among them; one with fewer places
//! than sinks keeps the first ones. While decoding it loses its oldest token that is no sink. Kept
//! tokens keep their positions, as in all methods here; the paper numbers them anew.
//!
//! KVCache-Factory keeps the first `C - W` tokens and the last `W`, whatever the number of sinks,
//! and does not evict while decoding. The reference form restores the former.

use super::{Decoding, EvictionOptions, QueryRows, TokenScore, TokenScoreInfo, TokenStats};
use crate::error::Result;
use crate::heads::CacheHeads;

static INFO: TokenScoreInfo = TokenScoreInfo {
    name: "position",
    method: "streaming_llm",
    aliases: &["StreamingLLM", "StreamLLM"],
    title: "first and last tokens",
    formula: "2 T - j for j < sinks, else j",
    vatp_formula: None,
    source: "StreamingLLM, https://arxiv.org/abs/2309.17453",
    decoding: Decoding::Recency,
    default: true,
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct StreamingLlm;

impl TokenScore for StreamingLlm {
    fn info(&self) -> &TokenScoreInfo {
        &INFO
    }

    fn queries(&self, _options: &EvictionOptions) -> Option<QueryRows> {
        None
    }

    fn unpooled(
        &self,
        stats: &TokenStats,
        _layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>> {
        stats.check(heads)?;
        let sinks = if options.budget.reference { stats.tokens } else { options.streaming_sinks };
        let score = |j| if j < sinks { 2 * stats.tokens - j } else { j };
        let row: Vec<f32> = (0..stats.before_window(options)).map(|j| score(j) as f32).collect();
        Ok(row.repeat(heads.stored()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::by_name;
    use super::*;
    use crate::budget::BudgetOptions;
    use crate::heads::Granularity;

    #[test]
    fn keeps_first_and_last_tokens() {
        let heads =
            CacheHeads { layers: 1, heads: 1, kv_heads: 1, granularity: Granularity::KvHead };
        let stats = TokenStats {
            layers: 1,
            heads: 1,
            kv_heads: 1,
            tokens: 12,
            row_sums: Default::default(),
            value_norms: None,
            projected_norms: None,
            replayed: None,
        };
        let kept = |capacity_tokens, reference| {
            let budget = BudgetOptions {
                capacity_tokens,
                window_tokens: 2,
                reference,
                ..BudgetOptions::default()
            };
            let options = EvictionOptions::new(budget);
            let method = by_name("streaming_llm").unwrap();
            let (kept, _) = method.select(&stats, heads, None, &options).unwrap();
            kept.positions(0, 0).to_vec()
        };
        assert_eq!(kept(8, false), [0, 1, 2, 3, 8, 9, 10, 11]);
        assert_eq!(kept(8, true), [0, 1, 2, 3, 4, 5, 10, 11]);
        // Fewer places than sinks.
        assert_eq!(kept(5, false), [0, 1, 2, 10, 11]);
    }
}
