//! Greedy decode from a compressed cache, with eviction between tokens where wanted.

use super::greedy;
use crate::cache_heads::GroupReduce;
use crate::error::{Error, Result};
use crate::eviction::{DecodeEviction, ValueNorm};
use crate::model::llama::NoRows;
use crate::model::{Llama, NewValue, RaggedCache, RaggedRows};

/// How far to decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerLimits {
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Ids after which the answer ends; the stop token itself is generated.
    pub stop: Vec<u32>,
}

/// What was generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuation {
    /// The ids, with the stop token where there is one.
    pub ids: Vec<u32>,
    /// Whether the last one is a stop token.
    pub stopped: bool,
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

/// Rows for an evictor.
struct Observed<'a>(&'a mut dyn Evictor);

impl RaggedRows for Observed<'_> {
    fn projected_norms(&self) -> bool {
        self.0.projected_norms()
    }

    fn rows(&mut self, layer: usize, list: usize, rows: &[f32], value: NewValue) -> Result<()> {
        self.0.observe(layer, list, rows, value)
    }
}

impl Continuation {
    /// The ids without the stop token.
    pub fn answer_ids(&self) -> &[u32] {
        &self.ids[..self.ids.len() - usize::from(self.stopped)]
    }
}

/// Generates greedily after a prompt that `cache` holds what was kept of; `first_logits`, `[V]`,
/// are those after its last token. Equal logits: lower id. The last id is not fed back.
///
/// Without an `evictor`, `cache` must have room for `max_new_tokens - 1` tokens; with one, every
/// list must have room for one token whenever a token is run.
///
/// # Errors
/// [`Error::Bug`] for a cache without that room, for nothing to generate, for a slot that is not
/// there; the errors of [`Llama::decode`] and of `evictor`.
pub fn continue_from(
    model: &Llama,
    cache: &mut RaggedCache,
    first_logits: &[f32],
    limits: &AnswerLimits,
    mut evictor: Option<&mut dyn Evictor>,
) -> Result<Continuation> {
    if first_logits.is_empty() || limits.max_new_tokens == 0 {
        return Err(Error::bug("nothing is to be generated").got(format!(
            "{} logits, {} tokens",
            first_logits.len(),
            limits.max_new_tokens
        )));
    }
    let needed = limits.max_new_tokens - 1;
    if evictor.is_none() && cache.room() < needed {
        return Err(Error::bug("the answer does not fit the compressed cache")
            .got(format!("room for {} tokens", cache.room()))
            .expected(needed));
    }
    let mut step = |id| match &mut evictor {
        None => model.decode(id, cache, &mut NoRows),
        Some(evictor) => {
            let logits = model.decode(id, cache, &mut Observed(&mut **evictor))?;
            evict(cache, &mut **evictor)?;
            Ok(logits)
        }
    };
    let (ids, stopped) =
        greedy(first_logits.to_vec(), limits.max_new_tokens, &limits.stop, &mut step)?;
    Ok(Continuation { ids, stopped })
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
