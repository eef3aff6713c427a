//! LongBench (Y. Bai et al., "LongBench: A Bilingual, Multitask Benchmark for Long Context
//! Understanding", 2024): its data sets, their prompts, and how answers are scored. LooGLE's are
//! asked and scored in the same way: [`crate::tasks::loogle`]. LongBench v2 is a data set here.

pub mod prompts;
pub mod rows;
pub mod task;

mod dataset;
mod inputs;
mod score;
mod version_2;

pub use dataset::{LongBenchDataset, LongBenchMetric, Suite, dataset};
pub use inputs::LongBenchInputs;
pub use prompts::LongBenchPrompts;
pub use score::{LENGTH_GROUPS, group_of_length, score};
pub use task::LongBenchTask;

use std::path::PathBuf;

use super::source::{MAX_PROMPT_TOKENS, Takes};
use super::{Benchmark, BenchmarkInfo, Part, TaskInputs, TaskOptions, TaskSource, names};
use crate::cli::CodeSimilarityArg;
use crate::config::{AnswerDefaults, ProbeConfig, StopRule, at_least_one};
use crate::error::{Error, Result};
use crate::job::Session;
use crate::metrics::code_sim::Similarity;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct LongBench;

// LooGLE takes these, too.
pub(super) const TASK_DATA: Takes =
    ("--task-data", "its JSON lines as distributed, or a folder of them");
pub(super) const SAMPLES: Takes = ("--samples", "rows of each data set [default: all]");
pub(super) const PROMPTS: Takes = (
    "--prompts",
    "JSON files with prompts (dataset2prompt.json) or lengths of answers (dataset2maxlen.json) by \
     data set [default: headprof's own wording]",
);

/// The class of LongBench-E or of LongBench v2 that has this name.
pub(super) fn class(name: &str) -> Option<Part> {
    let mut all = [&LENGTH_GROUPS, &version_2::LENGTHS].into_iter();
    all.find_map(|names| {
        let class = names.iter().position(|class| *class == name)?;
        Some(Part::Class(class, names[class]))
    })
}

static INFO: BenchmarkInfo = BenchmarkInfo {
    name: "longbench",
    title: "rows of LongBench",
    source: "LongBench, https://arxiv.org/abs/2308.14508",
    list: "hotpotqa,qasper",
    takes: &[
        TASK_DATA,
        SAMPLES,
        PROMPTS,
        ("--code-similarity", "of lines of code [default: levenshtein]"),
        MAX_PROMPT_TOKENS,
    ],
    metrics: task::METRICS,
    has_places: false,
};

/// LongBench, LongBench-E and LongBench v2.
pub static LONGBENCH: Suite = Suite {
    info: &INFO,
    title: "LongBench",
    datasets: dataset::DATASETS,
    segmented: &dataset::SEGMENTED,
    foreign: &[],
    read: rows::LongBenchRow::read,
    has_code: true,
};

impl Benchmark for LongBench {
    fn info(&self) -> &'static BenchmarkInfo {
        &INFO
    }

    fn source(&self, asked: &TaskOptions) -> Result<Box<dyn TaskSource>> {
        Ok(Box::new(LongBenchSource::new(&LONGBENCH, asked)?))
    }
}

/// Which rows of LongBench or LooGLE, and how they are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongBenchSource {
    /// Whose rows.
    pub suite: &'static Suite,
    /// A file or a folder of such.
    pub path: PathBuf,
    /// Data sets; `None` for all that the files have.
    pub datasets: Option<Vec<&'static LongBenchDataset>>,
    /// Files with wording and lengths of answers.
    pub prompts: Vec<PathBuf>,
    /// How code is compared.
    pub similarity: Similarity,
    /// Most rows of each data set; `None` for all.
    pub samples: Option<usize>,
    /// Most tokens of a prompt; `None` for what the model has room for.
    pub max_prompt_tokens: Option<usize>,
}

impl LongBenchSource {
    /// What the options say of rows of `suite`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(suite: &'static Suite, asked: &TaskOptions) -> Result<Self> {
        let path = asked.task.task_data.clone().ok_or_else(|| {
            Error::usage(format!("the rows of {} are not a part of headprof", suite.title))
                .at(format!("--task {}", suite.info.name))
                .got("no --task-data")
                .expected("--task-data with a file or a folder of its JSON lines")
        })?;
        let (list, option) = asked.list();
        let datasets = list.map(|list| names((list, option), |name| suite.parse(name)));
        let source = Self {
            suite,
            path,
            datasets: datasets.transpose()?,
            prompts: asked.task.prompts.clone(),
            similarity: match asked.text.code_similarity {
                Some(CodeSimilarityArg::Difflib) => Similarity::Difflib,
                Some(CodeSimilarityArg::Levenshtein) | None => Similarity::Levenshtein,
            },
            samples: at_least_one("--samples", asked.task.samples)?,
            max_prompt_tokens: at_least_one("--max-prompt-tokens", asked.text.max_prompt_tokens)?,
        };
        let p = asked.probes;
        asked.refuse_for_texts()?;
        asked.refuse(&[
            ("--template", p.template.is_some(), "--prompts has the wording"),
            (
                "--lengths",
                p.has_lengths(),
                "rows have their lengths; --max-prompt-tokens cuts them",
            ),
            ("--haystack-dir", p.has_haystack(), "the rows bring their own text"),
            (
                "--max-new-tokens",
                p.max_new_tokens.is_some(),
                "every data set has its own; --prompts takes a dataset2maxlen.json",
            ),
        ])?;
        Ok(source)
    }
}

impl TaskSource for LongBenchSource {
    fn info(&self) -> &'static BenchmarkInfo {
        self.suite.info
    }

    fn answers(&self) -> AnswerDefaults {
        // As the benchmark has it.
        AnswerDefaults { stop: Some(StopRule::Eos), ..AnswerDefaults::default() }
    }

    fn load(&self, config: &ProbeConfig, session: &Session) -> Result<Box<dyn TaskInputs>> {
        Ok(Box::new(LongBenchInputs::load(self, config, session)?))
    }
}
