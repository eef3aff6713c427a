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

/// Which task, and which of its prompts. Names are still text here; what the options mean for each
/// task is filled in from the registry of tasks: [`crate::commands::with_registries`].
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

    /// Published rows
    #[arg(long, alias = "babilong-data", value_name = "FILE|DIR", help_heading = "Task")]
    pub task_data: Option<PathBuf>,

    /// How many
    #[arg(long, value_name = "N", help_heading = "Task")]
    pub samples: Option<usize>,

    /// Files with wording, with commas or one by one
    #[arg(long, value_name = "FILE", value_delimiter = ',', help_heading = "Task")]
    pub prompts: Vec<PathBuf>,
}

impl TaskArgs {
    /// The task as it was said, with its list.
    pub fn asked(&self) -> String {
        match &self.tasks {
            Some(list) => format!("{}:{list}", self.name),
            None => self.name.clone(),
        }
    }
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
    /// How like two texts are
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Task")]
    pub code_similarity: Option<CodeSimilarityArg>,

    /// Longest prompt
    #[arg(long, value_name = "TOKENS", help_heading = "Task")]
    pub max_prompt_tokens: Option<usize>,
}
