//! [`Merge`]: the shards of a run, put together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::read::Finished;
use super::{Collected, Done, JOURNAL, PlanFile, command_of_shard, journals, plan_of};
use crate::error::{Error, Result};
use crate::system::Reporter;

/// Shards that are told one by one, at most.
const TOLD: usize = 16;

/// A run that is found in an output folder.
#[derive(Debug)]
pub struct Found {
    /// Its folder there.
    pub folder: PathBuf,
    /// Its plan.
    pub plan: PlanFile,
    /// [`PlanFile::identity`] of it.
    pub identity: String,
}

/// The runs in the output folder `out`, in the order of their names; one at least.
///
/// # Errors
/// [`Error::Usage`] if there is none, [`Error::Data`] for a plan that is none.
pub fn runs(out: &Path) -> Result<Vec<Found>> {
    let journal = out.join(JOURNAL);
    let entries = std::fs::read_dir(&journal).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    let mut found = Vec::new();
    for folder in folders {
        if let Some((plan, identity)) = PlanFile::read(&plan_of(&folder))? {
            found.push(Found { folder, plan, identity });
        }
    }
    match found.is_empty() {
        false => Ok(found),
        true => Err(Error::usage("there is no run to put together")
            .at(journal.display())
            .got("no plan.json in a folder there")
            .expected("the folder that the shards were given as --out")
            .advice("run the shards first: headprof ... --out DIR --shard I/N")),
    }
}

/// A run whose shards are to be put together.
#[derive(Debug, Clone, Copy)]
pub struct Merge<'a> {
    /// The output folder.
    pub out: &'a Path,
    /// The run's folder in it.
    pub folder: &'a Path,
    /// Its plan.
    pub plan: &'a PlanFile,
    /// [`PlanFile::identity`] of it.
    pub identity: &'a str,
    /// Whether what was computed on different devices, or in different types, may stand together.
    pub allow_mixed: bool,
    /// Whether pictures are drawn.
    pub plots: bool,
    /// Whom to tell.
    pub reporter: &'a Reporter,
}

impl Merge<'_> {
    /// All that was finished, in the order of the plan; `command` is that of one of the shards.
    ///
    /// # Errors
    /// As [`Collected::of`]; [`Error::Data`] for different devices unless they are allowed;
    /// [`Error::Evidence`] with the commands that are missing while probes are.
    pub fn collected<R: Finished>(&self, command: &[String]) -> Result<Collected<R>> {
        let Self { folder, plan, .. } = self;
        let collected = Collected::of(plan, self.identity, &journals(folder, plan)?)?;
        let mixed = collected.mixed;
        if mixed && !self.allow_mixed {
            let Collected { hardware, dtype, .. } = collected;
            return Err(Error::data("shards were computed on different things")
                .at(folder.display())
                .got(format!("{hardware}; {dtype}"))
                .expected("one device and one type for all")
                .advice("--allow-mixed, if their rounding may differ"));
        }
        if collected.missing.is_empty() {
            self.tell_failed(&collected.done, command);
            return Ok(collected);
        }
        let missing: usize = collected.missing.iter().map(|(_, missing, _)| missing).sum();
        let mut told: Vec<String> = Vec::new();
        for (shard, missing, all) in collected.missing.iter().take(TOLD) {
            told.push(format!("shard {shard}/{}: {missing} of {all} probes", plan.shards));
        }
        let commands = collected.missing.iter().take(TOLD);
        let commands = commands.map(|(shard, ..)| command_of_shard(command, *shard, plan.shards));
        let mut commands: Vec<String> = commands.collect();
        if collected.missing.len() > TOLD {
            told.push(format!("and {} shards more", collected.missing.len() - TOLD));
            commands.push("and so on".to_owned());
        }
        Err(Error::evidence("the run is not complete: nothing is written")
            .at(folder.display())
            .got(format!(
                "{missing} of {} probes are missing\n{}",
                plan.probes.len(),
                told.join("\n")
            ))
            .expected("all probes of all shards")
            .advice(commands.join("\n")))
    }
    /// Tells how probes that failed for lack of memory or a device are tried again.
    fn tell_failed<R>(&self, done: &[Done<R>], command: &[String]) {
        let failed = || done.iter().filter(|done| done.failed);
        let shards: BTreeSet<usize> = failed().map(|d| self.plan.shard_of(d.index)).collect();
        if shards.is_empty() {
            return;
        }
        let commands = shards.iter().take(TOLD);
        let commands: Vec<String> =
            commands.map(|shard| command_of_shard(command, *shard, self.plan.shards)).collect();
        self.reporter.warning(&format!(
            "{} probes failed for lack of memory or a device; they are tried again by\n{}",
            failed().count(),
            commands.join("\n")
        ));
    }
}
