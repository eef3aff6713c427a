//! The options of `headprof bench`.

use clap::{ArgAction, Args};

use super::ModelArgs;

/// `headprof bench`. Lists and names are still text here.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Lengths of the prompts, such as 512,1k..4k:1k
    #[arg(long, value_name = "LIST", default_value = "512,1k,2k")]
    pub lengths: String,

    /// Tokens decoded after each prompt
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub steps: usize,

    /// How often each is timed; the best counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub tries: usize,

    /// Prompt tokens per pass [default: 256 on the CPU, 2048 on a GPU]
    #[arg(long, value_name = "TOKENS")]
    pub chunk: Option<usize>,

    /// The model, and what to compute on.
    #[command(flatten)]
    pub model: ModelArgs,

    /// Print errors only
    #[arg(long, short, help_heading = "Output", action = ArgAction::SetTrue)]
    pub quiet: bool,

    /// One JSON object on standard output
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}
