//! `--until-stable`: a run that ends when more probes would not change which heads are the best.
//!
//! ```text
//! balanced order ─► a twelfth of the probes ─► run ─► how stable? ─┬─ twice in a row enough ─► end
//!                        ▲                                        │
//!                        └────────────── the next twelfth ◄───────┘
//! ```
//!
//! What is asked is whether the rest of the grid would change the ten best heads. Their number that
//! would stay is estimated by resampling the accepted probes: deviations of the mean, as much
//! smaller as the grid is finite, `sqrt(1 - n / N)` after `n` of `N` probes. That leaves all that
//! needles differ by in it, although a balanced order takes most of that out, and it has to be
//! enough twice in a row: docs/scores.md says how much margin that is on real models.

use std::collections::BTreeSet;

use serde::Serialize;

use super::facts::ProfileFacts;
use super::probed::Probed;
use super::{balanced, statistics};
use crate::error::Result;
use crate::job::{Inputs, Job};
use crate::score::aggregate::expected_top;
use crate::system::Reporter;

/// In how many steps the probes are run, at most.
const STEPS: usize = 12;
/// Probes of a step, at least.
const LEAST: usize = 10;
/// Needles that have to be among the accepted probes before anything can be called stable.
const NEEDLES: usize = 4;
/// How often in a row the run has to be stable.
const IN_A_ROW: usize = 2;
/// Resamples behind a step's numbers.
const RESAMPLES: usize = 200;

/// How stable the scores are after some of the probes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stability {
    /// Probes so far.
    pub probes: usize,
    /// Those that were accepted.
    pub accepted: usize,
    /// Expected share of the ten best heads that will be those of the whole grid: of the main score
    /// for which it is lowest.
    pub top_kept: f64,
    /// Correlation of all heads between halves of the needles, as whole samples would have it: of
    /// the main score for which it is lowest.
    pub halves: f64,
}

/// What a run that ended early says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UntilStable {
    /// What was asked for.
    pub wanted: f64,
    /// Probes of the whole grid.
    pub planned: usize,
    /// Whether it was reached.
    pub reached: bool,
    /// Which of them were run for it.
    #[serde(skip)]
    pub ran: BTreeSet<usize>,
    /// After every step.
    pub steps: Vec<Stability>,
}

/// The probes of `job` in steps, each by their index in the plan.
pub(super) fn steps(job: &Job, inputs: &Inputs) -> Vec<BTreeSet<usize>> {
    let probes = &job.plan.probes;
    let order = balanced::order(probes, |probe| inputs.probes.texts[probe.needle].task());
    let step = order.len().div_ceil(STEPS).max(LEAST);
    order.chunks(step).map(|step| step.iter().copied().collect()).collect()
}

/// Goes through `steps`: `run` one, see what it came to with `probed` (of all steps so far), and
/// end when that is `wanted` or more twice in a row.
///
/// # Errors
/// The first of `run` and `probed`; as [`statistics::of_scores`].
pub(super) fn until(
    wanted: f64,
    steps: &[BTreeSet<usize>],
    facts: &ProfileFacts,
    reporter: &Reporter,
    mut run: impl FnMut(&BTreeSet<usize>) -> Result<()>,
    probed: impl Fn(&BTreeSet<usize>) -> Result<Probed>,
) -> Result<UntilStable> {
    let planned = steps.iter().map(BTreeSet::len).sum();
    let (mut so_far, mut row) = (BTreeSet::new(), 0);
    let mut told =
        UntilStable { wanted, planned, reached: false, ran: BTreeSet::new(), steps: Vec::new() };
    for (i, step) in steps.iter().enumerate() {
        run(step)?;
        so_far.extend(step);
        let probed = probed(&so_far)?;
        let Some(now) = stability(facts, &probed, planned)? else { continue };
        told.steps.push(now);
        let enough = now.top_kept >= wanted && now.halves >= wanted;
        row = if enough { row + 1 } else { 0 };
        let Stability { probes, top_kept, halves, .. } = now;
        reporter.note(&format!(
            "{probes} of {planned} probes: {:.0} % of the ten best heads are expected to stay, halves \
             of the needles agree to {halves:.3}",
            100.0 * top_kept
        ));
        if row >= IN_A_ROW {
            told.reached = true;
            if i + 1 < steps.len() {
                let left = planned - so_far.len();
                reporter.note(&format!("stable at {}: {left} probes are not needed", told.share()));
            }
            break;
        }
    }
    told.ran = so_far;
    Ok(told)
}

impl UntilStable {
    /// What was asked for, as it was given: `95 %`.
    pub fn share(&self) -> String {
        format!("{} %", (1e5 * self.wanted).round() / 1e3)
    }
}

/// How stable the main scores of `probed`, of a grid of `planned` probes, are; `None` while there
/// is too little to say so.
fn stability(facts: &ProfileFacts, probed: &Probed, planned: usize) -> Result<Option<Stability>> {
    let needles: BTreeSet<&str> = probed.accepted().map(|r| r.needle_id.as_str()).collect();
    if needles.len() < NEEDLES {
        return Ok(None);
    }
    let results = statistics::of_scores(facts, probed, RESAMPLES)?;
    let (probes, accepted) = (probed.records.len(), probed.accepted().count());
    let left = 1.0 - probes as f64 / planned as f64;
    let (mut top_kept, mut halves) = (1.0f64, 1.0f64);
    // One pooled result per score, in the order of the scores.
    for (result, scores) in statistics::pooled(&results).zip(&probed.scores) {
        if !result.score.info().main {
            continue;
        }
        let Some(spread) = &result.spread else { return Ok(None) };
        top_kept = top_kept.min(expected_top(scores, left, RESAMPLES, facts.seed));
        halves = halves.min(spread.halves_agree.unwrap_or(0.0));
    }
    Ok(Some(Stability { probes, accepted, top_kept, halves }))
}
