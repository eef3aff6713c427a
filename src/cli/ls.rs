//! The options of `headprof ls`.

use clap::{Args, ValueEnum};

/// `headprof ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// What to list [default: all of it]
    #[arg(value_enum, value_name = "WHAT")]
    pub what: Vec<LsArg>,

    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// What there are several of, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LsArg {
    /// For --task: what is asked
    Tasks,
    /// For --scores: numbers per head
    Scores,
    /// For --gate: which answers count
    Gates,
    /// For evaluate --methods: which tokens are kept
    Methods,
    /// For allocate --method: how many tokens each head keeps
    Allocators,
}
