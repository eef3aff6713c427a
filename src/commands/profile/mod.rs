//! The main job: profile the attention heads of one model.
//!
//! ```text
//! ProfileConfig ─► Session ─► Inputs ─► Job (plan, prompts) ─► Llama ─► probes ─► Results ─►
//! files, Summary
//! ```
//!
//! Everything that can go wrong without the weights goes wrong before they are read.

pub mod config;

mod answering;
mod batching;
mod export_probes;
mod outputs;
mod parts;
mod pictures;
mod probe_cache;
mod probes;
mod ranking;
mod record;
mod schedule;
mod sidecar;
mod statistics;
mod summary;

use std::time::Instant;

use serde::Serialize;

pub use outputs::OutputDir;
pub use probes::Probed;

use batching::{Batching, Sizes};
use parts::ScheduledProbe;
use ranking::AgainstNeedles;
pub use ranking::Ranking;
pub use record::{ProbeRecord, Status};
use schedule::{Cut, PrefixSchedule};
pub use statistics::{ScoreStatistics, TopHead};
pub use summary::Summary;

use crate::error::{Error, Result};
use crate::job::{
    self, Inputs, Job, MemoryEstimate, ModelFiles, NeedleSpans, Session, WorkPrompt, Workload,
    check_memory, further_bytes,
};
use crate::model::Compute;
use crate::model::speed::{prompt_attention_flops, prompt_weights};
use crate::system::interrupt::Interrupt;
use crate::system::machine;
pub use config::ProfileConfig;

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

/// A profile that was written.
pub struct Finished {
    /// What to tell.
    pub summary: Summary,
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
    let job = session.job(&config.probes, &inputs, NeedleSpans::Known)?;
    let (schedule, Batching { batch, walks }) = order(config, &inputs, &job, &session.compute)?;
    let prompt = |step: &ScheduledProbe| {
        let new_tokens = job.max_new_tokens(&job.plan.probes[step.probe]);
        WorkPrompt { tokens: step.tokens, reused: step.shared, new_tokens }
    };
    let work = Workload {
        prompts: schedule.steps().map(prompt).collect(),
        answers: 1,
        batch,
        walks,
        extra_per_token_bytes: 0,
        statistics: false,
        followed: false,
    };
    Ok((inputs.model, work))
}

/// The order of the probes of `job`, in parts where the processor's threads can take one each; how
/// many are answered together, and by how many threads at the same time.
fn order(
    config: &ProfileConfig,
    inputs: &Inputs,
    job: &Job,
    compute: &Compute,
) -> Result<(PrefixSchedule, Batching)> {
    let (extent, shape) = (job.extent(), &inputs.model.config);
    let tokens = extent.longest_prompt.saturating_add(extent.longest_answer);
    let estimate = MemoryEstimate::new(shape, compute, config.probes.chunk_tokens(compute));
    let sizes = Sizes { estimate, further: further_bytes(shape, compute, tokens), tokens };
    let probes = job.plan.probes.len();
    let (available, asked) = match &compute.free_memory()[..] {
        [one] => (*one, config.batch),
        // Of several GPUs none has all of a cache: what does not fit there is found out by trying.
        _ => (None, config.batch.or(Some(1))),
    };
    let batch = sizes.batch(asked, probes, available)?;
    let work = |tokens: usize| {
        2.0 * prompt_weights(shape) * tokens as f64 + prompt_attention_flops(shape, tokens)
    };
    let cut = compute.on_host.then_some(Cut { batch, work: &work });
    let schedule = PrefixSchedule::of_job(job, config.prefix_reuse, cut)?;
    let walks = match compute.on_host {
        true => sizes.walks(batch, rayon::current_num_threads(), available),
        false => 1,
    };
    let batching = Batching {
        batch: batch.min(schedule.largest_part()).max(1),
        walks: walks.min(schedule.parts.len()).max(1),
    };
    Ok((schedule, batching))
}

/// Profiles the model of `config` and writes the files.
///
/// # Errors
/// As its stages. [`Error::Evidence`] if no answer passed the gate: then `probes.jsonl` is written
/// and no head_score.
pub fn run(config: &ProfileConfig, interrupt: &Interrupt) -> Result<Finished> {
    let start = Instant::now();
    let session = job::open(&config.probes.compute, &config.notes, &config.reporter)?;
    let compute = &session.compute;
    let out = OutputDir::prepare(&config.out)?;
    let inputs = session.inputs(&config.probes, config.source()?)?;
    let job = session.job(&config.probes, &inputs, NeedleSpans::Known)?;
    session.tell_window(&inputs.model, job.extent().longest_prompt);
    check_memory(&config.probes, &inputs.model, compute, job.extent(), 0)?;
    // Puts every prompt together, so not before it is known that they fit.
    let (schedule, batching) = order(config, &inputs, &job, compute)?;
    schedule.note().iter().for_each(|text| config.reporter.note(text));
    if let Some(path) = &config.export_probes {
        export_probes::write(&job, path)?;
    }

    let loading = Instant::now();
    let model = session.load(&inputs.model)?;
    let load = loading.elapsed().as_secs_f64();

    let (inputs, job, model) = (&inputs, &job, &model);
    let probed =
        probes::Run { config, inputs, job, model, batching, interrupt }.probes(&schedule)?;
    interrupt.begin_writing()?;
    machine::give_back_freed_memory();
    out.write_probes(&probed.records)?;
    let statistics = statistics::of_scores(config, &probed).inspect_err(|_| {
        let earlier = out.earlier_scores(config.task.info(), &inputs.model.name);
        if let Some(first) = earlier.first() {
            let (n, first) = (earlier.len(), first.display());
            config.reporter.warning(&format!(
                "{n} score files of an earlier run are still here: {first}, ..."
            ));
        }
    })?;
    let made = sidecar::ProfileRun { config, inputs, job, model, probed: &probed };
    let against = match config.task.info().label() {
        None => AgainstNeedles::default(),
        Some(_) => {
            let (name, reporter) = (&inputs.model.name, &config.reporter);
            ranking::against_needles(&statistics, &out.head_score(), model, name, reporter)
        }
    };
    let pictures =
        if config.plots { pictures::draw(&made, &statistics, &against.needles)? } else { vec![] };
    let seconds = Seconds {
        load,
        prefill: probed.prefill_secs,
        decode: probed.decode_secs,
        total: start.elapsed().as_secs_f64(),
    };
    let rss = machine::peak_rss_bytes();
    let files = out.write_scores(&made, &statistics, pictures, seconds, rss)?;
    let summary = Summary::new(&made, &statistics, against.rankings, &files, seconds, rss);
    Ok(Finished { summary, shortcoming: probed.shortcoming() })
}
