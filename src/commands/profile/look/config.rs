//! [`LookConfig`]: which probe of which profile, and which heads.

use std::path::{Path, PathBuf};

use clap::Parser;

use super::WatchedHead;
use crate::cli::{Cli, LookArgs};
use crate::commands::profile::facts::ProfileFacts;
use crate::commands::profile::outputs::PROBES_FILE;
use crate::commands::profile::record::{ProbeRecord, Status};
use crate::commands::profile::{KIND, ProfileConfig, facts_of};
use crate::config::Surroundings;
use crate::error::{Error, Result};
use crate::gate::GateKind;
use crate::journal::{self, Found, PlanFile, plan_of};
use crate::system::Reporter;
use crate::system::text::json_lines;

/// A probe to look at, without contradictions.
pub struct LookConfig {
    /// The profile that it is of.
    pub profile: ProfileConfig,
    /// Where its files are.
    pub(super) folder: PathBuf,
    pub(super) plan: PlanFile,
    pub(super) plan_path: PathBuf,
    pub(super) facts: ProfileFacts,
    /// The probe with its answer.
    pub(super) record: ProbeRecord,
    /// None where they are to be the best.
    pub(super) heads: Vec<WatchedHead>,
    /// Whom to tell.
    pub reporter: Reporter,
}

impl LookConfig {
    /// Reads the plan of the profile and finds the probe.
    ///
    /// # Errors
    /// [`Error::Usage`] for a folder without a finished profile, a probe that is not there and a
    /// list of heads that is none; [`Error::Data`] for files that cannot be read.
    pub fn new(args: &LookArgs, surroundings: &Surroundings) -> Result<Self> {
        let heads = args.head.as_deref().map(heads).transpose()?.unwrap_or_default();
        let records = records(&args.folder.join(PROBES_FILE))?;
        let record = chosen(records, args.probe.as_deref())?;
        let Found { folder, plan, .. } = found(&args.folder, &record)?;
        let facts = facts_of(&plan)?;
        let profile = profile(&facts, &args.folder, surroundings)?;
        Ok(Self {
            profile,
            folder: args.folder.clone(),
            plan_path: plan_of(&folder),
            plan,
            facts,
            record,
            heads,
            reporter: Reporter { quiet: args.quiet, json: args.json },
        })
    }
}

/// The profile as its own command asked for it.
fn profile(
    facts: &ProfileFacts,
    folder: &Path,
    surroundings: &Surroundings,
) -> Result<ProfileConfig> {
    let other = |why: String| {
        Error::usage("the command that began the profile cannot be read again")
            .at(folder.display())
            .got(why)
            .expected("headprof with the options of a profile")
            .advice("run the profile again, as a command of its own")
    };
    let cli = Cli::try_parse_from(&facts.command);
    let cli =
        cli.map_err(|e| other(e.to_string().lines().next().unwrap_or_default().to_owned()))?;
    let mut profile = match cli.command {
        None => cli.profile,
        Some(_) => return Err(other(facts.command.join(" "))),
    };
    // The folder may be somebody else's: nothing is loaded or fetched because it says so, and
    // nothing written but the look.
    let probes = &mut profile.probes;
    (probes.gate, probes.gate_model) = (Some(GateKind::None.name().to_owned()), None);
    (probes.gate_threshold, probes.onnxruntime) = (None, None);
    probes.model.hub.offline = true;
    profile.export_probes = None;
    profile.out = folder.to_owned();
    profile.until_stable = None;
    ProfileConfig::new(&profile, surroundings)
}

/// `18-6,17-3`.
fn heads(list: &str) -> Result<Vec<WatchedHead>> {
    let head = |word: &str| {
        let (layer, head) = word.trim().split_once('-')?;
        let (layer, head) = (layer.parse().ok()?, head.parse().ok()?);
        Some(WatchedHead { layer, head, score: String::new() })
    };
    let wrong = |word: &str| {
        Error::usage("this is no head")
            .at("--head")
            .got(format!("\"{word}\""))
            .expected("LAYER-HEAD, such as 18-6, or several with commas between them")
    };
    let mut heads: Vec<WatchedHead> = Vec::new();
    for word in list.split(',') {
        let head = head(word).ok_or_else(|| wrong(word))?;
        if !heads.contains(&head) {
            heads.push(head);
        }
    }
    Ok(heads)
}

/// The run in `folder` that has the probe of `record`.
fn found(folder: &Path, record: &ProbeRecord) -> Result<Found> {
    let id = record.id.to_string();
    let runs = journal::runs(folder)?.into_iter();
    let mut own =
        runs.filter(|run| run.plan.kind.starts_with(KIND) && run.plan.probes.contains(&id));
    own.next().ok_or_else(|| {
        Error::data("the plan of the profile does not have the probe")
            .at(folder.display())
            .got(id)
            .expected(format!("a profile whose {PROBES_FILE} and journal/ are of the same run"))
            .advice("run the profile again; the same command goes on from its journal")
    })
}

/// The probes in the file at `path`.
///
/// # Errors
/// [`Error::Usage`] where there is no such file, [`Error::Data`] naming the line that is none.
pub(super) fn records(path: &Path) -> Result<Vec<ProbeRecord>> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::usage("there is no finished profile here")
            .at(path.display())
            .got(e)
            .expected("the --out of a profile")
    })?;
    json_lines(&text).map_err(|(line, e)| {
        Error::data("a line does not say what became of a probe")
            .at(format!("{}:{line}", path.display()))
            .got(e)
            .advice("run the profile again; the same command writes the file anew")
    })
}

/// The probe that `asked` names: by its id or the beginning of it, or by its needle.
fn chosen(records: Vec<ProbeRecord>, asked: Option<&str>) -> Result<ProbeRecord> {
    let accepted = |r: &&ProbeRecord| r.status == Status::Accepted;
    let found: Vec<&ProbeRecord> = match asked {
        None => {
            let shortest =
                records.iter().filter(accepted).min_by_key(|r| (r.prompt_tokens, r.index));
            shortest.or(records.first()).into_iter().collect()
        }
        Some(asked) => {
            let by_id: Vec<&ProbeRecord> =
                records.iter().filter(|r| r.id.to_string().starts_with(asked)).collect();
            let by_needle = || {
                let own = records.iter().filter(|r| r.needle_id == asked);
                own.clone().find(accepted).or(own.clone().next()).into_iter().collect()
            };
            if by_id.is_empty() { by_needle() } else { by_id }
        }
    };
    let (asked, n) = (asked.unwrap_or_default(), records.len());
    match found[..] {
        [one] => Ok(one.clone()),
        [] => Err(Error::usage("there is no such probe")
            .at(format!("--probe {asked}"))
            .got(format!("{n} probes"))
            .expected("the beginning of an id in probes.jsonl, or the needle_id of one")),
        _ => Err(Error::usage("several probes have ids that begin like this")
            .at(format!("--probe {asked}"))
            .got(format!("{} of {n}", found.len()))
            .expected("more digits of the id")),
    }
}
