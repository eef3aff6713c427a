//! Prefill and greedy decode of one probe: [`Generation`] = answer ids and attention statistics.
//!
//! [`batch`] answers several at once; [`compressed`] decodes from a cache that an eviction
//! method has thinned out.

pub mod batch;
pub mod compressed;

use std::ops::Range;

use crate::chat::Marks;
use crate::error::{Error, Result};
use crate::model::read_back::root_cause;
use crate::model::{Compute, KvCache, Llama};
use crate::score::Observation;
use crate::system::panics::caught;

pub use batch::generate_batch;

/// A prompt to answer.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Its ids, `[T]`.
    pub prompt: &'a [u32],
    /// How many of them are those of the question before, or in the cache, and not run; not all.
    pub shared: usize,
    /// Where the needle is.
    pub needle: &'a [Range<usize>],
    /// Most tokens of the answer; at least one.
    pub max_new_tokens: usize,
}

/// How to generate and what to look at.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Ids after which the answer ends; the stop token itself is generated and scored.
    pub stop: Vec<u32>,
    /// Within what a model thinks, a line break ends nothing.
    pub thinking: Option<Marks>,
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

/// Answers one question, greedily, from what `cache` already holds of its prompt: what it shares.
///
/// # Errors
/// As [`generate_batch`].
pub fn generate(
    model: &Llama,
    cache: &mut KvCache,
    question: Question,
    settings: &Settings,
) -> Result<Generation> {
    let caches = std::slice::from_mut(cache);
    let mut one = generate_batch(model, caches, &[question], settings, &mut || Ok(()))?;
    one.pop().ok_or_else(|| Error::bug("a question was not answered"))
}

/// Whether an answer ends with the last of `generated`. `begun`: its prompt ends within the thinking.
fn ends(stop: &[u32], thinking: Option<&Marks>, begun: bool, generated: &[u32]) -> bool {
    let stops = generated.last().is_some_and(|id| stop.contains(id));
    stops && !thinking.is_some_and(|marks| marks.hold(begun, generated))
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

/// Runs `body`; on a GPU a panic, as of a library that finds no memory left, is an error of this
/// probe alone. On the processor it is a bug and goes on.
pub(crate) fn guarded<T>(compute: &Compute, body: impl FnOnce() -> Result<T>) -> Result<T> {
    if compute.on_host {
        return body();
    }
    caught(body).unwrap_or_else(|panic| {
        Err(Error::resources("the GPU failed, perhaps for lack of memory")
            .at(&compute.name)
            .got(root_cause(&panic))
            .advice("shorter contexts, a smaller --chunk, or --device cpu"))
    })
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

    /// 40 tokens; the "needle" is somewhere among them.
    fn prompt() -> Vec<u32> {
        (0..40).map(|i| (i * 37 + i / 5) % 96).collect()
    }

    /// What is left to answer after what `cache` holds: at most `n` tokens, with an end at `stop`.
    fn asked(model: &Llama, cache: &mut KvCache, n: usize, stop: &[u32]) -> Result<Generation> {
        let (prompt, needle, shared) = (&prompt()[..], &[10..14, 20..22][..], cache.len());
        let question = Question { prompt, shared, needle, max_new_tokens: n };
        let settings = Settings { stop: stop.to_vec(), thinking: None, chunk: 16, top_k: 5 };
        generate(model, cache, question, &settings)
    }

    fn answer(model: &Llama, cache: &mut KvCache, n: usize, stop: &[u32]) -> Generation {
        asked(model, cache, n, stop).unwrap()
    }

    #[test]
    fn an_answer_ends_at_a_stop_token_or_at_its_limit() {
        let model = model();
        // 40 + 6 - 1 tokens: the sixth is generated and not fed back.
        let mut cache = model.new_cache(45);
        let endless = answer(&model, &mut cache, 6, &[]);
        let ids = endless.observation.generated.clone();
        assert_eq!((ids.len(), endless.observation.stopped), (6, false));
        assert_eq!((endless.answer_ids(), endless.observation.rows.len()), (&ids[..], 6));
        assert_eq!(cache.len(), 40 + 6 - 1);

        let mut cache = model.new_cache(45);
        let empty = answer(&model, &mut cache, 6, &ids[..1]);
        assert_eq!(
            (&empty.observation.generated[..], empty.observation.stopped),
            (&ids[..1], true)
        );
        assert!(empty.answer_ids().is_empty());
        assert_eq!((empty.observation.rows.len(), cache.len()), (1, 40));

        // In between: the first id that has not occurred before ends the answer, and is in it.
        let place = (1..6).find(|&i| !ids[..i].contains(&ids[i])).expect("two different tokens");
        let mut cache = model.new_cache(45);
        let some = answer(&model, &mut cache, 6, &ids[place..=place]);
        assert_eq!(
            (&some.observation.generated[..], some.answer_ids()),
            (&ids[..=place], &ids[..place])
        );
        assert_eq!(cache.len(), 40 + place);
    }

    #[test]
    fn a_forked_cache_gives_the_same_answer_twice() {
        let model = model();
        let whole = answer(&model, &mut model.new_cache(43), 4, &[]).observation;
        let mut shared = model.new_cache(43);
        model.run(&prompt()[..25], &mut shared, 16, 0, &mut crate::model::NoRows).unwrap();
        let mut fork = shared.clone();
        let on_fork = answer(&model, &mut fork, 4, &[]).observation;
        assert_eq!((shared.len(), fork.len()), (25, 43));
        let on_original = answer(&model, &mut shared, 4, &[]).observation;
        assert_eq!(on_fork, on_original);
        // Another way to cut the prompt into passes: the same ids, and rows but for rounding.
        assert_eq!(whole.generated, on_fork.generated);
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anything_runs() {
        let model = model();
        let refused = |cache: &mut KvCache, n: usize| {
            let before = cache.len();
            let e = asked(&model, cache, n, &[]).unwrap_err();
            assert_eq!((e.exit_code(), cache.len()), (1, before));
            e.to_string()
        };
        let told = refused(&mut model.new_cache(44), 6);
        assert!(told.contains("room for 44") && told.contains("45"), "{told}");
        assert!(refused(&mut model.new_cache(44), usize::MAX).contains("room for"));
        assert!(refused(&mut model.new_cache(44), 0).contains("nothing is left"));
        let mut full = model.new_cache(44);
        answer(&model, &mut full, 1, &[]);
        assert!(refused(&mut full, 1).contains("40 of 40"));
    }

    #[test]
    fn of_equal_logits_the_lower_id_is_taken() {
        assert_eq!(argmax(&[0.5, 2.0, -1.0, 2.0]), 1);
        assert_eq!(argmax(&[-3.0, -3.0]), 0);
        assert_eq!(argmax(&[-2.0, -1.0, f32::MIN]), 1);
    }
}
