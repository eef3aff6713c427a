//! [`ProfileConfig`]: the options of a profile, parsed and validated.

use std::path::PathBuf;

use super::outputs::PROBES_FILE;
use crate::cli::{ProfileArgs, Switch, TextArgs};
use crate::config::{
    AtOption, Paths, ProbeConfig, Surroundings, at_least_one, batch, journal_options,
};
use crate::error::{Error, Result};
use crate::job::ProbeSource;
use crate::journal::{JOURNAL, JournalOptions};
use crate::needle::ProbeText;
use crate::report;
use crate::score::{self, Extra, HeadScore, Reference, References, ScoreOptions, ScoreRows};
use crate::system::Reporter;
use crate::tasks::{self, Purpose, TaskOptions, TaskSource};

/// A profile to run, without contradictions.
pub struct ProfileConfig {
    /// The probes.
    pub probes: ProbeConfig,
    /// What is hidden and asked for: a task whose answers have a known place.
    pub task: Box<dyn TaskSource>,
    /// Scores to compute, each once, in the order of [`score::registry`].
    pub scores: Vec<&'static dyn HeadScore>,
    /// How.
    pub score_options: ScoreOptions,
    /// The `k` of `Top_k`, at least 1.
    pub top_k: usize,
    /// How stable the best heads have to be for the run to end before its grid does, 0 to 1.
    pub until_stable: Option<f64>,
    /// Output folder.
    pub out: PathBuf,
    /// Whether pictures are drawn.
    pub plots: bool,
    /// Whether there is to be a page, for which some answers are looked at.
    pub report: bool,
    /// Whether what several prompts begin with is run once.
    pub prefix_reuse: bool,
    /// How many probes are answered together; `None` for as many as pay and fit.
    pub batch: Option<usize>,
    /// How the run is journaled.
    pub journal: JournalOptions,
    /// Where the prompts are exported to.
    pub export_probes: Option<PathBuf>,
    /// Whom to tell.
    pub reporter: Reporter,
    /// What the user should know about the arguments.
    pub notes: Vec<String>,
    /// The command line, for the record.
    pub command: Vec<String>,
}

impl ProfileConfig {
    /// Validates `args`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &ProfileArgs, surroundings: &Surroundings) -> Result<Self> {
        let compat: References =
            args.compat.as_deref().unwrap_or("").parse().at_option("--compat")?;
        let task = tasks::choose(&TaskOptions {
            task: &args.task,
            text: &TextArgs::default(),
            probes: &args.probes,
            compat,
            purpose: Purpose::Profile,
        })?;
        let (probes, mut notes) =
            ProbeConfig::new(&args.probes, task.answers(), compat, surroundings)?;
        Paths::of_probes(&args.probes)
            .and_of_task(&args.task)
            .writes("--out", Some(&args.out.join(PROBES_FILE)))
            .writes("--out", Some(&args.out.join(report::FILE)))
            .fills("--out", &args.out.join(report::LOOKS))
            .fills("--out", &args.out.join("head_score"))
            .fills("--out", &args.out.join("plots"))
            .fills("--out", &args.out.join(JOURNAL))
            .writes("--export-probes", args.export_probes.as_deref())
            .check()?;
        if args.score_rows.is_some() && compat.contains(Reference::DililazyKv) {
            notes
                .push("--compat dililazykv scores row 0 only; --score-rows changes nothing".into());
        }
        let scores = scores(args.scores.as_deref())?;
        Ok(Self {
            probes,
            task,
            until_stable: until_stable(args, &scores)?,
            scores,
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
            report: !args.no_report,
            prefix_reuse: args.prefix_reuse != Some(Switch::Off),
            batch: batch(args.batch.as_deref())?,
            journal: journal_options(&args.journal, surroundings, &mut notes)?,
            export_probes: args.export_probes.clone(),
            reporter: Reporter { quiet: args.quiet, json: args.json },
            notes,
            command: surroundings.command.clone(),
        })
    }

    /// Refuses scores that some of `texts` cannot have: `core` tells facts from distractors.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the text.
    pub fn check_texts(&self, texts: &[ProbeText]) -> Result<()> {
        let without = |text: &&ProbeText| match text {
            ProbeText::Needle(_) => true,
            ProbeText::Facts(facts) => facts.supporting.len() == facts.facts.len(),
            ProbeText::Context(context) => context.distractors.is_empty(),
        };
        let asked = self.scores.iter().any(|score| score.name() == "core");
        match texts.iter().find(without).filter(|_| asked) {
            None => Ok(()),
            Some(text) => Err(Error::usage("there is nothing to tell the facts from")
                .at("--scores core")
                .got(format!("{} without a distractor", text.id()))
                .expected("stories with other facts, such as --task babilong:qa1")),
        }
    }

    /// Whether this is run for one of the scores.
    pub(super) fn runs(&self, extra: Extra) -> bool {
        self.scores.iter().any(|score| score.info().extra == extra)
    }

    /// What is hidden.
    ///
    /// # Errors
    /// [`Error::Bug`]: [`tasks::choose`] refuses tasks without.
    pub fn source(&self) -> Result<&dyn ProbeSource> {
        self.task.probes().ok_or_else(|| Error::bug("a profile of a task without known places"))
    }
}

/// The share of `--until-stable`.
fn until_stable(args: &ProfileArgs, scores: &[&'static dyn HeadScore]) -> Result<Option<f64>> {
    let Some(share) = args.until_stable else { return Ok(None) };
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::usage("this is no share of the best heads")
            .at("--until-stable")
            .got(share)
            .expected("a number between 0 and 1, such as 0.95"));
    }
    if !scores.iter().any(|score| score.info().main) {
        let names: Vec<&str> = scores.iter().map(|score| score.name()).collect();
        return Err(Error::usage("counts say nothing about which heads are the best")
            .at("--until-stable")
            .got(format!("--scores {}", names.join(",")))
            .expected("a main score among them, such as retrieval"));
    }
    if args.journal.shard.is_some() {
        return Err(Error::usage("a shard does not know how stable the others are")
            .at("--until-stable")
            .got("--shard")
            .expected("one of the two"));
    }
    Ok(Some(share))
}

fn scores(list: Option<&str>) -> Result<Vec<&'static dyn HeadScore>> {
    let usual =
        || score::registry().iter().copied().filter(|score| score.info().extra == Extra::Nothing);
    let Some(list) = list else { return Ok(usual().collect()) };
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
