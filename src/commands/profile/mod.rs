//! The main job: profile the attention heads of one model.
//!
//! ```text
//! ProfileConfig ─► Session ─► Inputs ─► Job (plan, prompts) ─► Llama ─► probes ─► Journal
//! Journal ─► Probed ─► statistics ─► files, Summary
//! ```
//!
//! Everything that can go wrong without the weights goes wrong before they are read.

pub mod config;
pub mod look;

mod answering;
mod balanced;
mod batching;
mod export_probes;
mod extra;
mod facts;
mod finish;
mod outputs;
mod parts;
mod pictures;
mod probe_cache;
mod probed;
mod probes;
mod ranking;
mod record;
mod schedule;
mod sidecar;
mod stable;
mod statistics;
mod summary;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

pub use facts::ProfileFacts;
pub use outputs::OutputDir;
pub use probed::{FinishedProbe, Probed};

use batching::{Batching, Sizes};
use extra::ExtraWork;
use finish::Clock;
use parts::Cut;
pub use ranking::Ranking;
pub use record::{ProbeRecord, Status};
use schedule::{PrefixSchedule, Remaining};
pub use stable::{Stability, UntilStable};
pub use statistics::{ScoreStatistics, TopHead};
pub use summary::Summary;

use crate::error::{Error, Result};
use crate::generate::guarded;
use crate::job::{
    self, Inputs, Job, MemoryEstimate, ModelFiles, NeedleSpans, OF_WEIGHTS, Running, Session,
    WorkPrompt, Workload, check_memory, further_bytes,
};
use crate::journal::{ComputedOn, Merge, NewPlan, PlanFile, RunFolder, Told};
use crate::model::capture::head_types::head_types;
use crate::model::speed::{prompt_attention_flops, prompt_weights};
use crate::model::{Compute, ModelConfig};
use crate::score::Extra;
use crate::system::interrupt::Interrupt;
use crate::system::machine;
pub use config::ProfileConfig;

/// What profiles are called among journals; of tasks other than needles with their name behind it.
pub const KIND: &str = "profile";

/// Where the time went, in seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Seconds {
    /// Reading the weights.
    pub load: f64,
    /// Of the time that all probes took, the share of the prompts.
    pub prefill: f64,
    /// The share of the answers.
    pub decode: f64,
    /// From the start of the run to the writing of its files.
    pub total: f64,
}

/// A profile that was written, or a shard of one that was run.
pub struct Finished {
    /// What to tell.
    pub told: Told<Summary>,
    /// Why it is not the whole profile, if some probes failed.
    pub shortcoming: Option<Error>,
}

/// What the profile of `config` would run, with the model that it would run on.
///
/// # Errors
/// All that [`run`] refuses before it reads the weights, except for too little memory (but for a
/// `--batch` that does not fit) and the folder to write to.
pub fn workload(config: &ProfileConfig, session: &Session) -> Result<(ModelFiles, Workload)> {
    let inputs = session.inputs(&config.probes, config.source()?)?;
    config.check_texts(&inputs.probes.texts)?;
    let job = session.job(&config.probes, &inputs, NeedleSpans::Known)?;
    let extra = ExtraWork::of(config, &inputs)?;
    extra.check(config, &inputs, &job)?;
    let schedule = PrefixSchedule::of_job(&job, config.prefix_reuse)?;
    let all: Vec<usize> = (0..schedule.steps.len()).collect();
    let compute = &session.compute;
    let (remaining, batching) = order(config, &inputs, &job, &extra, compute, &schedule, &all)?;
    let mut prompts = Vec::with_capacity(all.len());
    for part in &remaining.parts {
        // A part begins anew.
        prompts.extend(part.iter().enumerate().map(|(i, &place)| {
            let step = schedule.steps[place];
            let new_tokens = job.max_new_tokens(&job.plan.probes[step.probe]);
            let reused = if i == 0 { 0 } else { step.shared };
            WorkPrompt { tokens: step.tokens, reused, new_tokens }
        }));
    }
    prompts.extend(extra.prompts(&schedule));
    let work = Workload {
        prompts,
        answers: 1,
        batch: batching.batch,
        walks: batching.walks,
        extra_per_token_bytes: extra.per_token_bytes,
        statistics: false,
        followed: false,
    };
    Ok((inputs.model, work))
}

/// What the first tokens of a prompt, so many, cost, in operations.
fn work(shape: &ModelConfig, tokens: usize) -> f64 {
    2.0 * prompt_weights(shape) * tokens as f64 + prompt_attention_flops(shape, tokens)
}

/// The probes at `places` of `schedule`, in parts where the processor's threads can take one each;
/// how many are answered together, and by how many threads at the same time.
fn order(
    config: &ProfileConfig,
    inputs: &Inputs,
    job: &Job,
    extra: &ExtraWork,
    compute: &Compute,
    schedule: &PrefixSchedule,
    places: &[usize],
) -> Result<(Remaining, Batching)> {
    let (extent, shape) = (extra.extent(job), &inputs.model.config);
    let tokens = extent.longest_prompt.saturating_add(extent.longest_answer);
    let estimate = MemoryEstimate::new(shape, compute, config.probes.chunk_tokens(compute));
    let sizes = Sizes { estimate, further: further_bytes(shape, compute, tokens), tokens };
    let (available, asked) = match &compute.free_memory()[..] {
        [one] => (*one, config.batch),
        // Of several GPUs none has all of a cache: what does not fit there is found out by trying.
        _ => (None, config.batch.or(Some(1))),
    };
    let batch = sizes.batch(asked, job.plan.probes.len(), available)?;
    let work = |tokens: usize| work(shape, tokens);
    let cut = compute.on_host.then_some(Cut { batch, work: &work });
    let remaining = schedule.remaining(places, cut);
    let walks = match compute.on_host {
        true => sizes.walks(batch, rayon::current_num_threads(), available),
        false => 1,
    };
    let batching = Batching {
        batch: batch.min(remaining.largest_part()).max(1),
        walks: walks.min(remaining.parts.len()).max(1),
    };
    Ok((remaining, batching))
}

/// What profiles of this kind are called among journals.
fn kind(task: Option<&str>) -> String {
    task.map_or_else(|| KIND.to_owned(), |task| format!("{KIND}_{task}"))
}

/// Profiles the model of `config` and writes the files; of a shard, its journal alone. Goes on with
/// what an earlier run has finished.
///
/// # Errors
/// As its stages. [`Error::Evidence`] if no answer passed the gate: then `probes.jsonl` is written
/// and no head_score.
pub fn run(config: &ProfileConfig, interrupt: &Interrupt) -> Result<Finished> {
    let start = Instant::now();
    let session = job::open(&config.probes.compute, &config.notes, &config.reporter)?;
    let compute = &session.compute;
    let kind = kind(config.task.info().label());
    let mut folder = RunFolder::claim(&config.out, &kind, &config.journal)?;
    let out = match config.journal.shard {
        None => Some(OutputDir::prepare(&config.out)?),
        // Whoever merges the shards writes them.
        Some(_) => None,
    };
    interrupt.leave_nothing_at(out.iter().flat_map(OutputDir::made).chain(folder.leftovers()));
    let inputs = session.inputs(&config.probes, config.source()?)?;
    config.check_texts(&inputs.probes.texts)?;
    let job = session.job(&config.probes, &inputs, NeedleSpans::Known)?;
    let before = Running::before(&inputs.model, compute);
    let known = ProfileFacts::new(config, &inputs, &job, before)?.fingerprint()?;
    folder.check(&known, &OF_WEIGHTS)?;
    let extra = ExtraWork::of(config, &inputs)?;
    let longest = job.extent().longest_prompt;
    session.tell_window(&inputs.model, longest + extra.behind(longest));
    if config.runs(Extra::Gradients)
        && inputs.chat.as_ref().is_some_and(|chat| chat.template.thinks())
    {
        config.reporter.warning(
            "the model thinks before it answers, but the score attribution is about the expected \
             answer right behind the prompt",
        );
    }
    extra.check(config, &inputs, &job)?;
    let (extent, bytes) = (extra.extent(&job), extra.per_token_bytes);
    check_memory(&config.probes, &inputs.model, compute, extent, bytes)?;
    // Puts every prompt together, so not before it is known that they fit.
    let schedule = PrefixSchedule::of_job(&job, config.prefix_reuse)?;
    if let Some(path) = &config.export_probes {
        export_probes::write(&job, path)?;
    }
    // Refuses a number at a time that does not fit.
    let all: Vec<usize> = (0..schedule.steps.len()).collect();
    order(config, &inputs, &job, &extra, compute, &schedule, &all)?;

    let loading = Instant::now();
    let model = session.load(&inputs.model)?;
    let load = loading.elapsed().as_secs_f64();

    let mut facts = ProfileFacts::new(config, &inputs, &job, Running::of(&model))?;
    let types = guarded(model.compute(), config.reporter, || head_types(&model, inputs.bos()));
    match &types {
        Err(e) if config.runs(Extra::Kinds) => return Err(e.clone()),
        Ok(types) => facts.head_types = Some(types.clone()),
        // Of random tokens, which no probe depends on.
        Err(e @ (Error::Model(_) | Error::Resources(_))) => {
            config.reporter.warning(&format!("kinds of heads are not known: {}", e.one_line()));
        }
        Err(e) => return Err(e.clone()),
    }
    let shards = folder.shard().1;
    let begun = folder.begin(NewPlan {
        fingerprint: facts.fingerprint()?,
        facts: job::to_value(&facts)?,
        probes: job.plan.probes.iter().map(|probe| probe.id.to_string()).collect(),
        shard_of: schedule.shard_of(shards, &|tokens| work(&inputs.model.config, tokens)),
        on: ComputedOn::new(compute),
    })?;
    begun.tell(&config.reporter);
    let todo = begun.todo();
    let places: Vec<usize> =
        (0..schedule.steps.len()).filter(|&p| todo.contains(&schedule.steps[p].probe)).collect();
    let (remaining, batching) = order(config, &inputs, &job, &extra, compute, &schedule, &places)?;
    if config.until_stable.is_none() {
        remaining.note().iter().for_each(|text| config.reporter.note(text));
    }

    let begun = Arc::new(begun);
    let mut clock = Clock { load, batch: Some(batching.batch), ..Clock::new() };
    clock.start = start;
    interrupt.keep(begun.interrupted(None, &config.command), {
        let (begun, reporter, clock) = (Arc::clone(&begun), config.reporter, clock.clone());
        // The command that goes on is this one, whoever began the run.
        let facts = ProfileFacts { command: config.command.clone(), ..facts.clone() };
        move || finish::so_far(&begun, &facts, &reporter, &clock)
    });
    let answering = Instant::now();
    let (inputs, job, extra, model, schedule) = (&inputs, &job, &extra, &model, &schedule);
    let journal = &begun.journal;
    let run = |batching| probes::Run {
        config,
        inputs,
        job,
        extra,
        model,
        types: types.as_ref().ok(),
        schedule,
        batching,
        journal,
        interrupt,
    };
    let ran = match config.until_stable {
        None => run(batching).probes(&remaining).map(|()| None),
        Some(wanted) => {
            let steps = stable::steps(job, inputs);
            let step = |step: &BTreeSet<usize>| {
                let wanted = |p: &usize| step.contains(&schedule.steps[*p].probe);
                let places: Vec<usize> = places.iter().copied().filter(wanted).collect();
                if places.is_empty() {
                    return Ok(());
                }
                let (remaining, batching) =
                    order(config, inputs, job, extra, compute, schedule, &places)?;
                run(batching).probes(&remaining)
            };
            let probed = |so_far: &BTreeSet<usize>| {
                let done = begun.collected::<FinishedProbe>()?.done.into_iter();
                Probed::new(&facts, done.filter(|done| so_far.contains(&done.index)))
            };
            stable::until(wanted, &steps, &facts, &config.reporter, step, probed).map(Some)
        }
    };
    clock.until_stable = interrupt.told(ran)?;
    clock.answering = answering.elapsed().as_secs_f64();
    clock.answered = todo;
    interrupt.told(interrupt.begin_writing())?;
    machine::give_back_freed_memory();
    let mut collected = begun.collected::<FinishedProbe>()?;
    if let Some(until) = &clock.until_stable {
        // An earlier run may have gone further.
        collected.done.retain(|done| until.ran.contains(&done.index));
    }
    let mut facts: ProfileFacts = facts_of(&begun.plan)?;
    // A run may have been begun by a headprof that did not look at them.
    facts.head_types = facts.head_types.or(types.ok());
    match out {
        Some(out) => {
            let place = (&out, config.plots);
            let mut finished =
                finish::write((&facts, 1), collected, place, &config.reporter, &clock)?;
            let chunk = config.probes.chunk_tokens(model.compute());
            let watching = look::Watching { model, inputs, job, chunk };
            if let Some(made) = finished.told.results_mut().filter(|_| config.report) {
                let looked = guarded(model.compute(), config.reporter, || {
                    look::behind(&watching, &config.out, &facts)
                });
                match looked {
                    Ok(files) => made.files.extend(files),
                    Err(e) => {
                        config.reporter.warning(&format!("no look at answers: {}", e.one_line()))
                    }
                }
            }
            Ok(finished)
        }
        None => {
            let probed = Probed::new(&facts, collected.done)?;
            let failed = probed.count(Status::Failed);
            let told = Told::Shard(begun.shard_summary(&config.out, failed));
            Ok(Finished { told, shortcoming: probed.shortcoming() })
        }
    }
}

/// The facts of a plan.
///
/// # Errors
/// [`Error::Data`] if they are none, or name something that cannot be a part of a file's name.
fn facts_of(plan: &PlanFile) -> Result<ProfileFacts> {
    let facts: ProfileFacts = plan.facts()?;
    let names = [Some(&facts.model), facts.task.as_ref()];
    names.into_iter().flatten().try_for_each(|name| job::check_file_name_part(name))?;
    facts.check()?;
    Ok(facts)
}

/// Writes the files of a profile whose shards are in the folder of `plan`, all of them finished.
///
/// # Errors
/// As [`run`] has them once probes are finished; [`Error::Data`] for a plan or journals that are
/// none of a profile, [`Error::Evidence`] while probes are missing.
pub fn merge(merged: &Merge) -> Result<Finished> {
    let facts = facts_of(merged.plan)?;
    let clock = Clock::new();
    let collected = merged.collected::<FinishedProbe>(&facts.command)?;
    let out = OutputDir::prepare(merged.out)?;
    let place = (&out, merged.plots);
    finish::write((&facts, merged.plan.shards), collected, place, merged.reporter, &clock)
}
