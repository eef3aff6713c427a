//! Head scores as weights of the stored heads.

use super::Request;
use crate::error::{Error, Result};
use crate::heads::HeadMatrix;

/// The scores of the stored heads, `[L * S]`: the query heads' own, or reduced to their KV head.
///
/// # Errors
/// [`Error::Bug`] if there are none or they have another shape, [`Error::Data`] if one is negative
/// or all are 0.
pub(super) fn of_stored_heads(request: &Request) -> Result<Vec<f64>> {
    let heads = request.heads;
    let scores = request.head_scores.ok_or_else(|| Error::bug("an allocator needs head scores"))?;
    if (scores.layers(), scores.heads()) != (heads.layers, heads.heads) {
        return Err(Error::bug("head scores of another shape")
            .got(format!("{} layers x {} heads", scores.layers(), scores.heads()))
            .expected(format!("{} layers x {} heads", heads.layers, heads.heads)));
    }
    if let Some(i) = scores.values().iter().position(|score| *score < 0.0) {
        return Err(Error::data("a head score is negative")
            .at(format!("layer {}, head {}", i / heads.heads, i % heads.heads))
            .got(scores.values()[i])
            .expected("a number from 0 upwards"));
    }
    refuse_all_zero(scores)?;
    let mut stored = Vec::with_capacity(heads.layers * heads.stored());
    for layer in scores.values().chunks(heads.heads) {
        let reduced = heads.reduce(layer, 1, request.options.reduce)?;
        stored.extend(reduced.into_iter().map(f64::from));
    }
    Ok(stored)
}

/// Refuses head scores, `[L, H]`, that no head stands out by.
///
/// # Errors
/// [`Error::Data`] if all are 0.
pub fn refuse_all_zero(scores: &HeadMatrix) -> Result<()> {
    if scores.values().iter().any(|score| *score != 0.0) {
        return Ok(());
    }
    Err(Error::data("all head scores are 0, so they say nothing about any head")
        .got(format!("{} zeros", scores.values().len()))
        .expected("at least one head with a score above 0")
        .advice("use the scores of another run, or the method uniform"))
}

/// `(score / largest score) ** temp`, all within 0 and 1: the power does not overflow, and the
/// largest stays.
pub(super) fn powers(scores: &[f64], temp: f64) -> Vec<f64> {
    let largest = scores.iter().fold(0.0, |m: f64, s| m.max(*s));
    scores.iter().map(|s| (s / largest).powf(temp)).collect()
}

/// The error for scores whose sum is 0 or beyond the number type once the formula is applied.
pub(super) fn vanished(temp: f64) -> Error {
    Error::data("the head scores to the power of --temp are too small or too large to add up")
        .at("--temp")
        .got(temp)
        .expected("an exponent near 1")
}
