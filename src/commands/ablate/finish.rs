//! From what became of prompts, as journals hold it, to the files and what is told.

use std::path::Path;
use std::time::Instant;

use super::each::EachRecord;
use super::facts::AblateFacts;
use super::outputs::{self, RunMeta, Written};
use super::run::PromptRecord;
use super::{AblateConfig, Ablated, FinishedAblation, pictures, rows};
use crate::error::{Error, Result};
use crate::journal::{Begun, Collected, Finished, Told};
use crate::system::{Reporter, machine};

/// Where results go, and how they came about.
pub(super) struct To<'a> {
    pub root: &'a Path,
    pub plots: bool,
    pub shards: usize,
    pub processes: usize,
    /// Prompts that failed.
    pub failed: usize,
    pub start: Instant,
}

impl To<'_> {
    /// What is known when files are written of a run on `device` in `dtype`.
    pub fn written(&self, device: String, dtype: String) -> Written {
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
    pub fn told(&self, facts: &AblateFacts) -> Ablated {
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
pub(super) fn counts<R: Finished>(collected: &Collected<R>) -> (usize, usize) {
    (collected.processes, collected.done.iter().filter(|done| done.failed).count())
}

/// Writes the files of a run all of whose prompts are finished.
pub(super) fn write(
    facts: &AblateFacts,
    to: &To,
    collected: Collected<PromptRecord>,
) -> Result<FinishedAblation> {
    let Collected { done, device, dtype, .. } = collected;
    let records: Vec<PromptRecord> = done.into_iter().map(|done| done.result).collect();
    check(&records, facts.sets.len())?;
    let failures = || records.iter().filter_map(|r| r.outcomes.as_ref().err().map(|e| (&r.id, e)));
    if to.failed == records.len() {
        return Err(shortcoming(failures(), records.len())
            .unwrap_or_else(|| Error::bug("a run without prompts")));
    }
    let rows = rows(&facts.sets, &records);
    let pictures = if to.plots { pictures::draw(facts, &rows)? } else { Vec::new() };
    let written = to.written(device, dtype);
    let files = outputs::write(to.root, (facts, &rows), &records, pictures, &written)?;
    let shortcoming = shortcoming(failures(), records.len());
    let told = Told::Results(Ablated { rows, files, ..to.told(facts) });
    Ok(FinishedAblation { told, shortcoming })
}

/// Prints what an interrupted run has found so far; the error says where it is kept and how to go
/// on.
pub(super) fn so_far(
    begun: &Begun,
    facts: &AblateFacts,
    each: bool,
    reporter: &Reporter,
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
pub(super) fn shard_told<R: Finished>(
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
pub(super) fn shortcoming<'a>(
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
