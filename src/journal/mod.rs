//! What a run has finished, on disk as soon as it is: killed, out of disk or out of time, a run
//! loses nothing that it had answered, and the same command goes on from there.
//!
//! ```text
//! OUT/journal/profile/plan.json       what is run: fingerprint, probes in order, number of shards
//!                     1-of-3.jsonl    a line per finished probe, appended, checked and synced
//!                     1-of-3.lock     who is writing it
//! ```
//!
//! There is one folder for each kind of run ([`RunFolder`]), as each has output files of its own.
//! `plan.json` is written once, before the first probe; whoever comes later, the same command again
//! or another shard, has to be about the same: model, texts, grid, gate, number type. Outputs are
//! computed from plan and journals alone, in the plan's order, so that neither interruptions nor
//! shards can be seen in them.
//!
//! A journal is one file per shard, written by one process at a time, so that shards on
//! many machines share a folder without a lock between them. Nothing that a journal or a plan says
//! is ever used as a path.

mod begun;
mod folder;
mod line;
mod lock;
mod merge;
mod plan_file;
mod read;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

pub use begun::{Begun, Collected, ShardSummary, Told, command_of_shard, journals};
pub use folder::{
    ComputedOn, JOURNAL, JournalOptions, NewPlan, RunFolder, folder_of, journal_name, plan_of,
};
pub use line::seal;
pub use merge::{Found, Merge, runs};
pub use plan_file::PlanFile;
pub use read::{Contents, Finished, contents};

use crate::error::{Error, Result};
use crate::system::atomic;

/// One process at work on a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The program's version.
    pub headprof: String,
    /// [`PlanFile::identity`] of it.
    pub plan: String,
    /// Which shard the journal is of, `i/n`.
    pub shard: String,
    /// What was computed on, as `--device` calls it.
    pub device: String,
    /// The same as far as it decides about rounding.
    pub hardware: String,
    /// Type of weights and cache.
    pub dtype: String,
    /// The machine's name.
    pub host: String,
    /// Process on that machine.
    pub pid: u32,
    /// When it began, UTC.
    pub began: String,
}

/// A finished probe, or prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done<R> {
    /// Its place in the plan, from 0.
    pub index: usize,
    /// Its name there.
    pub id: String,
    /// Whether it failed for lack of memory or of a device: it is tried again by the next run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// What came out.
    pub result: R,
}

/// A line of a journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Entry<R> {
    /// From here on another process writes.
    Begin(Session),
    /// A probe is finished.
    Done(Done<R>),
}

/// A journal that this process alone appends to.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    file: File,
    /// Bytes of whole lines.
    whole: u64,
    /// What the next lines begin with: that this process writes them, if it has not said so.
    first: Vec<u8>,
}

impl Journal {
    /// Opens the journal at `path` to go on behind its first `whole` bytes; what is there behind
    /// them, a line that was never finished, is cut off.
    fn open(path: &Path, whole: u64, session: Session) -> Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let opened = file.and_then(|mut file| {
            file.set_len(whole)?;
            file.seek(SeekFrom::Start(whole))?;
            atomic::durable(path)?;
            Ok(file)
        });
        let file = opened.map_err(|e| not_written(path, &e))?;
        let first = line::sealed(&Entry::<()>::Begin(session))?;
        Ok(Self { path: path.to_owned(), writer: Mutex::new(Writer { file, whole, first }) })
    }

    /// A new one in `folder`.
    #[cfg(test)]
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let text = String::new;
        let session = Session {
            headprof: text(),
            plan: text(),
            shard: "1/1".to_owned(),
            device: text(),
            hardware: text(),
            dtype: text(),
            host: text(),
            pid: 0,
            began: text(),
        };
        Self::open(&folder.join("1-of-1.jsonl"), 0, session).unwrap()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends what was finished, a line each, and waits until it is on disk.
    ///
    /// # Errors
    /// [`Error::Resources`] if it cannot be written, as on a full disk; what was there before is as
    /// it was.
    pub fn append<R: Serialize>(&self, finished: &[Done<R>]) -> Result<()> {
        let mut writer = self.writer();
        let Writer { file, whole, first } = &mut *writer;
        let mut lines = first.clone();
        for done in finished {
            lines.extend(line::sealed(&Entry::Done(done_ref(done)))?);
        }
        if let Err(e) = file.write_all(&lines).and_then(|()| file.sync_data()) {
            // A part of a line would be dropped by the next run, too; but the space is needed.
            let _ = file.set_len(*whole);
            let _ = file.seek(SeekFrom::Start(*whole));
            return Err(not_written(&self.path, &e));
        }
        *whole += lines.len() as u64;
        first.clear();
        Ok(())
    }

    /// Runs `body` while nothing is written.
    pub fn while_still<T>(&self, body: impl FnOnce(&Path) -> T) -> T {
        let _writer = self.writer();
        body(&self.path)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same without its own copy of the result.
fn done_ref<R>(done: &Done<R>) -> Done<&R> {
    let Done { index, id, failed, result } = done;
    Done { index: *index, id: id.clone(), failed: *failed, result }
}

fn not_written(path: &Path, e: &io::Error) -> Error {
    let advice = match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "free some disk space; the same command then goes on from what was finished"
        }
        _ => "check the folder and its disk; the same command then goes on from what was finished",
    };
    Error::resources("the journal cannot be written")
        .at(path.display())
        .got(e)
        .expected("a line for every finished probe")
        .advice(advice)
}
