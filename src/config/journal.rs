//! `--shard`, `--fresh` and `--allow-mixed`, validated.

use super::Surroundings;
use crate::cli::JournalArgs;
use crate::error::{Error, Result};
use crate::journal::JournalOptions;
use crate::plan::Shard;

/// What `args` say, and what the user should know about it.
///
/// # Errors
/// [`Error::Usage`] naming the option, or the variable that says no shard.
pub(crate) fn journal_options(
    args: &JournalArgs,
    surroundings: &Surroundings,
    notes: &mut Vec<String>,
) -> Result<JournalOptions> {
    let variable = |name: &str| surroundings.cluster.get(name).cloned();
    let chosen = Shard::chosen(args.shard.as_deref(), &variable)?;
    let shard = chosen.map(|(shard, why)| {
        notes.extend(why);
        shard
    });
    if let Some(shard) = shard.filter(|_| args.fresh) {
        return Err(Error::usage("a shard cannot start over alone")
            .at("--fresh")
            .got(format!("--shard {shard}"))
            .expected("no --fresh, which gives up what all shards have finished")
            .advice("another --out, or remove journal/ in it before the shards start"));
    }
    Ok(JournalOptions { shard, fresh: args.fresh, allow_mixed: args.allow_mixed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_does_not_start_over_and_the_environment_is_told() {
        let args = |shard: Option<&str>, fresh| JournalArgs {
            shard: shard.map(str::to_owned),
            fresh,
            allow_mixed: false,
        };
        let mut notes = Vec::new();
        let mut surroundings = Surroundings::default();
        let mut parse = |args: &JournalArgs, surroundings: &Surroundings| {
            notes.clear();
            journal_options(args, surroundings, &mut notes).map(|o| (o, notes.len()))
        };
        let none = JournalOptions::default();
        assert_eq!(parse(&args(None, false), &surroundings), Ok((none.clone(), 0)));
        let shard = Shard::new(2, 3);
        let two = JournalOptions { shard, ..none };
        assert_eq!(parse(&args(Some("2/3"), false), &surroundings), Ok((two.clone(), 0)));
        for (shard, fresh, says) in [
            (Some("2/3"), true, "--fresh"),
            (Some("4/3"), false, "--shard"),
            (Some("auto"), false, "--shard auto"),
        ] {
            let e = parse(&args(shard, fresh), &surroundings).unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(says), "{e}");
        }
        surroundings.cluster.insert("HEADPROF_SHARD".to_owned(), "2/3".to_owned());
        assert_eq!(parse(&args(None, false), &surroundings), Ok((two, 1)));
        assert_eq!(parse(&args(None, true), &surroundings).unwrap_err().exit_code(), 2);
    }
}
