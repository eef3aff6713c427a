//! `headprof evaluate`: what compression of the KV cache does to accuracy and memory.
//!
//! ```text
//! EvaluateConfig ─► TaskInputs ─► Task {Case…} ─► Runner ─► Journal ─► Record… ─► rows ─► files, table
//!                                  head_score ─► HeadEvidence ─┘
//! ```
//!
//! Every method answers the same prompts, so that they can be compared prompt by prompt.

pub mod config;

mod evidence;

mod compressing;
mod facts;
mod finish;
mod groups;
mod head_scores;
mod outputs;
mod pictures;
mod report;
mod run;
mod setting;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

pub use config::EvaluateConfig;
pub use evidence::Evidence;
pub use facts::{EvaluateFacts, SettingName};
pub use groups::{Group, GroupScore, groups};
pub use head_scores::HeadScores;
pub use run::{Outcome, PromptRecord, Runner};
pub use setting::{Compared, Setting};
pub use table::{MetricEstimate, Row, RowSeconds, rows};

use crate::error::{Error, Result};
use crate::eviction::QueryRows;
use crate::heads::Granularity;
use crate::job::{
    self, ModelFiles, OF_WEIGHTS, Running, Session, WorkPrompt, Workload, check_memory,
    check_replay, check_window,
};
use crate::journal::{ComputedOn, Merge, NewPlan, RunFolder, Told};
use crate::model::ModelConfig;
use crate::model::capture::replay::Replay;
use crate::system::interrupt::Interrupt;
use crate::system::machine;
use crate::system::terminal::wrapped;
use crate::tasks::{self, Common, Task};

/// What a comparison tells.
#[derive(Debug, Serialize)]
pub struct Evaluated {
    /// The model's name.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// One per setting.
    pub rows: Vec<Row>,
    /// Prompts that failed.
    pub failed: usize,
    /// Everything that was written.
    pub files: Vec<PathBuf>,
    /// From start to end.
    pub seconds: f64,
    /// How many settings answered a prompt together, at most.
    pub batch: usize,
    /// The largest resident memory of the process; `None` where the system does not say.
    pub peak_rss_bytes: Option<u64>,
    /// What makes an answer accurate.
    pub judged_by: String,
    /// Prompts that the run has not come to; none at its end.
    #[serde(skip_serializing_if = "is_zero")]
    pub unfinished: usize,
    /// The table for people.
    #[serde(skip)]
    pub table: String,
}

/// A comparison that was written, or a shard of one that was run.
pub struct FinishedComparison {
    /// What to tell.
    pub told: Told<Evaluated>,
    /// Why it is not complete, if some prompts failed.
    pub shortcoming: Option<Error>,
}

/// Whether there are none.
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl fmt::Display for Evaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prompts = self.rows.first().map_or(0, |row| row.prompts);
        if self.unfinished > 0 {
            write!(f, "so far, {} prompts to come: ", self.unfinished)?;
        }
        write!(f, "{} · {prompts} prompts of the task {}", self.model, self.task)?;
        if self.failed > 0 {
            write!(f, ", {} more failed", self.failed)?;
        }
        write!(f, " · {:.1} s", self.seconds)?;
        if let Some(bytes) = self.peak_rss_bytes {
            write!(f, " · {} MiB of memory at most", bytes >> 20)?;
        }
        writeln!(f, "\n\n{}", self.table)?;
        let legend = format!(
            "accuracy: {}, mean [95 % interval]; - full, - snapkv: difference, * if its interval \
             does not contain 0; KV: keys and values held after the prompt",
            self.judged_by
        );
        let together = match self.batch {
            1 => "",
            _ => {
                "; ms/token: with its share of steps that several settings take together (--batch 1: alone)"
            }
        };
        writeln!(f, "{}", wrapped(&(legend + together), COLUMNS))?;
        if self.files.is_empty() {
            return Ok(());
        }
        let folder = self.files.iter().filter_map(|file| file.parent()).min();
        let folder = folder.filter(|p| *p != Path::new("")).unwrap_or(Path::new("."));
        writeln!(
            f,
            "{} files in {}: evaluate.md has the whole table",
            self.files.len(),
            folder.display()
        )
    }
}

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// What comparisons are called among journals.
pub const KIND: &str = "evaluate";

/// Compares the settings of `config` and writes the files; of a shard, its journal alone. Goes on
/// with what an earlier run has finished.
///
/// # Errors
/// As its stages. [`Error::Evidence`] if every prompt failed.
pub fn run(config: &EvaluateConfig, interrupt: &Interrupt) -> Result<FinishedComparison> {
    let start = Instant::now();
    let probes = &config.probes;
    let session = job::open(&probes.compute, &config.notes, &config.reporter)?;
    let mut folder = RunFolder::claim(&config.out, KIND, &config.journal)?;
    let out = match config.journal.shard {
        None => Some(outputs::EvaluateDir::prepare(&config.out, config.plots)?),
        // Whoever merges the shards writes the files.
        Some(_) => None,
    };
    let made = out.iter().flat_map(outputs::EvaluateDir::made);
    interrupt.leave_nothing_at(made.chain(folder.leftovers()));
    let evidence = Evidence::read(config, || session.shape(&probes.model))?;
    let inputs = config.task.load(probes, &session)?;
    tell_seen(config, inputs.common());
    let files = inputs.common().model();
    let shape = &files.config;
    let heads = shape.cache_heads(config.granularity);
    let mut task = inputs.task()?;
    session.notes(&task.notes());
    let common = inputs.common();
    let batch = run::most_together(config.batch, config.settings.len());
    let before = Running::before(files, &session.compute);
    let known = EvaluateFacts::new(config, common, task.as_ref(), &evidence, batch, before)?;
    folder.check(&known.fingerprint()?, &OF_WEIGHTS)?;
    let replay = replay(config, common, task.as_ref())?;
    let again = replay.as_ref().map_or(0, |replay| replay.room(task.extent().longest_prompt));
    session.tell_window(files, task.extent().longest_prompt + again);
    check_windows(config, task.as_ref())?;
    let extra = extra_bytes(shape, config);
    check_memory(probes, files, &session.compute, task.extent(), extra)?;

    let model = session.load(files)?;
    let running = Running::of(&model);
    let facts = EvaluateFacts::new(config, common, task.as_ref(), &evidence, batch, running)?;
    let compute = model.compute();
    let begun = Arc::new(folder.begin(NewPlan {
        fingerprint: facts.fingerprint()?,
        facts: job::to_value(&facts)?,
        probes: tasks::ids(task.as_ref()),
        shard_of: tasks::shards(task.as_ref(), shape, folder.shard().1)?,
        on: ComputedOn::new(compute),
    })?);
    begun.tell(&config.reporter);
    let runner = Runner {
        model: &model,
        tokenizer: &files.tokenizer,
        settings: &config.settings,
        heads,
        evidence: &evidence,
        replay: replay.as_ref(),
        chunk: probes.chunk_tokens(compute),
        batch: config.batch,
        reporter: config.reporter,
    };
    interrupt.keep(begun.interrupted(None, &config.command), {
        let (begun, reporter) = (Arc::clone(&begun), config.reporter);
        // The command that goes on is this one, whoever began the run.
        let facts = EvaluateFacts { command: config.command.clone(), ..facts };
        move || finish::so_far(&begun, &facts, &reporter, start)
    });
    let ran = runner.run(task.as_mut(), &begun.todo(), &begun.journal, interrupt);
    interrupt.told(ran)?;
    interrupt.told(interrupt.begin_writing())?;
    machine::give_back_freed_memory();
    let collected = begun.collected::<PromptRecord>()?;
    match out {
        Some(out) => {
            let facts = finish::facts_of(&begun.plan)?;
            finish::write((&facts, 1), collected, (&out, config.plots), start)
        }
        None => {
            let records: Vec<PromptRecord> =
                collected.done.into_iter().map(|done| done.result).collect();
            let failed = records.iter().filter(|r| r.outcomes.is_err()).count();
            let told = Told::Shard(begun.shard_summary(&config.out, failed));
            Ok(FinishedComparison { told, shortcoming: shortcoming(&records) })
        }
    }
}

/// Warns if the head scores were made with needles that are asked.
fn tell_seen(config: &EvaluateConfig, inputs: Common) {
    let mut warnings: Vec<String> = Vec::new();
    for warning in config.head_scores.files().filter_map(|path| inputs.seen_by(path)) {
        if !warnings.contains(&warning) {
            config.reporter.warning(&warning);
            warnings.push(warning);
        }
    }
}

/// Writes the files of a comparison whose shards are in the folder of `plan`, all of them finished.
///
/// # Errors
/// As [`run`] has them once prompts are finished; [`Error::Data`] for a plan or journals that are
/// none of a comparison, [`Error::Evidence`] while prompts are missing.
pub fn merge(merged: &Merge) -> Result<FinishedComparison> {
    let start = Instant::now();
    let facts = finish::facts_of(merged.plan)?;
    let collected = merged.collected::<PromptRecord>(&facts.command)?;
    let out = outputs::EvaluateDir::prepare(merged.out, merged.plots)?;
    finish::write((&facts, merged.plan.shards), collected, (&out, merged.plots), start)
}

/// What a comparison would run, with the model that it would run on.
///
/// # Errors
/// All that [`run`] refuses before it reads the weights, except for too little memory and the files
/// to write.
pub fn workload(config: &EvaluateConfig, session: &Session) -> Result<(ModelFiles, Workload)> {
    Evidence::read(config, || session.shape(&config.probes.model))?;
    let inputs = config.task.load(&config.probes, session)?;
    tell_seen(config, inputs.common());
    let shape = &inputs.common().model().config;
    let prompts = {
        let task = inputs.task()?;
        session.notes(&task.notes());
        check_windows(config, task.as_ref())?;
        replay(config, inputs.common(), task.as_ref())?;
        let prompt = |index| {
            let case = task.case(index)?;
            let (tokens, new_tokens) = (case.prompt.len(), case.max_new_tokens);
            Ok(WorkPrompt { tokens, reused: 0, new_tokens })
        };
        (0..task.cases()).map(prompt).collect::<Result<Vec<_>>>()?
    };
    let wanted = Setting::wanted(&config.settings);
    let work = Workload {
        prompts,
        answers: config.settings.len(),
        batch: 1,
        walks: 1,
        extra_per_token_bytes: extra_bytes(shape, config),
        statistics: !wanted.row_sums.is_empty(),
        followed: wanted.row_sums.contains(&QueryRows::All),
    };
    Ok((inputs.into_model(), work))
}

/// How contexts are replayed, if a method of `config` wants it.
///
/// # Errors
/// [`Error::Usage`] for prompts of which it is not known where the question begins, and for those
/// whose replay would be at positions that the model was not made for.
fn replay(config: &EvaluateConfig, common: Common, task: &dyn Task) -> Result<Option<Replay>> {
    let Some(setting) = config.settings.iter().find(|s| s.method.wanted(&s.options).replay) else {
        return Ok(None);
    };
    let asked = format!("--methods {}", setting.method.name());
    let Common::Probes(inputs, _) = common else {
        return Err(Error::usage("it is not known where the questions of these prompts begin")
            .at(asked)
            .expected("needles or --task babilong: what stands before the question is replayed"));
    };
    let replay = job::replay(&inputs.model, inputs.chat.as_ref())?;
    let longest = task.extent().longest_prompt;
    check_replay(&replay, longest, &asked, &config.probes, &inputs.model)?;
    Ok(Some(replay))
}

/// Refuses a window of a setting that chooses tokens, if it leaves nothing of a prompt to choose.
/// FullKV has none.
fn check_windows(config: &EvaluateConfig, task: &dyn Task) -> Result<()> {
    let choosing = config.settings.iter().filter(|setting| setting.budget_tokens.is_some());
    match choosing.map(|setting| setting.options.budget.window_tokens).max() {
        Some(window) => check_window(task.extent(), &task.shortest(), window),
        None => Ok(()),
    }
}

/// Bytes per prompt token beside the model's own: statistics, and the compressed cache.
fn extra_bytes(shape: &ModelConfig, config: &EvaluateConfig) -> u64 {
    let wanted = Setting::wanted(&config.settings);
    let heads = (shape.layers as u64).saturating_mul(shape.heads as u64);
    let kv_heads = (shape.layers as u64).saturating_mul(shape.kv_heads as u64);
    let sums = heads.saturating_mul(4 * wanted.row_sums.len() as u64);
    let norms = if wanted.value_norms { kv_heads.saturating_mul(12) } else { 0 };
    let projected = if wanted.projected_norms { heads.saturating_mul(4) } else { 0 };
    let stored = match config.granularity {
        Granularity::KvHead => kv_heads,
        Granularity::QueryHead => heads,
    };
    // A replay has a cache of its own, of the context and once more as much, and a weight per
    // token.
    let per_kv_head = 16 * shape.head_dim as u64 + 4;
    let replay = if wanted.replay { kv_heads.saturating_mul(per_kv_head) } else { 0 };
    // Caches that exist together hold no more than FullKV's; token scores are made a method at a
    // time.
    let caches = stored.saturating_mul(8).saturating_mul(shape.head_dim as u64);
    [sums, norms, projected, replay, caches, heads.saturating_mul(8)]
        .into_iter()
        .fold(0, u64::saturating_add)
}

/// An error if some prompts failed.
fn shortcoming(records: &[PromptRecord]) -> Option<Error> {
    let failed: Vec<(&PromptRecord, &String)> =
        records.iter().filter_map(|r| r.outcomes.as_ref().err().map(|e| (r, e))).collect();
    let (first, reason) = failed.first()?;
    Some(
        Error::evidence("some prompts failed; the table is about the others")
            .at(format!("prompt {} ({}, {} tokens)", first.id, first.group, first.prompt_tokens))
            .got(format!("{} of {} failed; the first: {reason}", failed.len(), records.len()))
            .advice("see answers.jsonl"),
    )
}
