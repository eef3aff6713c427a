//! The options of `headprof observe`.

use std::path::PathBuf;

use clap::Args;

use super::ModelArgs;

/// `headprof observe`. Lists and names are still text here.
#[derive(Debug, Clone, Args)]
pub struct ObserveArgs {
    /// Layer of the head to draw, from 0
    #[arg(
        long,
        alias = "layer_id",
        value_name = "L",
        help_heading = "Heads",
        requires = "head",
        required_unless_present = "all"
    )]
    pub layer: Option<usize>,

    /// The head to draw, from 0; a query head
    #[arg(long, alias = "head_id", value_name = "H", help_heading = "Heads", requires = "layer")]
    pub head: Option<usize>,

    /// All heads in one table: their attention on the sinks, and the norms of the sinks' values
    #[arg(long, help_heading = "Heads")]
    pub all: bool,

    /// How many first tokens are the sinks
    #[arg(
        long,
        alias = "sink_len",
        value_name = "TOKENS",
        default_value_t = 4,
        help_heading = "Heads"
    )]
    pub sink_len: usize,

    /// Norm of the values that goes with the attention: l1, l2 or linf
    #[arg(
        long,
        alias = "value_norm",
        value_name = "NORM",
        default_value = "l1",
        help_heading = "Heads"
    )]
    pub value_norm: String,

    /// A file of UTF-8 text to read, from its beginning [default: the bundled essays]
    #[arg(long, value_name = "FILE", help_heading = "Text")]
    pub context: Option<PathBuf>,

    /// Tokens to read, BOS among them, such as 2k [default: 512, or what the model is made for]
    #[arg(long, value_name = "TOKENS", help_heading = "Text")]
    pub length: Option<String>,

    /// A length beyond the model's max_position_embeddings is run, not refused
    #[arg(long, help_heading = "Text")]
    pub allow_extrapolation: bool,

    /// The model, and what to compute on.
    #[command(flatten)]
    pub model: ModelArgs,

    /// Where plots/ and observe/ go
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Output")]
    pub out: PathBuf,

    /// One JSON object on standard output
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}
