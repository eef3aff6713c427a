//! `uniform`: every head keeps the same number of tokens.
//!
//! SnapKV (Li et al. 2024, <https://arxiv.org/abs/2404.14469>), as StreamingLLM, H2O and every
//! other method that only says which tokens are best.
//!
//! ```text
//! past[l, s] = min(C - W, T - W)
//! ```
//!
//! Both forms are the same: there is nothing to round.

use super::{Allocator, AllocatorInfo, Budget, Needs, Request, Room};
use crate::error::Result;

static INFO: AllocatorInfo = AllocatorInfo {
    name: "uniform",
    aliases: &["snapkv"],
    title: "the same for every head",
    formula: "past[l, s] = min(C - W, T - W)",
    source: "SnapKV, https://arxiv.org/abs/2404.14469",
    needs: Needs::Nothing,
    constants: &[],
    method: None,
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Uniform;

impl Allocator for Uniform {
    fn info(&self) -> &AllocatorInfo {
        &INFO
    }

    fn allocate(&self, request: &Request) -> Result<Budget> {
        let room = Room::of(request)?;
        room.budget(request, vec![room.mean_past.min(room.limit); room.heads])
    }
}
