//! Answers to one prompt with heads switched off, and how likely the expected answer is then.

use super::STEP_ROWS;
use super::compressed::{AnswerLimits, Continuation};
use crate::error::{Error, Result};
use crate::model::ablation::Ablation;
use crate::model::ablation::traced::TracedPrompt;
use crate::model::packed::{NoRows, PackedSequence};
use crate::model::{KvCache, Llama};

/// A prompt with heads off, read and not yet answered.
pub struct Ablated<'a> {
    ablation: Option<&'a Ablation>,
    cache: KvCache,
    logits: Vec<f32>,
}

impl<'a> Ablated<'a> {
    /// `prompt` with the heads of `ablation` off, or all on without one. Off they are for the
    /// answer, too.
    ///
    /// # Errors
    /// As [`TracedPrompt::without`].
    pub fn read(prompt: &TracedPrompt, ablation: Option<&'a Ablation>) -> Result<Self> {
        let (cache, logits) = match ablation {
            Some(ablation) => prompt.without(ablation)?,
            None => prompt.as_it_is(),
        };
        Ok(Self { ablation, cache, logits })
    }
}

/// The natural logarithm of the probability of `answer`, ids, behind each of `prompts`: all of it,
/// not per token. The prompts are left as they were.
///
/// # Errors
/// [`Error::Bug`] for an answer of no ids or one that a cache has no room for; those of
/// [`Llama::run`].
pub fn log_probabilities(
    model: &Llama,
    prompts: &mut [Ablated],
    answer: &[u32],
) -> Result<Vec<f64>> {
    let (Some(first), fed) = (answer.first(), answer.len().saturating_sub(1)) else {
        return Err(Error::bug("an expected answer has no tokens"));
    };
    let mut sums: Vec<f64> =
        prompts.iter().map(|prompt| log_probability(&prompt.logits, *first)).collect();
    if fed == 0 {
        return Ok(sums);
    }
    let ids = &answer[..fed];
    for (prompts, sums) in prompts.chunks_mut(STEP_ROWS).zip(sums.chunks_mut(STEP_ROWS)) {
        let before: Vec<usize> = prompts.iter().map(|prompt| prompt.cache.len()).collect();
        let mut sinks: Vec<NoRows> = prompts.iter().map(|_| NoRows).collect();
        let mut sequences = Vec::with_capacity(prompts.len());
        for (prompt, sink) in prompts.iter_mut().zip(&mut sinks) {
            model.check_ids(ids, &prompt.cache)?;
            let (cache, ablation) = (&mut prompt.cache, prompt.ablation);
            sequences.push(PackedSequence {
                ids,
                cache,
                followed: fed,
                captured: 0,
                sink,
                ablation,
            });
        }
        model.each_followed(&mut sequences, &mut |row, logits| {
            sums[row / fed] += log_probability(logits, answer[row % fed + 1]);
            Ok(())
        })?;
        for (prompt, len) in prompts.iter_mut().zip(before) {
            prompt.cache.rewind(len);
        }
    }
    match sums.iter().all(|sum| sum.is_finite()) {
        true => Ok(sums),
        false => Err(crate::model::llama::not_finite(None)),
    }
}

/// The natural logarithm of what `logits`, `[V]`, make of `id`: its logit less the logarithm of the
/// sum of all exponentials, in f64.
fn log_probability(logits: &[f32], id: u32) -> f64 {
    let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - most).exp()).sum();
    f64::from(logits[id as usize]) - most - sum.ln()
}

/// Greedy answers behind each of `prompts`: a token of each in every pass, until the last has
/// ended. Equal logits: lower id. The last id of an answer is not fed back. Seconds are not told.
///
/// # Errors
/// [`Error::Bug`] for a cache without room for `max_new_tokens - 1` tokens; those of
/// [`Llama::run`].
pub fn answers(
    model: &Llama,
    prompts: Vec<Ablated>,
    limits: &AnswerLimits,
) -> Result<Vec<Continuation>> {
    let mut all = Vec::with_capacity(prompts.len());
    for Ablated { ablation, cache, logits } in prompts {
        let mut ids = Vec::new();
        let stopped = limits.stop.take(&logits, limits.open, &mut ids);
        all.push((ablation, cache, Continuation { ids, stopped, secs: 0.0 }));
    }
    loop {
        let ended =
            |so_far: &Continuation| so_far.stopped || so_far.ids.len() >= limits.max_new_tokens;
        let mut open: Vec<_> = all.iter_mut().filter(|(_, _, so_far)| !ended(so_far)).collect();
        if open.is_empty() {
            return Ok(all.into_iter().map(|(_, _, so_far)| so_far).collect());
        }
        for some in open.chunks_mut(STEP_ROWS) {
            let last: Vec<[u32; 1]> =
                some.iter().map(|(_, _, so_far)| [so_far.ids[so_far.ids.len() - 1]]).collect();
            let mut sinks: Vec<NoRows> = some.iter().map(|_| NoRows).collect();
            let mut sequences = Vec::with_capacity(some.len());
            for (((ablation, cache, _), ids), sink) in some.iter_mut().zip(&last).zip(&mut sinks) {
                sequences.push(PackedSequence {
                    ids,
                    cache,
                    followed: 1,
                    captured: 0,
                    sink,
                    ablation: *ablation,
                });
            }
            let places: Vec<usize> = (0..sequences.len()).collect();
            let logits = model.run_together(&mut sequences, &places)?;
            for ((_, _, so_far), logits) in some.iter_mut().zip(&logits) {
                so_far.stopped = limits.stop.take(logits, limits.open, &mut so_far.ids);
            }
        }
    }
}
