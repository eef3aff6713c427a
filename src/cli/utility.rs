//! The options of `headprof utility`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{JournalArgs, ProbeArgs, SelectionArgs, listed};

/// `headprof utility`. Lists and names are still text here.
#[derive(Debug, Args)]
pub struct UtilityArgs {
    /// The probes.
    #[command(flatten)]
    pub probes: ProbeArgs,

    /// Method whose token score puts the tokens in order.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "snapkv",
        help = listed::token_scores(),
        help_heading = "Compression"
    )]
    pub method: String,

    /// How tokens are chosen.
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Where head_score/ and journal/ go
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Output")]
    pub out: PathBuf,

    /// How the run is journaled.
    #[command(flatten)]
    pub journal: JournalArgs,

    /// Print errors only
    #[arg(long, short, help_heading = "Output", action = ArgAction::SetTrue)]
    pub quiet: bool,
}
