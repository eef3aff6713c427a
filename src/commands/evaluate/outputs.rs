//! The files of a comparison: made in memory, written whole, after every prompt is done.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::config::EvaluateConfig;
use super::evidence::{Evidence, EvidenceFile};
use super::groups::Group;
use super::report;
use super::run::PromptRecord;
use super::table::Row;
use crate::chat::Thinking;
use crate::error::{Error, Result};
use crate::model::Llama;
use crate::plot::Picture;
use crate::score::bootstrap::RESAMPLES;
use crate::system::atomic;
use crate::system::machine;
use crate::system::terminal::json_line;
use crate::tasks::{Common, Metric, Part, Task, TaskProvenance};

const ANSWERS: &str = "answers.jsonl";
const CSV: &str = "evaluate.csv";
const MARKDOWN: &str = "evaluate.md";
const JSON: &str = "evaluate.json";
/// The files in the output folder, pictures left out.
pub(super) const FILES: [&str; 4] = [ANSWERS, CSV, MARKDOWN, JSON];

/// What a comparison was made of and what came out.
pub(super) struct EvaluateRun<'a> {
    pub config: &'a EvaluateConfig,
    pub inputs: Common<'a>,
    pub model: &'a Llama,
    pub task: &'a dyn Task,
    pub records: &'a [PromptRecord],
    pub rows: &'a [Row],
    /// None where groups are not reported one by one.
    pub groups: &'a [Group],
    /// How many settings answered a prompt together, at most.
    pub batch: usize,
    /// The files that budgets follow.
    pub evidence: &'a Evidence,
}

/// A folder for the files.
pub(super) struct EvaluateDir {
    root: PathBuf,
}

/// The content of `evaluate.json`.
#[derive(Serialize)]
struct Evaluation<'a> {
    headprof: &'static str,
    command: &'a [String],
    task: &'a str,
    accuracy: String,
    metrics: Vec<MetricMeta>,
    prompts: usize,
    failed: usize,
    bootstrap_resamples: usize,
    rows: &'a [Row],
    #[serde(skip_serializing_if = "<[Group]>::is_empty")]
    groups: &'a [Group],
    compression: CompressionMeta<'a>,
    #[serde(flatten)]
    provenance: TaskProvenance<'a>,
    run: RunMeta,
}

#[derive(Serialize)]
struct MetricMeta {
    name: &'static str,
    title: &'static str,
    highest: f64,
}

#[derive(Serialize)]
struct CompressionMeta<'a> {
    methods: Vec<MethodMeta>,
    granularity: &'static str,
    reduce: &'static str,
    head_score: Option<&'a EvidenceFile>,
    utility: Option<&'a EvidenceFile>,
    form: &'static str,
    window_size: usize,
    kernel_size: usize,
    pooling: String,
    alpha: f64,
    temp: f64,
    pyramid_beta: usize,
    value_norm: &'a str,
    sink_len: usize,
    streaming_sinks: usize,
    scissorhands_rows: usize,
}

#[derive(Serialize)]
struct MethodMeta {
    name: &'static str,
    title: &'static str,
    source: &'static str,
    /// Where it has one.
    beta: Option<f64>,
}

#[derive(Serialize)]
struct RunMeta {
    created: String,
    seconds: f64,
    threads: usize,
    /// How many settings answered a prompt together, at most.
    batch: usize,
    peak_rss_bytes: Option<u64>,
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
        atomic::usable_folder(root)?;
        if plots {
            atomic::usable_folder(&root.join("plots"))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Writes everything; returns the paths, sorted.
    ///
    /// # Errors
    /// As [`atomic::write`].
    pub fn write(
        &self,
        made: &EvaluateRun,
        pictures: Vec<(String, Picture)>,
        seconds: f64,
        peak_rss_bytes: Option<u64>,
    ) -> Result<Vec<PathBuf>> {
        let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for (stem, picture) in pictures {
            files.extend(picture.into_files(&self.root.join("plots").join(stem)));
        }
        let mut json = serde_json::to_vec_pretty(&evaluation(made, seconds, peak_rss_bytes))
            .map_err(not_json)?;
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
        text.push_str(&report::groups_markdown(made.task.metrics()[0].name, made.groups));
    }
    text
}

fn evaluation<'a>(
    made: &'a EvaluateRun<'a>,
    seconds: f64,
    peak_rss_bytes: Option<u64>,
) -> Evaluation<'a> {
    let EvaluateRun { config, inputs, model, task, records, rows, groups, batch, evidence } = made;
    // The constants are those of every setting; only the budget differs.
    let options = &config.settings[0].options;
    let mut methods: Vec<MethodMeta> = Vec::new();
    for setting in &config.settings {
        let method = setting.method;
        if methods.iter().all(|m| m.name != method.name()) {
            methods.push(MethodMeta {
                name: method.name(),
                title: method.title(),
                source: method.source(),
                beta: method.needs_head_scores().then_some(setting.options.budget.beta),
            });
        }
    }
    let cycles = records.iter().map(|r| r.haystack_cycles).max().unwrap_or(0);
    Evaluation {
        headprof: env!("CARGO_PKG_VERSION"),
        command: &config.command,
        task: config.task.info().name,
        accuracy: task.judged_by(),
        metrics: task
            .metrics()
            .iter()
            .map(|m: &Metric| MetricMeta { name: m.name, title: m.title, highest: m.highest })
            .collect(),
        prompts: records.len(),
        failed: records.iter().filter(|r| r.outcomes.is_err()).count(),
        bootstrap_resamples: RESAMPLES,
        rows,
        groups,
        compression: CompressionMeta {
            methods,
            granularity: config.granularity.name(),
            reduce: options.budget.reduce.name(),
            head_score: evidence.head_score_file.as_ref(),
            utility: evidence.utility_file.as_ref(),
            form: if options.budget.reference { "reference" } else { "fair" },
            window_size: options.budget.window_tokens,
            kernel_size: options.kernel_size,
            pooling: options.pooling.to_string(),
            alpha: options.budget.alpha,
            temp: options.budget.temp,
            pyramid_beta: options.budget.pyramid_beta,
            value_norm: options.value_norm.name(),
            sink_len: options.sink_tokens,
            streaming_sinks: options.streaming_sinks,
            scissorhands_rows: options.scissorhands_rows,
        },
        provenance: inputs.provenance(&config.probes, model, cycles),
        run: RunMeta {
            created: machine::utc_now(),
            seconds,
            threads: rayon::current_num_threads(),
            batch: *batch,
            peak_rss_bytes,
        },
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
        for (setting, outcome) in made.config.settings.iter().zip(outcomes) {
            let values = made.task.metrics().iter().zip(&outcome.values);
            let line = AnswerLine {
                prompt,
                method: setting.method.name(),
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
