//! `--task` and what goes with it: the same for a profile and for `headprof evaluate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Values of `--code-similarity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CodeSimilarityArg {
    /// As with python-Levenshtein installed.
    Levenshtein,
    /// As without it.
    Difflib,
}

/// What is asked where nothing else is said.
const DEFAULT_TASK: &str = "needle";

/// Which task, and which of its prompts. Names are still text here; the help of `--task` is filled
/// in from the registry of tasks.
#[derive(Debug, Clone, Args)]
pub struct TaskArgs {
    /// What the model is asked
    #[arg(
        id = "task",
        long = "task",
        alias = "probe",
        value_name = "TASK[:LIST]",
        default_value = DEFAULT_TASK,
        help_heading = "Task"
    )]
    pub name: String,

    /// The older spelling of the list behind the colon of --task.
    #[arg(long, value_name = "LIST", help_heading = "Task", hide = true)]
    pub tasks: Option<String>,

    /// Published rows: a file of LongBench or LooGLE, or of RULER or BABILong whose path says the
    /// task (niah_single_1, qa1), or a folder of such (.jsonl; of BABILong also .json and .arrow).
    /// Without it, babilong and ruler make rows of their own
    #[arg(long, alias = "babilong-data", value_name = "FILE|DIR", help_heading = "Task")]
    pub task_data: Option<PathBuf>,

    /// Rows of each task of babilong and ruler at every length [default: 20]; of --task-data rows
    /// of each file, or of each data set of longbench or loogle [default: all]
    #[arg(long, value_name = "N", help_heading = "Task")]
    pub samples: Option<usize>,

    /// babilong: a JSON file with prompts by task, such as BABILong's own; longbench, loogle: one
    /// with prompts (dataset2prompt.json) or lengths of answers (dataset2maxlen.json) by data set;
    /// several with commas or one by one [default: headprof's own wording]
    #[arg(long, value_name = "FILE", value_delimiter = ',', help_heading = "Task")]
    pub prompts: Vec<PathBuf>,
}

impl Default for TaskArgs {
    fn default() -> Self {
        let name = DEFAULT_TASK.to_owned();
        Self { name, tasks: None, task_data: None, samples: None, prompts: Vec::new() }
    }
}

/// What tasks of whole texts take, which `headprof evaluate` alone runs.
#[derive(Debug, Clone, Default, Args)]
pub struct TextArgs {
    /// longbench: how lines of code are compared [default: levenshtein]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Task")]
    pub code_similarity: Option<CodeSimilarityArg>,

    /// longbench, loogle and published rows of ruler: longer prompts are shortened in the middle
    /// [default: what the model has room for beside the answer]
    #[arg(long, value_name = "TOKENS", help_heading = "Task")]
    pub max_prompt_tokens: Option<usize>,
}
