//! [`EvictionOptions`]: the constants of all methods, under the references' names.

use super::{Pooling, ValueNorm};
use crate::budget::BudgetOptions;
use crate::error::{Error, Result};

/// How much is kept, and the constants of the methods.
#[derive(Debug, Clone, PartialEq)]
pub struct EvictionOptions {
    /// How many tokens; how query heads' scores become one; whether reference forms are used.
    pub budget: BudgetOptions,
    /// SnapKV and what builds on it: tokens in a neighbourhood that is pooled; odd.
    pub kernel_size: usize,
    /// SnapKV and what builds on it: how a neighbourhood becomes one value.
    pub pooling: Pooling,
    /// VATP: the norm that attention is multiplied by.
    pub value_norm: ValueNorm,
    /// VATP: first tokens of the prompt that are kept whatever their score, `sink_len`, `F`. It
    /// depends on the model: 20 for Llama-2-7B-chat and 40 for Vicuna-7B in the paper; 4, as many as
    /// StreamingLLM's, unless given.
    pub sink_tokens: usize,
    /// StreamingLLM: first tokens of the prompt that are kept.
    pub streaming_sinks: usize,
    /// Scissorhands: last rows of the prompt that are added up.
    pub scissorhands_rows: usize,
    /// Scissorhands under a `heavy_ratio`: tokens of the window.
    pub scissorhands_recent: usize,
    /// H2O, Scissorhands, StreamingLLM: `heavy_ratio` of the VATP code. Where given, the capacity
    /// is twice this share of the prompt, and one half of it the window.
    pub heavy_ratio: Option<f64>,
}

impl EvictionOptions {
    /// The references' values around `budget`, as far as they have one for all models.
    pub fn new(budget: BudgetOptions) -> Self {
        Self {
            budget,
            kernel_size: 7,
            pooling: Pooling::Max,
            value_norm: ValueNorm::L1,
            sink_tokens: 4,
            streaming_sinks: 4,
            scissorhands_rows: 400,
            scissorhands_recent: 10,
            heavy_ratio: None,
        }
    }

    /// Checks what every method relies on; what depends on the prompt is checked with it.
    ///
    /// # Errors
    /// [`Error::Usage`] as [`BudgetOptions::check`], and for an even or absent kernel, no window, no
    /// rows for Scissorhands, and a share of the prompt that is not above 0 and at most one half.
    pub fn check(&self) -> Result<()> {
        self.budget.check()?;
        if self.pooling != Pooling::None && self.kernel_size.is_multiple_of(2) {
            return Err(Error::usage("the pooling kernel must have a middle")
                .at("--kernel-size")
                .got(self.kernel_size)
                .expected("an odd number"));
        }
        if self.budget.window_tokens == 0 {
            return Err(Error::usage("every method keeps a window of the last tokens")
                .at("--window-size")
                .got(0)
                .expected("at least 1"));
        }
        if self.scissorhands_rows == 0 {
            return Err(Error::usage("Scissorhands needs rows to add up")
                .at("scissorhands_rows")
                .got(0)
                .expected("at least 1"));
        }
        match self.heavy_ratio {
            Some(ratio) if !(ratio > 0.0 && ratio <= 0.5) => {
                Err(Error::usage("a half of the budget is no such share of the prompt")
                    .at("heavy_ratio")
                    .got(ratio)
                    .expected("above 0, at most 0.5"))
            }
            _ => Ok(()),
        }
    }
}
