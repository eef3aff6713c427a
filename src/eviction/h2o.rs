//! Column sums: what all queries of the prompt look at; the heavy hitters.
//!
//! H2O, Zhang et al. 2023, <https://arxiv.org/abs/2306.14048>.
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

use super::attention_sums::{self, attention_sums, weigh};
use super::{Decoding, EvictionOptions, Rows, TokenScore, TokenStats, Wanted};
use crate::error::Result;
use crate::heads::CacheHeads;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct ColumnSums {
    /// Whether values count.
    pub vatp: bool,
}

impl TokenScore for ColumnSums {
    fn name(&self) -> &'static str {
        "column_sums"
    }

    fn title(&self) -> &'static str {
        "attention from all queries of the prompt, and from each new one"
    }

    fn formula(&self) -> &'static str {
        match self.vatp {
            false => "reduce_h sum_{i < T} P_h[i, j]",
            true => "||v_g[j]|| * reduce_h sum_{i < T} P_h[i, j]",
        }
    }

    fn source(&self) -> &'static str {
        "H2O, https://arxiv.org/abs/2306.14048"
    }

    fn vatp(&self) -> bool {
        self.vatp
    }

    fn decoding(&self) -> Decoding {
        Decoding::Accumulate
    }

    fn wanted(&self, options: &EvictionOptions) -> Wanted {
        attention_sums::wanted(Rows::All, self.vatp, options)
    }

    fn scores(
        &self,
        stats: &TokenStats,
        layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>> {
        let mut scores = attention_sums(Rows::All, stats, layer, heads, options)?;
        if self.vatp {
            weigh(&mut scores, stats, layer, heads, options)?;
        }
        Ok(scores)
    }
}
