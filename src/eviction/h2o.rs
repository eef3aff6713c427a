//! H2O: what all queries of the prompt look at; the heavy hitters.
//!
//! Zhang et al. 2023, <https://arxiv.org/abs/2306.14048>.
//!
//! ```text
//! score = reduce_h sum_{i < T} P_h[i, j]          [S, T - W]
//! ```
//!
//! While decoding, the row of each new token is added, and a full list loses the least of what is
//! not recent. Early tokens are seen by more queries and so have more to add up; the method is as
//! published in this.
//!
//! KVCache-Factory computes the same behind the prompt and stops there; the VATP code goes on while
//! decoding and masks what it evicts. Both are restored exactly, but for the order of equal scores.

use super::attention_sums::attention_sums;
use super::{Decoding, EvictionOptions, QueryRows, TokenScore, TokenScoreInfo, TokenStats};
use crate::error::Result;
use crate::heads::CacheHeads;

static INFO: TokenScoreInfo = TokenScoreInfo {
    name: "column_sums",
    method: "h2o",
    aliases: &[],
    title: "tokens that all queries look at",
    formula: "reduce_h sum_{i < T} P_h[i, j]",
    vatp_formula: Some("||v_g[j]|| * reduce_h sum_{i < T} P_h[i, j]"),
    source: "H2O, https://arxiv.org/abs/2306.14048",
    decoding: Decoding::Accumulate,
    default: true,
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct H2o;

impl TokenScore for H2o {
    fn info(&self) -> &TokenScoreInfo {
        &INFO
    }

    fn queries(&self, _options: &EvictionOptions) -> Option<QueryRows> {
        Some(QueryRows::All)
    }

    fn unpooled(
        &self,
        stats: &TokenStats,
        layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>> {
        attention_sums(QueryRows::All, stats, layer, heads, options)
    }
}
