//! The options of `headprof compare`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// `headprof compare`. Lists and names are still text here.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Head scores of one model, or of models with as many layers and heads: files, whoever wrote
    /// them, or names of models with scores in head_score/, such as smollm2-135m-instruct or
    /// smollm2-135m-instruct:inf
    #[arg(value_name = "FILE|NAME", required = true, num_args = 2..)]
    pub files: Vec<PathBuf>,

    /// Numbers of best heads of which it is told how many are shared
    #[arg(long, value_name = "LIST", default_value = "10,20,30")]
    pub top: String,

    /// How many of the heads that moved most are listed
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub moved: usize,

    /// Where plots/ goes, with the heatmap of the differences
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
}
