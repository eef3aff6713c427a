//! The loop over all prompts: one prefill, then every method at every budget goes on from it.
//!
//! ```text
//! Case ─► prefill ─► full layers, TokenStats ─┬► select ─► Kept ─► RaggedCache ─► answer ─► values
//!                                             ├► …  (next setting, from the same prefill)
//! ```
//!
//! All methods here compress after the prompt was read with full attention, as their references
//! do. What the prefill computes does therefore not depend on the method, and once is enough.
//!
//! There are two orders, with the same numbers. *Layer by layer*, the prompt passes one layer, all
//! settings choose from it, and it is freed: one full layer exists at a time, and all compressed
//! caches do. *Setting by setting*, the prompt passes all layers first, and the compressed caches
//! exist one after the other. The one that holds fewer bytes is taken: the first where little is kept.

use std::time::Instant;

use serde::Serialize;

use super::compressing::{Compressed, Compressing, room};
use super::setting::Setting;
use super::task::{Case, Part, Task};
use crate::cache_heads::CacheHeads;
use crate::error::{Error, Result};
use crate::eviction::{HeadEvidence, TokenStats, Wanted};
use crate::generate::compressed::{AnswerLimits, Evictor, continue_from};
use crate::interrupt::Interrupt;
use crate::model::{KvCache, Llama};
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
    /// Which part of that, if it has parts.
    pub part: Option<Part>,
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
    /// Bytes of keys and values, of all settings together, that existed at a time at most while the
    /// prompt was read and compressed. What passes through an attention is not counted; what a full
    /// cache frees while the last setting takes it apart is.
    pub kv_bytes_peak: u64,
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
                part: case.part,
                prompt_tokens: case.prompt.len(),
                depth: case.depth,
                gold: case.gold.clone(),
                haystack_cycles: case.haystack_cycles,
                prefill_secs: 0.0,
                kv_bytes_peak: 0,
                outcomes: Ok(Vec::new()),
            };
            let answered =
                guarded(self.model.compute(), || self.case(&case, &wanted, interrupt, &mut record));
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

    /// What every setting makes of `case`; times and bytes go to `record`.
    fn case(
        &self,
        case: &Case,
        wanted: &Wanted,
        interrupt: &Interrupt,
        record: &mut Record,
    ) -> Result<Vec<Outcome>> {
        match self.holds_less_by_layer(case) {
            true => self.layer_by_layer(case, wanted, interrupt, record),
            false => self.setting_by_setting(case, wanted, interrupt, record),
        }
    }

    /// Whether one full layer, what all settings keep and the prompt's states between two layers are
    /// less than all full layers. With FullKV among the settings they never are.
    fn holds_less_by_layer(&self, case: &Case) -> bool {
        let (c, tokens) = (self.model.config(), case.prompt.len());
        // In keys and values of one head.
        let states = (tokens * c.hidden).div_ceil(2 * c.head_dim);
        let full_layer = self.heads.kv_heads * tokens;
        let kept = |setting: &Setting| {
            let heads = match setting.budget_tokens {
                Some(_) => self.heads.stored(),
                None => self.heads.kv_heads,
            };
            let most = setting.budget_tokens.map_or(tokens, |budget| budget.min(tokens));
            self.heads.layers * heads * (most + room(setting, case))
        };
        let all: usize = self.settings.iter().map(kept).sum();
        full_layer + all + states < self.heads.layers * full_layer
    }

    /// All settings choose from a layer when the whole prompt has passed it; then it is freed.
    fn layer_by_layer(
        &self,
        case: &Case,
        wanted: &Wanted,
        interrupt: &Interrupt,
        record: &mut Record,
    ) -> Result<Vec<Outcome>> {
        let start = Instant::now();
        let mut settings =
            self.settings.iter().map(|s| self.compressing(s, case)).collect::<Result<Vec<_>>>()?;
        let mut done = |layer: usize, full: KvCache, stats: &TokenStats| {
            let full_bytes = full.allocated_bytes();
            each(&mut settings, full, |setting, full| {
                interrupt.check()?;
                setting.add(layer, full, stats, 0)
            })?;
            let kept: u64 = settings.iter().map(Compressing::allocated_bytes).sum();
            record.kv_bytes_peak = record.kv_bytes_peak.max(full_bytes + kept);
            Ok(())
        };
        let (logits, stats) =
            self.model.prefill_by_layer(&case.prompt, self.chunk, wanted, &mut done)?;
        let compress_secs: f64 = settings.iter().map(Compressing::secs).sum();
        record.prefill_secs = start.elapsed().as_secs_f64() - compress_secs;
        let mut outcomes = Vec::with_capacity(settings.len());
        for setting in settings {
            interrupt.check()?;
            outcomes.push(self.answer(case, setting.finish(&stats)?, &logits)?);
        }
        Ok(outcomes)
    }

    /// The full cache stays until the last setting has chosen from it; of compressed caches there is
    /// one at a time.
    fn setting_by_setting(
        &self,
        case: &Case,
        wanted: &Wanted,
        interrupt: &Interrupt,
        record: &mut Record,
    ) -> Result<Vec<Outcome>> {
        let start = Instant::now();
        let mut full = self.model.new_cache(case.prompt.len());
        let (logits, stats) = self.model.prefill(&case.prompt, &mut full, self.chunk, wanted)?;
        record.prefill_secs = start.elapsed().as_secs_f64();
        let full_bytes = full.allocated_bytes();
        let mut outcomes = Vec::with_capacity(self.settings.len());
        each(self.settings, full, |setting, full| {
            interrupt.check()?;
            let mut compressing = self.compressing(setting, case)?;
            for (layer, full) in full.into_single_layers().enumerate() {
                compressing.add(layer, full, &stats, layer)?;
            }
            let most = full_bytes + compressing.allocated_bytes();
            record.kv_bytes_peak = record.kv_bytes_peak.max(most);
            outcomes.push(self.answer(case, compressing.finish(&stats)?, &logits)?);
            Ok(())
        })?;
        Ok(outcomes)
    }

    fn compressing<'a>(&'a self, setting: &'a Setting, case: &'a Case) -> Result<Compressing<'a>> {
        Compressing::new(setting, case, self.heads, self.evidence, self.model.compute())
    }

    fn answer(&self, case: &Case, compressed: Compressed, logits: &[f32]) -> Result<Outcome> {
        let Compressed { mut cache, mut eviction, secs } = compressed;
        let (kv_tokens, kv_bytes) = (cache.total_tokens(), cache.bytes());
        let kv_bytes_allocated = cache.allocated_bytes();
        let start = Instant::now();
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
            compress_secs: secs,
            decode_secs: start.elapsed().as_secs_f64(),
        })
    }
}

/// Calls `use_full(item, full)` for each of `items`. The last gets the only reference, so that what
/// it leaves is freed at once.
fn each<I: IntoIterator>(
    items: I,
    full: KvCache,
    mut use_full: impl FnMut(I::Item, KvCache) -> Result<()>,
) -> Result<()> {
    let mut items = items.into_iter().peekable();
    let mut full = Some(full);
    while let Some(item) = items.next() {
        let full = if items.peek().is_some() { full.clone() } else { full.take() };
        use_full(item, full.ok_or_else(|| Error::bug("a cache was given away early"))?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
