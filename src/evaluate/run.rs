//! The loop over all prompts: one prefill, then every method at every budget goes on from it.
//!
//! ```text
//! Case ─► prefill ─► full cache, TokenStats ─┬► select ─► Kept ─► RaggedCache ─► answer ─► values
//!                                            ├► …  (next setting, from the same prefill)
//! ```
//!
//! All methods here compress after the prompt was read with full attention, as their references
//! do. What the prefill computes does therefore not depend on the method, and once is enough.

use std::time::Instant;

use serde::Serialize;

use super::setting::Setting;
use super::task::{Case, Task};
use crate::cache_heads::{CacheHeads, Granularity};
use crate::error::{Error, Result};
use crate::eviction::{DecodeEviction, HeadEvidence, TokenStats, Wanted};
use crate::generate::compressed::{AnswerLimits, Evictor, continue_from};
use crate::interrupt::Interrupt;
use crate::model::{KvCache, Llama, RaggedCache};
use crate::profile::guarded;
use crate::progress::Progress;
use crate::tokenizer::Tokenizer;

/// What one setting made of one prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The answer.
    pub answer: String,
    /// One value per metric of the task.
    pub values: Vec<f64>,
    /// Tokens held after the prompt, over all layers and stored heads.
    pub kv_tokens: u64,
    /// Bytes of their keys and values.
    pub kv_bytes: u64,
    /// Bytes held when the answer ends: its own tokens are added, and evicted by some methods.
    pub kv_bytes_end: u64,
    /// Bytes that were set aside, with the room for the answer.
    pub kv_bytes_allocated: u64,
    /// Tokens generated, the stop token included.
    pub new_tokens: usize,
    /// Seconds to choose the tokens and to build the compressed cache.
    pub compress_secs: f64,
    /// Seconds for the answer.
    pub decode_secs: f64,
}

/// One prompt and what all settings made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The prompt's name.
    pub id: String,
    /// What it is about.
    pub group: String,
    /// Tokens of the prompt, `T`.
    pub prompt_tokens: usize,
    /// Where the answer stands, 0 to 1.
    pub depth: Option<f64>,
    /// The expected answer.
    pub gold: String,
    /// How often the prompt used its haystack up.
    pub haystack_cycles: usize,
    /// Seconds for the prompt, the statistics of all methods included.
    pub prefill_secs: f64,
    /// One per setting; or why there are none.
    pub outcomes: std::result::Result<Vec<Outcome>, String>,
}

/// What a run needs besides the task.
pub struct Runner<'a> {
    /// The model.
    pub model: &'a Llama,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Methods and budgets.
    pub settings: &'a [Setting],
    /// Whose caches they are about.
    pub heads: CacheHeads,
    /// What is known about the heads.
    pub evidence: HeadEvidence<'a>,
    /// Prompt tokens per pass.
    pub chunk: usize,
    /// No progress.
    pub quiet: bool,
}

impl Runner<'_> {
    /// Answers every prompt of `task` under every setting, in order.
    ///
    /// A prompt for which memory or the device does not suffice has failed; the others go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`], and every error that the next prompt would meet again.
    pub fn run(&self, task: &mut dyn Task, interrupt: &Interrupt) -> Result<Vec<Record>> {
        let mut progress =
            Progress::new(task.cases(), task.prompt_tokens(), self.quiet).counting("answered");
        let mut records = Vec::with_capacity(task.cases());
        let wanted = self.wanted();
        for index in 0..task.cases() {
            interrupt.check()?;
            let case = task.case(index)?;
            let mut record = Record {
                id: case.id.clone(),
                group: case.group.clone(),
                prompt_tokens: case.prompt.len(),
                depth: case.depth,
                gold: case.gold.clone(),
                haystack_cycles: case.haystack_cycles,
                prefill_secs: 0.0,
                outcomes: Ok(Vec::new()),
            };
            let answered = guarded(self.model.compute(), || {
                self.case(&case, &wanted, interrupt, &mut record.prefill_secs)
            });
            record.outcomes = match answered {
                Ok(mut outcomes) => {
                    for outcome in &mut outcomes {
                        outcome.values = task.values(index, &outcome.answer)?;
                    }
                    Ok(outcomes)
                }
                Err(e @ Error::Resources(_)) => Err(e.one_line()),
                Err(e) => return Err(e),
            };
            progress.advance(record.prompt_tokens, record.outcomes.is_ok());
            records.push(record);
        }
        progress.finish();
        Ok(records)
    }

    /// The union of what all settings look at.
    fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        self.settings.iter().for_each(|s| wanted.add(&s.method.wanted(&s.options)));
        wanted
    }

    fn case(
        &self,
        case: &Case,
        wanted: &Wanted,
        interrupt: &Interrupt,
        prefill_secs: &mut f64,
    ) -> Result<Vec<Outcome>> {
        let start = Instant::now();
        let mut cache = self.model.new_cache(case.prompt.len());
        let (logits, stats) = self.model.prefill(&case.prompt, &mut cache, self.chunk, wanted)?;
        *prefill_secs = start.elapsed().as_secs_f64();
        let mut full = Some(cache);
        let mut outcomes = Vec::with_capacity(self.settings.len());
        for (i, setting) in self.settings.iter().enumerate() {
            interrupt.check()?;
            // The last setting gets the only reference, so that what it evicts is freed at once.
            let last = i + 1 == self.settings.len();
            let cache = if last { full.take() } else { full.clone() };
            let cache = cache.ok_or_else(|| Error::bug("a cache was given away early"))?;
            outcomes.push(self.outcome(setting, case, cache, &logits, &stats)?);
        }
        Ok(outcomes)
    }

    fn outcome(
        &self,
        setting: &Setting,
        case: &Case,
        cache: KvCache,
        logits: &[f32],
        stats: &TokenStats,
    ) -> Result<Outcome> {
        let start = Instant::now();
        let (method, options) = (setting.method, &setting.options);
        let at = |e: Error| e.within(format!("{}, prompt {}", setting.label(), case.id));
        // What a model without compression holds: each key and value once.
        let heads = match method.token_score() {
            Some(_) => self.heads,
            None => CacheHeads { granularity: Granularity::KvHead, ..self.heads },
        };
        let (kept, _) = method.select_by(stats, heads, self.evidence, options).map_err(at)?;
        let mut eviction = DecodeEviction::new(method, &kept, stats, options)?;
        let compute = self.model.compute();
        let room = room(case, setting, eviction.is_some());
        let mut cache = RaggedCache::from_kept(cache, &kept, room, compute)?;
        let (kv_tokens, kv_bytes) = (cache.total_tokens(), cache.bytes());
        let kv_bytes_allocated = cache.allocated_bytes();
        let (compress_secs, start) = (start.elapsed().as_secs_f64(), Instant::now());
        let limits =
            AnswerLimits { max_new_tokens: case.max_new_tokens, stop: case.stop_ids.clone() };
        let evictor = eviction.as_mut().map(|e| e as &mut dyn Evictor);
        let continuation = continue_from(self.model, &mut cache, logits, &limits, evictor)?;
        Ok(Outcome {
            answer: self.tokenizer.decode(continuation.answer_ids())?,
            values: Vec::new(),
            kv_tokens,
            kv_bytes,
            kv_bytes_end: cache.bytes(),
            kv_bytes_allocated,
            new_tokens: continuation.ids.len(),
            compress_secs,
            decode_secs: start.elapsed().as_secs_f64(),
        })
    }
}

/// Tokens that a list may grow by. The last token of an answer is not fed back. Where each new token
/// evicts one, a list is at its budget before and one above it for a moment.
fn room(case: &Case, setting: &Setting, evicts: bool) -> usize {
    let answer = case.max_new_tokens.saturating_sub(1);
    match evicts {
        true => {
            let spare = setting.options.budget.capacity_tokens.saturating_sub(case.prompt.len());
            answer.min(spare + 1)
        }
        false => answer,
    }
}
