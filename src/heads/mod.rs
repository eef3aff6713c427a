//! A number per head, some of the heads, of which kind they are and whose caches: `[L, H]`
//! matrices, query heads and KV heads.

mod cache_heads;
mod head_set;
mod matrix;
mod types;

pub use cache_heads::{CacheHeads, Granularity, GroupReduce};
pub use head_set::HeadSet;
pub use matrix::HeadMatrix;
pub use types::{HeadType, HeadTypes};
