//! The attention that each token received, per stored head, and its product with the norm of the
//! value: what all attention scores begin with.

use super::{EvictionOptions, Rows, TokenStats, ValueNorm, Wanted};
use crate::error::{Error, Result};
use crate::heads::{CacheHeads, GroupReduce};

/// What [`attention_sums`] and, with `vatp`, [`weigh`] need.
pub(super) fn wanted(rows: Rows, vatp: bool, options: &EvictionOptions) -> Wanted {
    let projected = options.value_norm == ValueNorm::Projected;
    let weighs = vatp && options.value_norm != ValueNorm::Off;
    Wanted {
        row_sums: [rows].into(),
        value_norms: weighs && !projected,
        projected_norms: weighs && projected,
    }
}

/// Sums of attention over `rows`, reduced over the query heads that share a list, `[S, T - W]`.
///
/// # Errors
/// [`Error::Bug`] if the statistics are of other heads or were not recorded, [`Error::Model`] if one
/// is not finite.
pub(super) fn attention_sums(
    rows: Rows,
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
    Ok(sums.chunks(tokens.max(1)).flat_map(|row| &row[..before_window]).copied().collect())
}

/// Multiplies `scores`, `[S, N]` of the first `N` tokens of a prompt, by the norms of the values.
///
/// # Errors
/// As [`list_norms`].
pub(super) fn weigh(
    scores: &mut [f32],
    stats: &TokenStats,
    layer: usize,
    heads: &CacheHeads,
    options: &EvictionOptions,
) -> Result<()> {
    let norm = options.value_norm;
    let per_list = scores.len() / heads.stored();
    if norm == ValueNorm::Off || per_list == 0 {
        return Ok(());
    }
    let norms = list_norms(norm, stats, layer, heads)?;
    for (scores, norms) in scores.chunks_mut(per_list).zip(norms.chunks(stats.tokens)) {
        for (score, of_value) in scores.iter_mut().zip(norms) {
            *score = (*score + norm.epsilon()) * of_value;
        }
    }
    Ok(())
}

/// The norm of each token's value in each list of a layer, `[S, T]`: that of its KV head, or of
/// [`ValueNorm::Projected`] the mean over the query heads that read the list.
///
/// # Errors
/// [`Error::Bug`] if the statistics were not recorded, [`Error::Model`] if one is not finite.
pub(super) fn list_norms(
    norm: ValueNorm,
    stats: &TokenStats,
    layer: usize,
    heads: &CacheHeads,
) -> Result<Vec<f32>> {
    let tokens = stats.tokens;
    let norms = finite("the norm of a value", stats.value_norms(norm, layer)?, layer, tokens)?;
    match norm {
        ValueNorm::Projected => heads.reduce(norms, tokens, GroupReduce::Mean),
        _ => Ok((0..heads.stored())
            .flat_map(|s| &norms[heads.kv_head(s) * tokens..][..tokens])
            .copied()
            .collect()),
    }
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
