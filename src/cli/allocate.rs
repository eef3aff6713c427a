//! The options of `headprof allocate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
    /// uniform, pyramidkv, headkv, dililazykv, dililazykv_variance or lukv, or a reference's name
    /// for it
    #[arg(long, value_name = "NAME", default_value = "headkv", help_heading = "Budget")]
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

    /// headkv, dililazykv: one beta-th of the budget is shared by score; larger is more even
    /// [default: 1.5 for headkv, 1.351 for dililazykv]
    #[arg(long, value_name = "X", help_heading = "Budget", allow_hyphen_values = true)]
    pub beta: Option<f64>,

    /// headkv, dililazykv: exponent of the scores
    #[arg(
        long,
        value_name = "X",
        default_value_t = 1.0,
        help_heading = "Budget",
        allow_hyphen_values = true
    )]
    pub temp: f64,

    /// adakv: share of the budget that is even
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.2,
        help_heading = "Budget",
        allow_hyphen_values = true
    )]
    pub alpha: f64,

    /// pyramidkv: the last layer has one so-manieth of the mean
    #[arg(
        long,
        alias = "pyramid_beta",
        value_name = "N",
        default_value_t = 20,
        help_heading = "Budget"
    )]
    pub pyramid_beta: usize,

    /// As the published code rounds, instead of an exact sum
    #[arg(long, value_enum, value_name = "reference", help_heading = "Budget")]
    pub compat: Option<FormArg>,

    /// Tokens of the prompt: no head gets more [default: no limit]
    #[arg(long, alias = "prompt_tokens", value_name = "T", help_heading = "Budget")]
    pub prompt_tokens: Option<usize>,

    /// A head_score file
    #[arg(
        long,
        alias = "head_score",
        value_name = "FILE",
        help_heading = "Scores",
        conflicts_with = "head_choice"
    )]
    pub head_score: Option<PathBuf>,

    /// copy (retrieval), reason (retrieval_reasoning), inf, dili or lazy of --model, or a file
    #[arg(long, alias = "head_choice", value_name = "NAME|FILE", help_heading = "Scores")]
    pub head_choice: Option<String>,

    /// The model whose scores these are, its name or its id on the hub [default: needle-llama for
    /// --head-choice]
    #[arg(long, value_name = "NAME|ID", help_heading = "Scores")]
    pub model: Option<String>,

    /// Where --head-choice looks
    #[arg(
        long,
        alias = "head_score_dir",
        value_name = "DIR",
        default_value = "head_score",
        help_heading = "Scores"
    )]
    pub head_score_dir: PathBuf,

    /// lukv: a file of utility curves
    #[arg(long, value_name = "FILE", help_heading = "Scores")]
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
