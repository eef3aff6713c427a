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
mod finish;
mod outputs;
mod pictures;
mod planned;
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
pub use planned::workload;
pub use run::{Outcome, PromptRecord, Runner};
pub use sets::{Chosen, OffSet};
pub use table::{Row, rows};

use crate::error::{Error, Result};
use crate::heads::HeadMatrix;
use crate::job::{self, OF_WEIGHTS, Running, check_memory};
use crate::journal::{ComputedOn, Merge, NewPlan, PlanFile, RunFolder, Told};
use crate::system::atomic::{MadeFolders, usable_folder, usable_folders};
use crate::system::interrupt::Interrupt;
use crate::system::machine;
use crate::system::terminal::wrapped;
use crate::tasks::{self, Common};
use finish::{To, counts, shard_told, so_far};
use planned::{Planned, extra_bytes};

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
        // Of scores and pictures, what both are in.
        let folder =
            folder.map(|p| if p.ends_with("head_score") { p.parent().unwrap_or(p) } else { p });
        let Some(folder) = folder else { return Ok(()) };
        let folder = Some(folder).filter(|p| *p != Path::new("")).unwrap_or(Path::new("."));
        writeln!(f, "{} files in {}", self.files.len(), folder.display())
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
    if let Which::Sets { head_score, .. } = &config.which {
        common.seen_by(head_score).iter().for_each(|text| config.reporter.warning(text));
    }
    session.tell_window(files, task.extent().longest_prompt);
    if let Common::Probes(inputs, _) = common
        && inputs.chat.as_ref().is_some_and(|chat| chat.template.thinks())
    {
        config.reporter.warning(
            "the model thinks before it answers, but the expected answer's log-probability is that \
             of the answer right behind the prompt",
        );
    }
    let sets = if each { files.config.layers * files.config.heads } else { planned.sets.len() };
    let extra = extra_bytes(&files.config, config, task.extent(), sets);
    check_memory(probes, files, &session.compute, task.extent(), extra)?;

    let model = session.load(files)?;
    let facts = facts(Running::of(&model))?;
    let begun = Arc::new(folder.begin(NewPlan {
        fingerprint: facts.fingerprint()?,
        facts: job::to_value(&facts)?,
        probes: tasks::ids(task.as_ref()),
        shard_of: tasks::shards(task.as_ref(), &files.config, folder.shard().1)?,
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
            finish::write(&facts, &to(counts(&collected)), collected)
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
            finish::write(&facts, &to(counts(&collected)), collected)
        }
    }
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

/// The best heads of `matrix` in words: `18-6 +1.20, 17-3 +0.81`.
fn best(matrix: &HeadMatrix, n: usize) -> String {
    let head = |(layer, head, value)| format!("{layer}-{head} {value:+.2}");
    matrix.top(n).into_iter().map(head).collect::<Vec<_>>().join(", ")
}
