//! Scissorhands: what a long history of the last queries looks at.
//!
//! Liu et al. 2023, *Scissorhands: Exploiting the Persistence of Importance Hypothesis*,
//! <https://arxiv.org/abs/2305.17118>, in the form of the VATP code,
//! <https://github.com/guozhiyu/vatp>: the paper counts how often a
//! token gets less than its share, the code adds attention up.
//!
//! ```text
//! score = reduce_h sum_{i in last 400} P_h[i, j]          [S, T - W]
//! ```
//!
//! While decoding, the row of each new token is added. The reference divides the prompt's sum by
//! 400, also where the prompt has fewer rows, but adds the new rows undivided, so that one new row
//! counts as much as 400 of the prompt. Ours adds like to like; the reference form divides. Behind
//! the prompt both keep the same tokens.

use super::attention_sums::attention_sums;
use super::{Decoding, EvictionOptions, QueryRows, TokenScore, TokenScoreInfo, TokenStats};
use crate::error::Result;
use crate::heads::CacheHeads;

static INFO: TokenScoreInfo = TokenScoreInfo {
    name: "history",
    method: "scissorhands",
    aliases: &[],
    title: "tokens that the last 400 queries look at",
    formula: "reduce_h sum_{i in last 400} P_h[i, j]",
    vatp_formula: Some("||v_g[j]|| * reduce_h sum_{i in last 400} P_h[i, j]"),
    source: "Scissorhands, https://arxiv.org/abs/2305.17118",
    decoding: Decoding::Accumulate,
    default: true,
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Scissorhands;

impl TokenScore for Scissorhands {
    fn info(&self) -> &TokenScoreInfo {
        &INFO
    }

    fn queries(&self, options: &EvictionOptions) -> Option<QueryRows> {
        Some(QueryRows::Last(options.scissorhands_rows))
    }

    fn unpooled(
        &self,
        stats: &TokenStats,
        layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>> {
        let rows = QueryRows::Last(options.scissorhands_rows);
        let mut scores = attention_sums(rows, stats, layer, heads, options)?;
        if options.budget.reference {
            let divisor = options.scissorhands_rows as f32;
            scores.iter_mut().for_each(|score| *score /= divisor);
        }
        Ok(scores)
    }
}
