//! `headprof sensitivity`: whether the best heads are the model's, or those of the needles, the
//! depths and the form of the prompts.
//!
//! ```text
//! ProfileArgs ─► base ──────────┬► probes.jsonl, scores ─► Groups (needle, depth, length) ─┐
//!        └─► Variant… (top k, ─►┘        one folder each          Found beside chance ◄────┤
//!            rows, chat, gate)                                        ─► files, picture    └─ yardstick
//! ```
//!
//! Base and variants are ordinary profiles in folders of their own, each with its journal; whoever
//! calls [`run`] runs them. What is said about them comes from their files alone, so that it can be
//! said again without the model (`--from`).

pub mod config;

mod analysis;
mod factor;
mod groups;
mod outputs;
mod pictures;
mod read;
mod report;
mod variants;
mod yardstick;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

pub use analysis::{FactorResult, LevelResult, ScoreSensitivity};
pub use config::SensitivityConfig;
pub use factor::Factor;
pub use yardstick::{Alike, Chance};

use crate::cli::ProfileArgs;
use crate::error::{Error, Result};
use crate::score::{self, HeadScore};
use crate::system::atomic::{MadeFolders, usable_folder, usable_folders};
use analysis::{Ran, Runs};
use read::{PROBES, Profiled, Status, Values};
use variants::{BASE, Known, Planned, Variant};

/// What was found, as `sensitivity.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Results {
    /// The model's name.
    pub model: String,
    /// Hash of its weights.
    pub model_sha256: String,
    /// Decides the random groups.
    pub seed: u64,
    /// Random groups behind every `chance`, at most.
    pub draws: usize,
    /// One per score that was looked at.
    pub scores: Vec<ScoreSensitivity>,
    /// The profiles behind it, the base first.
    pub runs: Vec<RunMeta>,
}

/// One of the profiles.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunMeta {
    /// Its folder.
    pub folder: PathBuf,
    /// The option that is not as in the base; none of the base itself.
    pub changed: Option<String>,
    /// All probes.
    pub probes: usize,
    /// Those whose answers count.
    pub accepted: usize,
}

/// What a sensitivity tells.
#[derive(Debug, Serialize)]
pub struct Sensitivity {
    /// What was found.
    #[serde(flatten)]
    pub results: Results,
    /// Everything that was written, but for the files of the profiles.
    pub files: Vec<PathBuf>,
    /// From start to end.
    pub seconds: f64,
    #[serde(skip)]
    out: PathBuf,
}

/// A sensitivity that was written.
pub struct Finished {
    /// What to tell.
    pub told: Sensitivity,
    /// Why it is not complete, if some probes failed.
    pub shortcoming: Option<Error>,
}

/// What would be run.
#[derive(Debug, Serialize)]
pub struct Ahead<T> {
    /// The runs: folder, and the option that is changed.
    pub runs: Vec<[String; 2]>,
    /// What each of them takes.
    pub each: T,
}

impl fmt::Display for Sensitivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.results.runs.first();
        for of in &self.results.scores {
            let probes = base.map_or(of.probes, |base| base.probes);
            let model = &self.results.model;
            writeln!(f, "{model} · {} · {} of {probes} probes accepted\n", of.score, of.probes)?;
            writeln!(f, "{}", report::terminal(of))?;
        }
        let (files, out) = (self.files.len(), self.out.display());
        writeln!(f, "{files} files in {out} · {:.1} s", self.seconds)
    }
}

impl<T: fmt::Display> fmt::Display for Ahead<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} profiles, each of which would take:\n", self.runs.len())?;
        writeln!(f, "{}", self.each)?;
        for [folder, changed] in &self.runs {
            writeln!(f, "  {folder:<18}{changed}")?;
        }
        Ok(())
    }
}

impl SensitivityConfig {
    /// The options of the base; `None` where nothing is run.
    pub fn base_args(&self) -> Option<ProfileArgs> {
        let args = self.profile.as_ref()?;
        // The runs are looked at together, not one by one.
        Some(ProfileArgs { out: self.out.join(BASE), no_report: true, ..args.clone() })
    }

    /// What would be run for scores that are `computed`, where each run takes what `each` says.
    ///
    /// # Errors
    /// As [`SensitivityConfig::chosen`].
    pub fn ahead<T>(&self, computed: &[&'static dyn HeadScore], each: T) -> Result<Ahead<T>> {
        let scores = self.chosen(computed)?;
        let known = self.profile.as_ref().map(Known::ahead);
        let planned = known.map(|known| variants::planned(&self.vary, &scores, &known));
        let of = |variant: Variant| match variant.factor {
            Factor::Gate => [variant.folder(), format!("{}, unless all pass", variant.option())],
            _ => [variant.folder(), variant.option()],
        };
        let mut runs = vec![[BASE.to_owned(), "as given".to_owned()]];
        runs.extend(planned.unwrap_or_default().variants.into_iter().map(of));
        if self.vary.contains(&Factor::Chat) {
            // Only files of the model say which of the two.
            let what = "never, or always if it is not used and there is a template";
            runs.push([format!("{}-*", Factor::Chat.name()), format!("--chat {what}")]);
        }
        Ok(Ahead { runs, each })
    }
}

/// Runs what is to be run with `profile`, which is given the options of a profile and says what it
/// falls short of; looks at all of it, and writes the files.
///
/// # Errors
/// As `profile`, but for variants no answer of which counts; [`Error::Data`] for folders that hold
/// no finished profile, or variants of another base; [`Error::Evidence`] for a base without
/// accepted probes; [`Error::Usage`] for a score that was not computed.
pub fn run(
    config: &SensitivityConfig,
    computed: &[&'static dyn HeadScore],
    mut profile: impl FnMut(&ProfileArgs) -> Result<Option<Error>>,
) -> Result<Finished> {
    let start = Instant::now();
    if config.profile.is_none() && !config.out.is_dir() {
        return Err(Error::usage("there is no such folder")
            .at("--from")
            .got(config.out.display())
            .expected("the --out of a finished profile, or of a sensitivity"));
    }
    let _made = made_folders(config)?;
    let tell = |folder: &str, text: &str| config.reporter.progress(&format!("{folder}: {text}"));
    let mut shortcoming = None;
    let base = match config.base_args() {
        Some(args) => {
            config.chosen(computed)?;
            tell(BASE, "the profile as given");
            shortcoming = profile(&args)?;
            args.out
        }
        None => Some(config.out.join(BASE))
            .filter(|base| base.join(PROBES).is_file())
            .unwrap_or_else(|| config.out.clone()),
    };
    let base = Profiled::read(&base, score::registry())?;
    let known = known(&base)?;
    let there: Vec<&'static dyn HeadScore> = base.scores.iter().map(|(score, _)| *score).collect();
    let scores = config.chosen(&there)?;
    let (variants, notes) = match &config.profile {
        Some(_) => {
            let Planned { variants, notes } = variants::planned(&config.vary, &scores, &known);
            (variants, notes)
        }
        None => (variants::found(&config.out), Vec::new()),
    };
    let mut all = Vec::new();
    for variant in variants.into_iter().filter(|variant| config.vary.contains(&variant.factor)) {
        let folder = variant.folder();
        let ran = match &config.profile {
            Some(args) => {
                tell(&folder, &variant.option());
                ran(&variant, profile(&variant.args(args, &config.out)?))?
            }
            None => Ok(None),
        };
        let read = ran.map(|short| {
            shortcoming = shortcoming.take().or(short);
            Profiled::read(&config.out.join(&folder), &scores)
        });
        let read = match read {
            Ok(read) => Ok(read?),
            Err(why) => Err(why),
        };
        if let Ok(read) = &read {
            read.check_variant_of(&base)?;
        }
        all.push(Ran { variant, profile: read });
    }
    let told = looked_at(config, &base, &scores, &Found { variants: &all, notes: &notes }, start)?;
    Ok(Finished { told, shortcoming })
}

/// What the rankings of heads in a finished profile depend on, from its `folder` alone: one for
/// each of its scores, with all factors.
///
/// # Errors
/// [`Error::Data`] for a folder that holds no finished profile, [`Error::Evidence`] for one without
/// accepted probes.
pub fn of_profile(folder: &Path) -> Result<Vec<ScoreSensitivity>> {
    let base = Profiled::read(folder, score::registry())?;
    known(&base)?;
    let seed = base.meta.as_ref().map_or(0, |meta| meta.grid.seed);
    let runs = Runs { base: &base, variants: &[], notes: &[], seed };
    let of = |(score, values): &HeadScoreOf| runs.of_score(&Factor::ALL, *score, values);
    base.scores.iter().map(of).collect()
}

/// What there is besides the base.
struct Found<'a> {
    variants: &'a [Ran],
    notes: &'a [(Factor, String)],
}

fn looked_at(
    config: &SensitivityConfig,
    base: &Profiled,
    scores: &[&'static dyn HeadScore],
    found: &Found,
    start: Instant,
) -> Result<Sensitivity> {
    let meta = base.meta.as_ref().ok_or_else(|| Error::bug("a base without scores"))?;
    let runs = Runs { base, variants: found.variants, notes: found.notes, seed: meta.grid.seed };
    let (mut results, mut pictures) = (Vec::new(), Vec::new());
    let wanted = |score: &&HeadScoreOf| scores.iter().any(|chosen| chosen.name() == score.0.name());
    for (score, values) in base.scores.iter().filter(|score| wanted(score)) {
        let result = runs.of_score(&config.vary, *score, values)?;
        if config.plots {
            let picture = pictures::draw(&meta.model.name, &result)?;
            pictures
                .extend(picture.map(|picture| (format!("{}_sensitivity", values.stem), picture)));
        }
        results.push(result);
    }
    let run = |profile: &Profiled, changed: Option<String>| RunMeta {
        folder: profile.folder.clone(),
        changed,
        probes: profile.records.len(),
        accepted: profile.count(Status::Accepted),
    };
    let mut all = vec![run(base, None)];
    for ran in found.variants {
        all.extend(ran.profile.iter().map(|profile| run(profile, Some(ran.variant.option()))));
    }
    let results = Results {
        model: meta.model.name.clone(),
        model_sha256: meta.model.sha256.clone(),
        seed: meta.grid.seed,
        draws: yardstick::DRAWS,
        scores: results,
        runs: all,
    };
    let seconds = start.elapsed().as_secs_f64();
    let files = outputs::write(&config.out, &config.command, &results, pictures, seconds)?;
    Ok(Sensitivity { results, files, seconds, out: config.out.clone() })
}

/// A score with its values.
type HeadScoreOf = (&'static dyn HeadScore, Values);

/// What the profile of a variant came to: what it falls short of, or why it has no scores.
///
/// # Errors
/// All that is not about this variant alone.
fn ran(
    variant: &Variant,
    finished: Result<Option<Error>>,
) -> Result<std::result::Result<Option<Error>, String>> {
    match finished {
        Ok(short) => Ok(Ok(short)),
        Err(e @ Error::Evidence(_)) => Ok(Err(first_line(&e))),
        // The base was run with the same options but this: there is no template.
        Err(e @ Error::Usage(_)) if variant.factor == Factor::Chat => Ok(Err(first_line(&e))),
        Err(e) => Err(e.within(format!("{} ({})", variant.folder(), variant.option()))),
    }
}

fn first_line(e: &Error) -> String {
    e.to_string().lines().next().unwrap_or_default().to_owned()
}

/// What is known of a base.
///
/// # Errors
/// [`Error::Evidence`] for one without scores.
fn known(base: &Profiled) -> Result<Known> {
    Known::of(base).ok_or_else(|| {
        Error::evidence("the base has no accepted probe with scores: nothing ranks heads")
            .at(base.folder.display())
            .got(format!("{} accepted probes", base.count(Status::Accepted)))
            .expected("a finished profile with its head_score/")
            .advice("shorter contexts, needles that the model can answer, or another --gate")
    })
}

/// The folders that results go to, tried by writing to them.
fn made_folders(config: &SensitivityConfig) -> Result<MadeFolders> {
    match config.plots {
        true => usable_folders([&config.out, &config.out.join(outputs::PLOTS)]),
        false => usable_folder(&config.out),
    }
}
