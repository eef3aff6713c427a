//! Eviction: which tokens each head keeps.
//!
//! ```text
//! TokenStats ─► TokenScore (x value norms) ─► [S, T - W] per layer ─┬─► Allocator ─► Budget ─┐
//!                                                                   └────────────────────────┴─► Kept
//! Kept, and the attention of each new token ─► DecodeEviction ─► the slot to remove
//! ```
//!
//! A [`Method`] is a token score (which tokens are worth more), an allocator of
//! [`crate::budget`] (how many each head keeps) and, with VATP, the norms of the values. The
//! references' names are combinations of these: HeadKV is SnapKV's token score under budgets that
//! follow the head scores.
//!
//! To add a token score: one file with an `impl TokenScore`, and a line per method in
//! [`registry()`].
//!
//! # Letters
//!
//! `S` lists of kept tokens per layer ([`CacheHeads::stored`]), `W` tokens of the window at the end
//! of the prompt, which every head keeps, `N = T - W` tokens before it, `C` tokens that a list keeps
//! on average, window included, `F` protected sinks.

pub mod attention_sums;
pub mod decode;
pub mod h2o;
pub mod kept;
pub mod method;
pub mod options;
pub mod pooling;
pub mod registry;
pub mod scissorhands;
pub mod selector;
pub mod snapkv;
pub mod streaming_llm;
pub mod token_stats;
pub mod top_k;
pub mod utility;
pub mod value_norm;

#[cfg(test)]
mod conformance_tests;
#[cfg(test)]
mod golden_tests;

use crate::error::Result;
use crate::heads::CacheHeads;

pub use decode::DecodeEviction;
pub use kept::Kept;
pub use method::{HeadEvidence, Method};
pub use options::EvictionOptions;
pub use pooling::Pooling;
pub use registry::{by_name, registry};
pub use selector::Selector;
pub use token_stats::{Rows, TokenStats, ValueNorms, Wanted};
pub use value_norm::ValueNorm;

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

/// A published number per token: which of the tokens before the window are worth keeping.
pub trait TokenScore: Sync {
    /// The name in tables.
    fn name(&self) -> &'static str;

    /// One line for people: what a large value says about a token.
    fn title(&self) -> &'static str;

    /// The formula in ASCII. `P_h[i, j]`: the weight that query `i` of head `h` gives to key `j`,
    /// a softmax over all keys up to `i`.
    fn formula(&self) -> &'static str;

    /// The paper or code that it comes from.
    fn source(&self) -> &'static str;

    /// Whether the attention is multiplied by the norms of the values, and the first tokens are
    /// protected.
    fn vatp(&self) -> bool;

    /// What it does with the tokens that are generated.
    fn decoding(&self) -> Decoding;

    /// Of a budget of two halves, [`EvictionOptions::heavy_ratio`], how many tokens are the window.
    fn recent_tokens(&self, half: usize, _options: &EvictionOptions) -> usize {
        half
    }

    /// What has to be recorded.
    fn wanted(&self, options: &EvictionOptions) -> Wanted;

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
    ) -> Result<Vec<f32>>;
}
