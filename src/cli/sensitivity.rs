//! The options of `headprof sensitivity`.

use std::path::PathBuf;

use clap::Args;

use super::ProfileArgs;

/// `headprof sensitivity`. Lists and names are still text here.
#[derive(Debug, Clone, Args)]
pub struct SensitivityArgs {
    /// The profile.
    #[command(flatten)]
    pub profile: ProfileArgs,

    /// What is varied: needle, depth, length, gate, top-k, rows, chat [default: all that apply]
    #[arg(long, value_name = "LIST", help_heading = "Sensitivity")]
    pub vary: Option<String>,

    /// Scores whose ranking of heads is looked at [default: retrieval_reasoning, or else the first
    /// main score that is computed]
    #[arg(long, value_name = "LIST", help_heading = "Sensitivity")]
    pub score: Option<String>,

    /// Run nothing: look at what is in the folder of a finished profile, or of an earlier
    /// sensitivity; results go there, too
    #[arg(
        long,
        value_name = "DIR",
        help_heading = "Sensitivity",
        conflicts_with_all = [
            "ProbeArgs", "ModelArgs", "HubArgs", "ComputeArgs", "TaskArgs", "JournalArgs", "scores",
            "score_rows", "top_k_infscore", "until_stable", "compat", "prefix_reuse", "batch", "out",
            "export_probes", "dry_run",
        ]
    )]
    pub from: Option<PathBuf>,
}
