//! RULER (C.-P. Hsieh et al., "RULER: What's the Real Context Size of Your Long-Context Language
//! Models?", 2024): rows of its own generator, or of [`RulerGenerator`], which are whole prompts.

pub mod rows;
pub mod task;

mod filling;
mod fit;
mod generator;
mod inputs;
mod names;
mod needles;
mod templated;
mod variables;
mod word_counts;
mod words;

#[cfg(test)]
mod tests;

pub use generator::{RulerGenerator, RulerKind};
pub use inputs::RulerInputs;
pub use names::{max_new_tokens, task_in, task_names};
pub use task::{RulerSet, RulerTask};

use std::path::PathBuf;

use super::source::MAX_PROMPT_TOKENS;
use super::{Benchmark, BenchmarkInfo, TaskInputs, TaskOptions, TaskSource, names};
use crate::config::{AnswerDefaults, DEFAULT_SAMPLES, ProbeConfig, StopRule, at_least_one};
use crate::error::{Error, Result};
use crate::job::Session;
use generator::GeneratedPrompt;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Ruler;

static INFO: BenchmarkInfo = BenchmarkInfo {
    name: "ruler",
    title: "RULER's tasks, made to any length, or its own rows",
    source: "RULER, https://arxiv.org/abs/2404.06654",
    list: "niah_single_1,vt",
    takes: &[
        (
            "--task-data",
            "rows whose path says the task (niah_single_1), .jsonl, or a folder of them [default: \
             rows that are made here]",
        ),
        (
            "--samples",
            "rows of each task at every length [default: 20], or of each file [default: all]",
        ),
        MAX_PROMPT_TOKENS,
    ],
    metrics: task::METRICS,
    has_places: false,
};

impl Benchmark for Ruler {
    fn info(&self) -> &'static BenchmarkInfo {
        &INFO
    }

    fn source(&self, asked: &TaskOptions) -> Result<Box<dyn TaskSource>> {
        let samples = at_least_one("--samples", asked.task.samples)?;
        let max_prompt_tokens = at_least_one("--max-prompt-tokens", asked.text.max_prompt_tokens)?;
        let list = asked.list();
        let rows = match &asked.task.task_data {
            None => RulerRows::Generated(GeneratedRulerRows {
                kinds: match list {
                    (Some(text), option) => names((text, option), RulerKind::parse)?,
                    (None, _) => RulerKind::ALL.to_vec(),
                },
                samples: samples.unwrap_or(DEFAULT_SAMPLES),
            }),
            Some(path) => RulerRows::Published(PublishedRulerRows {
                path: path.clone(),
                tasks: match list {
                    (Some(text), option) => Some(names((text, option), published_task)?),
                    (None, _) => None,
                },
                samples,
                max_prompt_tokens,
            }),
        };
        let (p, generated) = (asked.probes, asked.task.task_data.is_none());
        asked.refuse_for_texts()?;
        asked.refuse(&[
            ("--template", p.template.is_some(), "rows are whole prompts"),
            (
                "--lengths",
                p.has_lengths() && !generated,
                "rows have their lengths; --max-prompt-tokens cuts them",
            ),
            ("--haystack-dir", p.has_haystack() && !generated, "the rows bring their own text"),
            (
                "--max-prompt-tokens",
                generated && max_prompt_tokens.is_some(),
                "prompts are made to --lengths",
            ),
        ])?;
        Ok(Box::new(RulerSource { rows, max_new_tokens: p.max_new_tokens }))
    }
}

/// The task of that name, whether or not its rows can be made here.
fn published_task(name: &str) -> Result<&'static str> {
    task_names().find(|task| *task == name).ok_or_else(|| {
        let all: Vec<&str> = task_names().collect();
        Error::usage("there is no such task of RULER").got(name).expected(all.join(", "))
    })
}

/// Which rows, and how long answers may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulerSource {
    /// The rows.
    pub rows: RulerRows,
    /// Most tokens of an answer; `None` for RULER's own.
    pub max_new_tokens: Option<usize>,
}

/// Which rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RulerRows {
    /// Rows that are made here.
    Generated(GeneratedRulerRows),
    /// Rows of RULER's own generator.
    Published(PublishedRulerRows),
}

/// Which rows are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedRulerRows {
    /// The tasks, each once.
    pub kinds: Vec<RulerKind>,
    /// Rows of each task at each length.
    pub samples: usize,
}

/// Which published rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedRulerRows {
    /// A file or a folder of such.
    pub path: PathBuf,
    /// Tasks; `None` for all that the files' paths say.
    pub tasks: Option<Vec<&'static str>>,
    /// Most rows of each file; `None` for all.
    pub samples: Option<usize>,
    /// Most tokens of a prompt; `None` for what the model has room for.
    pub max_prompt_tokens: Option<usize>,
}

impl TaskSource for RulerSource {
    fn info(&self) -> &'static BenchmarkInfo {
        &INFO
    }

    fn answers(&self) -> AnswerDefaults {
        // As the benchmark has it.
        AnswerDefaults { stop: Some(StopRule::Eos), ..AnswerDefaults::default() }
    }

    fn load(&self, config: &ProbeConfig, session: &Session) -> Result<Box<dyn TaskInputs>> {
        Ok(Box::new(RulerInputs::load(self, config, session)?))
    }
}
