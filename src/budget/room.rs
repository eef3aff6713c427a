//! [`Room`]: what there is to divide.

use super::rounding::{fill, round_to_sum};
use super::{Budget, Request};
use crate::error::Result;

/// The tokens that an allocator divides: those before the window, as the references count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Stored heads of all layers, `L * S`.
    pub heads: usize,
    /// `B = C - W`: tokens before the window per head, on average, if the prompt has that many.
    pub mean_past: u32,
    /// `T - W`: tokens before the window that there are; as many as a head can count if there is no
    /// prompt yet.
    pub limit: u32,
    /// The last tokens of the prompt, which every head keeps: `W`, or all of a shorter prompt.
    pub window: usize,
}

impl Room {
    /// Checks the options of `request` and measures.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] as [`super::BudgetOptions::check`].
    pub fn of(request: &Request) -> Result<Self> {
        let options = request.options;
        options.check()?;
        let window = options.window_tokens;
        let limit = request.prompt_tokens.map(|tokens| tokens.saturating_sub(window));
        let counted = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
        Ok(Self {
            heads: request.heads.layers * request.heads.stored(),
            mean_past: counted(options.capacity_tokens - window),
            limit: limit.map_or(u32::MAX, counted),
            window: request.prompt_tokens.map_or(window, |tokens| tokens.min(window)),
        })
    }

    /// Tokens before the window of all heads together: what the budget allows, or all there are.
    pub fn total_past(&self) -> u64 {
        self.heads as u64 * u64::from(self.mean_past.min(self.limit))
    }

    /// The fair division: of every head's `mean_past` tokens, `pool` go to a common pool that is
    /// shared by `weights`, `[L * S]`, and the rest stays. Exact in sum.
    pub(super) fn by_weight(&self, pool: f64, weights: &[f64]) -> Vec<u32> {
        let total = self.total_past();
        let base = f64::from(self.mean_past) - pool;
        round_to_sum(&fill(total, base, weights, self.limit), total, 0, self.limit)
    }

    /// What is left of the capacities of a reference in this prompt: a head cannot keep more than
    /// there is, and where the mean exceeds that, nothing is evicted. The references lose the
    /// difference.
    pub(super) fn cut(&self, capacity: f64) -> u32 {
        if self.mean_past > self.limit { self.limit } else { (capacity as u32).min(self.limit) }
    }

    /// The budget with these tokens before the window, `[L * S]` row-major.
    ///
    /// # Errors
    /// [`crate::Error::Bug`] if the length is wrong.
    pub fn budget(&self, request: &Request, past: Vec<u32>) -> Result<Budget> {
        Budget::new(request.heads.layers, request.heads.stored(), self.window, past)
    }
}
