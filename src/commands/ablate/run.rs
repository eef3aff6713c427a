//! The loop over all prompts: each is read once with all heads on, and again for every set of
//! heads, from the first layer on that has one of them.
//!
//! ```text
//! Case ─► read, all heads on ─► states between layers, cache ─┬► set of heads off ─► expected answer's
//!                                                             │    log-probability ─► answer ─► gate
//!                                                             └► …  (next set, on a fork of the cache)
//! ```

use std::collections::BTreeSet;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::config::{AblateConfig, When};
use super::sets::OffSet;
use crate::chat::{Marks, Said};
use crate::error::{Error, Result};
use crate::generate::ablated::{Ablated, answers, log_probabilities};
use crate::generate::compressed::AnswerLimits;
use crate::generate::{Stop, guarded};
use crate::heads::HeadSet;
use crate::journal::{Done, Finished, Journal};
use crate::model::ablation::traced::TracedPrompt;
use crate::model::ablation::{Ablation, How, UsualOutputs};
use crate::model::{KvCache, Llama};
use crate::prompt::expected::expected_ids;
use crate::system::Reporter;
use crate::system::interrupt::Interrupt;
use crate::system::progress::Progress;
use crate::tasks::{Case, Task};
use crate::tokenizer::Tokenizer;

/// How many sets of heads are answered together, where that is not said: products of more rows are
/// no longer bound by reading the weights.
const TOGETHER: usize = 16;
/// What their caches hold together at most, where that is not said, in bytes.
const TOGETHER_BYTES: u64 = 2 << 30;
/// Prompts whose tokens decide what a head puts out on average.
pub(super) const USUAL_PROMPTS: usize = 16;

/// What the model made of one prompt with one set of heads off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it wrote, all of it.
    pub answer: String,
    /// What of it is judged, where the model thought before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<String>,
    /// 1 if it passes the gate, 0 otherwise.
    pub accuracy: f64,
    /// The natural logarithm of the expected answer's probability.
    pub log_probability: f64,
}

/// One prompt and what became of it with every set of heads off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptRecord {
    /// The prompt's name.
    pub id: String,
    /// What it is about.
    pub group: String,
    /// What it asks about: answers about the same are alike.
    pub about: String,
    /// Where it stands in the grid.
    pub place: String,
    /// Tokens of the prompt, `T`.
    pub prompt_tokens: usize,
    /// The depths that lead to this prompt, 0 to 1, the nearest first.
    pub depths: Vec<f64>,
    /// The expected answer.
    pub gold: String,
    /// Its tokens.
    pub gold_tokens: usize,
    /// How often the prompt used its haystack up.
    pub haystack_cycles: usize,
    /// Seconds, all sets included.
    pub secs: f64,
    /// One per set; or why there are none.
    pub outcomes: std::result::Result<Vec<Outcome>, String>,
}

impl PromptRecord {
    fn of(case: &Case, gold_tokens: usize) -> Self {
        Self {
            id: case.id.clone(),
            group: case.group.clone(),
            about: case.about.clone(),
            place: case.place(),
            prompt_tokens: case.prompt.len(),
            depths: case.depths.clone(),
            gold: case.gold.clone(),
            gold_tokens,
            haystack_cycles: case.haystack_cycles,
            secs: 0.0,
            outcomes: Ok(Vec::new()),
        }
    }
}

impl Finished for PromptRecord {
    fn same(&self, other: &Self) -> bool {
        let timeless = |record: &Self| Self { secs: 0.0, ..record.clone() };
        timeless(self) == timeless(other)
    }
}

/// What a run needs besides the task.
pub struct Runner<'a> {
    /// The model.
    pub model: &'a Llama,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// What becomes of heads that are off.
    pub how: How,
    /// From where on.
    pub when: When,
    /// Prompt tokens per pass.
    pub chunk: usize,
    /// How many sets are answered together; `None` for as many as pay and fit.
    pub batch: Option<usize>,
    /// Whom to tell.
    pub reporter: Reporter,
}

impl<'a> Runner<'a> {
    /// For `config`.
    pub fn new(config: &AblateConfig, model: &'a Llama, tokenizer: &'a Tokenizer) -> Self {
        Self {
            model,
            tokenizer,
            how: config.how,
            when: config.when,
            chunk: config.probes.chunk_tokens(model.compute()),
            batch: config.batch,
            reporter: config.reporter,
        }
    }

    /// `heads` off, each set of them ready for passes. What heads put out on average is that over
    /// the first prompts of `task`, whichever of them are run; nothing if there is nothing `todo`.
    ///
    /// # Errors
    /// As [`UsualOutputs::add`].
    pub fn ablations<'s>(
        &self,
        task: &dyn Task,
        heads: impl Iterator<Item = &'s HeadSet>,
        todo: &BTreeSet<usize>,
        interrupt: &Interrupt,
    ) -> Result<Vec<Ablation>> {
        if todo.is_empty() {
            return Ok(Vec::new());
        }
        let usual = match self.how {
            How::Zero | How::Uniform => None,
            How::Mean => {
                let mut usual = UsualOutputs::new(self.model.config());
                for index in 0..task.cases().min(USUAL_PROMPTS) {
                    interrupt.check()?;
                    let prompt = task.case(index)?.prompt;
                    guarded(self.model.compute(), self.reporter, || {
                        usual.add(self.model, &prompt, self.chunk)
                    })?;
                }
                Some(usual)
            }
        };
        let (config, compute) = (self.model.config(), self.model.compute());
        let off = |heads| Ablation::new(heads, self.how, usual.as_ref(), config, compute);
        Ok(heads.map(off).collect())
    }

    /// Answers the prompts of `task` at the places `todo` with each of `sets` off, in order, and
    /// journals each prompt when it is finished.
    ///
    /// A prompt for which memory or the device does not suffice has failed; the others go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`], and every error that the next prompt would meet again.
    pub fn run(
        &self,
        task: &mut dyn Task,
        sets: &[OffSet],
        todo: &BTreeSet<usize>,
        journal: &Journal,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let off = self.ablations(task, sets.iter().map(|set| &set.heads), todo, interrupt)?;
        self.each_prompt(task, todo, interrupt, |task, index, case| {
            let gold = self.expected_ids(case)?;
            let mut record = PromptRecord::of(case, gold.len());
            let start = Instant::now();
            let answered = guarded(self.model.compute(), self.reporter, || {
                self.outcomes(case, &gold, &off, interrupt)
            });
            record.secs = start.elapsed().as_secs_f64();
            record.outcomes = match answered {
                Ok(mut outcomes) => {
                    for outcome in &mut outcomes {
                        let judged = outcome.judged.as_ref().unwrap_or(&outcome.answer);
                        outcome.accuracy = accuracy(task, index, judged)?;
                    }
                    Ok(outcomes)
                }
                Err(e @ Error::Resources(_)) => Err(e.one_line()),
                Err(e) => return Err(e),
            };
            let (id, failed) = (record.id.clone(), record.outcomes.is_err());
            journal.append(&[Done { index, id, failed, result: record }])?;
            Ok(!failed)
        })
    }

    /// Calls `finish(task, index, case)`, which says whether it went well, for the prompts at the
    /// places `todo`, and tells how far it is.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; the first error of `finish`.
    pub fn each_prompt(
        &self,
        task: &mut dyn Task,
        todo: &BTreeSet<usize>,
        interrupt: &Interrupt,
        mut finish: impl FnMut(&mut dyn Task, usize, &Case) -> Result<bool>,
    ) -> Result<()> {
        let share = todo.len() as f64 / task.cases().max(1) as f64;
        let tokens = (task.prompt_tokens() as f64 * share) as u64;
        let mut progress =
            Progress::new(todo.len(), tokens, self.reporter.quiet).counting("answered");
        for &index in todo {
            interrupt.check()?;
            let case = task.case(index)?;
            let well = finish(task, index, &case)?;
            progress.advance(case.prompt.len(), well);
        }
        progress.finish();
        Ok(())
    }

    /// What becomes of `case` with each of `off`.
    fn outcomes(
        &self,
        case: &Case,
        gold: &[u32],
        off: &[Ablation],
        interrupt: &Interrupt,
    ) -> Result<Vec<Outcome>> {
        let prompt = self.traced(case, gold, off)?;
        let limits = self.limits(case);
        let mut outcomes = Vec::with_capacity(off.len());
        for off in off.chunks(self.together(&prompt, case, gold)) {
            let mut read = Vec::with_capacity(off.len());
            for off in off {
                interrupt.check()?;
                read.push(Ablated::read(&prompt, Some(off))?);
            }
            let likely = log_probabilities(self.model, &mut read, gold)?;
            let given = answers(self.model, read, &limits)?;
            for (given, log_probability) in given.into_iter().zip(likely) {
                let said = Said::new(self.tokenizer, &case.prompt, given.answer_ids())?;
                let judged = said.judged();
                outcomes.push(Outcome {
                    answer: said.whole,
                    judged,
                    accuracy: 0.0,
                    log_probability,
                });
            }
        }
        Ok(outcomes)
    }

    /// `case`, read with all heads on, to be read again with each of `off`.
    ///
    /// # Errors
    /// As [`TracedPrompt::run`].
    pub fn traced(&self, case: &Case, gold: &[u32], off: &[Ablation]) -> Result<TracedPrompt<'a>> {
        let layers = off.iter().map(Ablation::first_layer).collect();
        let from = self.tokens_before(case);
        let room = room(case, gold);
        TracedPrompt::run(self.model, &case.prompt, from, &layers, room, self.chunk)
    }

    fn tokens_before(&self, case: &Case) -> usize {
        let tokens = case.prompt.len();
        self.when.tokens_before(tokens, case.before_question.unwrap_or(tokens - 1))
    }

    /// How many sets are answered together.
    pub fn together(&self, prompt: &TracedPrompt, case: &Case, gold: &[u32]) -> usize {
        let (config, dtype) = (self.model.config(), self.model.compute().dtype);
        together(self.batch, KvCache::bytes(config, prompt.tokens() + room(case, gold), dtype))
    }

    /// How far answers to `case` go; within what a model thinks, a line break ends nothing.
    pub fn limits(&self, case: &Case) -> AnswerLimits {
        let stop = Stop { thinking: Marks::of(self.tokenizer), ..case.stop.clone() };
        let open = stop.is_open(&case.prompt);
        AnswerLimits { max_new_tokens: case.max_new_tokens, stop, open }
    }

    /// The ids of the expected answer as it stands behind the prompt.
    ///
    /// # Errors
    /// As [`expected_ids`].
    pub fn expected_ids(&self, case: &Case) -> Result<Vec<u32>> {
        expected_ids(self.tokenizer, &case.prompt, &case.gold)
            .map_err(|e| e.within(format!("prompt {}", case.id)))
    }
}

/// How many sets are answered together whose caches have `bytes` each: `batch`, or as many as pay
/// and fit.
pub(super) fn together(batch: Option<usize>, bytes: u64) -> usize {
    let fit = usize::try_from(TOGETHER_BYTES / bytes.max(1)).unwrap_or(TOGETHER);
    batch.unwrap_or_else(|| fit.min(TOGETHER)).max(1)
}

/// Tokens behind a prompt that its caches have room for.
fn room(case: &Case, gold: &[u32]) -> usize {
    case.max_new_tokens.max(gold.len())
}

/// Whether `answer` passes the gate of the prompt at `index`.
///
/// # Errors
/// As [`Task::values`].
pub fn accuracy(task: &mut dyn Task, index: usize, answer: &str) -> Result<f64> {
    let values = task.values(index, answer)?;
    values.first().copied().ok_or_else(|| Error::bug("a task without a metric"))
}
