//! A number per head, some of the heads, and whose caches they are: `[L, H]` matrices, query heads
//! and KV heads.

mod cache_heads;
mod head_set;
mod matrix;

pub use cache_heads::{CacheHeads, Granularity, GroupReduce};
pub use head_set::HeadSet;
pub use matrix::HeadMatrix;
