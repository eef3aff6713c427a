//! [`Begun`]: a run that goes on, and [`Collected`], what journals say of one.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::IgnoredAny;

use super::folder::journal_name;
use super::read::{Finished, check_sessions, collected, contents};
use super::{Done, Journal, PlanFile, Session};
use crate::error::{Error, Result};
use crate::system::{Reporter, shell};

/// A run that goes on.
#[derive(Debug)]
pub struct Begun {
    /// The plan, as whoever began the run wrote it.
    pub plan: PlanFile,
    /// [`PlanFile::identity`] of it.
    pub identity: String,
    /// Which shard this process does, from 1.
    pub shard: usize,
    /// Where this process writes what it finishes.
    pub journal: Journal,
    /// What was finished before, of this shard.
    pub done: Vec<Done<IgnoredAny>>,
    /// Whether a line was cut off that was never finished.
    pub torn: bool,
}

/// What journals say of a run, in the order of its plan.
#[derive(Debug)]
pub struct Collected<R> {
    /// What is finished.
    pub done: Vec<Done<R>>,
    /// What it was computed on, each once, with commas between them.
    pub device: String,
    /// The same as far as it decides about rounding.
    pub hardware: String,
    /// Types of weights and cache, in the same way.
    pub dtype: String,
    /// Whether it was computed on different things.
    pub mixed: bool,
    /// Processes that finished something.
    pub processes: usize,
    /// Shards that are not complete: `(shard, missing, all)`.
    pub missing: Vec<(usize, usize, usize)>,
}

/// What a command tells at its end.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Told<T> {
    /// Its results.
    Results(T),
    /// That its shard is done.
    Shard(ShardSummary),
}

impl<T> Told<T> {
    /// The results, where there are any.
    pub fn results_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Results(results) => Some(results),
            Self::Shard(_) => None,
        }
    }
}

/// A shard that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShardSummary {
    /// Which, `i/n`.
    pub shard: String,
    /// Probes of the shard.
    pub probes: usize,
    /// Those of them that failed.
    pub failed: usize,
    /// Where they are.
    pub journal: PathBuf,
    /// The command that makes the results when all shards are done.
    pub merge: String,
}

impl<T: fmt::Display> fmt::Display for Told<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Results(results) => results.fmt(f),
            Self::Shard(shard) => shard.fmt(f),
        }
    }
}

impl fmt::Display for ShardSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, probes, failed, journal, merge } = self;
        write!(f, "shard {shard} is done: {probes} probes in {}", journal.display())?;
        if *failed > 0 {
            write!(f, ", {failed} of them failed")?;
        }
        writeln!(f, "\nwhen all shards are: {merge}")
    }
}

impl Begun {
    /// Places in the plan of what is still to be run: what was never finished, and what failed for
    /// lack of memory or a device.
    pub fn todo(&self) -> BTreeSet<usize> {
        let own = (0..self.plan.probes.len()).filter(|&i| self.plan.shard_of(i) == self.shard);
        let mut todo: BTreeSet<usize> = own.collect();
        for done in self.done.iter().filter(|done| !done.failed) {
            todo.remove(&done.index);
        }
        todo
    }

    /// Tells what was there already.
    pub fn tell(&self, reporter: &Reporter) {
        let path = self.journal.path().display();
        if self.torn {
            reporter.note(&format!("{path}: the last line is not whole and is left out"));
        }
        let (todo, all) = (self.todo().len(), self.plan.probes.len());
        let own = self.own_probes();
        if self.plan.shards > 1 {
            let shard = format!("{}/{}", self.shard, self.plan.shards);
            reporter.note(&format!("shard {shard} has {own} of {all} probes"));
        }
        match (todo, own - todo) {
            (_, 0) => {}
            (0, _) => reporter.note(&format!(
                "all probes are in {path}: nothing is run again (--fresh starts over)"
            )),
            (_, done) => reporter.note(&format!(
                "{done} of {own} probes are in {path}: the run goes on from there (--fresh starts \
                 over)"
            )),
        }
        let again: BTreeSet<usize> =
            self.done.iter().filter(|d| d.failed).map(|d| d.index).collect();
        let again = again.intersection(&self.todo()).count();
        match again {
            0 => (),
            1 => reporter.note("one probe that failed before is tried again"),
            _ => reporter.note(&format!("{again} probes that failed before are tried again")),
        }
    }

    /// What is finished of this process's shard, while nothing is written.
    ///
    /// # Errors
    /// As [`Collected::of`].
    pub fn collected<R: Finished>(&self) -> Result<Collected<R>> {
        self.journal.while_still(|path| {
            Collected::of(&self.plan, &self.identity, &[(self.shard, path.to_owned())])
        })
    }

    /// What is told of a shard with `failed` probes, whose run has the output folder `out`.
    pub fn shard_summary(&self, out: &Path, failed: usize) -> ShardSummary {
        ShardSummary {
            shard: format!("{}/{}", self.shard, self.plan.shards),
            probes: self.own_probes(),
            failed,
            journal: self.journal.path().to_owned(),
            merge: format!("headprof merge {}", shell::quoted(&out.display().to_string())),
        }
    }

    /// How many probes this process's shard has.
    pub fn own_probes(&self) -> usize {
        (0..self.plan.probes.len()).filter(|&i| self.plan.shard_of(i) == self.shard).count()
    }

    /// How a run that was interrupted ends that has `finished` so many probes, or an unknown
    /// number; it goes on with `command`.
    pub fn interrupted(&self, finished: Option<usize>, command: &[String]) -> Error {
        let own = self.own_probes();
        let command = command_of_shard(command, self.shard, self.plan.shards);
        Error::interrupted("interrupted; what was finished is kept")
            .at(self.journal.path().display())
            .got(match finished {
                Some(finished) => format!("{finished} of {own} probes"),
                None => format!("a part of {own} probes"),
            })
            .advice(format!("the same command goes on from there: {command}"))
    }
}

impl<R: Finished> Collected<R> {
    /// What the journals at these paths say, each of the shard with this number.
    ///
    /// # Errors
    /// [`Error::Data`] for a journal that is damaged, of another plan or shard, or that says
    /// something else of a probe than another line.
    pub fn of(plan: &PlanFile, identity: &str, journals: &[(usize, PathBuf)]) -> Result<Self> {
        let mut read = Vec::new();
        let mut sessions: Vec<Session> = Vec::new();
        for (shard, path) in journals {
            let Some(contents) = contents::<R>(path)? else { continue };
            let of = format!("{shard}/{}", plan.shards);
            check_sessions(path, &contents.sessions, identity, &of)?;
            sessions.extend(contents.sessions.iter().cloned());
            read.push((path.as_path(), *shard, contents));
        }
        let all = collected(plan, read)?;
        let mut counts = vec![(0, 0); plan.shards];
        for (index, done) in all.iter().enumerate() {
            let (missing, all) = &mut counts[plan.shard_of(index) - 1];
            *all += 1;
            *missing += usize::from(done.is_none());
        }
        let counts = (1..).zip(counts).map(|(shard, (missing, all))| (shard, missing, all));
        let each = |of: fn(&Session) -> &String| -> String {
            let names: BTreeSet<&str> = sessions.iter().map(|s| of(s).as_str()).collect();
            names.into_iter().collect::<Vec<_>>().join(", ")
        };
        let of = |session: &Session| (session.hardware.clone(), session.dtype.clone());
        let mixed = sessions.windows(2).any(|two| of(&two[0]) != of(&two[1]));
        Ok(Self {
            mixed,
            device: each(|session| &session.device),
            hardware: each(|session| &session.hardware),
            dtype: each(|session| &session.dtype),
            processes: sessions.len(),
            missing: counts.filter(|(_, missing, _)| *missing > 0).collect(),
            done: all.into_iter().flatten().collect(),
        })
    }
}

/// The journals of all shards of a run in its folder.
///
/// # Errors
/// [`Error::Data`] naming a journal that is none of them, [`Error::Resources`] if the folder cannot
/// be read.
pub fn journals(folder: &Path, plan: &PlanFile) -> Result<Vec<(usize, PathBuf)>> {
    let all: Vec<(usize, PathBuf)> = (1..=plan.shards)
        .map(|shard| (shard, folder.join(journal_name(shard, plan.shards))))
        .collect();
    let unreadable = |e: std::io::Error| {
        Error::resources("the journals cannot be read").at(folder.display()).got(e)
    };
    let known: BTreeSet<&Path> = all.iter().map(|(_, path)| path.as_path()).collect();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_journal = path.extension().is_some_and(|extension| extension == "jsonl");
        if is_journal && !known.contains(path.as_path()) {
            return Err(Error::data("the journal is of another run")
                .at(path.display())
                .got("a shard that the plan does not have")
                .expected(format!("the journals of {} shards", plan.shards))
                .advice("move it elsewhere"));
        }
    }
    Ok(all)
}

/// The command that goes on with shard `shard` of `shards` of a run that `command` began, or one of
/// its shards: it names that shard, and does not start over.
pub fn command_of_shard(command: &[String], shard: usize, shards: usize) -> String {
    let mut words = Vec::new();
    let mut given = command.iter();
    while let Some(word) = given.next() {
        match word.as_str() {
            "--shard" => drop(given.next()),
            "--fresh" => {}
            word if word.starts_with("--shard=") => {}
            _ => words.push(word.clone()),
        }
    }
    if shards > 1 {
        words.extend(["--shard".to_owned(), format!("{shard}/{shards}")]);
    }
    shell::command(&words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_a_shard_names_it_once() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for line in [
            "headprof --model m --shard 1/3 --out o",
            "headprof --model m --shard=auto --out o",
            "headprof --model m --out o",
        ] {
            let command = command_of_shard(&words(line), 2, 3);
            assert_eq!(command, "headprof --model m --out o --shard 2/3");
        }
        assert_eq!(command_of_shard(&words("headprof --fresh -q"), 1, 1), "headprof -q");
    }
}
