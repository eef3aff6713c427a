//! Scissorhands: what a long history of the last queries looks at.
//!
//! Liu et al. 2023, *Scissorhands: Exploiting the Persistence of Importance Hypothesis*,
//! <https://arxiv.org/abs/2305.17118>, in the form of the VATP code: the paper counts how often a
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

use super::attention_sums::{self, attention_sums, weigh};
use super::{Decoding, EvictionOptions, Rows, TokenScore, TokenStats, Wanted};
use crate::error::Result;
use crate::heads::CacheHeads;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Scissorhands {
    /// Whether values count.
    pub vatp: bool,
}

impl TokenScore for Scissorhands {
    fn name(&self) -> &'static str {
        "history"
    }

    fn title(&self) -> &'static str {
        "attention from the last 400 queries of the prompt, and from each new one"
    }

    fn formula(&self) -> &'static str {
        match self.vatp {
            false => "reduce_h sum_{i in last 400} P_h[i, j]",
            true => "||v_g[j]|| * reduce_h sum_{i in last 400} P_h[i, j]",
        }
    }

    fn source(&self) -> &'static str {
        "Scissorhands, https://arxiv.org/abs/2305.17118, as in https://github.com/guozhiyu/vatp"
    }

    fn vatp(&self) -> bool {
        self.vatp
    }

    fn decoding(&self) -> Decoding {
        Decoding::Accumulate
    }

    fn recent_tokens(&self, _half: usize, options: &EvictionOptions) -> usize {
        options.scissorhands_recent
    }

    fn wanted(&self, options: &EvictionOptions) -> Wanted {
        attention_sums::wanted(Rows::Last(options.scissorhands_rows), self.vatp, options)
    }

    fn scores(
        &self,
        stats: &TokenStats,
        layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>> {
        let rows = Rows::Last(options.scissorhands_rows);
        let mut scores = attention_sums(rows, stats, layer, heads, options)?;
        if options.budget.reference {
            let divisor = options.scissorhands_rows as f32;
            scores.iter_mut().for_each(|score| *score /= divisor);
        }
        if self.vatp {
            weigh(&mut scores, stats, layer, heads, options)?;
        }
        Ok(scores)
    }
}
