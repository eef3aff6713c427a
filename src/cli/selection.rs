//! How the tokens that a head keeps are chosen, whatever the budget.

use clap::Args;

use super::{GranularityArg, ReduceArg};

/// The constants of token scores, and whose tokens they are about. Names are still text here.
#[derive(Debug, Clone, Args)]
pub struct SelectionArgs {
    /// Last tokens of the prompt, which every head keeps and whose attention snapkv reads
    #[arg(
        long,
        alias = "window_size",
        value_name = "TOKENS",
        default_value_t = 8,
        help_heading = "Compression"
    )]
    pub window_size: usize,

    /// Tokens of a neighbourhood that snapkv pools; odd
    #[arg(
        long,
        alias = "kernel_size",
        value_name = "TOKENS",
        default_value_t = 7,
        help_heading = "Compression"
    )]
    pub kernel_size: usize,

    /// How a neighbourhood becomes one value: max, avg, none
    #[arg(long, value_name = "NAME", default_value = "max", help_heading = "Compression")]
    pub pooling: String,

    /// +vatp: norm of the values, l1, l2, linf, projected (l1 behind the output projection) or off
    #[arg(
        long,
        alias = "value_norm",
        value_name = "NORM",
        default_value = "l1",
        help_heading = "Compression"
    )]
    pub value_norm: String,

    /// +vatp: first tokens of the prompt that are kept whatever they are worth
    #[arg(
        long,
        alias = "sink_len",
        value_name = "TOKENS",
        default_value_t = 4,
        help_heading = "Compression"
    )]
    pub sink_len: usize,

    /// Whether each KV head keeps its own tokens, or each query head as in the references, with as
    /// many times the memory
    #[arg(
        long,
        value_enum,
        value_name = "kv_head|query_head",
        default_value = "kv_head",
        help_heading = "Compression",
        hide_possible_values = true
    )]
    pub granularity: GranularityArg,

    /// How the scores of query heads that share a KV head become one
    #[arg(long, value_enum, default_value = "mean", help_heading = "Compression")]
    pub reduce: ReduceArg,
}
