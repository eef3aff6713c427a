//! The options of `headprof allocate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::listed;
use crate::budget::BudgetOptions;
use crate::heads::{Granularity, GroupReduce};

/// Values of `--compat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormArg {
    /// As the published code.
    Reference,
}

/// Values of `--granularity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GranularityArg {
    /// One budget per KV head.
    #[value(name = "kv_head", alias = "kv-head")]
    KvHead,
    /// One budget per query head.
    #[value(name = "query_head", alias = "query-head")]
    QueryHead,
}

/// Values of `--reduce`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReduceArg {
    /// Their mean.
    Mean,
    /// The largest.
    Max,
    /// Their sum.
    Sum,
}

impl From<GranularityArg> for Granularity {
    fn from(arg: GranularityArg) -> Self {
        match arg {
            GranularityArg::KvHead => Self::KvHead,
            GranularityArg::QueryHead => Self::QueryHead,
        }
    }
}

impl From<ReduceArg> for GroupReduce {
    fn from(arg: ReduceArg) -> Self {
        match arg {
            ReduceArg::Mean => Self::Mean,
            ReduceArg::Max => Self::Max,
            ReduceArg::Sum => Self::Sum,
        }
    }
}

/// `headprof allocate`.
#[derive(Debug, Clone, Args)]
pub struct AllocateArgs {
    /// The allocator.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "headkv",
        help = listed::allocator(),
        help_heading = "Budget"
    )]
    pub method: String,

    /// Tokens per head on average, with the window (--max-capacity-prompts)
    #[arg(
        long,
        visible_alias = "max-capacity-prompts",
        alias = "max_capacity_prompts",
        value_name = "TOKENS",
        default_value_t = 128,
        help_heading = "Budget"
    )]
    pub budget: usize,

    /// The last tokens of the prompt, which every head keeps
    #[arg(
        long,
        alias = "window_size",
        value_name = "TOKENS",
        default_value_t = 8,
        help_heading = "Budget"
    )]
    pub window_size: usize,

    /// Divides the budget into a base and a pool that follows the scores.
    #[arg(
        long,
        value_name = "X",
        help = listed::beta(),
        help_heading = "Budget",
        allow_hyphen_values = true
    )]
    pub beta: Option<f64>,

    /// Exponent of the scores.
    #[arg(
        long,
        value_name = "X",
        help = format!("{} [default: {}]", listed::temp(), BudgetOptions::default().temp),
        help_heading = "Budget",
        allow_hyphen_values = true
    )]
    pub temp: Option<f64>,

    /// Share of the budget that is the same for all heads. Hidden, because the methods that read it
    /// need a prompt; who types it is told so.
    #[arg(long, value_name = "X", hide = true, allow_hyphen_values = true)]
    pub alpha: Option<f64>,

    /// How steep the pyramid is.
    #[arg(
        long,
        alias = "pyramid_beta",
        value_name = "N",
        help = format!(
            "{} [default: {}]",
            listed::pyramid_beta(),
            BudgetOptions::default().pyramid_beta
        ),
        help_heading = "Budget"
    )]
    pub pyramid_beta: Option<usize>,

    /// As the reference code rounds, instead of an exact sum
    #[arg(long, value_enum, value_name = "reference", help_heading = "Budget")]
    pub compat: Option<FormArg>,

    /// Tokens of the prompt: no head gets more [default: no limit]
    #[arg(long, alias = "prompt_tokens", value_name = "T", help_heading = "Budget")]
    pub prompt_tokens: Option<usize>,

    /// A head_score file, or the name of a model with scores in --head-score-dir, such as
    /// smollm2-135m-instruct, or smollm2-135m-instruct:inf for another score than
    /// retrieval_reasoning
    #[arg(
        long,
        alias = "head_score",
        value_name = "FILE|NAME",
        help_heading = "Scores",
        conflicts_with = "head_choice"
    )]
    pub head_score: Option<PathBuf>,

    /// A score of the model, or a file.
    #[arg(
        long,
        alias = "head_choice",
        value_name = "NAME|FILE",
        help = listed::head_choice(),
        help_heading = "Scores"
    )]
    pub head_choice: Option<String>,

    /// The model whose scores these are, its name or its id on the hub [default: needle-llama for
    /// --head-choice]
    #[arg(long, value_name = "NAME|ID", help_heading = "Scores")]
    pub model: Option<String>,

    /// Where --head-choice and names look
    #[arg(
        long,
        alias = "head_score_dir",
        value_name = "DIR",
        default_value = "head_score",
        help_heading = "Scores"
    )]
    pub head_score_dir: PathBuf,

    /// A file of utility curves.
    #[arg(long, value_name = "FILE", help = listed::utility(), help_heading = "Scores")]
    pub utility: Option<PathBuf>,

    /// Use the scores of another model than --model
    #[arg(long, help_heading = "Scores")]
    pub force: bool,

    /// Layers [default: those of the scores]
    #[arg(long, value_name = "L", help_heading = "Heads")]
    pub layers: Option<usize>,

    /// Query heads per layer [default: those of the scores]
    #[arg(long, value_name = "H", help_heading = "Heads")]
    pub heads: Option<usize>,

    /// KV heads per layer [default: what the scores' sidecar says]
    #[arg(long, alias = "kv_heads", value_name = "G", help_heading = "Heads")]
    pub kv_heads: Option<usize>,

    /// Whose budgets: of KV heads or of query heads [default: kv_head where --kv-heads is known,
    /// else query_head]
    #[arg(long, value_enum, value_name = "kv_head|query_head", help_heading = "Heads")]
    pub granularity: Option<GranularityArg>,

    /// How query heads' scores become one of their KV head
    #[arg(long, value_enum, default_value = "mean", help_heading = "Heads")]
    pub reduce: ReduceArg,

    /// Write a heatmap of the budget there, as PNG and SVG
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,

    /// lukv: write the fractions to prune for 1 to 99 % as a NumPy array [99, L, G]
    #[arg(long, alias = "prune_table", value_name = "FILE", help_heading = "Output")]
    pub prune_table: Option<PathBuf>,

    /// One JSON object on standard output
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}
