//! A number per head, and whose caches they are: `[L, H]` matrices, query heads and KV heads.

mod cache_heads;
mod matrix;

pub use cache_heads::{CacheHeads, Granularity, GroupReduce};
pub use matrix::HeadMatrix;
