//! Which context lengths a model has room for.

use super::inputs::{ModelFiles, ModelShape};
use crate::config::{Lengths, ProbeConfig};
use crate::error::{Error, Result};

/// Refuses lengths asked for that leave no room for `answer` tokens. Before the tokenizer is read.
///
/// # Errors
/// [`Error::Usage`] naming the longest.
pub(crate) fn check_lengths(config: &ProbeConfig, shape: &ModelShape, answer: usize) -> Result<()> {
    match &config.lengths {
        Lengths::Asked(lengths) if !config.allow_extrapolation => {
            check(lengths, answer, (&shape.name, shape.config.max_positions))
        }
        Lengths::Asked(_) | Lengths::Default(_) => Ok(()),
    }
}

/// The lengths to run: those asked for, or of the default ones those that the model is made for.
///
/// # Errors
/// [`Error::Usage`] for one that leaves no room for `longest_answer` tokens.
pub(crate) fn context_lengths(
    config: &ProbeConfig,
    model: &ModelFiles,
    longest_answer: usize,
) -> Result<Vec<usize>> {
    let positions = model.config.max_positions;
    match &config.lengths {
        Lengths::Asked(lengths) => {
            if !config.allow_extrapolation {
                check(lengths, longest_answer, (&model.name, positions))?;
            }
            Ok(lengths.clone())
        }
        Lengths::Default(lengths) => {
            let fits = |length: usize| length.saturating_add(longest_answer) <= positions;
            let fits = |length: &usize| config.allow_extrapolation || fits(*length);
            let kept: Vec<usize> = lengths.iter().copied().filter(fits).collect();
            match (kept.is_empty(), positions.saturating_sub(longest_answer)) {
                (false, _) => Ok(kept),
                (true, 0) => Err(Error::usage("the model has no room for a prompt")
                    .at("--max-new-tokens")
                    .got(longest_answer)
                    .expected(format!("less than max_position_embeddings = {positions}"))),
                (true, most) => Ok(vec![most]),
            }
        }
    }
}

/// Refuses lengths for which a model with so many positions has no room beside an answer.
fn check(lengths: &[usize], answer: usize, (model, positions): (&str, usize)) -> Result<()> {
    let fits = |length: usize| length.saturating_add(answer) <= positions;
    match lengths.iter().rev().find(|&&length| !fits(length)) {
        None => Ok(()),
        Some(length) => Err(Error::usage("the context is longer than the model is made for")
            .at(format!("context length {length}"))
            .got(format!("{length} tokens of prompt and up to {answer} of answer"))
            .expected(format!("at most max_position_embeddings = {positions} of {model}"))
            .advice(format!(
                "lengths up to {}, or --allow-extrapolation",
                positions.saturating_sub(answer)
            ))),
    }
}
