//! Greedy decode from a compressed cache, with eviction between tokens where wanted.

use std::time::Instant;

use super::STEP_ROWS;
use super::Stop;
use crate::error::{Error, Result};
use crate::eviction::{DecodeEviction, ValueNorm};
use crate::heads::GroupReduce;
use crate::model::{Llama, NewValue, RaggedCache, RaggedRows, RaggedStep};

/// How far to decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerLimits {
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Where the answer ends; the stop token itself is generated.
    pub stop: Stop,
    /// [`Stop::is_open`] of the prompt.
    pub open: bool,
}

/// What was generated.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// The ids, with the stop token where there is one.
    pub ids: Vec<u32>,
    /// Whether the last one is a stop token.
    pub stopped: bool,
    /// Seconds: its own attention and eviction, and its share of what was done for all answers
    /// together.
    pub secs: f64,
}

/// Decides, after each generated token, which tokens the heads forget.
///
/// Slots are those of [`RaggedCache`]: in order of positions, the newest token last. After a token
/// has been run, [`Evictor::observe`] is called once for every list, in order of layers and lists;
/// then, for every list in the same order, [`Evictor::evict`] until it has no more to evict.
pub trait Evictor {
    /// Whether it wants [`NewValue::projected_norms`], which cost a product of matrices per layer.
    fn projected_norms(&self) -> bool {
        false
    }

    /// The rows, `[readers, len]`, of the newest token over one list, itself included: `len` is one
    /// more than what the last call left. `value` is the newest token's.
    ///
    /// # Errors
    /// If the rows cannot be used; decoding ends with that error.
    fn observe(&mut self, layer: usize, list: usize, rows: &[f32], value: NewValue) -> Result<()>;

    /// A slot of the list to evict now. The slots behind it move up by one before the next call.
    fn evict(&mut self, layer: usize, list: usize) -> Option<usize>;
}

impl Evictor for DecodeEviction {
    fn projected_norms(&self) -> bool {
        self.value_norm() == Some(ValueNorm::Projected)
    }

    fn observe(&mut self, layer: usize, list: usize, rows: &[f32], value: NewValue) -> Result<()> {
        let norm = match self.value_norm() {
            None => 1.0,
            Some(ValueNorm::Projected) => {
                GroupReduce::Mean.of(value.projected_norms.iter().copied())
            }
            Some(norm) => norm.of(value.entries),
        };
        DecodeEviction::observe(self, layer, list, rows, norm)
    }

    fn evict(&mut self, layer: usize, list: usize) -> Option<usize> {
        DecodeEviction::evict(self, layer, list)
    }
}

/// Rows for an evictor, if there is one.
struct EvictorRows<'a>(Option<&'a mut dyn Evictor>);

impl RaggedRows for EvictorRows<'_> {
    fn wanted(&self) -> bool {
        self.0.is_some()
    }

    fn projected_norms(&self) -> bool {
        self.0.as_ref().is_some_and(|evictor| evictor.projected_norms())
    }

    fn rows(&mut self, layer: usize, list: usize, rows: &[f32], value: NewValue) -> Result<()> {
        match &mut self.0 {
            Some(evictor) => evictor.observe(layer, list, rows, value),
            None => Ok(()),
        }
    }
}

impl Continuation {
    /// The ids without the stop token.
    pub fn answer_ids(&self) -> &[u32] {
        &self.ids[..self.ids.len() - usize::from(self.stopped)]
    }
}

/// An answer that goes on from a compressed cache.
pub struct Continuing<'a> {
    /// What is kept of the prompt.
    pub cache: &'a mut RaggedCache,
    /// What it forgets while the answer grows; `None` if nothing.
    pub evictor: Option<&'a mut dyn Evictor>,
}

/// Generates greedily after a prompt that `cache` holds what was kept of; `first_logits`, `[V]`,
/// are those after its last token. As [`continue_batch`] with one answer.
///
/// # Errors
/// As [`continue_batch`].
pub fn continue_from(
    model: &Llama,
    cache: &mut RaggedCache,
    first_logits: &[f32],
    limits: &AnswerLimits,
    evictor: Option<&mut dyn Evictor>,
) -> Result<Continuation> {
    let evictor = evictor.map(|e| e as &mut dyn Evictor);
    let one = vec![Continuing { cache, evictor }];
    let mut answers = continue_batch(model, one, first_logits, limits)?;
    answers.pop().ok_or_else(|| Error::bug("an answer was not generated"))
}

/// Generates greedily after one prompt, once from each of `answers`, which hold what was kept of
/// it: a token of each in every pass, until the last has ended. `first_logits`, `[V]`, are those
/// after its last token. Equal logits: lower id. The last id of an answer is not fed back.
///
/// Without an evictor, a cache must have room for `max_new_tokens - 1` tokens; with one, every
/// list must have room for one token whenever a token is run.
///
/// # Errors
/// [`Error::Bug`] for a cache without that room, for nothing to generate, for a slot that is not
/// there; the errors of [`Llama::decode_together`] and of evictors.
pub fn continue_batch(
    model: &Llama,
    answers: Vec<Continuing>,
    first_logits: &[f32],
    limits: &AnswerLimits,
) -> Result<Vec<Continuation>> {
    if first_logits.is_empty() || limits.max_new_tokens == 0 {
        return Err(Error::bug("nothing is to be generated").got(format!(
            "{} logits, {} tokens",
            first_logits.len(),
            limits.max_new_tokens
        )));
    }
    let needed = limits.max_new_tokens - 1;
    let fits = |answer: &&Continuing| answer.evictor.is_some() || answer.cache.room() >= needed;
    if let Some(answer) = answers.iter().find(|answer| !fits(answer)) {
        return Err(Error::bug("the answer does not fit the compressed cache")
            .got(format!("room for {} tokens", answer.cache.room()))
            .expected(needed));
    }
    let mut ids = Vec::new();
    let stopped = limits.stop.take(first_logits, limits.open, &mut ids);
    let begun = Continuation { ids, stopped, secs: 0.0 };
    let begin = |Continuing { cache, evictor }| {
        let observed = EvictorRows(evictor);
        OpenAnswer { cache, observed, most: limits.max_new_tokens, so_far: begun.clone() }
    };
    let mut answers: Vec<OpenAnswer> = answers.into_iter().map(begin).collect();
    loop {
        let start = Instant::now();
        let mut open: Vec<&mut OpenAnswer> = answers.iter_mut().filter(|a| !a.ended()).collect();
        if open.is_empty() {
            return Ok(answers.into_iter().map(|answer| answer.so_far).collect());
        }
        let rows = if model.compute().on_host { STEP_ROWS } else { open.len() };
        let (mut logits, mut own) = (Vec::new(), Vec::<f64>::new());
        for some in open.chunks_mut(rows) {
            let mut steps: Vec<RaggedStep> = some.iter_mut().map(|answer| answer.step()).collect();
            logits.append(&mut model.decode_together(&mut steps)?);
            own.extend(steps.iter().map(|step| step.attention_secs));
        }
        for ((answer, logits), own) in open.iter_mut().zip(&logits).zip(&mut own) {
            let evicting = Instant::now();
            if let Some(evictor) = &mut answer.observed.0 {
                evict(answer.cache, &mut **evictor)?;
            }
            *own += evicting.elapsed().as_secs_f64();
            let Continuation { ids, stopped, .. } = &mut answer.so_far;
            *stopped = limits.stop.take(logits, limits.open, ids);
        }
        // What was done for all at once is shared evenly.
        let share = (start.elapsed().as_secs_f64() - own.iter().sum::<f64>()) / own.len() as f64;
        open.iter_mut().zip(&own).for_each(|(answer, own)| answer.so_far.secs += own + share);
    }
}

/// A [`Continuing`] on its way.
struct OpenAnswer<'a> {
    cache: &'a mut RaggedCache,
    observed: EvictorRows<'a>,
    /// Most tokens.
    most: usize,
    so_far: Continuation,
}

impl OpenAnswer<'_> {
    fn ended(&self) -> bool {
        self.so_far.stopped || self.so_far.ids.len() >= self.most
    }

    /// Its newest token, to be run.
    fn step(&mut self) -> RaggedStep<'_> {
        let id = self.so_far.ids[self.so_far.ids.len() - 1];
        RaggedStep { id, cache: self.cache, observer: &mut self.observed, attention_secs: 0.0 }
    }
}

/// Removes what `evictor` names, list by list.
fn evict(cache: &mut RaggedCache, evictor: &mut dyn Evictor) -> Result<()> {
    let heads = cache.heads();
    for layer in 0..heads.layers {
        for list in 0..heads.stored() {
            while let Some(slot) = evictor.evict(layer, list) {
                cache.remove(layer, list, slot)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
