//! Eviction: which tokens each head keeps.

pub mod kept;
pub mod token_stats;

pub use kept::Kept;
pub use token_stats::{Rows, TokenStats, ValueNorm, ValueNorms, Wanted};
