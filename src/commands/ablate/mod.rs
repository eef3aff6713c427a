//! `headprof ablate`: what becomes of answers when heads are switched off.
//!
//! ```text
//! head_score ─► OffSet… (best, random, worst) ─┐
//! Task {Case…} ─► read once ─► Runner ─────────┴► expected answer's log-probability, answer, gate
//!                                                   ─► Journal ─► rows ─► files, curves
//! --each: every head alone ─► its drop in log-probability ─► head_score/*_ablation_heads.json
//! ```
//!
//! A score says what a head looks at; this says what it is good for.

pub mod config;

mod each;
mod facts;
mod outputs;
mod pictures;
mod report;
mod run;
mod sets;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

pub use config::{AblateConfig, When, Which};
pub use each::{EachMeta, EachRecord};
pub use facts::AblateFacts;
pub use run::{Outcome, PromptRecord, Runner};
pub use sets::{Chosen, OffSet};
pub use table::{Row, rows};

use crate::budget::refuse_all_zero;
use crate::error::{Error, Result};
use crate::head_score::{UsedFile, UsedScores};
use crate::heads::HeadMatrix;
use crate::job::{
    self, ModelFiles, OF_WEIGHTS, Running, Session, WorkPrompt, Workload, check_memory,
};
use crate::journal::{
    Begun, Collected, ComputedOn, Finished, Merge, NewPlan, PlanFile, RunFolder, Told,
};
use crate::model::ModelConfig;
use crate::model::speed::{prompt_attention_flops, prompt_weights};
use crate::plan::{Cost, pieces, shard_of};
use crate::system::atomic::{MadeFolders, usable_folder, usable_folders};
use crate::system::interrupt::Interrupt;
use crate::system::machine;
use crate::system::terminal::wrapped;
use crate::tasks::Task;
use outputs::{RunMeta, Written};

/// What runs are called among journals; those over each head alone have `_each` behind it.
pub const KIND: &str = "ablate";

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// What a run tells.
#[derive(Debug, Serialize)]
pub struct Ablated {
    /// The model's name.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// One per choice and number of heads; of each head alone none.
    pub rows: Vec<Row>,
    /// What was found of each head alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<EachMeta>,
    /// Prompts that failed.
    pub failed: usize,
    /// Everything that was written.
    pub files: Vec<PathBuf>,
    /// From start to end.
    pub seconds: f64,
    /// What makes an answer accurate.
    pub judged_by: String,
    /// What became of heads that were off.
    pub off: String,
    /// Prompts that the run has not come to; none at its end.
    #[serde(skip_serializing_if = "is_zero")]
    pub unfinished: usize,
}

/// A run that was written, or a shard of one.
pub struct FinishedAblation {
    /// What to tell.
    pub told: Told<Ablated>,
    /// Why it is not complete, if some prompts failed.
    pub shortcoming: Option<Error>,
}

/// Whether there are none.
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl fmt::Display for Ablated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unfinished > 0 {
            write!(f, "so far, {} prompts to come: ", self.unfinished)?;
        }
        write!(f, "{} · {}", self.model, self.task)?;
        if let Some(row) = self.rows.first() {
            write!(f, " · {} prompts", row.prompts)?;
        }
        if self.failed > 0 {
            write!(f, ", {} more failed", self.failed)?;
        }
        writeln!(f, " · heads that are off: {} · {:.1} s\n", self.off, self.seconds)?;
        if let Some(each) = &self.each {
            write!(f, "{each}")?;
        } else {
            write!(f, "{}", report::terminal(&self.rows))?;
            let legend = format!(
                "\naccuracy: {}, mean [95 % interval]; - none: difference from all heads on, * if \
                 its interval does not contain 0; p: McNemar's exact test; drop: of the expected \
                 answer's log-probability; draws: range of the random sets, and how many of them \
                 are as low as the best heads' row",
                self.judged_by
            );
            writeln!(f, "{}", wrapped(&legend, COLUMNS))?;
        }
        let folder = self.files.iter().filter_map(|file| file.parent()).min();
        let Some(folder) = folder else { return Ok(()) };
        let folder = Some(folder).filter(|p| *p != Path::new("")).unwrap_or(Path::new("."));
        writeln!(f, "{} files in {}", self.files.len(), folder.display())
    }
}

/// What is known about a run before the weights are read.
struct Planned {
    sets: Vec<OffSet>,
    head_score: Option<UsedFile>,
}

impl Planned {
    /// The sets of `config` for the model of `shape`, called `model`; warns of what does not suit
    /// it.
    ///
    /// # Errors
    /// [`Error::Data`] for scores of another model, [`Error::Usage`] for more heads than half of
    /// those that there are.
    fn of(config: &AblateConfig, shape: &ModelConfig, model: &str) -> Result<Self> {
        let Which::Sets { head_score, force, ks, draws } = &config.which else {
            return Ok(Self { sets: Vec::new(), head_score: None });
        };
        let (all, most) = (shape.layers * shape.heads, shape.layers * shape.heads / 2);
        if let Some(k) = ks.iter().find(|k| **k > most) {
            return Err(Error::usage("so many heads leave too few for random ones")
                .at("--k")
                .got(k)
                .expected(format!("at most {most}, half of {model}'s {all} heads")));
        }
        let read = UsedScores::read(head_score, (shape.layers, shape.heads), model, *force)?;
        read.warnings.iter().for_each(|text| config.reporter.warning(text));
        let advise = |e: Error| e.at(head_score.display()).advice("use the scores of another run");
        refuse_all_zero(&read.mean).map_err(advise)?;
        let sets = sets::all(&read.mean, ks, *draws, config.probes.seed);
        Ok(Self { sets, head_score: UsedFile::of(head_score) })
    }
}

/// Switches the heads of `config` off and writes the files; of a shard, its journal alone. Goes on
/// with what an earlier run has finished.
///
/// # Errors
/// As its stages. [`Error::Evidence`] if every prompt failed, or if no answer is right of which
/// each head could be measured.
pub fn run(config: &AblateConfig, interrupt: &Interrupt) -> Result<FinishedAblation> {
    let start = Instant::now();
    let (probes, each) = (&config.probes, config.which == Which::Each);
    let session = job::open(&probes.compute, &config.notes, &config.reporter)?;
    let mut folder = RunFolder::claim(&config.out, kind(each), &config.journal)?;
    let out = match config.journal.shard {
        None => Some(made_folders(&config.out, each, config.plots)?),
        // Whoever merges the shards writes the files.
        Some(_) => None,
    };
    let made = out.iter().flat_map(MadeFolders::paths);
    interrupt.leave_nothing_at(made.chain(folder.leftovers()));
    let inputs = config.task.load(probes, &session)?;
    let files = inputs.common().model();
    let planned = Planned::of(config, &files.config, &files.name)?;
    let mut task = inputs.task()?;
    session.notes(&task.notes());
    let common = inputs.common();
    let facts = |running| {
        let used = planned.head_score.as_ref();
        AblateFacts::new(config, common, task.as_ref(), &planned.sets, used, running)
    };
    let before = facts(Running::before(files, &session.compute))?;
    folder.check(&before.fingerprint()?, &OF_WEIGHTS)?;
    session.tell_window(files, task.extent().longest_prompt);
    let extra = extra_bytes(&files.config, config);
    check_memory(probes, files, &session.compute, task.extent(), extra)?;

    let model = session.load(files)?;
    let facts = facts(Running::of(&model))?;
    let begun = Arc::new(folder.begin(NewPlan {
        fingerprint: facts.fingerprint()?,
        facts: job::to_value(&facts)?,
        probes: facts::ids(task.as_ref()),
        shard_of: shards(task.as_ref(), &files.config, folder.shard().1)?,
        on: ComputedOn::new(model.compute()),
    })?);
    begun.tell(&config.reporter);
    let runner = Runner::new(config, &model, &files.tokenizer);
    interrupt.keep(begun.interrupted(None, &config.command), {
        let (begun, reporter) = (Arc::clone(&begun), config.reporter);
        // The command that goes on is this one, whoever began the run.
        let facts = AblateFacts { command: config.command.clone(), ..facts };
        move || so_far(&begun, &facts, each, &reporter, start)
    });
    let todo = begun.todo();
    let ran = match each {
        true => each::run(&runner, task.as_mut(), &todo, &begun.journal, interrupt),
        false => runner.run(task.as_mut(), &planned.sets, &todo, &begun.journal, interrupt),
    };
    interrupt.told(ran)?;
    interrupt.told(interrupt.begin_writing())?;
    machine::give_back_freed_memory();
    let facts = facts_of(&begun.plan)?;
    let to = |collected: (usize, usize)| To {
        root: &config.out,
        plots: config.plots,
        shards: 1,
        processes: collected.0,
        failed: collected.1,
        start,
    };
    match (out, each) {
        (Some(_made), true) => {
            let collected = begun.collected::<EachRecord>()?;
            each::write(&facts, &to(counts(&collected)), collected)
        }
        (Some(_made), false) => {
            let collected = begun.collected::<PromptRecord>()?;
            write(&facts, &to(counts(&collected)), collected)
        }
        (None, true) => shard_told(&begun, config, begun.collected::<EachRecord>()?),
        (None, false) => shard_told(&begun, config, begun.collected::<PromptRecord>()?),
    }
}

/// Writes the files of a run whose shards are in the folder of `plan`, all of them finished.
///
/// # Errors
/// As [`run`] has them once prompts are finished; [`Error::Data`] for a plan or journals that are
/// of another kind of run, [`Error::Evidence`] while prompts are missing.
pub fn merge(merged: &Merge) -> Result<FinishedAblation> {
    let start = Instant::now();
    let facts = facts_of(merged.plan)?;
    let each = merged.plan.kind == kind(true);
    let _made = made_folders(merged.out, each, merged.plots)?;
    let to = |collected: (usize, usize)| To {
        root: merged.out,
        plots: merged.plots,
        shards: merged.plan.shards,
        processes: collected.0,
        failed: collected.1,
        start,
    };
    match each {
        true => {
            let collected = merged.collected::<EachRecord>(&facts.command)?;
            each::write(&facts, &to(counts(&collected)), collected)
        }
        false => {
            let collected = merged.collected::<PromptRecord>(&facts.command)?;
            write(&facts, &to(counts(&collected)), collected)
        }
    }
}

/// Where results go, and how they came about.
struct To<'a> {
    root: &'a Path,
    plots: bool,
    shards: usize,
    processes: usize,
    /// Prompts that failed.
    failed: usize,
    start: Instant,
}

impl To<'_> {
    /// What is known when files are written of a run on `device` in `dtype`.
    fn written(&self, device: String, dtype: String) -> Written {
        let run = RunMeta {
            created: machine::utc_now(),
            seconds: self.start.elapsed().as_secs_f64(),
            threads: rayon::current_num_threads(),
            processes: self.processes,
            shards: self.shards,
            peak_rss_bytes: machine::peak_rss_bytes(),
        };
        Written { device, dtype, run }
    }

    /// What is told of a run about `facts`.
    fn told(&self, facts: &AblateFacts) -> Ablated {
        Ablated {
            model: facts.model.clone(),
            task: facts.task.clone(),
            rows: Vec::new(),
            each: None,
            failed: self.failed,
            files: Vec::new(),
            seconds: self.start.elapsed().as_secs_f64(),
            judged_by: facts.judged_by.clone(),
            off: facts.in_words(),
            unfinished: 0,
        }
    }
}

/// How many processes had a part in it, and how many prompts failed.
fn counts<R: Finished>(collected: &Collected<R>) -> (usize, usize) {
    (collected.processes, collected.done.iter().filter(|done| done.failed).count())
}

/// What a run is called among journals.
fn kind(each: bool) -> &'static str {
    if each { "ablate_each" } else { KIND }
}

/// The folders that results go to, tried by writing to them.
fn made_folders(root: &Path, each: bool, plots: bool) -> Result<MadeFolders> {
    let [scores, pictures] = ["head_score", "plots"].map(|name| root.join(name));
    match (each, plots) {
        (true, true) => usable_folders([root, &scores, &pictures]),
        (true, false) => usable_folders([root, &scores]),
        (false, true) => usable_folders([root, &pictures]),
        (false, false) => usable_folder(root),
    }
}

/// The facts of a plan.
///
/// # Errors
/// [`Error::Data`] if they are none, or name something that cannot be a part of a file's name.
fn facts_of(plan: &PlanFile) -> Result<AblateFacts> {
    let facts: AblateFacts = plan.facts()?;
    job::check_file_name_part(&facts.model)?;
    job::check_file_name_part(&facts.task)?;
    facts.check()?;
    Ok(facts)
}

/// Writes the files of a run all of whose prompts are finished.
fn write(
    facts: &AblateFacts,
    to: &To,
    collected: Collected<PromptRecord>,
) -> Result<FinishedAblation> {
    let Collected { done, device, dtype, .. } = collected;
    let records: Vec<PromptRecord> = done.into_iter().map(|done| done.result).collect();
    check(&records, facts.sets.len())?;
    let rows = rows(&facts.sets, &records);
    let pictures = if to.plots { pictures::draw(facts, &rows)? } else { Vec::new() };
    let written = to.written(device, dtype);
    let files = outputs::write(to.root, (facts, &rows), &records, pictures, &written)?;
    let failures = records.iter().filter_map(|r| r.outcomes.as_ref().err().map(|e| (&r.id, e)));
    let shortcoming = shortcoming(failures, records.len());
    let told = Told::Results(Ablated { rows, files, ..to.told(facts) });
    Ok(FinishedAblation { told, shortcoming })
}

/// Prints what an interrupted run has found so far; the error says where it is kept and how to go
/// on.
fn so_far(
    begun: &Begun,
    facts: &AblateFacts,
    each: bool,
    reporter: &crate::system::Reporter,
    start: Instant,
) -> Error {
    let told = || -> Result<usize> {
        if each {
            return Ok(begun.collected::<EachRecord>()?.done.len());
        }
        let collected = begun.collected::<PromptRecord>()?;
        let (processes, failed) = counts(&collected);
        let records: Vec<PromptRecord> =
            collected.done.into_iter().map(|done| done.result).collect();
        check(&records, facts.sets.len())?;
        let rows = rows(&facts.sets, &records);
        if !rows.is_empty() {
            let to = To { root: Path::new(""), plots: false, shards: 1, processes, failed, start };
            let unfinished = begun.own_probes() - records.len();
            reporter.result(&Ablated { rows, unfinished, ..to.told(facts) })?;
        }
        Ok(records.len())
    };
    told().map_or_else(|e| e, |finished| begun.interrupted(Some(finished), &facts.command))
}

/// Every prompt that was answered has an outcome for every set.
fn check(records: &[PromptRecord], sets: usize) -> Result<()> {
    let complete = |r: &&PromptRecord| r.outcomes.as_ref().map_or(true, |o| o.len() == sets);
    match records.iter().find(|record| !complete(record)) {
        None => Ok(()),
        Some(record) => Err(Error::data("the journal does not hold all answers to a prompt")
            .at(format!("prompt {}", record.id))
            .expected(format!("{sets} sets of heads"))),
    }
}

/// What is told of a shard.
fn shard_told<R: Finished>(
    begun: &Begun,
    config: &AblateConfig,
    collected: Collected<R>,
) -> Result<FinishedAblation> {
    let (_, failed) = counts(&collected);
    let told = Told::Shard(begun.shard_summary(&config.out, failed));
    let first = collected.done.iter().find(|done| done.failed);
    let shortcoming = first.map(|done| {
        Error::evidence("some prompts failed")
            .at(format!("prompt {}", done.id))
            .got(format!("{failed} of {} failed", collected.done.len()))
            .advice("the same command tries them again")
    });
    Ok(FinishedAblation { told, shortcoming })
}

/// An error if some of `all` prompts failed, each with its name and the reason.
fn shortcoming<'a>(
    failures: impl Iterator<Item = (&'a String, &'a String)>,
    all: usize,
) -> Option<Error> {
    let failed: Vec<_> = failures.collect();
    let (id, reason) = failed.first()?;
    Some(
        Error::evidence("some prompts failed; the results are about the others")
            .at(format!("prompt {id}"))
            .got(format!("{} of {all} failed; the first: {reason}", failed.len()))
            .advice("the same command tries them again"),
    )
}

/// Which of `shards` shards each prompt is of: stretches of them with as much work each as can be.
/// Nothing for one.
fn shards(task: &dyn Task, shape: &ModelConfig, shards: usize) -> Result<Vec<usize>> {
    if shards < 2 {
        return Ok(Vec::new());
    }
    let cost = |index: usize| {
        let tokens = task.case(index)?.prompt.len();
        let own =
            2.0 * prompt_weights(shape) * tokens as f64 + prompt_attention_flops(shape, tokens);
        Ok(Cost { own, again: 0.0 })
    };
    let costs = (0..task.cases()).map(cost).collect::<Result<Vec<_>>>()?;
    Ok(shard_of(&pieces(&costs, shards), costs.len(), |place| place))
}

/// What a run would take, with the model that it would run on.
///
/// # Errors
/// All that [`run`] refuses before it reads the weights, except for too little memory and the files
/// to write.
pub fn workload(config: &AblateConfig, session: &Session) -> Result<(ModelFiles, Workload)> {
    let inputs = config.task.load(&config.probes, session)?;
    let files = inputs.common().model();
    let planned = Planned::of(config, &files.config, &files.name)?;
    let (layers, heads) = (files.config.layers, files.config.heads);
    let first_layers: Vec<usize> = match config.which {
        Which::Sets { .. } => {
            planned.sets.iter().filter_map(|set| set.heads.first_layer()).collect()
        }
        Which::Each => (0..layers * heads).map(|head| head / heads).collect(),
    };
    let mut prompts = Vec::new();
    {
        let task = inputs.task()?;
        session.notes(&task.notes());
        for index in 0..task.cases() {
            let case = task.case(index)?;
            let (tokens, new_tokens) = (case.prompt.len(), case.max_new_tokens);
            let before = config.when.tokens_before(tokens, case.before_question.unwrap_or(tokens));
            prompts.push(WorkPrompt { tokens, reused: 0, new_tokens });
            // A run from a layer on is as much work as that share of the tokens.
            prompts.extend(first_layers.iter().map(|first| {
                let again = (tokens - before) * (layers - first) / layers;
                WorkPrompt { tokens, reused: tokens - again, new_tokens }
            }));
        }
    }
    let work = Workload {
        prompts,
        answers: 1,
        batch: 1,
        walks: 1,
        extra_per_token_bytes: extra_bytes(&files.config, config),
        statistics: false,
        followed: false,
    };
    Ok((inputs.into_model(), work))
}

/// Bytes per prompt token beside the model's own: the states before every layer, and the caches of
/// what is answered together.
fn extra_bytes(shape: &ModelConfig, config: &AblateConfig) -> u64 {
    let states = (shape.layers as u64).saturating_mul(4 * shape.hidden as u64);
    let cache = [shape.layers, shape.kv_heads, shape.head_dim]
        .iter()
        .fold(8u64, |bytes, n| bytes.saturating_mul(*n as u64));
    states.saturating_add(cache.saturating_mul(config.batch.unwrap_or(2) as u64))
}

/// The best heads of `matrix` in words: `18-6 +1.20, 17-3 +0.81`.
fn best(matrix: &HeadMatrix, n: usize) -> String {
    let head = |(layer, head, value)| format!("{layer}-{head} {value:+.2}");
    matrix.top(n).into_iter().map(head).collect::<Vec<_>>().join(", ")
}
