//! Window score: what the last queries of the prompt look at, smoothed over neighbours.
//!
//! SnapKV, Li et al. 2024, <https://arxiv.org/abs/2404.14469>; also under PyramidKV, AdaKV, HeadKV
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

use super::attention_sums::{self, attention_sums};
use super::{Decoding, EvictionOptions, Rows, TokenScore, TokenStats, Wanted};
use crate::cache_heads::CacheHeads;
use crate::error::Result;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct WindowScore {
    /// Whether values count.
    pub vatp: bool,
}

impl TokenScore for WindowScore {
    fn name(&self) -> &'static str {
        "window"
    }

    fn title(&self) -> &'static str {
        "attention from the window at the end of the prompt, pooled over neighbours"
    }

    fn formula(&self) -> &'static str {
        match self.vatp {
            false => "pool_k(reduce_h (1/W) sum_{i in last W} P_h[i, j])",
            true => "pool_k(||v_g[j]|| * reduce_h (1/W) sum_{i in last W} P_h[i, j])",
        }
    }

    fn source(&self) -> &'static str {
        "SnapKV, https://arxiv.org/abs/2404.14469"
    }

    fn vatp(&self) -> bool {
        self.vatp
    }

    fn decoding(&self) -> Decoding {
        Decoding::Append
    }

    fn wanted(&self, options: &EvictionOptions) -> Wanted {
        attention_sums::wanted(Rows::Last(options.budget.window_tokens), self.vatp, options)
    }

    fn scores(
        &self,
        stats: &TokenStats,
        layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>> {
        let window = options.budget.window_tokens;
        let rows = Rows::Last(window);
        let mut scores = attention_sums(rows, self.vatp, stats, layer, heads, options)?;
        let rows = window.clamp(1, stats.tokens.max(1)) as f32;
        scores.iter_mut().for_each(|score| *score /= rows);
        let tokens = stats.tokens.saturating_sub(window);
        Ok(options.pooling.pool(&scores, tokens, options.kernel_size))
    }
}
