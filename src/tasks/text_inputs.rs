//! [`TextInputs`]: what LongBench, LooGLE and RULER read before the weights.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::longbench::{Benchmark, LongBenchDataset, LongBenchPrompts};
use super::ruler::{RulerGenerator, max_new_tokens, task_in};
use super::text_prompt::TextPromptLimits;
use super::text_source::{LongBenchSource, MadeRuler, PublishedRuler, TextSource};
use crate::chat::{Chat, ChatMode};
use crate::commands::evaluate::config::EvaluateConfig;
use crate::config::ProbeConfig;
use crate::datasets::data_files;
use crate::error::{Error, Result};
use crate::haystack::Haystack;
use crate::job::{ModelFiles, context_lengths};
use crate::metrics::code_sim::Similarity;
use crate::system::digest::sha256;
use crate::tasks::Task;
use crate::tasks::longbench::loogle_rows::read_loogle;
use crate::tasks::longbench::rows::LongBenchRow;
use crate::tasks::longbench::task::LongBenchTask;
use crate::tasks::ruler::rows::RulerRow;
use crate::tasks::ruler::task::{RulerSet, RulerTask};

/// Everything read for a task of whole texts but the weights.
pub(crate) struct TextInputs {
    /// The model.
    pub model: ModelFiles,
    /// The essays that prompts were made of.
    pub haystack: Option<Haystack>,
    /// The lengths that prompts were made to, ascending.
    pub context_lengths: Vec<usize>,
    /// Files with rows that are asked.
    pub files: Vec<DataFile>,
    /// Files with wording.
    pub prompt_files: Vec<DataFile>,
    /// How prompts and answers end.
    pub limits: TextPromptLimits,
    /// What the user should know about them.
    pub notes: Vec<String>,
    rows: Rows,
}

/// A file that was read.
#[derive(Debug, Serialize)]
pub(crate) struct DataFile {
    path: String,
    sha256: String,
    /// How many of its rows are asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<usize>,
}

enum Rows {
    LongBench {
        benchmark: Benchmark,
        rows: Vec<LongBenchRow>,
        prompts: LongBenchPrompts,
        similarity: Similarity,
    },
    Ruler {
        sets: Vec<RulerSet>,
        max_new_tokens: Option<usize>,
    },
}

impl TextInputs {
    /// Reads the rows of `source`, or makes them, and the model's files.
    ///
    /// # Errors
    /// [`Error::Data`] naming file and row, [`Error::Model`] for the model, and [`Error::Usage`] for
    /// lengths that the model has no room for.
    pub fn load(config: &EvaluateConfig, source: &TextSource) -> Result<Self> {
        let probes = &config.probes;
        match source {
            TextSource::LongBench(source) => Self::longbench(probes, source),
            TextSource::MadeRuler(source) => Self::made_ruler(probes, source),
            TextSource::PublishedRuler(source) => Self::published_ruler(probes, source),
        }
    }

    fn longbench(probes: &ProbeConfig, source: &LongBenchSource) -> Result<Self> {
        let prompts = LongBenchPrompts::read_all(&source.prompts)?;
        let mut notes = Vec::new();
        let (rows, files) = longbench_rows(source, &mut notes)?;
        let benchmark = source.benchmark;
        let mut longest = 0;
        for row in &rows {
            let dataset = super::longbench::task::dataset(benchmark, row)?;
            longest = longest.max(prompts.max_new_tokens(dataset));
        }
        let model = ModelFiles::open(&probes.model)?;
        Ok(Self {
            limits: limits(probes, &model, source.max_prompt_tokens, longest)?,
            model,
            haystack: None,
            context_lengths: Vec::new(),
            files,
            prompt_files: source
                .prompts
                .iter()
                .map(|path| DataFile::new(path, None))
                .collect::<Result<_>>()?,
            notes,
            rows: Rows::LongBench { benchmark, rows, prompts, similarity: source.similarity },
        })
    }

    fn published_ruler(probes: &ProbeConfig, source: &PublishedRuler) -> Result<Self> {
        let (sets, files) = ruler_sets(source)?;
        let asked = source.max_new_tokens;
        let longest = sets.iter().map(|set| asked.unwrap_or_else(|| max_new_tokens(&set.task)));
        let model = ModelFiles::open(&probes.model)?;
        Ok(Self {
            limits: limits(probes, &model, source.max_prompt_tokens, longest.max().unwrap_or(0))?,
            model,
            haystack: None,
            context_lengths: Vec::new(),
            files,
            prompt_files: Vec::new(),
            notes: Vec::new(),
            rows: Rows::Ruler { sets, max_new_tokens: asked },
        })
    }

    fn made_ruler(probes: &ProbeConfig, source: &MadeRuler) -> Result<Self> {
        let haystack = match &probes.haystack_dir {
            Some(dir) => Haystack::load_dir(dir, probes.skip_bad_files)?,
            None => Haystack::bundled()?,
        };
        let model = ModelFiles::open(&probes.model)?;
        let asked = source.max_new_tokens;
        let answers =
            source.kinds.iter().map(|k| asked.unwrap_or_else(|| max_new_tokens(k.name())));
        let lengths = context_lengths(probes, &model, answers.max().unwrap_or(0))?;
        let chat = chat(probes, &model)?;
        let around = match &chat {
            Some((chat, true)) => chat.tokens(),
            _ => usize::from(model.tokenizer.bos().is_some()),
        };
        let count = |text: &str| Ok(model.tokenizer.encode(text)?.len() + around);
        let mut sets = Vec::new();
        for kind in &source.kinds {
            for &length in &lengths {
                let essays = haystack.files().iter().map(|file| file.text());
                let generator = RulerGenerator::new(essays, probes.seed, length, &count)?;
                let rows = (0..source.samples).map(|index| generator.row(*kind, index));
                sets.push(RulerSet {
                    task: kind.name().to_owned(),
                    name: format!("{}-{length}", kind.name()),
                    tokens: Some(length),
                    rows: rows.collect::<Result<_>>()?,
                });
            }
        }
        let stop_ids = probes.stop.ids(&model.config.eos, &model.tokenizer);
        Ok(Self {
            limits: TextPromptLimits {
                max_prompt_tokens: lengths.last().copied().unwrap_or(0),
                stop_ids,
                chat,
            },
            model,
            haystack: Some(haystack),
            context_lengths: lengths,
            files: Vec::new(),
            prompt_files: Vec::new(),
            notes: Vec::new(),
            rows: Rows::Ruler { sets, max_new_tokens: asked },
        })
    }

    /// The task of the rows.
    ///
    /// # Errors
    /// As [`LongBenchTask::new`] and [`RulerTask::new`].
    pub fn task(&self) -> Result<Box<dyn Task + '_>> {
        let (tokenizer, limits) = (&self.model.tokenizer, self.limits.clone());
        Ok(match &self.rows {
            Rows::LongBench { benchmark, rows, prompts, similarity } => Box::new(
                LongBenchTask::new(*benchmark, rows, prompts, tokenizer, limits, *similarity)?,
            ),
            Rows::Ruler { sets, max_new_tokens } => {
                Box::new(RulerTask::new(sets, tokenizer, limits, *max_new_tokens)?)
            }
        })
    }

    /// How code is compared, if that plays a part.
    pub fn code_similarity(&self) -> Option<&'static str> {
        match self.rows {
            Rows::LongBench { benchmark: Benchmark::LooGle, .. } | Rows::Ruler { .. } => None,
            Rows::LongBench { similarity: Similarity::Levenshtein, .. } => Some("levenshtein"),
            Rows::LongBench { similarity: Similarity::Difflib, .. } => Some("difflib"),
        }
    }
}

impl DataFile {
    fn new(path: &Path, rows: Option<usize>) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| {
            Error::data("a data file cannot be read again").at(path.display()).got(e)
        })?;
        Ok(Self { path: path.display().to_string(), sha256: sha256(bytes), rows })
    }
}

/// The rows that are asked, and the files that they are from.
fn longbench_rows(
    source: &LongBenchSource,
    notes: &mut Vec<String>,
) -> Result<(Vec<LongBenchRow>, Vec<DataFile>)> {
    let (mut rows, mut files) = (Vec::new(), Vec::new());
    // A folder as distributed has them; who names a file or a data set is told instead.
    let leave_out = source.datasets.is_none() && source.path.is_dir();
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    let mut of_dataset: BTreeMap<(String, bool), usize> = BTreeMap::new();
    for file in data_files(&source.path)? {
        let before = rows.len();
        let read = match source.benchmark {
            Benchmark::LongBench => LongBenchRow::read(&file)?,
            Benchmark::LooGle => read_loogle(&file, &source.benchmark.names())?,
        };
        for row in read {
            let all = source.datasets.as_ref();
            if all.is_some_and(|sets| sets.iter().all(|set| set.name != row.dataset)) {
                continue;
            }
            if leave_out && LongBenchDataset::needs_segmenter(&row.dataset) {
                *left_out.entry(row.dataset).or_default() += 1;
                continue;
            }
            let count = of_dataset.entry((row.dataset.clone(), row.in_e)).or_default();
            if source.samples.is_none_or(|most| *count < most) {
                *count += 1;
                rows.push(row);
            }
        }
        if rows.len() > before {
            files.push(DataFile::new(&file, Some(rows.len() - before))?);
        }
    }
    notes.extend(left_out.iter().map(|(name, rows)| {
        format!("{rows} rows of {name} are left out: it is scored by Chinese words, which cannot be told apart here")
    }));
    match rows.is_empty() {
        false => Ok((rows, files)),
        true => Err(no_rows(&source.path, "of the data sets asked for")),
    }
}

/// The rows of each file, and the files.
fn ruler_sets(source: &PublishedRuler) -> Result<(Vec<RulerSet>, Vec<DataFile>)> {
    let (mut sets, mut files) = (Vec::new(), Vec::new());
    let is_file = !source.path.is_dir();
    let root = if is_file { source.path.parent() } else { Some(&*source.path) };
    for file in data_files(&source.path)? {
        let asked = source.tasks.as_deref();
        let task = match (task_in(&file.to_string_lossy()), asked) {
            (Some(task), _) => task,
            (None, Some([task])) if is_file => task,
            (None, _) if !is_file => continue,
            (None, _) => {
                return Err(Error::data(
                    "the file does not say which task of RULER its rows are of",
                )
                .at(file.display())
                .got("no name of a task in its path")
                .expected("a path such as 4096/niah_single_1.jsonl or vt_4096.jsonl")
                .advice("--task ruler:vt, if that is what they are"));
            }
        };
        if asked.is_some_and(|tasks| !tasks.contains(&task)) {
            continue;
        }
        let mut rows = RulerRow::read(&file)?;
        rows.truncate(source.samples.unwrap_or(usize::MAX));
        files.push(DataFile::new(&file, Some(rows.len()))?);
        let inside = root.and_then(|root| file.strip_prefix(root).ok()).unwrap_or(&file);
        let name = inside.with_extension("").to_string_lossy().into_owned();
        sets.push(RulerSet { task: task.to_owned(), name, tokens: None, rows });
    }
    match sets.is_empty() {
        false => Ok((sets, files)),
        true => Err(no_rows(&source.path, "of the tasks asked for")),
    }
}

fn no_rows(path: &Path, which: &str) -> Error {
    Error::data("there is nothing to ask")
        .at(path.display())
        .got(format!("no row {which}"))
        .expected("at least one")
        .advice("another name behind the colon of --task, or another --task-data")
}

/// What holds for prompts that are shortened: `asked` tokens, or as many as the model has room for
/// beside `longest_answer`; with `--allow-extrapolation` they are not, unless asked for.
///
/// # Errors
/// [`Error::Usage`] if there is no room.
fn limits(
    probes: &ProbeConfig,
    model: &ModelFiles,
    asked: Option<usize>,
    longest_answer: usize,
) -> Result<TextPromptLimits> {
    let positions = model.config.max_positions;
    let room = positions.saturating_sub(longest_answer);
    let most = match (asked, probes.allow_extrapolation) {
        (Some(tokens), true) => tokens,
        (None, true) => usize::MAX,
        (asked, false) => asked.unwrap_or(room),
    };
    if !probes.allow_extrapolation && (most > room || room == 0) {
        return Err(Error::usage("the model has no room for prompt and answer")
            .at("--max-prompt-tokens")
            .got(format!("{most} tokens of prompt and up to {longest_answer} of answer"))
            .expected(format!("at most max_position_embeddings = {positions} of {}", model.name))
            .advice("fewer tokens, or --allow-extrapolation"));
    }
    let stop_ids = probes.stop.ids(&model.config.eos, &model.tokenizer);
    Ok(TextPromptLimits { max_prompt_tokens: most, stop_ids, chat: chat(probes, model)? })
}

/// What makes prompts chat messages, and whether all of them are.
fn chat(probes: &ProbeConfig, model: &ModelFiles) -> Result<Option<(Chat, bool)>> {
    let all = probes.chat == ChatMode::Always;
    Ok(model.chat(probes.chat)?.map(|chat| (chat, all)))
}

#[cfg(test)]
#[path = "text_inputs_tests.rs"]
mod tests;
