//! The options of `headprof look`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// `headprof look`. Lists and names are still text here.
#[derive(Debug, Args)]
pub struct LookArgs {
    /// The --out of a finished profile: its probe is run once more, with the profile's own options
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,

    /// The probe: the beginning of its id in probes.jsonl, or the name of a needle [default: the
    /// shortest prompt that was answered]
    #[arg(long, value_name = "ID|NEEDLE")]
    pub probe: Option<String>,

    /// Heads to watch, such as 18-6,17-3 [default: the three best of the profile's first scores]
    #[arg(long, alias = "heads", value_name = "LIST")]
    pub head: Option<String>,

    /// Print errors only
    #[arg(long, short, action = ArgAction::SetTrue)]
    pub quiet: bool,

    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}
