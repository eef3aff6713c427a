//! Prefill and greedy decode of one probe: [`Generation`] = answer ids and attention statistics.

use std::ops::Range;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::model::capture::StatsCapture;
use crate::model::{KvCache, Llama};
use crate::score::{NeedleMask, Observation};

/// What to generate and what to look at.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Ids after which the answer ends; the stop token itself is generated and scored.
    pub stop: Vec<u32>,
    /// Tokens per prefill pass.
    pub chunk: usize,
    /// The `k` of the scores' `Top_k`.
    pub top_k: usize,
}

/// An answer and how the heads came to it.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The rows' statistics, the generated ids, whether a stop token ended them.
    pub observation: Observation,
    /// Seconds for the prompt.
    pub prefill_secs: f64,
    /// Seconds for the answer.
    pub decode_secs: f64,
}

impl Generation {
    /// The generated ids without the stop token.
    pub fn answer_ids(&self) -> &[u32] {
        let ids = &self.observation.generated;
        &ids[..ids.len() - usize::from(self.observation.stopped)]
    }
}

/// Generates greedily after `prompt`, `[T]`, starting from what `cache` already holds of it.
///
/// The cache must hold a prefix of `prompt`, not all of it, and have room for
/// `T + max_new_tokens`. Equal logits: lower id.
///
/// # Errors
/// [`Error::Bug`] for a cache that does not fit the prompt, and the errors of [`Llama::run`].
pub fn generate(
    model: &Llama,
    cache: &mut KvCache,
    prompt: &[u32],
    needle: &[Range<usize>],
    settings: &Settings,
) -> Result<Generation> {
    if cache.len() >= prompt.len() || settings.max_new_tokens == 0 {
        return Err(Error::bug("nothing is left to run").got(format!(
            "{} of {} tokens in the cache",
            cache.len(),
            prompt.len()
        )));
    }
    let mask = NeedleMask::new(needle)?;
    let mut capture = StatsCapture::new(&mask, settings.top_k, model.compute());
    let start = Instant::now();
    let rest = &prompt[cache.len()..];
    let mut logits = model.run(rest, cache, settings.chunk, 1, &mut capture)?;
    capture.finish_row()?;
    let (prefill_secs, start) = (start.elapsed().as_secs_f64(), Instant::now());
    let (mut generated, mut stopped) = (Vec::new(), false);
    loop {
        let next = argmax(&logits);
        generated.push(next);
        stopped |= settings.stop.contains(&next);
        if stopped || generated.len() == settings.max_new_tokens {
            break;
        }
        logits = model.run(&[next], cache, 1, 1, &mut capture)?;
        capture.finish_row()?;
    }
    let observation = Observation {
        layers: model.config().layers,
        heads: model.config().heads,
        prompt: prompt.to_vec(),
        needle: needle.to_vec(),
        generated,
        stopped,
        rows: capture.into_rows(),
        top_k: settings.top_k,
    };
    Ok(Generation { observation, prefill_secs, decode_secs: start.elapsed().as_secs_f64() })
}

/// The position of the largest value; the first of equal ones.
pub fn argmax(values: &[f32]) -> u32 {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best as u32
}
