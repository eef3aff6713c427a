//! [`RunConfig`]: the command line, parsed and validated. Every mistake that can be seen without
//! reading a file is found here, with exit code 2; after this nothing is "maybe set".

use std::path::PathBuf;

use crate::cli::{ProbeArg, ProfileArgs, Switch};
use crate::error::{Error, Result};
use crate::score::{self, Compat, CompatSet, HeadScore, ScoreOptions, ScoreRows};

mod compute;
mod gate;
mod probes;
mod selection;
mod source;

pub use compute::ComputeConfig;
pub use probes::{Lengths, MaxNewTokens, ModelChoice, ProbeConfig, StopRule, default_chunk_tokens};
pub(crate) use selection::eviction_options;
pub use source::{ProbeSource, PublishedRows};

/// Tasks of `--probe babilong` where none are named: one, two and three supporting facts.
const DEFAULT_TASKS: &str = "qa1..qa3";

/// Stories of each task where no number is given.
pub(crate) const DEFAULT_SAMPLES: usize = 20;

/// A profile to run, without contradictions.
pub struct RunConfig {
    /// The probes.
    pub probes: ProbeConfig,
    /// Scores to compute, each once, in the order of [`score::registry`].
    pub scores: Vec<&'static dyn HeadScore>,
    /// How.
    pub score_options: ScoreOptions,
    /// The `k` of `Top_k`, at least 1.
    pub top_k: usize,
    /// Output folder.
    pub out: PathBuf,
    /// Whether pictures are drawn.
    pub plots: bool,
    /// Whether what several prompts begin with is run once.
    pub prefix_reuse: bool,
    /// How many probes are answered together; `None` for as many as pay and fit.
    pub batch: Option<usize>,
    /// Where the prompts are exported to.
    pub export_probes: Option<PathBuf>,
    /// Errors only.
    pub quiet: bool,
    /// A JSON object instead of a table.
    pub json: bool,
    /// What the user should know about the arguments.
    pub notes: Vec<String>,
    /// The command line, for the record.
    pub command: Vec<String>,
}

impl RunConfig {
    /// Validates `args`; `command` is the command line that they come from.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &ProfileArgs, command: Vec<String>) -> Result<Self> {
        let compat: CompatSet =
            args.compat.as_deref().unwrap_or("").parse().at_option("--compat")?;
        let (mut probes, mut notes) = ProbeConfig::new(&args.probes, source(args)?, compat)?;
        probes.prompts.clone_from(&args.prompts);
        if args.score_rows.is_some() && compat.contains(Compat::DililazyKv) {
            notes
                .push("--compat dililazykv scores row 0 only; --score-rows changes nothing".into());
        }
        Ok(Self {
            probes,
            scores: scores(args.scores.as_deref())?,
            score_options: ScoreOptions {
                rows: match &args.score_rows {
                    Some(rows) => rows.parse().at_option("--score-rows")?,
                    None => ScoreRows::default(),
                },
                compat,
            },
            top_k: at_least_one("--top-k-infscore", Some(args.top_k_infscore))?.unwrap_or(1),
            out: args.out.clone(),
            plots: !args.no_plots,
            prefix_reuse: args.prefix_reuse != Some(Switch::Off),
            batch: batch(args.batch.as_deref())?,
            export_probes: args.export_probes.clone(),
            quiet: args.quiet,
            json: args.json,
            notes,
            command,
        })
    }
}

/// What `--batch` says: a number, or `None` for "auto".
pub(crate) fn batch(arg: Option<&str>) -> Result<Option<usize>> {
    let Some(text) = arg.filter(|text| *text != "auto") else { return Ok(None) };
    let n = text.parse().map_err(|_| {
        Error::usage("this does not say how many are answered together")
            .at("--batch")
            .got(text)
            .expected("a number of at least 1, or auto")
    })?;
    at_least_one("--batch", Some(n))
}

/// What `--probe`, `--tasks`, `--samples` and `--babilong-data` say; `--prompts` is of stories, too.
fn source(args: &ProfileArgs) -> Result<ProbeSource> {
    let tasks = args.tasks.as_deref();
    match (args.probe, &args.babilong_data) {
        (ProbeArg::Babilong, None) => ProbeSource::babilong(
            tasks.unwrap_or(DEFAULT_TASKS),
            "--tasks",
            args.samples.unwrap_or(DEFAULT_SAMPLES),
            false,
        ),
        (ProbeArg::Babilong, Some(path)) => {
            ProbeSource::published(path, tasks, "--tasks", args.samples)
        }
        (ProbeArg::Needle, data) => {
            let given = [
                ("--tasks", tasks.is_some()),
                ("--samples", args.samples.is_some()),
                ("--babilong-data", data.is_some()),
                ("--prompts", !args.prompts.is_empty()),
            ];
            match given.iter().find(|g| g.1) {
                None => Ok(ProbeSource::Needles),
                Some((option, _)) => Err(Error::usage("stories are told for another probe")
                    .at(option)
                    .got("--probe needle")
                    .expected("--probe babilong")),
            }
        }
    }
}

/// Adds the option to an error about its value.
pub(crate) trait AtOption {
    /// The error, with the option as its place.
    fn at_option(self, option: &str) -> Self;
}

impl<T> AtOption for Result<T> {
    fn at_option(self, option: &str) -> Self {
        self.map_err(|e| e.at(option))
    }
}

/// Refuses 0 where something is counted.
pub(crate) fn at_least_one(option: &str, n: Option<usize>) -> Result<Option<usize>> {
    match n {
        Some(0) => {
            Err(Error::usage("this number cannot be 0").at(option).got(0).expected("1 or more"))
        }
        n => Ok(n),
    }
}

fn scores(list: Option<&str>) -> Result<Vec<&'static dyn HeadScore>> {
    let Some(list) = list else { return Ok(score::registry().to_vec()) };
    let names: Vec<&str> = list.split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
    for name in &names {
        score::by_name(name).at_option("--scores")?;
    }
    let chosen: Vec<_> =
        score::registry().iter().copied().filter(|s| names.contains(&s.name())).collect();
    if chosen.is_empty() {
        return Err(Error::usage("there are no scores to compute").at("--scores").got("nothing"));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests;
