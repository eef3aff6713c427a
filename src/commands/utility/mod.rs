//! `headprof utility`: records utility curves, by which `lukv` divides budgets.
//!
//! ```text
//! probe ─► prefill ─► token scores ─┐
//!            └► full cache ─► answer ─► attention of its queries ─► worth ─┴► curve per head
//! curves of the probes whose answer passes the gate ─► journal ─► mean ─► head_score/*_utility.json
//! ```
//!
//! The first query of an answer is the prompt's last token; the others are the generated tokens.

mod facts;
mod recorder;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use facts::{FinishedCurves, UtilityFacts};

use crate::budget::{BudgetOptions, UtilityCurves, UtilityFile};
use crate::cli::UtilityArgs;
use crate::config::{
    AtOption, Paths, ProbeConfig, Surroundings, eviction_options, journal_options,
};
use crate::error::{Error, Result};
use crate::eviction::{self, EvictionOptions, Method, TokenScore};
use crate::heads::{CacheHeads, Granularity};
use crate::job::{self, NeedleSpans, OF_WEIGHTS, Running, check_memory, check_window};
use crate::journal::{
    Begun, Collected, ComputedOn, JOURNAL, JournalOptions, Merge, NewPlan, RunFolder, Told,
};
use crate::model::speed::{prompt_attention_flops, prompt_weights};
use crate::plan::{Cost, check_tokens, pieces, shard_of};
use crate::score::References;
use crate::system::interrupt::Interrupt;
use crate::system::{Reporter, atomic};
use crate::tasks::TaskSource;
use crate::tasks::needle::NeedleSource;
use recorder::Recorder;

/// Points of a curve.
const POINTS: usize = 100;

/// A recording to make, without contradictions.
pub struct UtilityConfig {
    /// The probes.
    pub probes: ProbeConfig,
    /// What they hide.
    needles: NeedleSource,
    /// Whose token score puts the tokens in order.
    pub method: &'static Method,
    /// That score.
    token_score: &'static dyn TokenScore,
    /// Its constants.
    pub options: EvictionOptions,
    /// Which heads keep tokens of their own.
    granularity: Granularity,
    /// How the run is journaled.
    pub journal: JournalOptions,
    /// Output folder.
    pub out: PathBuf,
    /// Whom to tell.
    pub reporter: Reporter,
    /// What the user should know about the arguments.
    pub notes: Vec<String>,
    /// The command line, for the record.
    pub command: Vec<String>,
}

/// What was recorded.
#[derive(Debug, Serialize)]
pub struct Recorded {
    /// The file; `None` of a run that is not done.
    pub path: Option<PathBuf>,
    /// Probes behind the curves.
    pub accepted: usize,
    /// All probes.
    pub probes: usize,
}

/// Curves that were written, or a shard of them that was recorded.
pub struct Recording {
    /// What to tell.
    pub told: Told<Recorded>,
    /// Why they are not of all probes, if some failed.
    pub shortcoming: Option<Error>,
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, accepted, probes } = self;
        match path {
            Some(path) => {
                writeln!(f, "{}: curves of {accepted} of {probes} probes", path.display())
            }
            None => writeln!(f, "so far, of {probes} probes: {accepted} passed"),
        }
    }
}

impl UtilityConfig {
    /// Validates `args`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &UtilityArgs, surroundings: &Surroundings) -> Result<Self> {
        Paths::of_probes(&args.probes)
            .fills("--out", &args.out.join("head_score"))
            .fills("--out", &args.out.join(JOURNAL))
            .check()?;
        let needles = NeedleSource { path: args.probes.needles.clone() };
        let (probes, mut notes) =
            ProbeConfig::new(&args.probes, needles.answers(), References::default(), surroundings)?;
        // Curves are about every budget; this one only has to hold the window.
        check_tokens("--window-size", args.selection.window_size)?;
        let capacity_tokens = args.selection.window_size + (1 << 20);
        let budget = BudgetOptions { capacity_tokens, ..BudgetOptions::default() };
        let options = eviction_options(&args.selection, budget)?;
        let method = eviction::by_name(&args.method).at_option("--method")?;
        let Some(token_score) = method.token_score() else {
            return Err(Error::usage("the method does not put tokens in order")
                .at("--method")
                .got(method.name())
                .expected("a method that evicts, such as snapkv"));
        };
        if token_score.wanted(&options).replay {
            return Err(Error::usage("there are no curves of a method that replays the context")
                .at("--method")
                .got(method.name())
                .expected("a method that looks at the prompt's own rows, such as snapkv"));
        }
        method.check(&options)?;
        Ok(Self {
            probes,
            needles,
            method,
            token_score,
            options,
            granularity: args.selection.granularity.into(),
            journal: journal_options(&args.journal, surroundings, &mut notes)?,
            out: args.out.clone(),
            reporter: Reporter { quiet: args.quiet, json: false },
            notes,
            command: surroundings.command.clone(),
        })
    }
}

/// What recordings are called among journals, with the token score behind it.
pub const KIND: &str = "utility";

/// Runs the probes of `config` and writes the mean curves of those that pass; of a shard, its
/// journal alone. Goes on with what an earlier run has finished.
///
/// # Errors
/// As its stages. [`Error::Evidence`] if no answer passes the gate.
pub fn run(config: &UtilityConfig, interrupt: &Interrupt) -> Result<Recording> {
    let probes = &config.probes;
    let session = job::open(&probes.compute, &config.notes, &config.reporter)?;
    let kind = format!("{KIND}_{}", config.token_score.name());
    let mut folder = RunFolder::claim(&config.out, &kind, &config.journal)?;
    let scores = config.out.join("head_score");
    // Whoever merges shards writes the file.
    let out = config.journal.shard.is_none().then(|| atomic::usable_folder(&scores)).transpose()?;
    let made = out.iter().flat_map(atomic::MadeFolders::paths);
    interrupt.leave_nothing_at(made.chain(folder.leftovers()));
    let inputs = session.inputs(probes, &config.needles)?;
    let job = session.job(probes, &inputs, NeedleSpans::Any)?;
    check_window(job.extent(), &job.shortest_probe(), config.options.budget.window_tokens)?;
    let shape = &inputs.model.config;
    session.tell_window(&inputs.model, job.extent().longest_prompt);
    let heads = shape.cache_heads(config.granularity);
    let before = Running::before(&inputs.model, &session.compute);
    let known = UtilityFacts::new(config, &inputs, &job, before)?.fingerprint()?;
    folder.check(&known, &OF_WEIGHTS)?;
    // A second cache, sums of attention, scores and worth.
    let lists = (heads.layers * heads.stored()) as u64;
    let extra = lists.saturating_mul(8 * (shape.head_dim as u64).saturating_add(8));
    check_memory(probes, &inputs.model, &session.compute, job.extent(), extra)?;
    let model = session.load(&inputs.model)?;

    let facts = UtilityFacts::new(config, &inputs, &job, Running::of(&model))?;
    let compute = model.compute();
    let work = |tokens: usize| {
        2.0 * prompt_weights(shape) * tokens as f64 + prompt_attention_flops(shape, tokens)
    };
    let costs = job.plan.probes.iter().map(|p| Cost { own: work(p.context_length), again: 0.0 });
    let costs: Vec<Cost> = costs.collect();
    let begun = Arc::new(folder.begin(NewPlan {
        fingerprint: facts.fingerprint()?,
        facts: job::to_value(&facts)?,
        probes: job.plan.probes.iter().map(|probe| probe.id.to_string()).collect(),
        shard_of: shard_of(&pieces(&costs, folder.shard().1), costs.len(), |place| place),
        on: ComputedOn::new(compute),
    })?);
    begun.tell(&config.reporter);
    interrupt.keep(begun.interrupted(None, &config.command), {
        let (begun, reporter) = (Arc::clone(&begun), config.reporter);
        let command = config.command.clone();
        move || so_far(&begun, &reporter, &command)
    });
    let (inputs, job, model) = (&inputs, &job, &model);
    let recorder = Recorder { config, inputs, job, model, heads };
    interrupt.told(recorder.record(&begun.todo(), &begun.journal, interrupt))?;
    interrupt.told(interrupt.begin_writing())?;
    let collected = begun.collected::<FinishedCurves>()?;
    match out {
        Some(_made) => write(&facts, collected, &scores),
        None => {
            let failed = collected.done.iter().filter(|done| done.failed).count();
            let told = Told::Shard(begun.shard_summary(&config.out, failed));
            Ok(Recording { told, shortcoming: shortcoming(&collected) })
        }
    }
}

/// Writes the curves whose shards are in the folder of `plan`, all of them finished.
///
/// # Errors
/// As [`run`] has them once probes are finished; [`Error::Data`] for a plan or journals that are
/// none of a recording, [`Error::Evidence`] while probes are missing.
pub fn merge(merged: &Merge) -> Result<Recording> {
    let facts: UtilityFacts = merged.plan.facts()?;
    job::check_file_name_part(&facts.model)?;
    job::check_file_name_part(&facts.token_score)?;
    let collected = merged.collected::<FinishedCurves>(&facts.command)?;
    let scores = merged.out.join("head_score");
    let _made = atomic::usable_folder(&scores)?;
    write(&facts, collected, &scores)
}

/// Writes the mean of the curves of all probes that pass.
fn write(
    facts: &UtilityFacts,
    collected: Collected<FinishedCurves>,
    folder: &Path,
) -> Result<Recording> {
    let shortcoming = shortcoming(&collected);
    let heads = facts.cache_heads()?;
    let mut sums = vec![0.0; heads.layers * heads.stored() * POINTS];
    let (mut accepted, probes) = (0, collected.done.len());
    for done in collected.done {
        let place = || format!("probe {} ({})", done.index, done.id);
        let Some(curves) = done.result.curves(sums.len()).map_err(|e| e.at(place()))? else {
            continue;
        };
        accepted += 1;
        sums.iter_mut().zip(curves).for_each(|(sum, value)| *sum += value);
    }
    if accepted == 0 {
        return Err(Error::evidence("no answer passed the gate: there are no curves to write")
            .got(format!("{probes} answers"))
            .expected("at least one that passes")
            .advice("`headprof` with the same options shows the nearest answers"));
    }
    let file = UtilityFile {
        model: facts.model.clone(),
        token_score: facts.token_score.clone(),
        granularity: heads.granularity,
        curves: mean(&heads, sums, accepted)?,
    };
    let path = folder.join(file_name(&facts.model, &facts.token_score));
    atomic::write(&path, file.to_json_line()?.as_bytes())?;
    let told = Told::Results(Recorded { path: Some(path), accepted, probes });
    Ok(Recording { told, shortcoming })
}

/// An error if some probes failed.
fn shortcoming(collected: &Collected<FinishedCurves>) -> Option<Error> {
    let failed: Vec<_> = collected.done.iter().filter(|done| done.failed).collect();
    let first = failed.first()?;
    let reason = first.result.reason.as_deref().unwrap_or("no reason");
    Some(
        Error::evidence("some probes failed; the curves are of the others")
            .at(format!("probe {} ({})", first.index, first.id))
            .got(format!(
                "{} of {} probes failed; the first: {reason}",
                failed.len(),
                collected.done.len()
            ))
            .advice("the same command tries them again; more memory, or shorter contexts"),
    )
}

/// Prints how far an interrupted run is; the error says where that is kept and how to go on.
fn so_far(begun: &Begun, reporter: &Reporter, command: &[String]) -> Error {
    let told = || -> Result<usize> {
        let done = begun.collected::<FinishedCurves>()?.done;
        let accepted = done.iter().filter(|done| done.result.curves.is_some()).count();
        reporter.result(&Recorded { path: None, accepted, probes: done.len() })?;
        Ok(done.len())
    };
    told().map_or_else(|e| e, |finished| begun.interrupted(Some(finished), command))
}

/// The file of a model's curves for a token score: `<model>_<token score>_utility.json`.
fn file_name(model: &str, token_score: &str) -> PathBuf {
    Path::new(&format!("{model}_{token_score}_utility.json")).to_owned()
}

/// The mean of `accepted` curves per head, whose `sums` are `[L, S, K]`.
fn mean(heads: &CacheHeads, sums: Vec<f64>, accepted: usize) -> Result<UtilityCurves> {
    let of = |sum: f64| (sum / accepted as f64) as f32;
    let utilities = sums.into_iter().map(of).collect();
    UtilityCurves::new(heads.layers, heads.stored(), fractions(), utilities)
}

/// 1 % to 100 %.
fn fractions() -> Vec<f32> {
    (1..=POINTS).map(|k| k as f32 / POINTS as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_of_curves_is_a_curve() {
        let heads =
            CacheHeads { layers: 1, heads: 1, kv_heads: 1, granularity: Granularity::KvHead };
        let sums: Vec<f64> = (1..=POINTS).map(|k| k as f64 / 25.0).collect();
        let curves = mean(&heads, sums, 4).unwrap();
        assert_eq!(curves.fractions().last(), Some(&1.0));
        assert_eq!(curves.curve(0, 0)[POINTS - 1], 1.0);
        assert_eq!(file_name("m", "window").to_str(), Some("m_window_utility.json"));
    }
}
