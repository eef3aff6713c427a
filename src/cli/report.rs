//! The options of `headprof report`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// `headprof report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The --out of profiles, of evaluate and of ablate, or a folder of head_score files
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,

    /// Whose results, where the folder has those of several models
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// Print errors only
    #[arg(long, short, action = ArgAction::SetTrue)]
    pub quiet: bool,

    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}
