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
//! follow the head scores. The combinations are made in [`registry()`] from what token scores and
//! allocators say about themselves.
//!
//! To add a token score: one file with a [`TokenScoreInfo`] and an `impl TokenScore`, its `mod`
//! line, and one line in [`token_scores`].
//!
//! # Letters
//!
//! `S` lists of kept tokens per layer ([`CacheHeads::stored`](crate::heads::CacheHeads::stored)),
//! `W` tokens of the window at the end of the prompt, which every head keeps, `N = T - W` tokens
//! before it, `C` tokens that a list keeps on average, window included, `F` protected sinks.

pub mod attention_sums;
pub mod decode;
pub mod h2o;
pub mod kept;
pub mod kvzip;
pub mod method;
pub mod options;
pub mod pooling;
pub mod registry;
pub mod scissorhands;
pub mod selector;
pub mod snapkv;
pub mod streaming_llm;
pub mod token_score;
pub mod token_stats;
pub mod top_k;
pub mod utility;
pub mod value_norm;
pub mod vatp;

#[cfg(test)]
mod conformance_tests;
#[cfg(test)]
mod golden_tests;

pub use decode::DecodeEviction;
pub use kept::Kept;
pub use method::{HeadEvidence, Method};
pub use options::EvictionOptions;
pub use pooling::Pooling;
pub use registry::{by_name, registry};
pub use selector::Selector;
pub use token_score::{Decoding, TokenScore, TokenScoreInfo};
pub use token_stats::{QueryRows, TokenStats, ValueNorms, Wanted};
pub use value_norm::ValueNorm;
pub use vatp::Vatp;

/// Every token score, in the order in which their methods are reported.
pub fn token_scores() -> &'static [&'static dyn TokenScore] {
    static TOKEN_SCORES: &[&dyn TokenScore] = &[
        &streaming_llm::StreamingLlm,
        &h2o::H2o,
        &scissorhands::Scissorhands,
        &snapkv::SnapKv,
        &kvzip::KvZip,
    ];
    TOKEN_SCORES
}
