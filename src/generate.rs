//! Prefill and greedy decode of one probe: [`Generation`] = answer ids and attention statistics.
//!
//! [`compressed`] decodes from a cache that an eviction method has thinned out.

pub mod compressed;

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
/// `T + max_new_tokens - 1` tokens: the last one is not fed back. Equal logits: lower id.
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
    let needed = prompt.len().saturating_add(settings.max_new_tokens - 1);
    if needed > cache.capacity() {
        return Err(Error::bug("prompt and answer do not fit the cache")
            .got(format!("room for {} tokens", cache.capacity()))
            .expected(format!("{needed}")));
    }
    let mask = NeedleMask::new(needle)?;
    let mut capture = StatsCapture::new(&mask, settings.top_k, model.compute());
    let start = Instant::now();
    let rest = &prompt[cache.len()..];
    let logits = model.run(rest, cache, settings.chunk, 1, &mut capture)?;
    capture.finish_row()?;
    let (prefill_secs, start) = (start.elapsed().as_secs_f64(), Instant::now());
    let mut step = |id| {
        let logits = model.run(&[id], cache, 1, 1, &mut capture)?;
        capture.finish_row()?;
        Ok(logits)
    };
    let (generated, stopped) = greedy(logits, settings.max_new_tokens, &settings.stop, &mut step)?;
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

/// Ids, at least one and at most `max_new_tokens`, the first of them from `logits`, `[V]`, and
/// whether the last is one of `stop`. `step(id)` runs an id and returns the next logits; it does not
/// get the last id.
fn greedy(
    mut logits: Vec<f32>,
    max_new_tokens: usize,
    stop: &[u32],
    step: &mut dyn FnMut(u32) -> Result<Vec<f32>>,
) -> Result<(Vec<u32>, bool)> {
    let mut ids = Vec::new();
    loop {
        let next = argmax(&logits);
        ids.push(next);
        let stopped = stop.contains(&next);
        if stopped || ids.len() >= max_new_tokens {
            return Ok((ids, stopped));
        }
        logits = step(next)?;
    }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Compute;

    fn model() -> Llama {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama-mha");
        Llama::from_dir(&dir, &Compute::cpu()).unwrap()
    }

    fn settings(max_new_tokens: usize, stop: &[u32]) -> Settings {
        Settings { max_new_tokens, stop: stop.to_vec(), chunk: 16, top_k: 5 }
    }

    /// 40 tokens; the "needle" is somewhere among them.
    fn prompt() -> Vec<u32> {
        (0..40).map(|i| (i * 37 + i / 5) % 96).collect()
    }

    fn answer(model: &Llama, cache: &mut KvCache, settings: &Settings) -> Generation {
        generate(model, cache, &prompt(), &[10..14, 20..22], settings).unwrap()
    }

    #[test]
    fn an_answer_ends_at_a_stop_token_or_at_its_limit() {
        let model = model();
        // 40 + 6 - 1 tokens: the sixth is generated and not fed back.
        let mut cache = model.new_cache(45);
        let endless = answer(&model, &mut cache, &settings(6, &[]));
        let ids = endless.observation.generated.clone();
        assert_eq!((ids.len(), endless.observation.stopped), (6, false));
        assert_eq!((endless.answer_ids(), endless.observation.rows.len()), (&ids[..], 6));
        assert_eq!(cache.len(), 40 + 6 - 1);

        let mut cache = model.new_cache(45);
        let empty = answer(&model, &mut cache, &settings(6, &ids[..1]));
        assert_eq!(
            (&empty.observation.generated[..], empty.observation.stopped),
            (&ids[..1], true)
        );
        assert!(empty.answer_ids().is_empty());
        assert_eq!((empty.observation.rows.len(), cache.len()), (1, 40));

        // In between: the first id that has not occurred before ends the answer, and is in it.
        let place = (1..6).find(|&i| !ids[..i].contains(&ids[i])).expect("two different tokens");
        let mut cache = model.new_cache(45);
        let some = answer(&model, &mut cache, &settings(6, &ids[place..=place]));
        assert_eq!(
            (&some.observation.generated[..], some.answer_ids()),
            (&ids[..=place], &ids[..place])
        );
        assert_eq!(cache.len(), 40 + place);
    }

    #[test]
    fn a_forked_cache_gives_the_same_answer_twice() {
        let model = model();
        let settings = settings(4, &[]);
        let whole = answer(&model, &mut model.new_cache(43), &settings).observation;
        let mut shared = model.new_cache(43);
        model.run(&prompt()[..25], &mut shared, 16, 0, &mut crate::model::llama::NoRows).unwrap();
        let mut fork = shared.clone();
        let on_fork = answer(&model, &mut fork, &settings).observation;
        assert_eq!((shared.len(), fork.len()), (25, 43));
        let on_original = answer(&model, &mut shared, &settings).observation;
        assert_eq!(on_fork, on_original);
        // Another way to cut the prompt into passes: the same ids, and rows but for rounding.
        assert_eq!(whole.generated, on_fork.generated);
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anything_runs() {
        let model = model();
        let refused = |cache: &mut KvCache, settings: &Settings| {
            let before = cache.len();
            let e = generate(&model, cache, &prompt(), &[10..14], settings).unwrap_err();
            assert_eq!((e.exit_code(), cache.len()), (1, before));
            e.to_string()
        };
        let told = refused(&mut model.new_cache(44), &settings(6, &[]));
        assert!(told.contains("room for 44") && told.contains("45"), "{told}");
        assert!(refused(&mut model.new_cache(44), &settings(usize::MAX, &[])).contains("room for"));
        assert!(refused(&mut model.new_cache(44), &settings(0, &[])).contains("nothing is left"));
        let mut full = model.new_cache(44);
        answer(&model, &mut full, &settings(1, &[]));
        assert!(refused(&mut full, &settings(1, &[])).contains("40 of 40"));
    }

    #[test]
    fn of_equal_logits_the_lower_id_is_taken() {
        assert_eq!(argmax(&[0.5, 2.0, -1.0, 2.0]), 1);
        assert_eq!(argmax(&[-3.0, -3.0]), 0);
        assert_eq!(argmax(&[-2.0, -1.0, f32::MIN]), 1);
    }
}
