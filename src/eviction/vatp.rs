//! [`Vatp`]: a token score whose attention is multiplied by the norms of the values.
//!
//! Guo et al. 2024, <https://arxiv.org/abs/2406.12335>. What it means under grouped-query attention
//! and where it differs from the reference is told in [`super::value_norm`].
//!
//! ```text
//! I[j] = pool((S[j] + epsilon) * ||v[j]||)     S: the score before its pooling      [S, T - W]
//! ```

use super::attention_sums::finite;
use super::{
    EvictionOptions, QueryRows, TokenScore, TokenScoreInfo, TokenStats, ValueNorm, Wanted,
};
use crate::error::Result;
use crate::heads::{CacheHeads, GroupReduce};

/// A token score with VATP.
#[derive(Clone, Copy)]
pub struct Vatp {
    score: &'static dyn TokenScore,
    info: TokenScoreInfo,
}

impl Vatp {
    /// What the name of a method with VATP ends in.
    pub const SUFFIX: &str = "+vatp";

    /// The paper.
    pub const SOURCE: &str = "VATP, https://arxiv.org/abs/2406.12335";

    /// `score` with VATP; `None` if it looks at no attention.
    pub fn of(score: &'static dyn TokenScore) -> Option<Self> {
        let formula = score.info().vatp_formula?;
        Some(Self { score, info: TokenScoreInfo { formula, ..*score.info() } })
    }
}

impl TokenScore for Vatp {
    fn info(&self) -> &TokenScoreInfo {
        &self.info
    }

    fn queries(&self, options: &EvictionOptions) -> Option<QueryRows> {
        self.score.queries(options)
    }

    fn unpooled(
        &self,
        stats: &TokenStats,
        layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>> {
        let mut scores = self.score.unpooled(stats, layer, heads, options)?;
        if !behind_pooling(options) {
            weigh(&mut scores, stats, layer, heads, options)?;
        }
        Ok(scores)
    }

    fn pool(&self, scores: Vec<f32>, tokens: usize, options: &EvictionOptions) -> Vec<f32> {
        self.score.pool(scores, tokens, options)
    }

    fn scores(
        &self,
        stats: &TokenStats,
        layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>> {
        let scores = self.unpooled(stats, layer, heads, options)?;
        let mut scores = self.pool(scores, stats.before_window(options), options);
        if behind_pooling(options) {
            weigh(&mut scores, stats, layer, heads, options)?;
        }
        Ok(scores)
    }

    fn wanted(&self, options: &EvictionOptions) -> Wanted {
        let (off, projected) = (ValueNorm::Off, ValueNorm::Projected);
        Wanted {
            value_norms: options.value_norm != off && options.value_norm != projected,
            projected_norms: options.value_norm == projected,
            ..self.score.wanted(options)
        }
    }

    fn vatp(&self) -> bool {
        true
    }
}

/// CriticalKV, whose form with `projected` the reference form is, weighs what SnapKV has pooled.
fn behind_pooling(options: &EvictionOptions) -> bool {
    options.budget.reference && options.value_norm == ValueNorm::Projected
}

/// Multiplies `scores`, `[S, N]` of the first `N` tokens of a prompt, by the norms of the values.
///
/// # Errors
/// As [`list_norms`].
pub(super) fn weigh(
    scores: &mut [f32],
    stats: &TokenStats,
    layer: usize,
    heads: &CacheHeads,
    options: &EvictionOptions,
) -> Result<()> {
    let norm = options.value_norm;
    let per_list = scores.len() / heads.stored();
    if norm == ValueNorm::Off || per_list == 0 {
        return Ok(());
    }
    let norms = list_norms(norm, stats, layer, heads)?;
    for (scores, norms) in scores.chunks_mut(per_list).zip(norms.chunks(stats.tokens)) {
        for (score, of_value) in scores.iter_mut().zip(norms) {
            *score = (*score + norm.epsilon()) * of_value;
        }
    }
    Ok(())
}

/// The norm of each token's value in each list of a layer, `[S, T]`: that of its KV head, or of
/// [`ValueNorm::Projected`] the mean over the query heads that read the list.
///
/// # Errors
/// [`Error::Bug`] if the statistics were not recorded, [`Error::Model`] if one is not finite.
pub(super) fn list_norms(
    norm: ValueNorm,
    stats: &TokenStats,
    layer: usize,
    heads: &CacheHeads,
) -> Result<Vec<f32>> {
    let tokens = stats.tokens;
    let norms = finite("the norm of a value", stats.value_norms(norm, layer)?, layer, tokens)?;
    match norm {
        ValueNorm::Projected => heads.reduce(norms, tokens, GroupReduce::Mean),
        _ => Ok((0..heads.stored())
            .flat_map(|s| &norms[heads.kv_head(s) * tokens..][..tokens])
            .copied()
            .collect()),
    }
}
