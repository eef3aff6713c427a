//! How a run is journaled, for every command that runs a model over many prompts.

use clap::Args;

/// What to do about a run that is there already, and which part of it to run.
#[derive(Debug, Clone, Default, Args)]
pub struct JournalArgs {
    /// Run part I of N: processes that share --out run a part each, on as many machines as there
    /// are, and `headprof merge DIR` makes the results. auto: as the array task of a cluster says
    /// (docs/cluster.md)
    #[arg(long, value_name = "I/N|auto", help_heading = "Run")]
    pub shard: Option<String>,

    /// Start over: give up what an earlier run of this kind has finished in --out
    #[arg(long, help_heading = "Run")]
    pub fresh: bool,

    /// Go on where an earlier run was computed on another device, or in another number type; the
    /// results then differ in rounding
    #[arg(long, help_heading = "Run")]
    pub allow_mixed: bool,
}
