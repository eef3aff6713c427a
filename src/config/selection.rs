//! The constants of token scores, validated.

use super::{AtOption, at_least_one};
use crate::budget::BudgetOptions;
use crate::cli::SelectionArgs;
use crate::error::Result;
use crate::eviction::EvictionOptions;

/// The options of eviction with the budget `budget`, whose window and reduction `args` decide.
///
/// # Errors
/// [`crate::Error::Usage`] naming the option.
pub(crate) fn eviction_options(
    args: &SelectionArgs,
    budget: BudgetOptions,
) -> Result<EvictionOptions> {
    let budget = BudgetOptions {
        window_tokens: at_least_one("--window-size", Some(args.window_size))?.unwrap_or(1),
        reduce: args.reduce.into(),
        ..budget
    };
    Ok(EvictionOptions {
        kernel_size: args.kernel_size,
        pooling: args.pooling.parse().at_option("--pooling")?,
        value_norm: args.value_norm.parse().at_option("--value-norm")?,
        sink_tokens: args.sink_len,
        ..EvictionOptions::new(budget)
    })
}
