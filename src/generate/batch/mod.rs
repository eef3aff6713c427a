//! Several prompts answered side by side, each from a cache of its own.
//!
//! ```text
//! prompts    a: run what is new      b: fork a's cache, run what is new      c: ...
//!            on a GPU ends of prompts that fork at the same place share passes
//! answers    one token of each in every pass: the weights are read once for all
//! ```
//!
//! Nothing is padded: a pass is as long as its tokens are many, and who has answered leaves.
//!
//! On the processor what a question gets does not depend on those beside it, to the bit. Its
//! prompt has passes of its own, which end where the next prompt forks off; a step of answers has
//! at most 16 rows, of which the kernels promise it. So a run may be
//! interrupted, or cut into shards, between any two questions: [`run_beginning`] makes the cache
//! that the next one goes on from.

use std::ops::Range;
use std::time::Instant;

use super::{Generation, Question, STEP_ROWS, Settings, Stop};
use crate::error::{Error, Result};
use crate::model::capture::StatsCapture;
use crate::model::llama::not_finite;
use crate::model::packed::{NoRows, PackedSequence};
use crate::model::pass::pass_lengths;
use crate::model::{KvCache, Llama};
use crate::score::{NeedleMask, Observation};

/// Answers `questions`, greedily, each with one of `caches`. The first cache holds what the first
/// question shares; every other becomes a fork of the one before it, whatever it held. `proceed` is
/// asked before every pass.
///
/// Every cache must have room for its prompt and all of the answer but one token: the last one is
/// not fed back. Equal logits: lower id. Answers and rows are those that each question alone gets,
/// but for rounding.
///
/// # Errors
/// [`Error::Bug`] for a cache that does not fit its prompt or a prompt of which nothing is left to
/// run, before anything is run; the first error of `proceed`, and those of [`Llama::run`].
pub fn generate_batch(
    model: &Llama,
    caches: &mut [KvCache],
    questions: &[Question],
    settings: &Settings,
    proceed: &mut dyn FnMut() -> Result<()>,
) -> Result<Vec<Generation>> {
    check(caches, questions)?;
    let masks = questions.iter().map(|q| NeedleMask::new(q.needle)).collect::<Result<Vec<_>>>()?;
    let asked = questions.iter().zip(&masks).map(|(question, mask)| OpenQuestion {
        question,
        capture: StatsCapture::new(mask, settings.top_k),
        generated: Vec::new(),
        stopped: false,
        prefill_secs: 0.0,
        decode_secs: 0.0,
    });
    let mut group = Batch { model, caches, asked: asked.collect(), settings };
    for pieces in group.passes() {
        proceed()?;
        group.prefill(&pieces)?;
    }
    loop {
        let open: Vec<usize> = (0..questions.len()).filter(|&i| !group.asked[i].ended()).collect();
        if open.is_empty() {
            break;
        }
        for some in open.chunks(if model.compute().on_host { STEP_ROWS } else { open.len() }) {
            proceed()?;
            group.step(some)?;
        }
    }
    Ok(group.asked.into_iter().map(|asked| asked.into_generation(model, settings)).collect())
}

/// Some of a prompt that was run once, and may be run again to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning<'a> {
    /// The prompt's ids, `[T]`.
    pub prompt: &'a [u32],
    /// [`Question::shared`]: where its own passes begin.
    pub shared: usize,
    /// [`Question::fork`]: where its passes up to the fork end.
    pub fork: usize,
    /// How many of the ids are wanted, `shared < until <= fork`.
    pub until: usize,
}

impl Beginning<'_> {
    /// The passes that are run, the last of which may go beyond what is wanted.
    fn passes(&self, settings: &Settings, model: &Llama) -> Vec<Range<usize>> {
        let block = model.compute().query_block;
        let mut from = self.shared;
        let lengths = pass_lengths(self.fork - self.shared, settings.chunk, block).into_iter();
        let ranges = lengths.map(|n| {
            from += n;
            from - n..from
        });
        ranges.take_while(|pass| pass.start < self.until).collect()
    }

    /// Tokens that a cache has to have room for while they are run.
    pub fn reach(&self, settings: &Settings, model: &Llama) -> usize {
        self.passes(settings, model).last().map_or(0, |pass| pass.end)
    }
}

/// Runs a beginning as [`generate_batch`] did behind what `cache` holds, its first `shared` tokens:
/// in the same passes, so that on the processor keys and values are the same to the bit.
///
/// # Errors
/// The first error of `proceed`, and those of [`Llama::run`].
pub fn run_beginning(
    model: &Llama,
    cache: &mut KvCache,
    beginning: &Beginning,
    settings: &Settings,
    proceed: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    for pass in beginning.passes(settings, model) {
        proceed()?;
        let ids = &beginning.prompt[pass];
        let sink = &mut NoRows;
        let sequence =
            PackedSequence { ids, cache, followed: 1, captured: 0, sink, ablation: None };
        model.run_together(&mut [sequence], &[])?;
    }
    cache.rewind(beginning.until);
    Ok(())
}

fn check(caches: &[KvCache], questions: &[Question]) -> Result<()> {
    if caches.len() != questions.len() {
        return Err(Error::bug("every question needs a cache").got(caches.len()));
    }
    if questions.first().is_some_and(|q| q.shared != caches[0].len()) {
        return Err(Error::bug("a cache does not hold what is shared").got(caches[0].len()));
    }
    for (i, (question, cache)) in questions.iter().zip(caches).enumerate() {
        let tokens = question.prompt.len();
        if question.shared >= tokens || question.fork >= tokens || question.max_new_tokens == 0 {
            return Err(Error::bug("nothing is left to run")
                .got(format!("{} of {tokens} tokens in the cache", question.shared)));
        }
        let needed = tokens.saturating_add(question.max_new_tokens - 1);
        if needed > cache.capacity() {
            return Err(Error::bug("prompt and answer do not fit the cache")
                .got(format!("room for {} tokens", cache.capacity()))
                .expected(format!("{needed}")));
        }
        if i > 0 && !questions[i - 1].prompt.starts_with(&question.prompt[..question.shared]) {
            return Err(Error::bug("two prompts do not begin alike").at(format!("question {i}")));
        }
    }
    Ok(())
}

/// Some of the tokens of one prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PromptPart {
    question: usize,
    tokens: Range<usize>,
}

/// One question on its way.
struct OpenQuestion<'a> {
    question: &'a Question<'a>,
    capture: StatsCapture<'a>,
    generated: Vec<u32>,
    stopped: bool,
    prefill_secs: f64,
    decode_secs: f64,
}

impl OpenQuestion<'_> {
    /// Takes the logits after the last token that was run.
    fn next(&mut self, logits: &[f32], stop: &Stop) -> Result<()> {
        self.capture.finish_row()?;
        let open = stop.is_open(self.question.prompt);
        self.stopped = stop.take(logits, open, &mut self.generated);
        Ok(())
    }

    fn ended(&self) -> bool {
        self.stopped || self.generated.len() >= self.question.max_new_tokens
    }

    fn into_generation(self, model: &Llama, settings: &Settings) -> Generation {
        let observation = Observation {
            layers: model.config().layers,
            heads: model.config().heads,
            prompt: self.question.prompt.to_vec(),
            needle: self.question.needle.to_vec(),
            generated: self.generated,
            stopped: self.stopped,
            rows: self.capture.into_rows(),
            top_k: settings.top_k,
            question: None,
            attribution: None,
        };
        let (prefill_secs, decode_secs) = (self.prefill_secs, self.decode_secs);
        Generation { observation, prefill_secs, decode_secs }
    }
}

/// All questions and their caches.
struct Batch<'a> {
    model: &'a Llama,
    caches: &'a mut [KvCache],
    asked: Vec<OpenQuestion<'a>>,
    settings: &'a Settings,
}

impl Batch<'_> {
    /// The passes of the prompts.
    fn passes(&self) -> Vec<Vec<PromptPart>> {
        let prompt = |a: &OpenQuestion| {
            let Question { prompt, shared, fork, .. } = *a.question;
            Stretches { shared, fork, tokens: prompt.len() }
        };
        let prompts: Vec<_> = self.asked.iter().map(prompt).collect();
        let compute = self.model.compute();
        let block = compute.query_block;
        passes(&prompts, Pace { chunk: self.settings.chunk, block, alone: compute.on_host })
    }

    /// Runs pieces of prompts in one pass, and takes the first id of every answer whose prompt ends
    /// in it.
    fn prefill(&mut self, pieces: &[PromptPart]) -> Result<()> {
        let start = Instant::now();
        for PromptPart { question, tokens } in pieces {
            let shared = self.asked[*question].question.shared;
            if *question > 0 && tokens.start == shared {
                let (before, own) = self.caches.split_at_mut(*question);
                own[0].fork(&before[question - 1], shared);
            }
        }
        let tokens_run: usize = pieces.iter().map(|piece| piece.tokens.len()).sum();
        let (mut sequences, mut ending) = (Vec::new(), Vec::new());
        for ((i, asked), cache) in self.asked.iter_mut().enumerate().zip(&mut *self.caches) {
            // Of every question one piece at most.
            let Some(piece) = pieces.iter().find(|piece| piece.question == i) else { continue };
            let (tokens, prompt) = (piece.tokens.clone(), asked.question.prompt);
            let captured = usize::from(tokens.end == prompt.len());
            if captured > 0 {
                ending.push((sequences.len(), i));
            }
            let sink = &mut asked.capture;
            sequences.push(PackedSequence {
                ids: &prompt[tokens],
                cache,
                followed: 1,
                captured,
                sink,
                ablation: None,
            });
        }
        let places: Vec<usize> = ending.iter().map(|(place, _)| *place).collect();
        let logits = self.model.run_together(&mut sequences, &places);
        let of_questions: Vec<usize> = pieces.iter().map(|piece| piece.question).collect();
        let logits = self.sound(logits, &of_questions)?;
        for ((_, i), logits) in ending.iter().zip(logits) {
            self.asked[*i].next(&logits, &self.settings.stop)?;
        }
        let secs = start.elapsed().as_secs_f64();
        for PromptPart { question, tokens } in pieces {
            let share = tokens.len() as f64 / tokens_run as f64;
            self.asked[*question].prefill_secs += secs * share;
        }
        Ok(())
    }

    /// Runs the newest id of the `open` answers in one pass and takes the next.
    fn step(&mut self, open: &[usize]) -> Result<()> {
        let start = Instant::now();
        let mut sequences = Vec::with_capacity(open.len());
        for ((i, asked), cache) in self.asked.iter_mut().enumerate().zip(&mut *self.caches) {
            if open.contains(&i) {
                let ids = &asked.generated[asked.generated.len() - 1..];
                let sink = &mut asked.capture;
                sequences.push(PackedSequence {
                    ids,
                    cache,
                    followed: 1,
                    captured: 1,
                    sink,
                    ablation: None,
                });
            }
        }
        let all: Vec<usize> = (0..open.len()).collect();
        let logits = self.model.run_together(&mut sequences, &all);
        let logits = self.sound(logits, open)?;
        for (i, logits) in open.iter().zip(&logits) {
            self.asked[*i].next(logits, &self.settings.stop)?;
        }
        let share = start.elapsed().as_secs_f64() / open.len() as f64;
        open.iter().for_each(|&i| self.asked[i].decode_secs += share);
        Ok(())
    }

    /// `logits`, or an error that says where numbers first stop being finite in one of the
    /// `questions` whose tokens were run.
    fn sound(&self, logits: Result<Vec<Vec<f32>>>, questions: &[usize]) -> Result<Vec<Vec<f32>>> {
        let error = match logits {
            Ok(logits) if logits.iter().flatten().all(|l| l.is_finite()) => return Ok(logits),
            Ok(_) => None,
            Err(e @ Error::Model(_)) => Some(e),
            Err(e) => return Err(e),
        };
        let places = questions.iter().find_map(|&i| {
            let (question, cache) = (self.asked[i].question, &self.caches[i]);
            let ids = [question.prompt, &self.asked[i].generated[..]].concat();
            let ids = &ids[question.shared..];
            self.model.first_not_finite(ids, cache, question.shared, self.settings.chunk)
        });
        Err(match (places, error) {
            (None, Some(e)) => e,
            (place, _) => not_finite(place),
        })
    }
}

/// The tokens of a prompt: those that it shares with the one before, those that the next one
/// begins with, too, and the rest.
#[derive(Debug, Clone, Copy)]
struct Stretches {
    shared: usize,
    fork: usize,
    tokens: usize,
}

/// How long passes may be.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Tokens of a pass, at most.
    chunk: usize,
    /// As [`pass_lengths`] has it.
    block: usize,
    /// Whether a prompt shares no pass with another.
    alone: bool,
}

impl Stretches {
    /// The lengths of its passes.
    fn passes(self, Pace { chunk, block, .. }: Pace) -> impl Iterator<Item = usize> {
        let fork = self.fork.max(self.shared);
        let stretches = [fork - self.shared, self.tokens - fork];
        stretches.into_iter().flat_map(move |tokens| pass_lengths(tokens, chunk, block))
    }
}

/// The passes of prompts, each of which begins with what it shares with the one before: at most
/// `chunk` tokens each, of every prompt in passes of its own as [`pass_lengths`] says. What fits
/// together is, unless they are to be `alone`, if what is shared has been run by then.
fn passes(prompts: &[Stretches], pace: Pace) -> Vec<Vec<PromptPart>> {
    let chunk = pace.chunk;
    let mut passes: Vec<Vec<PromptPart>> = Vec::new();
    // Tokens of the prompt before that are in its cache when the last of `passes` begins.
    let mut held = 0;
    let mut last = Vec::new();
    for (question, prompt) in prompts.iter().enumerate() {
        let shared = prompt.shared;
        let mut from = shared;
        let mut may_join = question > 0 && shared <= held && !pace.alone;
        held = shared;
        for n in prompt.passes(pace) {
            let room = chunk
                - last
                    .iter()
                    .map(|piece: &PromptPart| piece.tokens.len())
                    .sum::<usize>()
                    .min(chunk);
            if !last.is_empty() && (!may_join || n > room) {
                passes.push(std::mem::take(&mut last));
                held = from;
            }
            last.push(PromptPart { question, tokens: from..from + n });
            from += n;
            // Its next piece has to wait for this one.
            may_join = false;
        }
    }
    passes.extend((!last.is_empty()).then_some(last));
    passes
}

#[cfg(test)]
mod tests;
