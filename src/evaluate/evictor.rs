//! Between a cache that hands out one row per query head and a state that wants one per list.

use crate::cache_heads::{CacheHeads, GroupReduce};
use crate::error::Result;
use crate::eviction::DecodeEviction;
use crate::generate::compressed::Evictor;

/// Evicts while decoding.
pub struct CacheEvictor {
    state: DecodeEviction,
    readers: usize,
    reduce: GroupReduce,
}

impl CacheEvictor {
    /// Goes on from `state`; the rows of the query heads that share a list become one by `reduce`.
    pub fn new(state: DecodeEviction, heads: CacheHeads, reduce: GroupReduce) -> Self {
        Self { state, readers: heads.readers(), reduce }
    }
}

impl Evictor for CacheEvictor {
    fn observe(&mut self, layer: usize, list: usize, rows: &[f32], value: &[f32]) -> Result<()> {
        let n = rows.len() / self.readers;
        let of = |i: usize| self.reduce.of((0..self.readers).map(|h| rows[h * n + i]));
        let row: Vec<f32> = (0..n).map(of).collect();
        let norm = self.state.value_norm().map_or(1.0, |norm| norm.of(value));
        self.state.observe(layer, list, &row, norm)
    }

    fn evict(&mut self, layer: usize, list: usize) -> Option<usize> {
        self.state.evict(layer, list)
    }
}
