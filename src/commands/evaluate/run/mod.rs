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
//! caches do. *Setting by setting*, the prompt passes all layers first, and of compressed caches
//! there are as many at a time as hold no more than that full cache, or the largest of them, does.
//! The order that holds fewer bytes is taken: the first where little is kept.
//!
//! Settings whose caches exist at the same time answer together: a token of each in every pass,
//! which reads the weights once for all. Where little is kept they are most of what a token reads.

mod record;

use std::collections::BTreeSet;
use std::time::Instant;

pub use record::{Outcome, PromptRecord};

use super::compressing::{Compressed, Compressing, room};
use super::evidence::Evidence;
use super::setting::Setting;
use crate::chat::{Marks, Said};
use crate::error::{Error, Result};
use crate::eviction::{TokenStats, Wanted};
use crate::generate::compressed::{AnswerLimits, Continuing, Evictor, continue_batch};
use crate::generate::{Stop, guarded};
use crate::heads::CacheHeads;
use crate::journal::{Done, Journal};
use crate::model::capture::replay::{Replay, replayed};
use crate::model::{KvCache, Llama};
use crate::score::ReplayedTokens;
use crate::system::Reporter;
use crate::system::interrupt::Interrupt;
use crate::system::progress::Progress;
use crate::tasks::{Case, Task};
use crate::tokenizer::Tokenizer;

/// How many settings answer together, where that is not said: products of more rows are no longer
/// bound by reading the weights.
const TOGETHER: usize = 16;

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
    pub evidence: &'a Evidence,
    /// How contexts are replayed, for methods that want it.
    pub replay: Option<&'a Replay>,
    /// Prompt tokens per pass.
    pub chunk: usize,
    /// How many settings answer together; `None` for as many as pay and fit.
    pub batch: Option<usize>,
    /// Whom to tell.
    pub reporter: Reporter,
}

impl Runner<'_> {
    /// Answers the prompts of `task` at the places `todo` under every setting, in order, and
    /// journals each when it is finished.
    ///
    /// A prompt for which memory or the device does not suffice has failed; the others go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`], and every error that the next prompt would meet again.
    pub fn run(
        &self,
        task: &mut dyn Task,
        todo: &BTreeSet<usize>,
        journal: &Journal,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let share = todo.len() as f64 / task.cases().max(1) as f64;
        let tokens = (task.prompt_tokens() as f64 * share) as u64;
        let mut progress =
            Progress::new(todo.len(), tokens, self.reporter.quiet).counting("answered");
        let wanted = Setting::wanted(self.settings);
        for &index in todo {
            interrupt.check()?;
            let case = task.case(index)?;
            let mut record = PromptRecord::of(&case);
            let answered = guarded(self.model.compute(), self.reporter, || {
                record = PromptRecord::of(&case);
                self.case(&case, &wanted, interrupt, &mut record)
            });
            record.outcomes = match answered {
                Ok(mut outcomes) => {
                    for outcome in &mut outcomes {
                        let judged = outcome.judged.as_ref().unwrap_or(&outcome.answer);
                        outcome.values = task.values(index, judged)?;
                    }
                    Ok(outcomes)
                }
                Err(e @ Error::Resources(_)) => Err(e.one_line()),
                Err(e) => return Err(e),
            };
            let (tokens, answered) = (record.prompt_tokens, record.outcomes.is_ok());
            let id = record.id.clone();
            journal.append(&[Done { index, id, failed: !answered, result: record }])?;
            progress.advance(tokens, answered);
        }
        progress.finish();
        Ok(())
    }

    /// What every setting makes of `case`; times and bytes go to `record`.
    fn case(
        &self,
        case: &Case,
        wanted: &Wanted,
        interrupt: &Interrupt,
        record: &mut PromptRecord,
    ) -> Result<Vec<Outcome>> {
        // A replay passes all layers before any of them may be freed.
        match self.holds_less_by_layer(case) && !wanted.replay {
            true => self.layer_by_layer(case, wanted, interrupt, record),
            false => self.setting_by_setting(case, wanted, interrupt, record),
        }
    }

    /// Whether one full layer, what all settings keep and the prompt's states between two layers
    /// are less than all full layers. With FullKV among the settings they never are.
    fn holds_less_by_layer(&self, case: &Case) -> bool {
        let (c, tokens) = (self.model.config(), case.prompt.len());
        // In keys and values of one head.
        let states = (tokens * c.hidden).div_ceil(2 * c.head_dim);
        let full_layer = self.heads.kv_heads * tokens;
        let all: usize = self.settings.iter().map(|setting| self.kept(setting, case)).sum();
        full_layer + all + states < self.heads.layers * full_layer
    }

    /// Keys and values of one head that `setting` sets aside at most for the prompt and the answer.
    fn kept(&self, setting: &Setting, case: &Case) -> usize {
        let tokens = case.prompt.len();
        let heads = match setting.budget_tokens {
            Some(_) => self.heads.stored(),
            None => self.heads.kv_heads,
        };
        let most = setting.budget_tokens.map_or(tokens, |budget| budget.min(tokens));
        self.heads.layers * heads * (most + room(setting, case))
    }

    /// How many settings answer together at most.
    fn most_together(&self) -> usize {
        most_together(self.batch, self.settings.len())
    }

    /// How many of the settings from number `from` on answer together: as many as were asked for,
    /// or else as many as hold together no more than the full cache, which is there meanwhile, or
    /// the largest of all; one at least.
    fn group(&self, from: usize, case: &Case) -> usize {
        let kept = |setting| self.kept(setting, case);
        let full = self.heads.layers * self.heads.kv_heads * case.prompt.len();
        let largest = self.settings.iter().map(kept).fold(full, usize::max);
        let mut all = 0;
        let fits = |setting: &&Setting| {
            all += self.kept(setting, case);
            self.batch.is_some() || all <= largest
        };
        let next = self.settings[from..].iter().take(self.most_together());
        next.take_while(fits).count().max(1)
    }

    /// All settings choose from a layer when the whole prompt has passed it; then it is freed.
    fn layer_by_layer(
        &self,
        case: &Case,
        wanted: &Wanted,
        interrupt: &Interrupt,
        record: &mut PromptRecord,
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
        let mut settings = settings.into_iter();
        while settings.len() > 0 {
            interrupt.check()?;
            // All caches exist already.
            let group = settings.by_ref().take(self.most_together());
            let group = group.map(|setting| setting.finish(&stats)).collect::<Result<_>>()?;
            outcomes.extend(self.answers(case, group, &logits)?);
        }
        Ok(outcomes)
    }

    /// The full cache stays until the last setting has chosen from it; of compressed caches there
    /// are those of one group at a time.
    fn setting_by_setting(
        &self,
        case: &Case,
        wanted: &Wanted,
        interrupt: &Interrupt,
        record: &mut PromptRecord,
    ) -> Result<Vec<Outcome>> {
        let start = Instant::now();
        let mut full = self.model.new_cache(case.prompt.len());
        let (logits, mut stats) =
            self.model.prefill(&case.prompt, &mut full, self.chunk, wanted)?;
        if wanted.replay {
            interrupt.check()?;
            stats.replayed = Some(self.replayed(case, &full)?);
        }
        record.prefill_secs = start.elapsed().as_secs_f64();
        let full_bytes = full.allocated_bytes();
        let mut outcomes = Vec::with_capacity(self.settings.len());
        let mut group: Vec<Compressed> = Vec::new();
        let mut in_group = self.group(0, case);
        each(self.settings, full, |setting, full| {
            interrupt.check()?;
            let mut compressing = self.compressing(setting, case)?;
            for (layer, full) in full.into_single_layers().enumerate() {
                compressing.add(layer, full, &stats, layer)?;
            }
            let beside: u64 = group.iter().map(|one| one.cache.allocated_bytes()).sum();
            let most = full_bytes + beside + compressing.allocated_bytes();
            record.kv_bytes_peak = record.kv_bytes_peak.max(most);
            group.push(compressing.finish(&stats)?);
            if group.len() == in_group {
                outcomes.extend(self.answers(case, std::mem::take(&mut group), &logits)?);
                in_group = self.group(outcomes.len(), case);
            }
            Ok(())
        })?;
        Ok(outcomes)
    }

    /// What a replay gives to what stands before the question of `case`; `full` holds the prompt.
    fn replayed(&self, case: &Case, full: &KvCache) -> Result<ReplayedTokens> {
        let (Some(replay), Some(before)) = (self.replay, case.before_question) else {
            return Err(Error::bug("a prompt that cannot be replayed").at(&case.id));
        };
        let context = &case.prompt[..before];
        let mut cache = self.model.new_cache(context.len() + replay.room(context.len()));
        cache.fork(full, context.len());
        replayed(self.model, &mut cache, context, replay)
    }

    fn compressing<'a>(&'a self, setting: &'a Setting, case: &'a Case) -> Result<Compressing<'a>> {
        let evidence = self.evidence.of(setting);
        Compressing::new(setting, case, self.heads, evidence, self.model.compute())
    }

    /// `stop`, by which a line break ends nothing while the model thinks.
    fn stop(&self, stop: &Stop) -> Stop {
        Stop { thinking: Marks::of(self.tokenizer), ..stop.clone() }
    }

    /// The answers of settings whose caches exist at the same time.
    fn answers(
        &self,
        case: &Case,
        mut group: Vec<Compressed>,
        logits: &[f32],
    ) -> Result<Vec<Outcome>> {
        let begin = |Compressed { cache, secs, .. }: &Compressed| Outcome {
            answer: String::new(),
            judged: None,
            thinking: None,
            values: Vec::new(),
            kv_tokens: cache.total_tokens(),
            kv_bytes: cache.bytes(),
            kv_bytes_end: 0,
            kv_bytes_allocated: cache.allocated_bytes(),
            new_tokens: 0,
            compress_secs: *secs,
            decode_secs: 0.0,
        };
        let mut outcomes: Vec<Outcome> = group.iter().map(begin).collect();
        let stop = self.stop(&case.stop);
        let open = stop.is_open(&case.prompt);
        let limits = AnswerLimits { max_new_tokens: case.max_new_tokens, stop, open };
        let answers = group.iter_mut().map(|Compressed { cache, eviction, .. }| Continuing {
            cache,
            evictor: eviction.as_mut().map(|e| e as &mut dyn Evictor),
        });
        let continued = continue_batch(self.model, answers.collect(), logits, &limits)?;
        for ((outcome, Compressed { cache, .. }), continuation) in
            outcomes.iter_mut().zip(&group).zip(continued)
        {
            let said = Said::new(self.tokenizer, &case.prompt, continuation.answer_ids())?;
            (outcome.judged, outcome.thinking) = (said.judged(), said.thinking);
            outcome.answer = said.whole;
            outcome.kv_bytes_end = cache.bytes();
            outcome.new_tokens = continuation.ids.len();
            outcome.decode_secs = continuation.secs;
        }
        Ok(outcomes)
    }
}

/// How many of so many settings answer together at most: `batch`, or as many as pay.
pub(super) fn most_together(batch: Option<usize>, settings: usize) -> usize {
    batch.unwrap_or(TOGETHER).min(settings).max(1)
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
