//! What is told about a score: its best heads, and how sure that is.

use serde::Serialize;

use super::facts::ProfileFacts;
use super::probed::Probed;
use super::record::{ProbeRecord, tasks};
use crate::error::Result;
use crate::head_score::HeadScoreFile;
use crate::heads::HeadMatrix;
use crate::needle::SubTask;
use crate::score::HeadScore;
use crate::score::aggregate::{Aggregate, Spread, TOP_HEADS, aggregate};
use crate::score::clusters::Clusters;

/// One of the best heads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopHead {
    /// Layer, from 0.
    pub layer: usize,
    /// Query head, from 0.
    pub head: usize,
    /// Mean over the accepted probes.
    pub mean: f32,
    /// Standard error of the mean; `None` for a single probe.
    pub std_error: Option<f32>,
    /// 95 % interval of the mean; `None` for a single probe.
    pub interval_95: Option<[f32; 2]>,
    /// In which share of the resamples it is among the ten best; `None` for a single probe.
    pub top_probability: Option<f32>,
}

/// A score over all accepted probes, in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreStatistics {
    /// Accepted probes.
    pub probes: usize,
    /// The ten best heads.
    pub top: Vec<TopHead>,
    /// Rank correlation of all heads between random halves of the needles.
    pub split_half_spearman: Option<f64>,
    /// Expected share of the ten best heads that stay among the ten best in a resample.
    pub top_overlap_frac: Option<f64>,
    /// How often needles and places were drawn for that.
    pub resamples: usize,
}

/// One score of a run, over all its probes or over those of one task.
pub struct ScoreResult {
    /// The task; `None` for all probes together.
    pub task: Option<SubTask>,
    /// Which.
    pub score: &'static dyn HeadScore,
    /// The values per head and probe, as the file has them: none below 0.
    pub file: HeadScoreFile,
    /// The mean per head, `[L, H]`, with its sign.
    pub mean: HeadMatrix,
    /// How sure each mean is; `None` for a single probe.
    pub spread: Option<Spread>,
    /// The rest.
    pub statistics: ScoreStatistics,
}

impl ScoreStatistics {
    fn of(aggregate: &Aggregate, resamples: usize) -> Self {
        let spread = aggregate.spread.as_ref();
        let top = aggregate.mean.top(TOP_HEADS).into_iter().map(|(layer, head, mean)| TopHead {
            layer,
            head,
            mean,
            std_error: spread.map(|s| s.std_error.get(layer, head)),
            interval_95: spread.map(|s| [s.low.get(layer, head), s.high.get(layer, head)]),
            top_probability: spread.map(|s| s.top_probability.get(layer, head)),
        });
        Self {
            probes: aggregate.probes,
            top: top.collect(),
            split_half_spearman: spread.and_then(|s| s.split_half_spearman),
            top_overlap_frac: spread.map(|s| s.top_overlap_frac),
            resamples,
        }
    }
}

/// Aggregates every score of a run over all accepted probes; of a run with several tasks behind
/// that also the main scores over those of each task that has any. `resamples` say
/// how sure that is.
///
/// # Errors
/// [`Probed::nothing_accepted`] if there is no accepted probe.
pub(super) fn of_scores(
    facts: &ProfileFacts,
    probed: &Probed,
    resamples: usize,
) -> Result<Vec<ScoreResult>> {
    if probed.accepted().next().is_none() {
        return Err(probed.nothing_accepted());
    }
    let alike =
        |r: &'_ ProbeRecord| (r.needle_id.clone(), r.place(facts.length_group(r.context_length)));
    let result = |score: &'static dyn HeadScore, probes: &[HeadMatrix], task: Option<SubTask>| {
        let own = probed.accepted().filter(|r| task.is_none() || r.task == task);
        let clusters = Clusters::new(own.map(alike));
        let aggregate = aggregate(probes, &clusters, facts.seed, resamples)?;
        let file = match score.info().is_signed() {
            true => HeadScoreFile::from_signed_probes(probes, &aggregate.mean)?,
            false => HeadScoreFile::from_probes(probes)?,
        };
        Ok(ScoreResult {
            task,
            score,
            file,
            statistics: ScoreStatistics::of(&aggregate, resamples),
            mean: aggregate.mean,
            spread: aggregate.spread,
        })
    };
    let known = facts.head_scores()?;
    let scores = || known.iter().copied().zip(&probed.scores);
    let mut results = Vec::new();
    for (score, probes) in scores() {
        results.push(result(score, probes, None)?);
    }
    let tasks = match tasks(&probed.records) {
        several if several.len() > 1 => several,
        _ => Vec::new(),
    };
    for task in tasks {
        let of_task: Vec<bool> = probed.accepted().map(|r| r.task == Some(task)).collect();
        for (score, probes) in scores().filter(|(score, _)| score.info().main) {
            let own = probes.iter().zip(&of_task).filter(|(_, of_task)| **of_task);
            let own: Vec<HeadMatrix> = own.map(|(matrix, _)| matrix.clone()).collect();
            if !own.is_empty() {
                results.push(result(score, &own, Some(task))?);
            }
        }
    }
    Ok(results)
}

/// The results over all probes.
pub(super) fn pooled(results: &[ScoreResult]) -> impl Iterator<Item = &ScoreResult> {
    results.iter().filter(|r| r.task.is_none())
}
