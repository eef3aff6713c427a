//! `uniform`: every head keeps the same number of tokens.
//!
//! SnapKV (Li et al. 2024, <https://arxiv.org/abs/2404.14469>), as StreamingLLM, H2O and every other
//! method that only says which tokens are best.
//!
//! ```text
//! past[l, s] = min(C - W, T - W)
//! ```
//!
//! Both forms are the same: there is nothing to round.

use super::{Allocator, Budget, Needs, Request, Room};
use crate::error::Result;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Uniform;

impl Allocator for Uniform {
    fn name(&self) -> &'static str {
        "uniform"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["snapkv"]
    }

    fn title(&self) -> &'static str {
        "the same for every head"
    }

    fn formula(&self) -> &'static str {
        "past[l, s] = min(C - W, T - W)"
    }

    fn source(&self) -> &'static str {
        "SnapKV, https://arxiv.org/abs/2404.14469"
    }

    fn needs(&self) -> Needs {
        Needs::Nothing
    }

    fn allocate(&self, request: &Request) -> Result<Budget> {
        let room = Room::of(request)?;
        room.budget(request, vec![room.mean_past.min(room.limit); room.heads])
    }
}
