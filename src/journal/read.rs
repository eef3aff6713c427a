//! What journals say: every line checked, and what is finished by its place in the plan.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Done, Entry, PlanFile, Session, line};
use crate::error::{Error, Result};

/// What a probe came to, as journals hold it.
pub trait Finished: Serialize + DeserializeOwned {
    /// Whether both say the same, times apart.
    fn same(&self, other: &Self) -> bool;
}

/// A journal that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents<R> {
    /// The processes that wrote it, in order.
    pub sessions: Vec<Session>,
    /// What they finished, in order.
    pub done: Vec<Done<R>>,
    /// Bytes of whole lines.
    pub whole_bytes: u64,
    /// Whether an unfinished line is behind them, which says nothing.
    pub torn: bool,
}

impl<R> Default for Contents<R> {
    fn default() -> Self {
        Self { sessions: Vec::new(), done: Vec::new(), whole_bytes: 0, torn: false }
    }
}

/// Reads the journal at `path`; `None` if there is none.
///
/// A last line that is not whole, as a process leaves it that is killed while it writes, is left
/// out.
///
/// # Errors
/// [`Error::Data`] naming file and line if another line is not as it was written, or says what no
/// journal says; [`Error::Resources`] if the file cannot be read.
pub fn contents<R: DeserializeOwned>(path: &Path) -> Result<Option<Contents<R>>> {
    let unreadable =
        |e: io::Error| Error::resources("the journal cannot be read").at(path.display()).got(e);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e)),
    };
    let mut file = BufReader::with_capacity(1 << 16, file);
    let mut read = Contents::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if file.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        let at = || format!("{}:{number}", path.display());
        let Some(text) = line.strip_suffix(b"\n") else {
            // Never finished, or a process is writing it just now.
            read.torn = true;
            break;
        };
        let Some(record) = line::opened(text) else {
            if file.fill_buf().map_err(unreadable)?.is_empty() {
                read.torn = true;
                break;
            }
            return Err(Error::data("a line of the journal is not as it was written")
                .at(at())
                .got("another text than its check says")
                .expected("the line as headprof wrote it")
                .advice("restore the file, or start over with --fresh or another --out"));
        };
        let entry: Entry<R> = serde_json::from_slice(record).map_err(|e| {
            Error::data("a line of the journal does not say what journals say")
                .at(at())
                .got(e)
                .expected("what this version of headprof writes")
                .advice("the version that wrote it, or start over with --fresh or another --out")
        })?;
        match entry {
            Entry::Begin(session) => read.sessions.push(session),
            Entry::Done(done) => read.done.push(done),
        }
        read.whole_bytes += line.len() as u64;
    }
    Ok(Some(read))
}

/// Checks that all sessions of a journal at `path` worked on shard `shard` of the plan whose
/// identity is `plan`.
///
/// # Errors
/// [`Error::Data`] naming what differs.
pub fn check_sessions(path: &Path, sessions: &[Session], plan: &str, shard: &str) -> Result<()> {
    let foreign = |what: &str, got: &str, expected: &str| {
        Err(Error::data(format!("the journal is of another {what}"))
            .at(path.display())
            .got(got)
            .expected(expected)
            .advice("put back what belongs here, or start over with --fresh or another --out"))
    };
    for session in sessions {
        if session.plan != plan {
            return foreign("plan", &session.plan, plan);
        }
        if session.shard != shard {
            return foreign("shard", &session.shard, shard);
        }
    }
    Ok(())
}

/// What is finished of `plan`, in its order, by what was read of the journals at the paths.
///
/// A probe that failed is as good as what a later line says of it.
///
/// # Errors
/// [`Error::Data`] naming the file if a line is about a probe that the plan does not have or that
/// is another shard's, or if two lines say different things about one.
pub fn collected<R: Finished>(
    plan: &PlanFile,
    read: Vec<(&Path, usize, Contents<R>)>,
) -> Result<Vec<Option<Done<R>>>> {
    let mut all: Vec<Option<Done<R>>> = plan.probes.iter().map(|_| None).collect();
    for (path, shard, contents) in read {
        for done in contents.done {
            let place = format!("{}: probe {} ({})", path.display(), done.index, done.id);
            if plan.probes.get(done.index) != Some(&done.id) {
                return Err(Error::data("the journal holds a probe that the plan does not have")
                    .at(place)
                    .got(format!("probe {} is called {}", done.index, done.id))
                    .expected(match plan.probes.get(done.index) {
                        Some(id) => format!("{id}, as plan.json has it"),
                        None => format!("a number below {}", plan.probes.len()),
                    })
                    .advice("the plan and the journals of one run"));
            }
            if plan.shard_of(done.index) != shard {
                return Err(Error::data("the journal holds a probe of another shard")
                    .at(place)
                    .got(format!("a journal of shard {shard}"))
                    .expected(format!("shard {}", plan.shard_of(done.index)))
                    .advice("the plan and the journals of one run"));
            }
            let before = &mut all[done.index];
            match before {
                Some(first)
                    if !first.failed && !done.failed && !first.result.same(&done.result) =>
                {
                    return Err(Error::data("two lines say different things about one probe")
                        .at(place)
                        .expected("each probe once, or twice the same")
                        .advice("the journals as headprof wrote them"));
                }
                Some(first) if !first.failed => {}
                _ => *before = Some(done),
            }
        }
    }
    Ok(all)
}
