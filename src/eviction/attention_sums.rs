//! The attention that each token received, per stored head: what all attention scores begin with.

use super::{EvictionOptions, QueryRows, TokenStats};
use crate::error::{Error, Result};
use crate::heads::CacheHeads;

/// Sums of attention over `rows`, reduced over the query heads that share a list, `[S, T - W]`.
///
/// # Errors
/// [`Error::Bug`] if the statistics are of other heads or were not recorded, [`Error::Model`] if
/// one is not finite.
pub(super) fn attention_sums(
    rows: QueryRows,
    stats: &TokenStats,
    layer: usize,
    heads: &CacheHeads,
    options: &EvictionOptions,
) -> Result<Vec<f32>> {
    stats.check(heads)?;
    let tokens = stats.tokens;
    let before_window = stats.before_window(options);
    // Checked before they are reduced and pooled: a maximum hides a NaN.
    let sums = finite("attention", stats.row_sums(rows, layer)?, layer, tokens)?;
    let sums = heads.reduce(sums, tokens, options.budget.reduce)?;
    Ok(sums.chunks(tokens.max(1)).flat_map(|row| &row[..before_window]).copied().collect())
}

/// `rows`, `[.., tokens]`, unless one of them is not a finite number.
///
/// # Errors
/// [`Error::Model`] naming the layer, the row's head and the token.
pub(super) fn finite<'a>(
    what: &str,
    rows: &'a [f32],
    layer: usize,
    tokens: usize,
) -> Result<&'a [f32]> {
    match rows.iter().position(|value| !value.is_finite()) {
        None => Ok(rows),
        Some(i) => Err(Error::model(format!("{what} is not a finite number"))
            .at(format!("layer {layer}, head {}, token {}", i / tokens, i % tokens))
            .got(rows[i])
            .advice("check the checkpoint with `headprof verify`")),
    }
}
