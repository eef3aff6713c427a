//! [`SensitivityConfig`]: the options of a sensitivity, parsed and validated.

use std::path::PathBuf;

use super::factor::Factor;
use crate::cli::{ProfileArgs, SensitivityArgs};
use crate::config::{AtOption, Surroundings};
use crate::error::{Error, Result};
use crate::score::{self, HeadScore};
use crate::system::Reporter;

/// The score that is looked at where none is named.
const USUAL: &str = "retrieval_reasoning";

/// What to vary and look at, without contradictions.
pub struct SensitivityConfig {
    /// What is varied, each once, in the order of [`Factor::ALL`].
    pub vary: Vec<Factor>,
    /// Scores to look at, as they were named; none for the usual one.
    pub scores: Vec<&'static dyn HeadScore>,
    /// The options of the base, but for its folder; `None` where nothing is run.
    pub profile: Option<ProfileArgs>,
    /// The output folder, or that of `--from`.
    pub out: PathBuf,
    /// Whether pictures are drawn.
    pub plots: bool,
    /// Whom to tell.
    pub reporter: Reporter,
    /// The command line, for the record.
    pub command: Vec<String>,
}

impl SensitivityConfig {
    /// Validates `args`, but for the options of the profile.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &SensitivityArgs, surroundings: &Surroundings) -> Result<Self> {
        let profile = &args.profile;
        refuse(args)?;
        let named = |list: &str| -> Vec<String> {
            let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        let vary = match &args.vary {
            None => Factor::ALL.to_vec(),
            Some(list) => {
                let asked = named(list).into_iter().map(|name| name.parse().at_option("--vary"));
                let asked: Vec<Factor> = asked.collect::<Result<_>>()?;
                Factor::ALL.into_iter().filter(|factor| asked.contains(factor)).collect()
            }
        };
        let mut scores: Vec<&'static dyn HeadScore> = Vec::new();
        for name in args.score.as_deref().map(named).unwrap_or_default() {
            let found = score::by_name(&name).at_option("--score")?;
            if !scores.iter().any(|score| score.name() == found.name()) {
                scores.push(found);
            }
        }
        for (option, given, empty) in [
            ("--vary", &args.vary, vary.is_empty()),
            ("--score", &args.score, args.score.is_some() && scores.is_empty()),
        ] {
            if empty {
                return Err(Error::usage("the list is empty")
                    .at(option)
                    .got(format!("{:?}", given.as_deref().unwrap_or_default()))
                    .expected("at least one name"));
            }
        }
        Ok(Self {
            vary,
            scores,
            profile: args.from.is_none().then(|| profile.clone()),
            out: args.from.clone().unwrap_or_else(|| profile.out.clone()),
            plots: !profile.no_plots,
            reporter: Reporter { quiet: profile.quiet, json: profile.json },
            command: surroundings.command.clone(),
        })
    }

    /// The scores to look at, of those that are `computed`, in the order of the registry.
    ///
    /// # Errors
    /// [`Error::Usage`] for one that was named and is not among them.
    pub fn chosen(
        &self,
        computed: &[&'static dyn HeadScore],
    ) -> Result<Vec<&'static dyn HeadScore>> {
        let is_there = |score: &&&'static dyn HeadScore| {
            computed.iter().any(|known| known.name() == score.name())
        };
        if let Some(missing) = self.scores.iter().find(|score| !is_there(score)) {
            let names: Vec<&str> = computed.iter().map(|score| score.name()).collect();
            return Err(Error::usage("this score is not computed")
                .at("--score")
                .got(missing.name())
                .expected(format!("one of {}", names.join(", ")))
                .advice("name it among --scores of the profile, too"));
        }
        if !self.scores.is_empty() {
            return Ok(self.scores.clone());
        }
        let usual = computed.iter().find(|score| score.name() == USUAL);
        let main = || computed.iter().find(|score| score.info().main);
        Ok(usual.or_else(main).or(computed.first()).copied().into_iter().collect())
    }
}

/// Refuses options of a profile that leave other probes to every run.
fn refuse(args: &SensitivityArgs) -> Result<()> {
    let profile = &args.profile;
    let refused = |option: &str, why: &str, advice: &str| {
        Err(Error::usage(why)
            .at(option)
            .got(option)
            .expected("runs of the same probes, each in one piece")
            .advice(advice))
    };
    if profile.until_stable.is_some() {
        return refused(
            "--until-stable",
            "runs that end by themselves cannot be compared",
            "leave it out; fewer --lengths, --depths or needles make a run shorter",
        );
    }
    if profile.journal.shard.is_some() {
        return refused(
            "--shard",
            "a shard has a part of the probes alone",
            "run the profile in shards with --out OUT, merge them, and look at the result with \
             headprof sensitivity --from OUT",
        );
    }
    Ok(())
}
