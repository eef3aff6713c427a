//! [`Lock`]: that one process at a time writes a journal.
//!
//! The operating system holds the lock for as long as the process lives, so that one that was
//! killed leaves none. The file says who holds it. Where a file system knows no locks, the file
//! itself is one, and of a process of this machine that is gone it is taken over.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::system::machine;

/// How often it is tried again where the holder goes away at the same moment.
const TRIES: usize = 100;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    since: String,
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock at `path`, a file that is made for it.
    ///
    /// # Errors
    /// [`Error::Busy`] naming process and machine if another holds it; [`Error::Usage`] if there
    /// can be no such file.
    pub fn take(path: &Path) -> Result<Self> {
        for _ in 0..TRIES {
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            let (made, opened) = match options.clone().create_new(true).open(path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => (false, options.open(path)),
                opened => (true, opened),
            };
            let mut file = match opened {
                // Who held it took the file away in between.
                Err(e) if e.kind() == ErrorKind::NotFound && !made => continue,
                opened => opened.map_err(|e| no_file(path, &e))?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(busy(path, holder(&mut file).as_ref()));
                }
                // No such thing as locks here: whoever made the file has it.
                Err(TryLockError::Error(_)) if made => {}
                Err(TryLockError::Error(_)) => match holder(&mut file) {
                    Some(gone) if is_gone(&gone) => {
                        std::fs::remove_file(path).map_err(|e| no_file(path, &e))?;
                        continue;
                    }
                    theirs => return Err(busy(path, theirs.as_ref())),
                },
            }
            if !is_at(&file, path) {
                continue;
            }
            sign(&mut file).map_err(|e| no_file(path, &e))?;
            return Ok(Self { path: path.to_owned(), _file: file });
        }
        Err(busy(path, None))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a process holds the lock at `path`, which is not taken.
    pub fn is_held(path: &Path) -> bool {
        let Ok(mut file) = OpenOptions::new().read(true).write(true).open(path) else {
            return false;
        };
        match file.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(_)) => holder(&mut file).is_some_and(|h| !is_gone(&h)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is held: whoever waits finds that its file is no longer there.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Who signed the file; `None` where that cannot be read.
fn holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(1 << 12).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn sign(file: &mut File) -> std::io::Result<()> {
    let own =
        Holder { pid: std::process::id(), host: machine::host_name(), since: machine::utc_now() };
    let text = serde_json::to_string(&own)? + "\n";
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

/// Whether the holder is a process of this machine that no longer runs, or had this process's
/// number before it, as in a container that was started again.
fn is_gone(holder: &Holder) -> bool {
    let gone = holder.pid == std::process::id() || !machine::is_running(holder.pid);
    holder.host == machine::host_name() && gone
}

/// Whether `file` is still what is found at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let of = |m: std::fs::Metadata| (m.dev(), m.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(own), Ok(there)) => of(own) == of(there),
        _ => false,
    }
}

/// Elsewhere a file that is open stays where it is.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

fn no_file(path: &Path, e: &std::io::Error) -> Error {
    Error::usage("the output folder cannot be locked")
        .at(path.display())
        .got(e)
        .expected("a folder with the right to write")
        .advice("choose another folder with --out")
}

fn busy(path: &Path, holder: Option<&Holder>) -> Error {
    let who = holder.map_or_else(
        || "a process that has not signed".to_owned(),
        |h| format!("process {} on {}, since {}", h.pid, h.host, h.since),
    );
    Error::busy("another process is writing here")
        .at(path.display())
        .got(who)
        .expected("one process for each output folder and shard")
        .advice("wait for it, or choose another --out; if that process is gone, remove the file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1-of-1.lock");
        assert!(!Lock::is_held(&path));
        let first = Lock::take(&path).unwrap();
        assert!(Lock::is_held(&path));
        let e = Lock::take(&path).unwrap_err();
        assert_eq!(e.exit_code(), 7);
        let pid = format!("process {} on {}", std::process::id(), machine::host_name());
        assert!(e.to_string().contains(&pid), "{e}");
        drop(first);
        assert!(!path.exists() && !Lock::is_held(&path));
        drop(Lock::take(&path).unwrap());
    }

    #[test]
    fn what_a_dead_process_left_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        for left in ["", "not json", r#"{"pid":4194305,"host":"elsewhere","since":"then"}"#] {
            std::fs::write(&path, left).unwrap();
            let lock = Lock::take(&path).unwrap();
            let mut signed = File::open(&path).unwrap();
            assert_eq!(holder(&mut signed).unwrap().pid, std::process::id());
            drop(lock);
        }
    }

    #[test]
    fn who_is_gone_is_known_on_this_machine_alone() {
        let holder = |pid, host: String| Holder { pid, host, since: String::new() };
        let here = machine::host_name();
        // The first of all processes always runs; this one is asking.
        assert!(!is_gone(&holder(1, here.clone())));
        assert!(is_gone(&holder(std::process::id(), here.clone())));
        // Beyond the largest number that Linux gives.
        assert!(is_gone(&holder(4_194_305, here)));
        assert!(!is_gone(&holder(4_194_305, "elsewhere".to_owned())));
    }

    #[test]
    fn many_at_once_are_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        let taken = std::sync::Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(lock) = Lock::take(&path) else { continue };
                        let before = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert_eq!(before, 0);
                        *taken.lock().unwrap() += 1;
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(*taken.lock().unwrap() > 0);
    }
}
