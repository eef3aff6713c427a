//! The options of `headprof ablate`.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::{JournalArgs, ProbeArgs, TaskArgs};

/// Values of `--off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OffArg {
    /// Their output is 0.
    Zero,
    /// Their output is its mean over tokens of prompts.
    Mean,
    /// Their queries are 0: they look at all tokens alike.
    Uniform,
}

/// Values of `--when`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhenArg {
    /// For the whole prompt and the answer.
    All,
    /// From the question on.
    Question,
    /// For the answer alone.
    Answer,
}

/// `headprof ablate`. Lists and names are still text here.
#[derive(Debug, Args)]
pub struct AblateArgs {
    /// The prompts.
    #[command(flatten)]
    pub probes: ProbeArgs,

    /// The task.
    #[command(flatten)]
    pub task: TaskArgs,

    /// Scores by which the best and the worst heads are found: a head_score file, or NAME or
    /// NAME:SCORE for head_score/NAME_SCORE_heads.json, or for that in a folder of the name
    #[arg(long, alias = "head_score", value_name = "FILE|NAME", help_heading = "Heads")]
    pub head_score: Option<PathBuf>,

    /// Use head scores although the file beside them says that they are another model's
    #[arg(long, help_heading = "Heads")]
    pub force: bool,

    /// How many heads are switched off together
    #[arg(long, value_name = "LIST", default_value = "1,2,5,10,20", help_heading = "Heads")]
    pub k: String,

    /// Sets of random heads for each number, as many of every layer as the best have there, and
    /// none of the best
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Heads")]
    pub draws: usize,

    /// Instead: every head alone, on the prompts that are answered right; writes the score
    /// `ablation`, the drop in the expected answer's log-probability, to head_score/
    #[arg(
        long,
        conflicts_with_all = ["head_score", "force", "k", "draws"],
        help_heading = "Heads"
    )]
    pub each: bool,

    /// What becomes of a head that is switched off: its output is 0 (zero), or its mean over tokens
    /// of prompts (mean), or it looks at all tokens alike (uniform)
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "zero",
        help_heading = "Heads",
        hide_possible_values = true
    )]
    pub off: OffArg,

    /// From where on heads are off: for the whole prompt and the answer (all), from the question on
    /// (question), or for the answer alone (answer). `--off uniform --when answer` is the masking
    /// of Retrieval_Head
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value = "all",
        help_heading = "Heads",
        hide_possible_values = true
    )]
    pub when: WhenArg,

    /// How many sets of heads answer a prompt together [default: auto: up to 16, as many as hold
    /// less than 2 GiB]
    #[arg(long, value_name = "N|auto", help_heading = "Model")]
    pub batch: Option<String>,

    /// Where ablate.json, ablate.csv, ablate.md, ablate.jsonl, plots/ and journal/ go; with --each
    /// head_score/, plots/ and journal/
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Output")]
    pub out: PathBuf,

    /// How the run is journaled.
    #[command(flatten)]
    pub journal: JournalArgs,

    /// Write no pictures
    #[arg(long, help_heading = "Output")]
    pub no_plots: bool,

    /// Write no report.html
    #[arg(long, help_heading = "Output")]
    pub no_report: bool,

    /// Print errors only
    #[arg(long, short, help_heading = "Output", action = ArgAction::SetTrue)]
    pub quiet: bool,

    /// Print one JSON object on standard output instead of the table
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Tell what the run would take (prompts, operations, memory, time) without reading weights
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,
}
