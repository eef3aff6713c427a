//! The options of `headprof evaluate`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{FormArg, JournalArgs, ProbeArgs, SelectionArgs, TaskArgs, TextArgs, listed};
use crate::budget::BudgetOptions;

/// `headprof evaluate`. Lists and names are still text here.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// The prompts.
    #[command(flatten)]
    pub probes: ProbeArgs,

    /// The task.
    #[command(flatten)]
    pub task: TaskArgs,

    /// What tasks of whole texts take beside that.
    #[command(flatten)]
    pub text: TextArgs,

    /// Methods to compare.
    #[arg(long, value_name = "LIST", help = listed::methods(), help_heading = "Compression")]
    pub methods: Option<String>,

    /// Tokens that a head keeps on average, the window among them, such as 64,128,256
    #[arg(
        long,
        aliases = ["budget", "max-capacity-prompts", "max_capacity_prompts"],
        value_name = "LIST",
        default_value = "64,128,256",
        help_heading = "Compression"
    )]
    pub budgets: String,

    /// Head scores that budgets follow.
    #[arg(
        long,
        alias = "head_score",
        value_name = "FILE|NAME,…",
        help = listed::head_score(),
        help_heading = "Compression"
    )]
    pub head_score: Vec<PathBuf>,

    /// Use head scores although the file beside them says that they are another model's
    #[arg(long, help_heading = "Compression")]
    pub force: bool,

    /// Utility curves that budgets follow.
    #[arg(long, value_name = "FILE", help = listed::utility(), help_heading = "Compression")]
    pub utility: Option<PathBuf>,

    /// Divides the budget into a base and a pool that follows the scores.
    #[arg(
        long,
        value_name = "X",
        help = listed::beta(),
        help_heading = "Compression",
        allow_hyphen_values = true
    )]
    pub beta: Option<f64>,

    /// Exponent of the scores.
    #[arg(
        long,
        value_name = "X",
        default_value_t = BudgetOptions::default().temp,
        help = listed::temp(),
        help_heading = "Compression"
    )]
    pub temp: f64,

    /// Share of the budget that is the same for all heads.
    #[arg(
        long,
        value_name = "X",
        default_value_t = BudgetOptions::default().alpha,
        help = listed::alpha(),
        help_heading = "Compression"
    )]
    pub alpha: f64,

    /// How tokens are chosen.
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Exactly as the references compute it: budgets with their rounding, the first tokens of
    /// streaming_llm, the divisor of scissorhands
    #[arg(long, value_enum, value_name = "reference", help_heading = "Compression")]
    pub compat: Option<FormArg>,

    /// How many settings answer a prompt together, a token each in every pass, which reads the
    /// weights once for all; 1 to time each alone. The answers are the same [default: auto: up to
    /// 16, as many as hold no more than the full cache]
    #[arg(long, value_name = "N|auto", help_heading = "Model")]
    pub batch: Option<String>,

    /// Where evaluate.json, evaluate.csv, evaluate.md, answers.jsonl, plots/ and journal/ go
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

    /// Tell what the comparison would take (prompts, operations, memory, time) without reading
    /// weights
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,
}
