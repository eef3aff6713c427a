//! From the answers to prompts, as journals hold them, to the files and the table.

use std::time::Instant;

use super::facts::EvaluateFacts;
use super::outputs::{EvaluateDir, EvaluateRun, RunMeta, Written};
use super::run::PromptRecord;
use super::{Evaluated, FinishedComparison, Row, groups, pictures, report, rows, shortcoming};
use crate::error::{Error, Result};
use crate::job;
use crate::journal::{Begun, Collected, PlanFile, Told};
use crate::system::{Reporter, machine};

/// The facts of a plan.
///
/// # Errors
/// [`Error::Data`] if they are none, or name something that cannot be a part of a file's name.
pub(super) fn facts_of(plan: &PlanFile) -> Result<EvaluateFacts> {
    let facts: EvaluateFacts = plan.facts()?;
    job::check_file_name_part(&facts.model)?;
    facts.metrics()?;
    facts.compared()?;
    Ok(facts)
}

/// Writes the files of a comparison all of whose prompts are finished.
///
/// # Errors
/// [`Error::Data`] for records that do not have what the plan says, [`Error::Resources`] if a file
/// cannot be written.
pub(super) fn write(
    (facts, shards): (&EvaluateFacts, usize),
    collected: Collected<PromptRecord>,
    (out, plots): (&EvaluateDir, bool),
    start: Instant,
) -> Result<FinishedComparison> {
    let Collected { done, device, dtype, processes, .. } = collected;
    let records: Vec<PromptRecord> = done.into_iter().map(|done| done.result).collect();
    let (compared, metrics) = (facts.compared()?, facts.metrics()?);
    check(&records, compared.len(), metrics.len())?;
    let rows = rows(&compared, metrics, &records);
    let groups = match facts.reported_groups {
        true => groups(&compared, &records),
        false => Vec::new(),
    };
    let (compared, records_of, groups) = (&compared[..], &records[..], &groups[..]);
    let made = EvaluateRun { facts, compared, metrics, records: records_of, rows: &rows, groups };
    let pictures = match plots && !rows.is_empty() {
        true => pictures::draw(&made)?,
        false => Vec::new(),
    };
    let run = RunMeta {
        created: machine::utc_now(),
        seconds: start.elapsed().as_secs_f64(),
        threads: rayon::current_num_threads(),
        batch: facts.batch,
        processes,
        shards,
        peak_rss_bytes: machine::peak_rss_bytes(),
    };
    let (seconds, peak_rss_bytes) = (run.seconds, run.peak_rss_bytes);
    let files = out.write(&made, pictures, &Written { device, dtype, run })?;
    let evaluated = Evaluated { files, seconds, peak_rss_bytes, ..summed(facts, &records, rows) };
    let shortcoming = shortcoming(&records);
    Ok(FinishedComparison { told: Told::Results(evaluated), shortcoming })
}

/// What is told of `records`, whose table has these rows; files and seconds are still to come.
fn summed(facts: &EvaluateFacts, records: &[PromptRecord], rows: Vec<Row>) -> Evaluated {
    Evaluated {
        model: facts.model.clone(),
        task: facts.task.clone(),
        judged_by: facts.judged_by.clone(),
        table: report::terminal(&rows),
        failed: records.iter().filter(|r| r.outcomes.is_err()).count(),
        rows,
        files: Vec::new(),
        seconds: 0.0,
        batch: facts.batch,
        peak_rss_bytes: machine::peak_rss_bytes(),
        unfinished: 0,
    }
}

/// Prints what an interrupted comparison has found so far; the error says where it is kept and how
/// to go on.
pub(super) fn so_far(
    begun: &Begun,
    facts: &EvaluateFacts,
    reporter: &Reporter,
    start: Instant,
) -> Error {
    let told = || -> Result<usize> {
        let collected = begun.collected::<PromptRecord>()?;
        let records: Vec<PromptRecord> =
            collected.done.into_iter().map(|done| done.result).collect();
        let (compared, metrics) = (facts.compared()?, facts.metrics()?);
        check(&records, compared.len(), metrics.len())?;
        let rows = rows(&compared, metrics, &records);
        if !rows.is_empty() {
            let seconds = start.elapsed().as_secs_f64();
            let unfinished = begun.own_probes() - records.len();
            let so_far = summed(facts, &records, rows);
            reporter.result(&Evaluated { seconds, unfinished, ..so_far })?;
        }
        Ok(records.len())
    };
    told().map_or_else(|e| e, |finished| begun.interrupted(Some(finished), &facts.command))
}

/// Every prompt that was answered has an outcome for every setting, and a value for every metric.
fn check(records: &[PromptRecord], settings: usize, metrics: usize) -> Result<()> {
    let complete = |record: &&PromptRecord| {
        record.outcomes.as_ref().map_or(true, |outcomes| {
            outcomes.len() == settings && outcomes.iter().all(|o| o.values.len() == metrics)
        })
    };
    match records.iter().find(|record| !complete(record)) {
        None => Ok(()),
        Some(record) => Err(Error::data("the journal does not hold all answers to a prompt")
            .at(format!("prompt {}", record.id))
            .expected(format!("{settings} settings with {metrics} values each"))),
    }
}
