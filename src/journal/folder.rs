//! [`RunFolder`]: the place of a run's plan and journals, claimed by this process.

use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde_json::Value;

use super::lock::Lock;
use super::read::check_sessions;
use super::{Begun, Contents, Done, Journal, PlanFile, Session, contents};
use crate::error::{Error, Result};
use crate::model::Compute;
use crate::plan::Shard;
use crate::system::atomic::{self, MadeFolders};
use crate::system::machine;

/// The folder of all plans and journals in an output folder.
pub const JOURNAL: &str = "journal";
const PLAN: &str = "plan.json";

/// How a run is journaled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalOptions {
    /// Which part of the run this process does; `None` for all of it.
    pub shard: Option<Shard>,
    /// Whether what is there is given up.
    pub fresh: bool,
    /// Whether a run may go on on another device, or in another number type.
    pub allow_mixed: bool,
}

/// A run's folder, of which this process writes one journal.
#[derive(Debug)]
pub struct RunFolder {
    folder: PathBuf,
    kind: String,
    shard: Option<Shard>,
    fresh: bool,
    allow_mixed: bool,
    there: Option<(PlanFile, String)>,
    // In this order: a folder can be removed when the lock is no longer in it.
    lock: Lock,
    made: MadeFolders,
}

/// What this process computes with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputedOn {
    /// The device, as `--device` calls it.
    pub device: String,
    /// The same as far as it decides about rounding.
    pub hardware: String,
    /// Type of weights and cache.
    pub dtype: String,
}

/// What a run is about, if nobody has begun it yet.
#[derive(Debug)]
pub struct NewPlan {
    /// [`PlanFile::fingerprint`].
    pub fingerprint: Value,
    /// [`PlanFile::facts`].
    pub facts: Value,
    /// [`PlanFile::probes`].
    pub probes: Vec<String>,
    /// [`PlanFile::shard_of`].
    pub shard_of: Vec<usize>,
    /// What this process computes with.
    pub on: ComputedOn,
}

/// Where the journal of a shard is, in the folder of a run.
pub fn journal_name(shard: usize, shards: usize) -> String {
    format!("{shard}-of-{shards}.jsonl")
}

/// Where plan and journals of runs of this kind are, in an output folder.
pub fn folder_of(out: &Path, kind: &str) -> PathBuf {
    out.join(JOURNAL).join(kind)
}

/// Where the plan of a run is, in its folder.
pub fn plan_of(folder: &Path) -> PathBuf {
    folder.join(PLAN)
}

impl ComputedOn {
    /// Of an open device.
    pub fn new(compute: &Compute) -> Self {
        Self {
            device: compute.name.clone(),
            hardware: compute.hardware(),
            dtype: compute.dtype.name().to_owned(),
        }
    }
}

impl RunFolder {
    /// Claims the journal of a run of this `kind` in the output folder `out`, which is made.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process writes that journal, or with `fresh` any of the run's;
    /// [`Error::Usage`] if the folder cannot be written to, or holds a run with another number of
    /// shards; [`Error::Data`] if what is there is no plan.
    pub fn claim(out: &Path, kind: &str, options: &JournalOptions) -> Result<Self> {
        let folder = folder_of(out, kind);
        let made = atomic::usable_folders([out, &folder])?;
        let (index, count) = options.shard.map_or((1, 1), |s| (s.index(), s.count()));
        let lock = Lock::take(&folder.join(format!("{index}-of-{count}.lock")))?;
        let there = match options.fresh {
            false => PlanFile::read(&plan_of(&folder))?,
            true => {
                refuse_while_written(&folder, index, count)?;
                None
            }
        };
        if let Some((plan, _)) = &there {
            check_shards(&plan_of(&folder), plan.shards, options.shard)?;
        }
        Ok(Self {
            folder,
            kind: kind.to_owned(),
            shard: options.shard,
            fresh: options.fresh,
            allow_mixed: options.allow_mixed,
            there,
            lock,
            made,
        })
    }

    /// What is here as long as nothing has been kept: the lock, and folders that were made. In this
    /// order they can be removed.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        [self.lock.path().to_owned()].into_iter().chain(self.made.paths()).collect()
    }

    /// Which shard this process does, and of how many.
    pub fn shard(&self) -> (usize, usize) {
        self.shard.map_or((1, 1), |shard| (shard.index(), shard.count()))
    }

    /// Refuses to go on if the run that is there has another fingerprint, as far as it is known
    /// yet: `unknown` paths are left out.
    ///
    /// # Errors
    /// As [`PlanFile::check`].
    pub fn check(&self, fingerprint: &Value, unknown: &[&str]) -> Result<()> {
        match &self.there {
            Some((plan, _)) => self.check_plan(plan, fingerprint, unknown),
            None => Ok(()),
        }
    }

    fn check_plan(&self, plan: &PlanFile, fingerprint: &Value, unknown: &[&str]) -> Result<()> {
        let mut unknown = unknown.to_vec();
        if self.allow_mixed {
            unknown.extend(OF_DEVICES);
        }
        plan.check(&plan_of(&self.folder), fingerprint, &unknown)
    }

    /// Begins the run, or goes on with the one that is there.
    ///
    /// # Errors
    /// As [`RunFolder::check`]; [`Error::Usage`] if it was computed on something else;
    /// [`Error::Data`] if the journal is damaged, or another run's; [`Error::Resources`] if nothing
    /// can be written.
    pub fn begin(&mut self, new: NewPlan) -> Result<Begun> {
        let NewPlan { fingerprint, facts, probes, shard_of, on } = new;
        let path = plan_of(&self.folder);
        let (index, shards) = self.shard();
        let (headprof, kind) = (env!("CARGO_PKG_VERSION").to_owned(), self.kind.clone());
        let own = PlanFile { headprof, kind, shards, fingerprint, facts, probes, shard_of };
        if self.there.is_none() {
            if self.fresh {
                // Since this process began, another may have.
                refuse_while_written(&self.folder, index, shards)?;
                self.remove_what_is_there()?;
            }
            // Another shard may be faster: then its plan is the one that counts.
            atomic::write_new(&path, &own.to_bytes()?)?;
            self.there = PlanFile::read(&path)?;
        }
        let Some((plan, sha256)) = self.there.clone() else {
            return Err(Error::resources("the plan of the run is gone").at(path.display()));
        };
        self.agree(&plan, &own)?;
        let shard = format!("{index}/{shards}");
        let path = self.folder.join(journal_name(index, shards));
        let read = contents::<IgnoredAny>(&path)?;
        let Contents { sessions, done, whole_bytes, torn } = read.unwrap_or_default();
        check_sessions(&path, &sessions, &sha256, &shard)?;
        self.check_devices(&path, &sessions, &on)?;
        check_names(&path, &plan, &done)?;
        let session = Session {
            headprof: env!("CARGO_PKG_VERSION").to_owned(),
            plan: sha256.clone(),
            shard,
            device: on.device,
            hardware: on.hardware,
            dtype: on.dtype,
            host: machine::host_name(),
            pid: std::process::id(),
            began: machine::utc_now(),
        };
        let journal = Journal::open(&path, whole_bytes, session)?;
        Ok(Begun { plan, identity: sha256, shard: index, journal, done, torn })
    }

    /// That `there` is what this process would have written, facts apart.
    fn agree(&self, there: &PlanFile, own: &PlanFile) -> Result<()> {
        let path = plan_of(&self.folder);
        check_shards(&path, there.shards, self.shard)?;
        self.check_plan(there, &own.fingerprint, &[])?;
        if there.kind != own.kind || there.probes != own.probes || there.shard_of != own.shard_of {
            return Err(Error::data("the plan there has other probes than the same options make")
                .at(path.display())
                .got(format!("{} probes", there.probes.len()))
                .expected(format!("the {} that this version makes", own.probes.len()))
                .advice("the version that began it, another --out, or --fresh"));
        }
        Ok(())
    }

    /// That what was journaled so far was computed on the same.
    fn check_devices(&self, path: &Path, sessions: &[Session], on: &ComputedOn) -> Result<()> {
        let other = sessions.iter().find(|s| s.hardware != on.hardware || s.dtype != on.dtype);
        let Some(other) = other.filter(|_| !self.allow_mixed) else { return Ok(()) };
        Err(Error::usage("what was finished so far was computed on something else")
            .at(path.display())
            .got(format!("{}, {}", on.hardware, on.dtype))
            .expected(format!("{}, {}, as there", other.hardware, other.dtype))
            .advice(
                "the same --device and --dtype, or --allow-mixed: scores then differ in rounding",
            ))
    }

    /// Removes journals, then the plan: whatever is left behind says less than was there.
    fn remove_what_is_there(&self) -> Result<()> {
        let removed = || -> std::io::Result<()> {
            for entry in std::fs::read_dir(&self.folder)? {
                let entry = entry?;
                let name = entry.file_name();
                if name.to_string_lossy().ends_with(".jsonl") {
                    std::fs::remove_file(entry.path())?;
                }
            }
            match std::fs::remove_file(plan_of(&self.folder)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
                _ => Ok(()),
            }
        };
        removed().map_err(|e| {
            Error::resources("what is there cannot be given up")
                .at(self.folder.display())
                .got(e)
                .advice("check the permissions, or choose another --out")
        })
    }
}

/// What of a fingerprint goes with the device.
const OF_DEVICES: [&str; 3] = ["dtype", "prompt.chunk_tokens", "model.weights_dtype"];

/// The number of shards is that of whoever began.
fn check_shards(plan: &Path, there: usize, asked: Option<Shard>) -> Result<()> {
    let count = asked.map_or(1, Shard::count);
    if there == count {
        return Ok(());
    }
    let of = |n: usize| match n {
        1 => "a run in one piece".to_owned(),
        n => format!("a run in {n} shards"),
    };
    let same = match there {
        1 => "no --shard".to_owned(),
        n => format!("--shard I/{n}"),
    };
    Err(Error::usage("the number of shards was fixed when the run began")
        .at(plan.display())
        .got(asked.map_or_else(|| "no --shard".to_owned(), |shard| format!("--shard {shard}")))
        .expected(of(there))
        .advice(format!("{same}; or another --out")))
}

/// Probes of a journal have the names that the plan gives them.
fn check_names(path: &Path, plan: &PlanFile, done: &[Done<IgnoredAny>]) -> Result<()> {
    let other = |d: &&Done<IgnoredAny>| plan.probes.get(d.index) != Some(&d.id);
    let Some(other) = done.iter().find(other) else { return Ok(()) };
    Err(Error::data("the journal holds a probe that the plan does not have")
        .at(path.display())
        .got(format!("probe {} is called {}", other.index, other.id))
        .expected("the names of plan.json")
        .advice("put back what belongs here, or start over with --fresh or another --out"))
}

/// Refuses to give up what another process is writing.
fn refuse_while_written(folder: &Path, index: usize, count: usize) -> Result<()> {
    let own = format!("{index}-of-{count}.lock");
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let locks = entries.flatten().map(|e| e.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".lock") && name != own
    });
    for path in locks {
        if Lock::is_held(&path) {
            return Err(Error::busy("another process is writing here")
                .at(path.display())
                .expected("nobody, before --fresh starts over")
                .advice("wait for it, or choose another --out"));
        }
    }
    Ok(())
}
