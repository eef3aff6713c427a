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
    /// depends on the model: 20 for Llama-2-7B-chat and 40 for Vicuna-7B in the paper; 4, as many
    /// as StreamingLLM's, unless given.
    pub sink_tokens: usize,
    /// StreamingLLM: first tokens of the prompt that are kept.
    pub streaming_sinks: usize,
    /// Scissorhands: last rows of the prompt that are added up.
    pub scissorhands_rows: usize,
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
        }
    }

    /// Checks what every method relies on; what depends on the prompt is checked with it.
    ///
    /// # Errors
    /// [`Error::Usage`] as [`BudgetOptions::check`], and for an even or absent kernel, no window,
    /// and no rows for Scissorhands.
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
        Ok(())
    }
}
