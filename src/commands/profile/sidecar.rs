//! `<model>_<score>_heads.meta.json`: everything that made a head_score file.
//!
//! Two runs of one program with the same inputs differ under `run` alone; under `batch`, and in the
//! last digits of scores, too, if one of them found too little memory free for as many probes at a
//! time as the other.

use serde::Serialize;

use super::Seconds;
use super::probes::Probed;
use super::record::{ProbeRecord, Status, tasks};
use super::statistics::{ScoreResult, ScoreStatistics};
use crate::commands::profile::ProfileConfig;
use crate::heads::HeadMatrix;
use crate::job::Inputs;
use crate::job::Job;
use crate::job::Provenance;
use crate::model::Llama;
use crate::needle::SubTask;
use crate::plan::ProbeId;
use crate::system::machine;

/// What a run was made of and what came out.
pub(super) struct ProfileRun<'a> {
    pub config: &'a ProfileConfig,
    pub inputs: &'a Inputs,
    pub job: &'a Job,
    pub model: &'a Llama,
    pub probed: &'a Probed,
}

impl ProfileRun<'_> {
    /// The tasks of the probes, ascending; none for needles.
    pub fn job_tasks(&self) -> Vec<SubTask> {
        tasks(&self.probed.records)
    }
}

/// The content of the file.
#[derive(Debug, Serialize)]
pub(super) struct Sidecar<'a> {
    headprof: &'static str,
    command: &'a [String],
    /// The task whose probes these are; `null` for all probes.
    task: Option<SubTask>,
    score: ScoreMeta,
    statistics: &'a ScoreStatistics,
    heads: HeadsMeta,
    probes: ProbesMeta,
    /// Whether what prompts begin alike with was run once.
    prefix_reuse: bool,
    /// How many probes were answered together, at most.
    batch: usize,
    #[serde(flatten)]
    provenance: Provenance<'a>,
    run: RunMeta,
}

/// Every head: mean over the accepted probes, its standard error and 95 % bootstrap interval, each
/// `[L][H]`; only means where there is a single probe.
#[derive(Debug, Serialize)]
struct HeadsMeta {
    mean: Vec<Vec<f32>>,
    std_error: Option<Vec<Vec<f32>>>,
    low_95: Option<Vec<Vec<f32>>>,
    high_95: Option<Vec<Vec<f32>>>,
}

impl HeadsMeta {
    fn of(result: &ScoreResult) -> Self {
        let rows = |m: &HeadMatrix| m.values().chunks(m.heads()).map(<[f32]>::to_vec).collect();
        let spread = result.spread.as_ref();
        Self {
            mean: rows(&result.mean),
            std_error: spread.map(|s| rows(&s.std_error)),
            low_95: spread.map(|s| rows(&s.low)),
            high_95: spread.map(|s| rows(&s.high)),
        }
    }
}

#[derive(Debug, Serialize)]
struct ScoreMeta {
    name: &'static str,
    title: &'static str,
    formula: &'static str,
    source: &'static str,
    score_rows: String,
    top_k_infscore: usize,
    compat: String,
}

/// How many probes there were, and which of them the values of the head_score file belong to.
#[derive(Debug, Serialize)]
struct ProbesMeta {
    accepted: usize,
    rejected: usize,
    failed: usize,
    accepted_ids: Vec<ProbeId>,
    rejected_ids: Vec<ProbeId>,
    failed_ids: Vec<ProbeId>,
}

/// What differs from run to run.
#[derive(Debug, Serialize)]
struct RunMeta {
    created: String,
    seconds: Seconds,
    threads: usize,
    peak_rss_bytes: Option<u64>,
}

impl<'a> Sidecar<'a> {
    pub fn new(
        made: &'a ProfileRun<'a>,
        result: &'a ScoreResult,
        seconds: Seconds,
        peak_rss_bytes: Option<u64>,
    ) -> Self {
        let ProfileRun { config, inputs, job, model, probed } = made;
        let own: Vec<&ProbeRecord> = probed
            .records
            .iter()
            .filter(|r| result.task.is_none() || r.task == result.task)
            .collect();
        let ids = |status| -> Vec<ProbeId> {
            own.iter().filter(|r| r.status == status).map(|r| r.id).collect()
        };
        let (accepted_ids, rejected_ids, failed_ids) =
            (ids(Status::Accepted), ids(Status::Rejected), ids(Status::Failed));
        let cycles = probed.records.iter().map(|r| r.haystack_cycles).max().unwrap_or(0);
        Self {
            headprof: env!("CARGO_PKG_VERSION"),
            command: &config.command,
            task: result.task,
            score: ScoreMeta {
                name: result.score.name(),
                title: result.score.info().title,
                formula: result.score.info().formula,
                source: result.score.info().source,
                score_rows: config.score_options.rows.to_string(),
                top_k_infscore: config.top_k,
                compat: config.score_options.compat.to_string(),
            },
            statistics: &result.statistics,
            heads: HeadsMeta::of(result),
            probes: ProbesMeta {
                accepted: accepted_ids.len(),
                rejected: rejected_ids.len(),
                failed: failed_ids.len(),
                accepted_ids,
                rejected_ids,
                failed_ids,
            },
            prefix_reuse: config.prefix_reuse,
            batch: probed.batch,
            provenance: Provenance::new(&config.probes, inputs, job, model, cycles),
            run: RunMeta {
                created: machine::utc_now(),
                seconds,
                threads: rayon::current_num_threads(),
                peak_rss_bytes,
            },
        }
    }
}
