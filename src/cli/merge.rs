//! The options of `headprof merge`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// `headprof merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The folder that the shards were given as --out
    pub out: PathBuf,

    /// Put shards together that were computed on different devices, or in different number types
    #[arg(long)]
    pub allow_mixed: bool,

    /// Write no pictures
    #[arg(long)]
    pub no_plots: bool,

    /// Write no report.html
    #[arg(long)]
    pub no_report: bool,

    /// Print errors only
    #[arg(long, short, action = ArgAction::SetTrue)]
    pub quiet: bool,

    /// Print one JSON object for each run on standard output instead of the table
    #[arg(long)]
    pub json: bool,
}
