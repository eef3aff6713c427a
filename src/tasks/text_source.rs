//! [`TextSource`]: the options of LongBench, LooGLE and RULER, validated.

use std::path::PathBuf;

use super::longbench::{Benchmark, LongBenchDataset};
use super::ruler::{RulerKind, task_names};
use crate::cli::{CodeSimilarityArg, EvaluateArgs};
use crate::config::{AtOption, DEFAULT_SAMPLES, at_least_one};
use crate::error::{Error, Result};
use crate::metrics::code_sim::Similarity;

/// A task whose rows are whole texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextSource {
    /// Rows of LongBench or LooGLE.
    LongBench(LongBenchSource),
    /// Rows in the forms of RULER that are made here.
    MadeRuler(MadeRuler),
    /// Rows of RULER's own generator.
    PublishedRuler(PublishedRuler),
}

/// Which rows of LongBench or LooGLE, and how they are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongBenchSource {
    /// Whose rows.
    pub benchmark: Benchmark,
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

/// Which rows are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeRuler {
    /// The tasks, each once.
    pub kinds: Vec<RulerKind>,
    /// Rows of each task at each length.
    pub samples: usize,
    /// Most tokens of an answer; `None` for RULER's own.
    pub max_new_tokens: Option<usize>,
}

/// Which published rows of RULER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedRuler {
    /// A file or a folder of such.
    pub path: PathBuf,
    /// Tasks; `None` for all that the files' paths say.
    pub tasks: Option<Vec<&'static str>>,
    /// Most rows of each file; `None` for all.
    pub samples: Option<usize>,
    /// Most tokens of a prompt; `None` for what the model has room for.
    pub max_prompt_tokens: Option<usize>,
    /// Most tokens of an answer; `None` for RULER's own.
    pub max_new_tokens: Option<usize>,
}

impl TextSource {
    /// What `args` say about LongBench, LooGLE or RULER; `None` if `--task` is another.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option, also for one that has no meaning for the task.
    pub fn new(args: &EvaluateArgs) -> Result<Option<Self>> {
        let (task, list) =
            args.task.split_once(':').map_or((&*args.task, None), |(t, list)| (t, Some(list)));
        let source = match task {
            "longbench" => Self::longbench(args, Benchmark::LongBench, list)?,
            "loogle" => Self::longbench(args, Benchmark::LooGle, list)?,
            "ruler" => Self::ruler(args, list)?,
            _ => return Ok(None),
        };
        source.refuse_for(args)?;
        Ok(Some(source))
    }

    /// Most rows of each task, data set or file; `None` for all.
    pub fn samples(&self) -> Option<usize> {
        match self {
            Self::LongBench(source) => source.samples,
            Self::MadeRuler(source) => Some(source.samples),
            Self::PublishedRuler(source) => source.samples,
        }
    }

    /// Most tokens of an answer, where that was asked for.
    pub fn max_new_tokens(&self) -> Option<usize> {
        match self {
            Self::LongBench(_) => None,
            Self::MadeRuler(source) => source.max_new_tokens,
            Self::PublishedRuler(source) => source.max_new_tokens,
        }
    }

    fn longbench(args: &EvaluateArgs, benchmark: Benchmark, list: Option<&str>) -> Result<Self> {
        let path = args.task_data.clone().ok_or_else(|| {
            Error::usage(format!("the rows of {} are not a part of headprof", benchmark.title()))
                .at(format!("--task {}", benchmark.name()))
                .got("no --task-data")
                .expected("--task-data with a file or a folder of its JSON lines")
        })?;
        let parse = |name: &str| LongBenchDataset::parse(benchmark, name);
        Ok(Self::LongBench(LongBenchSource {
            benchmark,
            path,
            datasets: list.map(|list| names(list, parse)).transpose()?,
            prompts: args.prompts.clone(),
            similarity: match args.code_similarity {
                Some(CodeSimilarityArg::Difflib) => Similarity::Difflib,
                Some(CodeSimilarityArg::Levenshtein) | None => Similarity::Levenshtein,
            },
            samples: at_least_one("--samples", args.samples)?,
            max_prompt_tokens: at_least_one("--max-prompt-tokens", args.max_prompt_tokens)?,
        }))
    }

    fn ruler(args: &EvaluateArgs, list: Option<&str>) -> Result<Self> {
        let samples = at_least_one("--samples", args.samples)?;
        let max_new_tokens = args.probes.max_new_tokens;
        let Some(path) = args.task_data.clone() else {
            let kinds = list.map(|list| names(list, RulerKind::parse)).transpose()?;
            return Ok(Self::MadeRuler(MadeRuler {
                kinds: kinds.unwrap_or_else(|| RulerKind::ALL.to_vec()),
                samples: samples.unwrap_or(DEFAULT_SAMPLES),
                max_new_tokens,
            }));
        };
        let published = |name: &str| {
            task_names().find(|task| *task == name).ok_or_else(|| {
                let all: Vec<&str> = task_names().collect();
                Error::usage("there is no such task of RULER").got(name).expected(all.join(", "))
            })
        };
        Ok(Self::PublishedRuler(PublishedRuler {
            path,
            tasks: list.map(|list| names(list, published)).transpose()?,
            samples,
            max_new_tokens,
            max_prompt_tokens: at_least_one("--max-prompt-tokens", args.max_prompt_tokens)?,
        }))
    }

    /// Refuses what has no meaning for the task.
    fn refuse_for(&self, args: &EvaluateArgs) -> Result<()> {
        let p = &args.probes;
        let made = matches!(self, Self::MadeRuler(_));
        let (longbench, code) = match self {
            Self::LongBench(source) => (true, source.benchmark == Benchmark::LongBench),
            Self::MadeRuler(_) | Self::PublishedRuler(_) => (false, false),
        };
        let lengths = p.lengths.is_some()
            || p.min_len.is_some()
            || p.max_len.is_some()
            || p.context_intervals.is_some();
        let gate = p.gate.is_some()
            || p.gate_threshold.is_some()
            || p.gate_model.is_some()
            || p.onnxruntime.is_some();
        let haystack = p.haystack_dir.is_some() || p.skip_bad_files;
        let wording =
            if longbench { "--prompts has the wording" } else { "rows are whole prompts" };
        let given = [
            ("--depths", p.depths.is_some(), "answers stand where the rows have them"),
            ("--needles", p.needles.is_some(), "the rows bring their own questions"),
            ("--gate", gate, "the task has a measure of its own"),
            ("--template", p.template.is_some(), wording),
            ("--repeats", p.repeats > 1, "a row is asked once; --samples says how many there are"),
            (
                "--lengths",
                lengths && !made,
                "rows have their lengths; --max-prompt-tokens cuts them",
            ),
            ("--haystack-dir", haystack && !made, "the rows bring their own text"),
            (
                "--max-new-tokens",
                longbench && p.max_new_tokens.is_some(),
                "every data set has its own; --prompts takes a dataset2maxlen.json",
            ),
            (
                "--max-prompt-tokens",
                made && args.max_prompt_tokens.is_some(),
                "prompts are made to --lengths",
            ),
            ("--prompts", !longbench && !args.prompts.is_empty(), "rows are whole prompts"),
            (
                "--code-similarity",
                !code && args.code_similarity.is_some(),
                "there is no code to compare",
            ),
        ];
        match given.iter().find(|g| g.1) {
            None => Ok(()),
            Some((option, _, why)) => Err(Error::usage(format!("{option} is for other tasks"))
                .at(option)
                .got(format!("--task {}", args.task))
                .expected(format!("no {option}: {why}"))),
        }
    }
}

/// What stands behind the colon of `--task`, each name once; at least one.
fn names<T: PartialEq>(list: &str, parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let parsed = parse(name).at_option("--task")?;
        if !all.contains(&parsed) {
            all.push(parsed);
        }
    }
    match all.is_empty() {
        false => Ok(all),
        true => Err(Error::usage("there is no name behind the colon")
            .at("--task")
            .got(format!("\"{list}\""))
            .expected("names with commas between them, or no colon")),
    }
}
