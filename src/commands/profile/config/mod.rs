//! [`ProfileConfig`]: the options of a profile, parsed and validated.

use std::path::PathBuf;

use crate::cli::{ProbeArg, ProfileArgs, Switch};
use crate::config::{AtOption, DEFAULT_SAMPLES, ProbeConfig, ProbeSource, at_least_one, batch};
use crate::error::{Error, Result};
use crate::score::{self, Compat, CompatSet, HeadScore, ScoreOptions, ScoreRows};

/// Tasks of `--probe babilong` where none are named: one, two and three supporting facts.
const DEFAULT_TASKS: &str = "qa1..qa3";

/// A profile to run, without contradictions.
pub struct ProfileConfig {
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

impl ProfileConfig {
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

fn scores(list: Option<&str>) -> Result<Vec<&'static dyn HeadScore>> {
    let Some(list) = list else { return Ok(score::registry().to_vec()) };
    let asked = list.split(',').map(str::trim).filter(|s| !s.is_empty());
    let names = asked.map(|name| Ok(score::by_name(name).at_option("--scores")?.name()));
    let names: Vec<&str> = names.collect::<Result<_>>()?;
    let chosen: Vec<_> =
        score::registry().iter().copied().filter(|s| names.contains(&s.name())).collect();
    if chosen.is_empty() {
        return Err(Error::usage("there are no scores to compute").at("--scores").got("nothing"));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests;
