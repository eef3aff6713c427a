//! What headprof can be told to do: one room per command. None imports another.

pub mod allocate;
pub mod bench;
pub mod dry_run;
pub mod evaluate;
pub mod observe;
pub mod profile;
pub mod utility;
pub mod verify;

use crate::tasks::{Purpose, task_help};

/// The command line with what registries know in its help texts.
pub fn with_registries(cli: clap::Command) -> clap::Command {
    let evaluate = |command: clap::Command| {
        command.mut_arg("task", |arg| arg.help(task_help(Purpose::Evaluate)))
    };
    cli.mut_arg("task", |arg| arg.help(task_help(Purpose::Profile)))
        .mut_subcommand("evaluate", evaluate)
}
