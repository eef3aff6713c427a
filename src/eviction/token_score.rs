//! [`TokenScore`]: which of a prompt's tokens are worth keeping.

use super::{EvictionOptions, QueryRows, TokenStats, Wanted};
use crate::error::Result;
use crate::heads::CacheHeads;

/// What a method does with the tokens that are generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// It acts once, behind the prompt. New tokens are added to the lists.
    Append,
    /// It adds the attention of each new token to the scores, and a list that is full loses its
    /// least.
    Accumulate,
    /// A list that is full loses its oldest.
    Recency,
}

/// The constants of a token score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenScoreInfo {
    /// The name of the score, in files of utility curves: `column_sums`.
    pub name: &'static str,
    /// The name of the method that keeps the best tokens by it, as many in every head: `h2o`.
    pub method: &'static str,
    /// Names under which the references know that method.
    pub aliases: &'static [&'static str],
    /// One line for people: which tokens it keeps.
    pub title: &'static str,
    /// The formula in ASCII. `P_h[i, j]`: the weight that query `i` of head `h` gives to key `j`,
    /// a softmax over all keys up to `i`.
    pub formula: &'static str,
    /// The formula with VATP, under which there is a `+vatp` of the method; `None` for a score that
    /// looks at no attention, so that there is nothing for [`super::Vatp`] to multiply.
    pub vatp_formula: Option<&'static str>,
    /// The paper or code that it comes from.
    pub source: &'static str,
    /// What it does with the tokens that are generated.
    pub decoding: Decoding,
    /// Whether `evaluate` compares the method where none are named.
    pub default: bool,
}

/// A published number per token: which of the tokens before the window are worth keeping.
pub trait TokenScore: Send + Sync {
    /// Its constants.
    fn info(&self) -> &TokenScoreInfo;

    /// The queries whose attention it adds up; `None` if it looks at no attention.
    fn queries(&self, options: &EvictionOptions) -> Option<QueryRows>;

    /// What each token before the window is worth by itself, `[S, T - W]`, before its neighbours
    /// count ([`TokenScore::pool`]). VATP multiplies these.
    ///
    /// # Errors
    /// As [`TokenScore::scores`].
    fn unpooled(
        &self,
        stats: &TokenStats,
        layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>>;

    /// What neighbours make of `scores`, `[S, tokens]`; nothing, unless it says so.
    fn pool(&self, scores: Vec<f32>, _tokens: usize, _options: &EvictionOptions) -> Vec<f32> {
        scores
    }

    /// What each token before the window is worth, `[S, T - W]`; larger is kept first, and of equal
    /// ones the lower position. A window of 0 scores all tokens.
    ///
    /// # Errors
    /// [`crate::Error::Bug`] if something in [`TokenScore::wanted`] was not recorded, or the
    /// statistics are not those of `heads`, [`crate::Error::Model`] if one is not finite.
    fn scores(
        &self,
        stats: &TokenStats,
        layer: usize,
        heads: &CacheHeads,
        options: &EvictionOptions,
    ) -> Result<Vec<f32>> {
        let scores = self.unpooled(stats, layer, heads, options)?;
        Ok(self.pool(scores, stats.before_window(options), options))
    }

    /// What has to be recorded.
    fn wanted(&self, options: &EvictionOptions) -> Wanted {
        Wanted { row_sums: self.queries(options).into_iter().collect(), ..Wanted::default() }
    }

    /// Whether attention is multiplied by the norms of the values, and the first tokens are
    /// protected: [`super::Vatp`] alone.
    fn vatp(&self) -> bool {
        false
    }

    /// [`TokenScoreInfo::name`].
    fn name(&self) -> &'static str {
        self.info().name
    }
}
