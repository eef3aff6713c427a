//! KVzip: the tokens of a context that the model needs to write it once more.
//!
//! Kim et al. 2025, <https://arxiv.org/abs/2505.23416>. The question is not looked at, so that one
//! compressed cache serves any question about the context.
//!
//! ```text
//! score[g, j] = max over query heads h of group g and rows i of the replay of P_h[i, j]
//! ```
//!
//! `P` is a softmax over the first four tokens, the part that is replayed and the replay. What is
//! behind the context, the question before the window, is kept first. Lists of query heads have the
//! scores of their KV head. The paper cuts all heads of all layers at one score; here every head
//! keeps as many, as under the other token scores.

use super::attention_sums::finite;
use super::{Decoding, EvictionOptions, QueryRows, TokenScore, TokenScoreInfo, TokenStats, Wanted};
use crate::error::{Error, Result};
use crate::heads::CacheHeads;

static INFO: TokenScoreInfo = TokenScoreInfo {
    name: "replay",
    method: "kvzip",
    aliases: &[],
    title: "tokens that the model needs to write the context once more",
    formula: "max over rows i of the replay and heads h of the group of P_h[i, j]",
    vatp_formula: None,
    source: "KVzip, https://arxiv.org/abs/2505.23416",
    decoding: Decoding::Append,
    default: false,
};

/// More than any weight: what stands behind the context.
const QUESTION: f32 = 2.0;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct KvZip;

impl TokenScore for KvZip {
    fn info(&self) -> &TokenScoreInfo {
        &INFO
    }

    fn queries(&self, _: &EvictionOptions) -> Option<QueryRows> {
        None
    }

    fn wanted(&self, _: &EvictionOptions) -> Wanted {
        Wanted { replay: true, ..Wanted::default() }
    }

    fn unpooled(
        &self,
        stats: &TokenStats,
        layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>> {
        stats.check(heads)?;
        let replayed = stats.replayed.as_ref();
        let replayed = replayed.ok_or_else(|| Error::bug("a context was not replayed"))?;
        let (context, kv_heads) = (replayed.tokens, stats.kv_heads);
        let of_layer = layer * kv_heads * context..(layer + 1) * kv_heads * context;
        let most = replayed
            .most
            .get(of_layer)
            .ok_or_else(|| Error::bug("a replay of fewer layers").at(format!("layer {layer}")))?;
        let most = finite("attention of a replay", most, layer, context)?;
        let tokens = stats.before_window(options);
        let list = |s: usize| {
            let own = &most[heads.kv_head(s) * context..][..context.min(tokens)];
            own.iter().copied().chain(std::iter::repeat_n(QUESTION, tokens - own.len()))
        };
        Ok((0..heads.stored()).flat_map(list).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::by_name;
    use super::*;
    use crate::budget::BudgetOptions;
    use crate::heads::Granularity;
    use crate::score::ReplayedTokens;

    /// Two query heads on each of two KV heads; of seven tokens four are the context, one the
    /// question, two the window.
    #[test]
    fn by_hand() {
        let stats = TokenStats {
            layers: 1,
            heads: 4,
            kv_heads: 2,
            tokens: 7,
            row_sums: Default::default(),
            value_norms: None,
            projected_norms: None,
            replayed: Some(ReplayedTokens {
                tokens: 4,
                most: vec![0.5, 0.1, 0.9, 0.0, 0.2, 0.3, 0.4, 0.6],
            }),
        };
        let budget = BudgetOptions { window_tokens: 2, ..BudgetOptions::default() };
        let options = EvictionOptions::new(budget);
        let scores = |granularity, window| {
            let mut options = options.clone();
            options.budget.window_tokens = window;
            let heads = CacheHeads { layers: 1, heads: 4, kv_heads: 2, granularity };
            let score = by_name("kvzip").unwrap().token_score().unwrap();
            score.scores(&stats, 0, &heads, &options).unwrap()
        };
        let (one, two) = ([0.5, 0.1, 0.9, 0.0, 2.0], [0.2, 0.3, 0.4, 0.6, 2.0]);
        assert_eq!(scores(Granularity::KvHead, 2), [one, two].concat());
        assert_eq!(scores(Granularity::QueryHead, 2), [one, one, two, two].concat());
        // A window that reaches into the context.
        assert_eq!(scores(Granularity::KvHead, 4), [0.5, 0.1, 0.9, 0.2, 0.3, 0.4]);
    }
}
