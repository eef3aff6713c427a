//! `<model>_<score>_heads.meta.json`: everything that made a head_score file.
//!
//! Two runs of one program with the same inputs on the processor differ under `run` alone, however
//! often they were interrupted and into however many shards they were cut.

use serde::Serialize;
use serde_json::Value;

use super::Seconds;
use super::facts::ProfileRun;
use super::record::{ProbeRecord, Status};
use super::stable::UntilStable;
use super::statistics::{ScoreResult, ScoreStatistics};
use crate::head_score::sidecar::HeadsMeta;
use crate::job;
use crate::needle::SubTask;
use crate::plan::ProbeId;

/// The content of the file.
#[derive(Debug, Serialize)]
pub(super) struct Sidecar<'a> {
    headprof: &'static str,
    command: &'a [String],
    /// The task whose probes these are; `null` for all probes.
    task: Option<SubTask>,
    score: ScoreMeta<'a>,
    statistics: &'a ScoreStatistics,
    /// With their signs, which the head_score file cannot have.
    heads: HeadsMeta,
    probes: ProbesMeta,
    /// Whether what prompts begin alike with was run once.
    prefix_reuse: bool,
    /// How the run came to end before its grid did.
    #[serde(skip_serializing_if = "Option::is_none")]
    until_stable: Option<&'a UntilStable>,
    #[serde(flatten)]
    provenance: Value,
    run: &'a RunMeta,
}

#[derive(Debug, Serialize)]
struct ScoreMeta<'a> {
    name: &'static str,
    title: &'static str,
    formula: &'static str,
    source: &'static str,
    score_rows: &'a str,
    top_k_infscore: usize,
    compat: &'a str,
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
#[derive(Debug, Clone, Serialize)]
pub(super) struct RunMeta {
    pub created: String,
    pub seconds: Seconds,
    pub threads: usize,
    /// How many probes were answered together, at most; nothing where shards were merged.
    pub batch: Option<usize>,
    /// How many processes had a part in it.
    pub processes: usize,
    pub shards: usize,
    pub peak_rss_bytes: Option<u64>,
}

/// How a profile came about, as known when its files are written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// What it was computed on; several with commas between them.
    pub device: String,
    pub dtype: String,
    /// How a run came to end before its grid did.
    pub until_stable: Option<UntilStable>,
    pub run: RunMeta,
}

impl<'a> Sidecar<'a> {
    pub fn new(made: &'a ProfileRun<'a>, result: &'a ScoreResult, written: &'a Written) -> Self {
        let ProfileRun { facts, probed } = made;
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
        let mut provenance = facts.provenance.clone();
        job::set_outcome(&mut provenance, cycles, &written.device, &written.dtype);
        Self {
            headprof: env!("CARGO_PKG_VERSION"),
            command: &facts.command,
            task: result.task,
            score: ScoreMeta {
                name: result.score.name(),
                title: result.score.info().title,
                formula: result.score.info().formula,
                source: result.score.info().source,
                score_rows: &facts.score_rows,
                top_k_infscore: facts.top_k,
                compat: &facts.compat,
            },
            statistics: &result.statistics,
            heads: HeadsMeta::of(&result.mean, result.spread.as_ref())
                .with_types(facts.head_types.clone()),
            probes: ProbesMeta {
                accepted: accepted_ids.len(),
                rejected: rejected_ids.len(),
                failed: failed_ids.len(),
                accepted_ids,
                rejected_ids,
                failed_ids,
            },
            prefix_reuse: facts.prefix_reuse,
            until_stable: written.until_stable.as_ref(),
            provenance,
            run: &written.run,
        }
    }
}
