//! What every engine runs: a command line of headprof in shards.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::cli::{Cli, Command, ShardedArgs};
use crate::config::at_least_one;
use crate::error::{Error, Result};
use crate::plan::{MOST_SHARDS, Shard};
use crate::system::shell;

/// A command line of headprof that can be divided, and into how many shards.
#[derive(Debug)]
pub(super) struct Job {
    /// How many shards.
    pub shards: usize,
    /// How many of them at the same time, at most.
    pub at_once: Option<usize>,
    /// The program.
    pub program: String,
    /// What stands behind it, without `--shard`.
    pub options: Vec<String>,
    /// Where results go.
    pub out: String,
    /// Whether that is only the default.
    pub out_is_default: bool,
}

impl Job {
    /// Whatever the shards would refuse at once is refused here.
    ///
    /// # Errors
    /// [`Error::Usage`] for numbers that cannot be, and options that are no command line of a
    /// profile, a comparison or utility curves.
    pub fn new(args: &ShardedArgs) -> Result<Self> {
        if Shard::new(1, args.shards).is_none() {
            return Err(Error::usage("this is not a number of shards")
                .at("--shards")
                .got(args.shards)
                .expected(format!("1 to {MOST_SHARDS}")));
        }
        if args.program.is_empty() {
            return Err(Error::usage("a program has a name").at("--program").got("\"\""));
        }
        let (out, out_is_default) = out(&args.options)?;
        Ok(Self {
            shards: args.shards,
            at_once: at_least_one("--at-once", args.at_once)?,
            program: args.program.clone(),
            options: args.options.clone(),
            out: out.to_string_lossy().into_owned(),
            out_is_default,
        })
    }

    /// The command line up to `--shard`, in words for a shell.
    pub fn command(&self) -> String {
        shell::command(&[std::slice::from_ref(&self.program), &self.options].concat())
    }

    /// The command line that merges, in words for a shell.
    pub fn merge(&self) -> String {
        shell::command(&[self.program.clone(), "merge".to_owned(), self.out.clone()])
    }

    /// A line on where results go, if that was not said.
    pub fn default_out(&self, folder: &str) -> String {
        match self.out_is_default {
            true => format!("# There is no --out: results go to {folder}.\n"),
            false => String::new(),
        }
    }
}

/// Where a command line puts its results, and whether that is only the default.
fn out(options: &[String]) -> Result<(PathBuf, bool)> {
    let shard = |word: &&String| *word == "--shard" || word.starts_with("--shard=");
    if let Some(word) = options.iter().find(shard) {
        return Err(Error::usage("the script says the shard by itself")
            .at("behind --")
            .got(word)
            .advice("leave --shard out"));
    }
    if options.iter().any(|word| word == "--") {
        return Err(refused("a second --", "options of headprof alone"));
    }
    let words = std::iter::once("headprof").chain(options.iter().map(String::as_str));
    let matches = Cli::command().try_get_matches_from(words).map_err(|e| not_parsed(&e))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|e| not_parsed(&e))?;
    let (out, dry_run, journal) = match cli.command {
        None => (cli.profile.out, cli.profile.dry_run, cli.profile.journal),
        Some(Command::Evaluate(args)) => (args.out, args.dry_run, args.journal),
        Some(Command::Ablate(args)) => (args.out, args.dry_run, args.journal),
        Some(Command::Utility(args)) => (args.out, false, args.journal),
        Some(_) => {
            let name = matches.subcommand_name().unwrap_or_default();
            return Err(refused(
                name,
                "options of a profile, evaluate ..., ablate ... or utility ...",
            ));
        }
    };
    if dry_run {
        return Err(refused("--dry-run", "a command that does the work"));
    }
    if journal.fresh {
        return Err(refused("--fresh", "a new --out: a shard cannot start over for the others"));
    }
    let said: &ArgMatches = matches.subcommand().map_or(&matches, |(_, inner)| inner);
    Ok((out, said.value_source("out") != Some(ValueSource::CommandLine)))
}

fn refused(got: &str, expected: &str) -> Error {
    Error::usage("this cannot be divided into shards").at("behind --").got(got).expected(expected)
}

/// What clap says of a command line, without its advice on usage.
fn not_parsed(e: &clap::Error) -> Error {
    if !e.use_stderr() {
        return refused("--help or --version", "a command that does the work");
    }
    let text = e.render().to_string();
    let said = text.split("\n\nUsage:").next().unwrap_or_default();
    let said = said.split("\n\nFor more information").next().unwrap_or_default();
    Error::usage("headprof does not understand these options")
        .at("behind --")
        .got(said.trim_start_matches("error: ").trim_end())
        .expected("what can stand behind `headprof`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(options: &[&str]) -> Result<Job> {
        Job::new(&ShardedArgs {
            shards: 3,
            at_once: None,
            program: "headprof".to_owned(),
            options: options.iter().map(|word| (*word).to_owned()).collect(),
        })
    }

    #[track_caller]
    fn refuses(options: &[&str], says: &[&str]) {
        let e = job(options).unwrap_err();
        assert_eq!(e.exit_code(), 2, "{e}");
        for part in says {
            assert!(e.to_string().contains(part), "no {part:?} in {e}");
        }
    }

    #[test]
    fn results_go_where_the_command_puts_them() {
        let out = |options: &[&str]| {
            let job = job(options).unwrap();
            (job.out, job.out_is_default)
        };
        assert_eq!(out(&["--out", "a b"]), ("a b".to_owned(), false));
        assert_eq!(out(&["--out=x", "--lengths", "1k"]), ("x".to_owned(), false));
        assert_eq!(out(&["evaluate", "--out", "y"]), ("y".to_owned(), false));
        assert_eq!(out(&["utility", "--out", "."]), (".".to_owned(), false));
        assert_eq!(out(&["evaluate"]), (".".to_owned(), true));
        assert_eq!(out(&[]), (".".to_owned(), true));
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        let job = job(&["--model", "it's", "--out", "a b"]).unwrap();
        assert_eq!(job.command(), r"headprof --model 'it'\''s' --out 'a b'");
        assert_eq!(job.merge(), "headprof merge 'a b'");
    }

    #[test]
    fn what_shards_would_refuse_is_refused() {
        refuses(&["--shard", "1/3"], &["behind --", "--shard", "leave --shard out"]);
        refuses(&["evaluate", "--shard=auto"], &["--shard=auto"]);
        refuses(&["--modle", "x"], &["does not understand", "--modle"]);
        refuses(&["--out"], &["--out"]);
        refuses(&["--lengths", "1k", "--"], &["a second --"]);
        refuses(&["--help"], &["--help or --version"]);
        refuses(&["evaluate", "--help"], &["--help or --version"]);
        refuses(&["--dry-run"], &["--dry-run"]);
        refuses(&["evaluate", "--dry-run"], &["--dry-run"]);
        refuses(&["utility", "--fresh"], &["--fresh", "a new --out"]);
        refuses(&["verify", "folder"], &["got       verify", "evaluate"]);
        refuses(&["cluster", "plain", "--shards", "2"], &["got       cluster"]);
    }

    #[test]
    fn numbers_of_shards_are_checked() {
        for (shards, at_once, place) in
            [(0, None, "--shards"), (100_001, None, "--shards"), (3, Some(0), "--at-once")]
        {
            let program = "headprof".to_owned();
            let args = ShardedArgs { shards, at_once, program, options: Vec::new() };
            let e = Job::new(&args).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains(&format!("where     {place}\n")), "{e}");
        }
        let program = String::new();
        let args = ShardedArgs { shards: 1, at_once: None, program, options: Vec::new() };
        assert!(Job::new(&args).is_err());
    }
}
