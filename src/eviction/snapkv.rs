//! SnapKV: what the last queries of the prompt look at, pooled over neighbours.
//!
//! Li et al. 2024, <https://arxiv.org/abs/2404.14469>; also under PyramidKV, AdaKV, HeadKV
//! and DiliLazyKV, which differ in their budgets alone.
//!
//! ```text
//! S_h[j] = (1/W) sum_{i in last W} P_h[i, j]         j < T - W
//! score  = pool_k(reduce_h S_h)                      [S, T - W]
//! ```
//!
//! `P` is a softmax over all keys, so the window's own keys take their share. The heads of a group
//! are reduced before pooling, as in KVCache-Factory and AdaKV; kvpress pools first, which is the
//! same for `mean` with `avg` alone.
//!
//! HeadKV's SnapKV and KVCache-Factory add the rows up where the others average them. That is the
//! same order within a head; across heads (AdaKV) all average.

use super::attention_sums::attention_sums;
use super::{Decoding, EvictionOptions, QueryRows, TokenScore, TokenScoreInfo, TokenStats};
use crate::error::Result;
use crate::heads::CacheHeads;

static INFO: TokenScoreInfo = TokenScoreInfo {
    name: "window",
    method: "snapkv",
    aliases: &[],
    title: "tokens that the window looks at",
    formula: "pool_k(reduce_h (1/W) sum_{i in last W} P_h[i, j])",
    vatp_formula: Some("pool_k(||v_g[j]|| * reduce_h (1/W) sum_{i in last W} P_h[i, j])"),
    source: "SnapKV, https://arxiv.org/abs/2404.14469",
    decoding: Decoding::Append,
    default: true,
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct SnapKv;

impl TokenScore for SnapKv {
    fn info(&self) -> &TokenScoreInfo {
        &INFO
    }

    fn queries(&self, options: &EvictionOptions) -> Option<QueryRows> {
        Some(QueryRows::Last(options.budget.window_tokens))
    }

    fn unpooled(
        &self,
        stats: &TokenStats,
        layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>> {
        let window = options.budget.window_tokens;
        let mut scores = attention_sums(QueryRows::Last(window), stats, layer, heads, options)?;
        let rows = window.clamp(1, stats.tokens.max(1)) as f32;
        scores.iter_mut().for_each(|score| *score /= rows);
        Ok(scores)
    }

    fn pool(&self, scores: Vec<f32>, tokens: usize, options: &EvictionOptions) -> Vec<f32> {
        options.pooling.pool(&scores, tokens, options.kernel_size)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ValueNorm, ValueNorms, by_name};
    use super::*;
    use crate::budget::BudgetOptions;
    use crate::heads::{Granularity, GroupReduce};

    /// Two query heads on one KV head; of six tokens the last two are the window.
    fn scores(name: &str, reduce: GroupReduce) -> Vec<f32> {
        scores_with(name, |options| options.budget.reduce = reduce)
    }

    fn scores_with(name: &str, change: impl Fn(&mut EvictionOptions)) -> Vec<f32> {
        let stats = TokenStats {
            layers: 1,
            heads: 2,
            kv_heads: 1,
            tokens: 6,
            row_sums: [(QueryRows::Last(2), vec![8., 0., 2., 0., 9., 9., 0., 4., 2., 0., 9., 9.])]
                .into(),
            value_norms: Some(ValueNorms {
                l1: vec![0.5, 3., 1., 1., 9., 9.],
                l2: vec![],
                linf: vec![],
            }),
            projected_norms: Some(vec![0., 2., 2., 2., 9., 9., 1., 4., 0., 0., 9., 9.]),
            replayed: None,
        };
        let budget = BudgetOptions { window_tokens: 2, ..BudgetOptions::default() };
        let mut options = EvictionOptions { kernel_size: 3, ..EvictionOptions::new(budget) };
        change(&mut options);
        let heads =
            CacheHeads { layers: 1, heads: 2, kv_heads: 1, granularity: Granularity::KvHead };
        let token_score = by_name(name).unwrap().token_score().unwrap();
        token_score.scores(&stats, 0, &heads, &options).unwrap()
    }

    #[test]
    fn rows_are_averaged_heads_reduced_and_then_neighbours_pooled() {
        // Halves: 4 0 1 0 and 0 2 1 0. Means: 2 1 1 0. Pooled over three: 2 2 1 1. (Pooled first,
        // the heads have 4 4 1 1 and 2 2 2 1, with means 3 3 1.5 1.)
        assert_eq!(scores("snapkv", GroupReduce::Mean), [2., 2., 1., 1.]);
        assert_eq!(scores("snapkv", GroupReduce::Max), [4., 4., 2., 1.]);
    }

    #[test]
    fn values_count_before_neighbours_are_pooled() {
        // 2 1 1 0 times .5 3 1 1: 1 3 1 0. (Pooled first it would be 2 2 1 1 times that: 1 6 1 1.)
        assert_eq!(scores("snapkv+vatp", GroupReduce::Mean), [3., 3., 3., 1.]);
    }

    #[test]
    fn projected_values_count_behind_pooling_in_reference_form() {
        // Norms: means of 0 and 1, 2 and 4, 2 and 0, 2 and 0: .5 3 1 1. So 2 1 1 0, plus epsilon,
        // times that: 1 3 1 0, pooled. Pooled first, 2 2 1 1 times that: 1 6 1 1. Epsilon is added
        // once.
        let projected = |reference| {
            scores_with("snapkv+vatp", |options| {
                options.value_norm = ValueNorm::Projected;
                options.budget.reference = reference;
            })
        };
        let e = ValueNorm::Projected.epsilon();
        let fair = [(1. + e) * 3., (1. + e) * 3., (1. + e) * 3., 1. + e];
        assert_eq!(projected(false), fair);
        assert_eq!(projected(true), [(2. + e) * 0.5, (2. + e) * 3., 1. + e, 1. + e]);
    }
}
