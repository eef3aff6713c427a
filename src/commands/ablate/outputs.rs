//! The files of a run: made in memory, written whole, after every prompt is done.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::facts::AblateFacts;
use super::report;
use super::run::PromptRecord;
use super::sets::Chosen;
use super::table::Row;
use crate::error::{Error, Result};
use crate::job;
use crate::plot::Picture;
use crate::system::atomic;
use crate::system::terminal::json_line;

const ANSWERS: &str = "ablate.jsonl";
const CSV: &str = "ablate.csv";
const MARKDOWN: &str = "ablate.md";
const JSON: &str = "ablate.json";
/// The files in the output folder, pictures left out.
pub(super) const FILES: [&str; 4] = [ANSWERS, CSV, MARKDOWN, JSON];

/// How a run came about, as known when its files are written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// What it was computed on; several with commas between them.
    pub device: String,
    /// The number types of these.
    pub dtype: String,
    /// What differs from run to run.
    pub run: RunMeta,
}

/// What differs from run to run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RunMeta {
    pub created: String,
    pub seconds: f64,
    pub threads: usize,
    /// How many processes had a part in it.
    pub processes: usize,
    pub shards: usize,
    pub peak_rss_bytes: Option<u64>,
}

/// The content of `ablate.json`.
#[derive(Serialize)]
struct Ablations<'a> {
    headprof: &'static str,
    command: &'a [String],
    task: &'a str,
    accuracy: &'a str,
    off: &'static str,
    when: &'static str,
    head_score: &'a Value,
    prompts: usize,
    failed: usize,
    rows: &'a [Row],
    #[serde(flatten)]
    provenance: Value,
    run: &'a RunMeta,
}

/// A line of `ablate.jsonl`: one prompt with one set of heads off.
#[derive(Serialize)]
struct AnswerLine<'a> {
    id: &'a str,
    group: &'a str,
    prompt_tokens: usize,
    depth: Option<f64>,
    chosen: Chosen,
    k: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    draw: Option<usize>,
    heads: String,
    answer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    judged: Option<&'a str>,
    gold: &'a str,
    gold_tokens: usize,
    accuracy: f64,
    log_probability: f64,
}

/// A line about a prompt that failed.
#[derive(Serialize)]
struct FailedLine<'a> {
    id: &'a str,
    failed: &'a str,
}

/// Writes everything to `root`; returns the paths, sorted.
///
/// # Errors
/// As [`atomic::write`].
pub(super) fn write(
    root: &Path,
    (facts, rows): (&AblateFacts, &[Row]),
    records: &[PromptRecord],
    pictures: Vec<(String, Picture)>,
    written: &Written,
) -> Result<Vec<PathBuf>> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for (stem, picture) in pictures {
        files.extend(picture.into_files(&root.join("plots").join(stem)));
    }
    files.push((root.join(ANSWERS), answers(facts, records)?));
    files.push((root.join(CSV), report::csv(rows).into_bytes()));
    files.push((root.join(MARKDOWN), report::markdown(rows).into_bytes()));
    files.push((root.join(JSON), pretty(&ablations(facts, rows, records, written))?));
    write_all(files)
}

/// Writes `files`, each whole; returns their paths, sorted.
///
/// # Errors
/// As [`atomic::write`].
pub(super) fn write_all(files: Vec<(PathBuf, Vec<u8>)>) -> Result<Vec<PathBuf>> {
    for (path, bytes) in &files {
        atomic::write(path, bytes)?;
    }
    let mut paths: Vec<PathBuf> = files.into_iter().map(|(path, _)| path).collect();
    paths.sort();
    Ok(paths)
}

/// `provenance` with what is known once everything has run.
pub(super) fn provenance(facts: &AblateFacts, cycles: usize, written: &Written) -> Value {
    let mut provenance = facts.provenance.clone();
    job::set_outcome(&mut provenance, cycles, &written.device, &written.dtype);
    provenance
}

fn ablations<'a>(
    facts: &'a AblateFacts,
    rows: &'a [Row],
    records: &[PromptRecord],
    written: &'a Written,
) -> Ablations<'a> {
    let cycles = records.iter().map(|r| r.haystack_cycles).max().unwrap_or(0);
    Ablations {
        headprof: env!("CARGO_PKG_VERSION"),
        command: &facts.command,
        task: &facts.task,
        accuracy: &facts.judged_by,
        off: facts.how.name(),
        when: facts.when.name(),
        head_score: &facts.head_score,
        prompts: records.len(),
        failed: records.iter().filter(|r| r.outcomes.is_err()).count(),
        rows,
        provenance: provenance(facts, cycles, written),
        run: &written.run,
    }
}

fn answers(facts: &AblateFacts, records: &[PromptRecord]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for record in records {
        let outcomes = match &record.outcomes {
            Ok(outcomes) => outcomes,
            Err(failed) => {
                lines.extend(json_line(&FailedLine { id: &record.id, failed })?.into_bytes());
                continue;
            }
        };
        for (set, outcome) in facts.sets.iter().zip(outcomes) {
            let line = AnswerLine {
                id: &record.id,
                group: &record.group,
                prompt_tokens: record.prompt_tokens,
                depth: record.depths.first().copied(),
                chosen: set.chosen,
                k: set.k,
                draw: set.draw,
                heads: set.heads.to_string(),
                answer: &outcome.answer,
                judged: outcome.judged.as_deref(),
                gold: &record.gold,
                gold_tokens: record.gold_tokens,
                accuracy: outcome.accuracy,
                log_probability: outcome.log_probability,
            };
            lines.extend(json_line(&line)?.into_bytes());
        }
    }
    Ok(lines)
}

/// `value` as JSON with line breaks.
///
/// # Errors
/// [`Error::Bug`] if it has no form in JSON.
pub(super) fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    let not_json = |e| Error::bug("a result cannot be written as JSON").got(e);
    let mut bytes = serde_json::to_vec_pretty(value).map_err(not_json)?;
    bytes.push(b'\n');
    Ok(bytes)
}
