//! The options of `headprof evaluate`.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::{FormArg, ProbeArgs, SelectionArgs, listed};
use crate::budget::BudgetOptions;

/// Values of `--code-similarity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CodeSimilarityArg {
    /// As with python-Levenshtein installed.
    Levenshtein,
    /// As without it.
    Difflib,
}

/// `headprof evaluate`. Lists and names are still text here.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// The prompts.
    #[command(flatten)]
    pub probes: ProbeArgs,

    /// What the model is asked: needle, babilong, longbench, loogle or ruler; with tasks or data sets
    /// behind it such as babilong:qa1..qa5, longbench:hotpotqa,qasper or ruler:niah_single_1,vt
    #[arg(long, value_name = "TASK", default_value = "needle", help_heading = "Compression")]
    pub task: String,

    /// Rows of each task of babilong and ruler at every length [default: 20]; of --task-data rows of
    /// each file, or of each data set of longbench or loogle [default: all]
    #[arg(long, value_name = "N", help_heading = "Compression")]
    pub samples: Option<usize>,

    /// Published rows: a file of LongBench or LooGLE, or of RULER or BABILong whose path says the
    /// task (niah_single_1, qa1), or a folder of such (.jsonl; of BABILong also .json and .arrow).
    /// Without it, babilong and ruler make rows of their own
    #[arg(long, alias = "babilong-data", value_name = "FILE|DIR", help_heading = "Compression")]
    pub task_data: Option<PathBuf>,

    /// longbench, loogle: a JSON file with prompts (dataset2prompt.json) or lengths of answers
    /// (dataset2maxlen.json) by data set; babilong: one with prompts by task; several with commas or
    /// one by one [default: headprof's own wording]
    #[arg(long, value_name = "FILE", value_delimiter = ',', help_heading = "Compression")]
    pub prompts: Vec<PathBuf>,

    /// longbench: how lines of code are compared [default: levenshtein]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Compression")]
    pub code_similarity: Option<CodeSimilarityArg>,

    /// longbench, loogle and published rows of ruler: longer prompts are shortened in the middle [default:
    /// what the model has room for beside the answer]
    #[arg(long, value_name = "TOKENS", help_heading = "Compression")]
    pub max_prompt_tokens: Option<usize>,

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
        value_name = "FILE",
        help = listed::head_score(),
        help_heading = "Compression"
    )]
    pub head_score: Option<PathBuf>,

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

    /// How many settings answer a prompt together, a token each in every pass, which reads the weights once
    /// for all; 1 to time each alone. The answers are the same [default: auto: up to 16, as many as hold no
    /// more than the largest of them]
    #[arg(long, value_name = "N|auto", help_heading = "Model")]
    pub batch: Option<String>,

    /// Where evaluate.json, evaluate.csv, evaluate.md, answers.jsonl and plots/ go
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Output")]
    pub out: PathBuf,

    /// Write no pictures
    #[arg(long, help_heading = "Output")]
    pub no_plots: bool,

    /// Print errors only
    #[arg(long, short, help_heading = "Output", action = ArgAction::SetTrue)]
    pub quiet: bool,

    /// Print one JSON object on standard output instead of the table
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Tell what the comparison would take (prompts, operations, memory, time) without reading weights
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,
}
