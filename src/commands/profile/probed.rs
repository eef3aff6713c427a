//! [`Probed`]: what probes came to, as journals hold it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::facts::ProfileFacts;
use super::record::{ProbeRecord, ProbeSeconds, Status};
use crate::error::{Error, Result};
use crate::heads::HeadMatrix;
use crate::journal::{Done, Finished};
use crate::score::{self, HeadScore};

/// Answers shown where none passed.
const SAMPLES: usize = 3;

/// A probe in a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedProbe {
    /// The probe with its answer.
    pub record: ProbeRecord,
    /// Its scores by their names, in base64; none if it was not accepted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, String>,
}

impl FinishedProbe {
    /// A probe with its `scores`, one for each of `names`, or none.
    pub fn new(
        record: ProbeRecord,
        scores: &[HeadMatrix],
        names: &[&'static dyn HeadScore],
    ) -> Self {
        let named = names.iter().zip(scores);
        let scores = named.map(|(name, matrix)| (name.name().to_owned(), matrix.to_base64()));
        Self { scores: scores.collect(), record }
    }

    /// Its line in the journal; `again`: whether the next run tries it again.
    pub fn done(self, again: bool) -> Done<Self> {
        let (index, id) = (self.record.index, self.record.id.to_string());
        Done { index, id, failed: again, result: self }
    }
}

impl Finished for FinishedProbe {
    fn same(&self, other: &Self) -> bool {
        let timeless = |record: &ProbeRecord| ProbeRecord {
            seconds: ProbeSeconds::default(),
            ..record.clone()
        };
        self.scores == other.scores && timeless(&self.record) == timeless(&other.record)
    }
}

/// Probes, answered.
#[derive(Debug)]
pub struct Probed {
    /// One per probe, in the order of the plan.
    pub records: Vec<ProbeRecord>,
    /// Per score of [`ProfileFacts::scores`]: one `[L, H]` per accepted probe, in the order of the
    /// plan.
    pub scores: Vec<Vec<HeadMatrix>>,
    /// What answers had to reach, in words.
    pub gate_rule: String,
}

impl Probed {
    /// What was `done` of a plan, in its order, as the facts have scores and heads.
    ///
    /// # Errors
    /// [`Error::Data`] naming the probe whose scores are not there or are no values of heads.
    pub fn new(
        facts: &ProfileFacts,
        done: impl IntoIterator<Item = Done<FinishedProbe>>,
    ) -> Result<Self> {
        let mut scores = vec![Vec::new(); facts.scores.len()];
        let mut records = Vec::new();
        for Done { index, id, result: FinishedProbe { record, scores: own }, .. } in done {
            check(index, &id, &record)?;
            if record.status == Status::Accepted {
                for (name, all) in facts.scores.iter().zip(&mut scores) {
                    all.push(matrix(facts, &own, name).map_err(|e| {
                        e.within(format!("score {name} of probe {} ({})", record.index, record.id))
                    })?);
                }
            }
            records.push(record);
        }
        Ok(Self { records, scores, gate_rule: facts.gate_rule.clone() })
    }

    /// Seconds that were measured for prompts and for answers, all probes together: those of
    /// threads that work at the same time add up.
    pub fn seconds(&self) -> ProbeSeconds {
        let sum = |of: fn(&ProbeSeconds) -> f64| self.records.iter().map(|r| of(&r.seconds)).sum();
        ProbeSeconds { prefill: sum(|s| s.prefill), decode: sum(|s| s.decode) }
    }

    /// How many probes ended like this.
    pub fn count(&self, status: Status) -> usize {
        self.records.iter().filter(|r| r.status == status).count()
    }

    /// The accepted probes, in the order of the plan.
    pub fn accepted(&self) -> impl Iterator<Item = &ProbeRecord> {
        self.records.iter().filter(|r| r.status == Status::Accepted)
    }

    /// An error if some probes failed.
    pub fn shortcoming(&self) -> Option<Error> {
        let failed: Vec<&ProbeRecord> =
            self.records.iter().filter(|r| r.status == Status::Failed).collect();
        let first = failed.first()?;
        Some(
            Error::evidence("some probes failed; the scores are of the others")
                .at(format!(
                    "probe {} ({}, {} tokens)",
                    first.id, first.needle_id, first.context_length
                ))
                .got(format!(
                    "{} of {} probes failed; the first: {}",
                    failed.len(),
                    self.records.len(),
                    first.reason.as_deref().unwrap_or("no reason")
                ))
                .advice(
                "see status and reason in probes.jsonl; the same command tries those again that \
                 failed for lack of memory or a device",
            ),
        )
    }

    /// The error of a run without an accepted probe: the gate, the best value and the best answers.
    pub fn nothing_accepted(&self) -> Error {
        let mut rejected: Vec<&ProbeRecord> =
            self.records.iter().filter(|r| r.status == Status::Rejected).collect();
        let failed: Vec<&ProbeRecord> =
            self.records.iter().filter(|r| r.status == Status::Failed).collect();
        let failures = failed.first().map_or(String::new(), |first| {
            let reason = first.reason.as_deref().unwrap_or("no reason");
            format!("{} probes failed; the first: {reason}", failed.len())
        });
        let value = |r: &ProbeRecord| r.gate_value.unwrap_or(0.0);
        // Stable: of equal values the first of the plan.
        rejected.sort_by(|a, b| value(b).total_cmp(&value(a)));
        let Some(best) = rejected.first() else {
            return Error::evidence("every probe failed: there are no scores to write")
                .got(failures)
                .advice("see status and reason in probes.jsonl");
        };
        let samples: Vec<String> = rejected
            .iter()
            .take(SAMPLES)
            .map(|r| {
                let answer = r.answer.as_deref().unwrap_or_default();
                format!("{:.4}  {answer:?} for {:?}", value(r), r.gold)
            })
            .collect();
        Error::evidence("no answer passed the gate: there are no scores to write")
            .at(&self.gate_rule)
            .got(
                format!(
                    "{} answers, the best value {:.4}; the nearest answers:\n{}\n{failures}",
                    rejected.len(),
                    value(best),
                    samples.join("\n")
                )
                .trim_end(),
            )
            .expected("at least one answer that passes")
            .advice(
                "shorter contexts, needles that this model can answer, another --gate, or \
                 --stop-newline off if answers are empty; all answers are in probes.jsonl",
            )
    }
}

/// Refuses a record that is another probe's, or has a value that no gate gives.
fn check(index: usize, id: &str, record: &ProbeRecord) -> Result<()> {
    let value = record.gate_value.is_none_or(|value| (-1.001..=1.001).contains(&value));
    let fine = record.index == index && record.id.to_string() == id && value;
    fine.then_some(()).ok_or_else(|| {
        Error::data("the journal holds a record that no probe has")
            .at(format!("probe {index} ({id})"))
            .got(format!(
                "index {}, id {}, gate_value {:?}",
                record.index, record.id, record.gate_value
            ))
            .expected("its own index and id, and a value from -1 to 1")
    })
}

fn matrix(
    facts: &ProfileFacts,
    scores: &BTreeMap<String, String>,
    name: &str,
) -> Result<HeadMatrix> {
    let text = scores.get(name).ok_or_else(|| {
        Error::data("the journal does not hold a score").expected("all scores of the plan")
    })?;
    let matrix = HeadMatrix::from_base64(facts.layers, facts.heads, text)?;
    let signed = score::by_name(name)?.info().is_signed();
    match matrix.values().iter().find(|value| **value < 0.0 && !signed) {
        None => Ok(matrix),
        Some(value) => {
            Err(Error::data("a head score is negative").got(value).expected("0 or more"))
        }
    }
}
