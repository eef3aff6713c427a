//! The attention that each token received, per stored head: what all attention scores begin with.

use super::{EvictionOptions, Rows, TokenStats, ValueNorm, Wanted};
use crate::cache_heads::CacheHeads;
use crate::error::{Error, Result};

/// What [`attention_sums`] needs.
pub(super) fn wanted(rows: Rows, vatp: bool, options: &EvictionOptions) -> Wanted {
    Wanted { row_sums: [rows].into(), value_norms: vatp && options.value_norm != ValueNorm::Off }
}

/// Sums of attention over `rows`, reduced over the query heads that share a list, and with `vatp`
/// times the norms of the values: `[S, T - W]`.
///
/// # Errors
/// [`Error::Bug`] if the statistics are of other heads or were not recorded, [`Error::Model`] if one
/// is not finite.
pub(super) fn attention_sums(
    rows: Rows,
    vatp: bool,
    stats: &TokenStats,
    layer: usize,
    heads: &CacheHeads,
    options: &EvictionOptions,
) -> Result<Vec<f32>> {
    stats.check(heads)?;
    let tokens = stats.tokens;
    let before_window = tokens.saturating_sub(options.budget.window_tokens);
    // Checked before they are reduced and pooled: a maximum hides a NaN.
    let sums = finite("attention", stats.row_sums(rows, layer)?, layer, tokens)?;
    let sums = heads.reduce(sums, tokens, options.budget.reduce)?;
    let mut scores = Vec::with_capacity(heads.stored() * before_window);
    let norm = Some(options.value_norm).filter(|norm| vatp && *norm != ValueNorm::Off);
    let norms = norm
        .map(|norm| finite("the norm of a value", stats.value_norms(norm, layer)?, layer, tokens))
        .transpose()?;
    for (s, row) in sums.chunks(tokens.max(1)).enumerate() {
        let row = &row[..before_window];
        match norms {
            None => scores.extend_from_slice(row),
            Some(norms) => {
                let norms = &norms[heads.kv_head(s) * tokens..];
                scores.extend(row.iter().zip(norms).map(|(sum, norm)| sum * norm));
            }
        }
    }
    Ok(scores)
}

fn finite<'a>(what: &str, rows: &'a [f32], layer: usize, tokens: usize) -> Result<&'a [f32]> {
    match rows.iter().position(|value| !value.is_finite()) {
        None => Ok(rows),
        Some(i) => Err(Error::model(format!("{what} is not a finite number"))
            .at(format!("layer {layer}, head {}, token {}", i / tokens, i % tokens))
            .got(rows[i])
            .advice("check the checkpoint with `headprof verify`")),
    }
}
