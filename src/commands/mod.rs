//! What headprof can be told to do: one room per command. None imports another.

pub mod ablate;
pub mod allocate;
pub mod bench;
pub mod cluster;
pub mod compare;
pub mod dry_run;
pub mod evaluate;
pub mod ls;
pub mod observe;
pub mod profile;
pub mod report;
pub mod sensitivity;
pub mod utility;
pub mod verify;

use crate::tasks::{Purpose, option_help, task_help};

/// The command line with what registries know in its help texts.
pub fn with_registries(cli: clap::Command) -> clap::Command {
    let profile = with_tasks(cli, Purpose::Profile);
    let profile = profile.mut_subcommand("ablate", |command| with_tasks(command, Purpose::Profile));
    let profile = profile.mut_subcommand("sensitivity", |command| {
        let command = with_tasks(command, Purpose::Profile);
        // Its runs have no pages.
        command.mut_arg("no_report", |arg| arg.hide(true)).mut_arg("out", |arg| {
            arg.help(
                "Where sensitivity.json, sensitivity.csv, plots/, the profile base/ and those of \
                 its variants go",
            )
        })
    });
    profile.mut_subcommand("evaluate", |command| with_tasks(command, Purpose::Evaluate))
}

/// What the options of tasks mean, by task. The text of each so far says what it is.
fn with_tasks(command: clap::Command, purpose: Purpose) -> clap::Command {
    let command = command.mut_arg("task", |arg| arg.help(task_help(purpose)));
    let ids = ["task_data", "samples", "prompts", "code_similarity", "max_prompt_tokens"];
    let there = |id: &&str| command.get_arguments().any(|arg| arg.get_id() == id);
    let there: Vec<&str> = ids.into_iter().filter(there).collect();
    there.into_iter().fold(command, |command, id| {
        command.mut_arg(id, |arg| {
            let what = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let option = format!("--{}", id.replace('_', "-"));
            arg.help(option_help(&option, &what, purpose))
        })
    })
}
