//! [`BudgetOptions`]: how much, and the constants of the methods.

use crate::error::{Error, Result};
use crate::heads::GroupReduce;

/// How many tokens, and the constants of the methods under the references' names.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetOptions {
    /// `base_capacity`, `max_capacity_prompts`: tokens per stored head on average, with the window.
    pub capacity_tokens: usize,
    /// The last tokens of the prompt, which all heads keep, `W`.
    pub window_tokens: usize,
    /// HeadKV, DiliLazyKV: one `beta`-th of the budget is the pool that follows the scores.
    pub beta: f64,
    /// HeadKV, DiliLazyKV: exponent of the scores.
    pub temp: f64,
    /// AdaKV: share of the budget that is uniform.
    pub alpha: f64,
    /// PyramidKV: the last layer's past tokens are one `pyramid_beta`-th of the mean.
    pub pyramid_beta: usize,
    /// How query heads' scores become one of their KV head.
    pub reduce: GroupReduce,
    /// As the reference code computes it, with its rounding, instead of an exact sum.
    pub reference: bool,
}

/// What the references' command lines have by default, with a budget of 128 as in their scripts.
impl Default for BudgetOptions {
    fn default() -> Self {
        Self {
            capacity_tokens: 128,
            window_tokens: 8,
            beta: 1.5,
            temp: 1.0,
            alpha: 0.2,
            pyramid_beta: 20,
            reduce: GroupReduce::Mean,
            reference: false,
        }
    }
}

impl BudgetOptions {
    /// Checks every constant, also those that a method does not use.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the first that is out of range.
    pub fn check(&self) -> Result<()> {
        if self.capacity_tokens == 0 || u32::try_from(self.capacity_tokens).is_err() {
            return Err(Error::usage("a budget is not a number of tokens that a head can keep")
                .at("--budget (--max-capacity-prompts)")
                .got(self.capacity_tokens)
                .expected(format!("from 1 to {}", u32::MAX)));
        }
        if self.capacity_tokens < self.window_tokens {
            return Err(Error::usage("the budget is smaller than the window")
                .at("--budget (--max-capacity-prompts), --window-size")
                .got(format!(
                    "{} tokens per head, a window of {}",
                    self.capacity_tokens, self.window_tokens
                ))
                .expected("at least the window, which every head keeps")
                .advice("raise the budget or make the window smaller"));
        }
        let number = |name: &str, value: f64, valid: bool, expected: &str| match valid {
            true => Ok(()),
            false => Err(Error::usage("a constant of the method is out of range")
                .at(name)
                .got(value)
                .expected(expected)),
        };
        let (beta, temp, alpha) = (self.beta, self.temp, self.alpha);
        number("--beta", beta, beta.is_finite() && beta > 1.0, "a number above 1, such as 1.351")?;
        number("--temp", temp, temp.is_finite() && temp > 0.0, "a number above 0, such as 1")?;
        number("--alpha", alpha, (0.0..=1.0).contains(&alpha), "a number from 0 to 1")?;
        let pyramid_beta = self.pyramid_beta as f64;
        number("--pyramid-beta", pyramid_beta, pyramid_beta >= 1.0, "a whole number from 1 upwards")
    }
}
