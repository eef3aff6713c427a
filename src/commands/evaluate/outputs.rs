//! The files of a comparison: made in memory, written whole, after every prompt is done.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::facts::EvaluateFacts;
use super::groups::Group;
use super::report;
use super::run::PromptRecord;
use super::setting::Compared;
use super::table::Row;
use crate::chat::Thinking;
use crate::error::{Error, Result};
use crate::job;
use crate::plot::Picture;
use crate::system::atomic::{self, MadeFolders};
use crate::system::terminal::json_line;
use crate::tasks::{Metric, Part};

const ANSWERS: &str = "answers.jsonl";
const CSV: &str = "evaluate.csv";
const MARKDOWN: &str = "evaluate.md";
const JSON: &str = "evaluate.json";
/// The files in the output folder, pictures left out.
pub(super) const FILES: [&str; 4] = [ANSWERS, CSV, MARKDOWN, JSON];

/// A comparison: what it is about, and what came out.
pub(super) struct EvaluateRun<'a> {
    pub facts: &'a EvaluateFacts,
    /// Its settings.
    pub compared: &'a [Compared],
    /// What answers are measured by.
    pub metrics: &'static [Metric],
    pub records: &'a [PromptRecord],
    pub rows: &'a [Row],
    /// None where groups are not reported one by one.
    pub groups: &'a [Group],
}

/// How a comparison came about, as known when its files are written.
pub(super) struct Written {
    /// What it was computed on; several with commas between them.
    pub device: String,
    pub dtype: String,
    pub run: RunMeta,
}

/// A folder for the files.
pub(super) struct EvaluateDir {
    root: PathBuf,
    made: MadeFolders,
}

/// The content of `evaluate.json`.
#[derive(Serialize)]
struct Evaluation<'a> {
    headprof: &'static str,
    command: &'a [String],
    task: &'a str,
    accuracy: &'a str,
    metrics: Vec<MetricMeta>,
    prompts: usize,
    failed: usize,
    rows: &'a [Row],
    #[serde(skip_serializing_if = "<[Group]>::is_empty")]
    groups: &'a [Group],
    compression: &'a Value,
    #[serde(flatten)]
    provenance: Value,
    run: &'a RunMeta,
}

#[derive(Serialize)]
struct MetricMeta {
    name: &'static str,
    title: &'static str,
    highest: f64,
}

/// What differs from run to run.
#[derive(Serialize)]
pub(super) struct RunMeta {
    pub created: String,
    pub seconds: f64,
    pub threads: usize,
    /// How many settings answered a prompt together, at most.
    pub batch: usize,
    /// How many processes had a part in it.
    pub processes: usize,
    pub shards: usize,
    pub peak_rss_bytes: Option<u64>,
}

/// What every line of `answers.jsonl` says of its prompt.
#[derive(Clone, Copy, Serialize)]
struct PromptHead<'a> {
    id: &'a str,
    group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Part>,
    prompt_tokens: usize,
    depth: Option<f64>,
    /// Other depths that lead to the same prompt.
    #[serde(skip_serializing_if = "<[f64]>::is_empty")]
    same_prompt_depths: &'a [f64],
}

/// A line of `answers.jsonl`: one prompt under one setting.
#[derive(Serialize)]
struct AnswerLine<'a> {
    #[serde(flatten)]
    prompt: PromptHead<'a>,
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    head_score: Option<&'a str>,
    budget_tokens: Option<usize>,
    answer: &'a str,
    /// What of it was judged, where the model thought before.
    #[serde(skip_serializing_if = "Option::is_none")]
    judged: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    gold: &'a str,
    values: serde_json::Map<String, serde_json::Value>,
    kv_tokens: u64,
    kv_bytes: u64,
    kv_bytes_end: u64,
    kv_bytes_allocated: u64,
    /// Of all settings together, while the prompt was read.
    kv_bytes_peak: u64,
    new_tokens: usize,
    seconds: AnswerSeconds,
}

#[derive(Serialize)]
struct AnswerSeconds {
    prefill: f64,
    compress: f64,
    decode: f64,
}

/// A line about a prompt that failed.
#[derive(Serialize)]
struct FailedLine<'a> {
    #[serde(flatten)]
    prompt: PromptHead<'a>,
    failed: &'a str,
}

impl EvaluateDir {
    /// Creates the folder, with `plots/` in it if `plots`, and tries each by writing to it.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the folder that cannot be used.
    pub fn prepare(root: &Path, plots: bool) -> Result<Self> {
        let made = match plots {
            true => atomic::usable_folders([root, &root.join("plots")])?,
            false => atomic::usable_folder(root)?,
        };
        Ok(Self { root: root.to_owned(), made })
    }

    /// The folders that were made, the innermost first.
    pub fn made(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.made.paths()
    }

    /// Writes everything; returns the paths, sorted.
    ///
    /// # Errors
    /// As [`atomic::write`].
    pub fn write(
        &self,
        made: &EvaluateRun,
        pictures: Vec<(String, Picture)>,
        written: &Written,
    ) -> Result<Vec<PathBuf>> {
        let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for (stem, picture) in pictures {
            files.extend(picture.into_files(&self.root.join("plots").join(stem)));
        }
        let mut json = serde_json::to_vec_pretty(&evaluation(made, written)).map_err(not_json)?;
        json.push(b'\n');
        files.push((self.root.join(ANSWERS), answers(made)?));
        files.push((self.root.join(CSV), report::csv(made.rows).into_bytes()));
        files.push((self.root.join(MARKDOWN), markdown(made).into_bytes()));
        files.push((self.root.join(JSON), json));
        for (path, bytes) in &files {
            atomic::write(path, bytes)?;
        }
        let mut paths: Vec<PathBuf> = files.into_iter().map(|(path, _)| path).collect();
        paths.sort();
        Ok(paths)
    }
}

/// The table, and where groups are reported another of them.
fn markdown(made: &EvaluateRun) -> String {
    let mut text = report::markdown(made.rows);
    if !made.groups.is_empty() {
        text.push('\n');
        text.push_str(&report::groups_markdown(made.metrics[0].name, made.groups));
    }
    text
}

fn evaluation<'a>(made: &'a EvaluateRun<'a>, written: &'a Written) -> Evaluation<'a> {
    let EvaluateRun { facts, metrics, records, rows, groups, .. } = made;
    let cycles = records.iter().map(|r| r.haystack_cycles).max().unwrap_or(0);
    let mut provenance = facts.provenance.clone();
    job::set_outcome(&mut provenance, cycles, &written.device, &written.dtype);
    Evaluation {
        headprof: env!("CARGO_PKG_VERSION"),
        command: &facts.command,
        task: &facts.task,
        accuracy: &facts.judged_by,
        metrics: metrics
            .iter()
            .map(|m: &Metric| MetricMeta { name: m.name, title: m.title, highest: m.highest })
            .collect(),
        prompts: records.len(),
        failed: records.iter().filter(|r| r.outcomes.is_err()).count(),
        rows,
        groups,
        compression: &facts.compression,
        provenance,
        run: &written.run,
    }
}

fn answers(made: &EvaluateRun) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for record in made.records {
        let PromptRecord { id, group, part, prompt_tokens, depths, .. } = record;
        let prompt = PromptHead {
            id,
            group,
            part: *part,
            prompt_tokens: *prompt_tokens,
            depth: depths.first().copied(),
            same_prompt_depths: depths.get(1..).unwrap_or_default(),
        };
        let outcomes = match &record.outcomes {
            Ok(outcomes) => outcomes,
            Err(failed) => {
                push_line(&mut lines, &FailedLine { prompt, failed })?;
                continue;
            }
        };
        for (setting, outcome) in made.compared.iter().zip(outcomes) {
            let values = made.metrics.iter().zip(&outcome.values);
            let line = AnswerLine {
                prompt,
                method: setting.method.name(),
                head_score: setting.head_score.as_deref(),
                budget_tokens: setting.budget_tokens,
                answer: &outcome.answer,
                judged: outcome.judged.as_deref(),
                thinking: outcome.thinking,
                gold: &record.gold,
                values: values.map(|(m, v)| (m.name.to_owned(), (*v).into())).collect(),
                kv_tokens: outcome.kv_tokens,
                kv_bytes: outcome.kv_bytes,
                kv_bytes_end: outcome.kv_bytes_end,
                kv_bytes_allocated: outcome.kv_bytes_allocated,
                kv_bytes_peak: record.kv_bytes_peak,
                new_tokens: outcome.new_tokens,
                seconds: AnswerSeconds {
                    prefill: record.prefill_secs,
                    compress: outcome.compress_secs,
                    decode: outcome.decode_secs,
                },
            };
            push_line(&mut lines, &line)?;
        }
    }
    Ok(lines)
}

fn push_line(lines: &mut Vec<u8>, line: &impl Serialize) -> Result<()> {
    lines.extend(json_line(line)?.into_bytes());
    Ok(())
}

fn not_json(e: serde_json::Error) -> Error {
    Error::bug("a result cannot be written as JSON").got(e)
}
