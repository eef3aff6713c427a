//! Prefill and greedy decode of one probe: [`Generation`] = answer ids and attention statistics.
//!
//! [`batch`] answers several at once; [`compressed`] decodes from a cache that an eviction
//! method has thinned out; [`ablated`] answers with heads switched off.

pub mod ablated;
pub mod batch;
pub mod compressed;
mod guard;

use std::ops::Range;

use crate::chat::Marks;
use crate::error::{Error, Result};
use crate::model::{KvCache, Llama};
use crate::score::Observation;

pub use batch::generate_batch;
pub(crate) use guard::guarded;

/// Rows of a step of answers on the processor, at most. With more, products are computed in
/// another way, with other roundings.
pub(crate) const STEP_ROWS: usize = 16;

/// A prompt to answer.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Its ids, `[T]`.
    pub prompt: &'a [u32],
    /// How many of them are those of the question before, or in the cache, and not run; not all.
    pub shared: usize,
    /// How many of them the question after it begins with, too: a pass ends there, so that they can
    /// be run again, to the bit, without the rest ([`batch::run_beginning`]). 0 for none.
    pub fork: usize,
    /// Where the needle is.
    pub needle: &'a [Range<usize>],
    /// Most tokens of the answer; at least one.
    pub max_new_tokens: usize,
}

/// Where answers end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stop {
    /// Ids after which an answer ends.
    pub ids: Vec<u32>,
    /// Whether the first token of an answer is none of them, however likely: no answer is empty.
    /// This is what transformers makes of a `min_length` of one more than the prompt.
    pub not_first: bool,
    /// Within what a model thinks, a line break ends nothing.
    pub thinking: Option<Marks>,
}

impl Stop {
    /// At these ids, wherever they come.
    pub fn at(ids: Vec<u32>) -> Self {
        Self { ids, ..Self::default() }
    }

    /// Whether `prompt` ends within what the model thinks.
    pub fn is_open(&self, prompt: &[u32]) -> bool {
        self.thinking.as_ref().is_some_and(|marks| marks.is_open(prompt))
    }

    /// Adds the next id by its `logits` to an answer that has `generated` so far, and says whether
    /// it ends there; `open`: [`Stop::is_open`] of its prompt. Equal logits: lower id.
    pub fn take(&self, logits: &[f32], open: bool, generated: &mut Vec<u32>) -> bool {
        let barred = if self.not_first && generated.is_empty() { &self.ids[..] } else { &[] };
        let id = largest(logits, barred);
        generated.push(id);
        let held = || self.thinking.as_ref().is_some_and(|marks| marks.hold(open, generated));
        self.ids.contains(&id) && !held()
    }
}

/// How to generate and what to look at.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the answer ends; the stop token itself is generated and scored.
    pub stop: Stop,
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

/// The position of the largest value; the first of equal ones.
pub fn argmax(values: &[f32]) -> u32 {
    largest(values, &[])
}

/// The same of the positions that are not `barred`; 0 if there is none.
fn largest(values: &[f32], barred: &[u32]) -> u32 {
    let mut best: Option<(usize, f32)> = None;
    for (i, &value) in values.iter().enumerate() {
        if best.is_none_or(|(_, most)| value > most) && !barred.contains(&(i as u32)) {
            best = Some((i, value));
        }
    }
    best.map_or(0, |(i, _)| i as u32)
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
        let question = Question { prompt, shared, fork: 0, needle, max_new_tokens: n };
        let settings = Settings { stop: Stop::at(stop.to_vec()), chunk: 16, top_k: 5 };
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

    #[test]
    fn a_first_token_that_may_not_end_the_answer_is_the_next_best() {
        let logits = [0.5, 3.0, 2.0, 2.0];
        let next = |stop: &Stop, so_far: &[u32]| {
            let mut generated = so_far.to_vec();
            let stopped = stop.take(&logits, false, &mut generated);
            (generated[so_far.len()], stopped)
        };
        let stop = Stop::at(vec![1, 3]);
        assert_eq!((next(&stop, &[]), next(&stop, &[2])), ((1, true), (1, true)));
        let stop = Stop { not_first: true, ..stop };
        assert_eq!((next(&stop, &[]), next(&stop, &[2])), ((2, false), (1, true)));
        assert_eq!(largest(&logits, &[0, 1, 2, 3]), 0);
    }

    /// What would end the answer at once is not taken; further on it ends the answer as ever.
    #[test]
    fn no_answer_is_empty_where_the_first_token_is_barred() {
        let model = model();
        let first = answer(&model, &mut model.new_cache(45), 1, &[]).observation.generated[0];
        let settings = |stop| Settings { stop, chunk: 16, top_k: 5 };
        let asked = |stop: Stop| {
            let (prompt, needle) = (&prompt()[..], &[10..14, 20..22][..]);
            let question = Question { prompt, shared: 0, fork: 0, needle, max_new_tokens: 6 };
            let mut cache = model.new_cache(45);
            generate(&model, &mut cache, question, &settings(stop)).unwrap().observation
        };
        let barred = asked(Stop { not_first: true, ..Stop::at(vec![first]) });
        let id = barred.generated[0];
        assert!(id != first && asked(Stop::at(vec![first])).generated == [first]);
        let both = asked(Stop { not_first: true, ..Stop::at(vec![first, id]) });
        assert!(![first, id].contains(&both.generated[0]));
        // The same answer if the token that it begins with ends it only later.
        let place = barred.generated.iter().position(|&i| i == first);
        assert_eq!(barred.stopped, place == Some(barred.generated.len() - 1));
        assert_eq!(barred.rows.len(), barred.generated.len());
    }
}
