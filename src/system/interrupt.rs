//! Ctrl-C and SIGTERM: what is finished is kept, the probe at hand is dropped, exit code 130.

use std::fmt;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::system::terminal::note;

/// How long a probe may go on after the signal. Files are written whole or not at all, and journals
/// line by line, so that ending the process between probes or within one makes no difference to
/// what is on disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the summary of what is kept may take beyond that.
const FAREWELL: Duration = Duration::from_millis(2500);

/// Threads that sum up what is kept.
const FAREWELL_THREADS: usize = 2;

const INTERRUPTED: &str = "interrupted; no results were written";

/// Sums up what is kept and tells it; the error says how to go on.
type Farewell = Box<dyn FnOnce() -> Error + Send>;

/// What is told at the end of an interrupted run.
#[derive(Default)]
enum Ending {
    /// That nothing was written.
    #[default]
    Nothing,
    /// What the farewell says; if that takes too long, the error alone.
    Kept(Farewell, Error),
    /// The farewell is being said; the error is that of [`Ending::Kept`].
    Telling(Error),
    /// It has been said, and this is how the run ends.
    Told(Error),
}

/// Whether the user wants to stop, and whether that has to wait.
#[derive(Default)]
pub struct Interrupt {
    asked: AtomicBool,
    writing: AtomicBool,
    ending: Mutex<Ending>,
    told: Condvar,
    leftovers: Mutex<Vec<PathBuf>>,
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Interrupt {
    /// Listens to SIGINT, SIGTERM and SIGHUP from now on. A second signal ends the process at once.
    ///
    /// # Errors
    /// [`Error::Bug`] if there is a handler already.
    pub fn install() -> Result<Arc<Self>> {
        let interrupt = Arc::new(Self::default());
        let handler = Arc::clone(&interrupt);
        ctrlc::set_handler(move || handler.signal())
            .map_err(|e| Error::bug("signals cannot be handled").got(e))?;
        Ok(interrupt)
    }

    fn signal(self: &Arc<Self>) {
        if self.asked.swap(true, Ordering::SeqCst) {
            self.exit();
        }
        let interrupt = Arc::clone(self);
        thread::spawn(move || {
            thread::sleep(PATIENCE);
            if !interrupt.writing.load(Ordering::SeqCst) {
                interrupt.end();
            }
        });
    }

    /// Ends the process, whatever it is in the middle of.
    fn end(self: &Arc<Self>) {
        let mut ending = self.locked();
        if matches!(*ending, Ending::Kept(..)) {
            let interrupt = Arc::clone(self);
            thread::spawn(move || interrupt.tell());
        }
        if let Ending::Told(_) = *ending {
            // Whoever told it is about to end the process, but for what it still has to free.
            drop(ending);
            thread::sleep(PATIENCE);
            self.exit();
        }
        let done = |ending: &mut Ending| !matches!(ending, Ending::Kept(..) | Ending::Telling(_));
        let waited = self.told.wait_timeout_while(ending, FAREWELL, |ending| !done(ending));
        ending = waited.unwrap_or_else(PoisonError::into_inner).0;
        let e = match &*ending {
            Ending::Nothing => Error::interrupted(INTERRUPTED),
            Ending::Kept(_, e) | Ending::Telling(e) | Ending::Told(e) => e.clone(),
        };
        note(&format!("error: {e}"));
        self.exit();
    }

    /// Ends the process, with nothing left that it made and did not use.
    fn exit(&self) -> ! {
        let leftovers = self.leftovers.lock().unwrap_or_else(PoisonError::into_inner);
        for path in leftovers.iter() {
            // Of folders those alone that are empty.
            let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path));
        }
        process::exit(130)
    }

    fn locked(&self) -> MutexGuard<'_, Ending> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says the farewell, if there is one that has not been said; how the run ends.
    fn tell(&self) -> Option<Error> {
        let mut ending = self.locked();
        let farewell = match std::mem::take(&mut *ending) {
            Ending::Kept(farewell, e) => {
                *ending = Ending::Telling(e);
                farewell
            }
            other => {
                *ending = other;
                // Another thread says it.
                let telling = |ending: &mut Ending| matches!(ending, Ending::Telling(_));
                let waited = self.told.wait_while(ending, telling);
                return match &*waited.unwrap_or_else(PoisonError::into_inner) {
                    Ending::Told(e) => Some(e.clone()),
                    _ => None,
                };
            }
        };
        drop(ending);
        let e = said(farewell);
        *self.locked() = Ending::Told(e.clone());
        self.told.notify_all();
        Some(e)
    }

    /// From now on something is kept: when the run is interrupted `farewell` tells it, once, or
    /// `brief` does where there is no time for that.
    pub fn keep(&self, brief: Error, farewell: impl FnOnce() -> Error + Send + 'static) {
        *self.locked() = Ending::Kept(Box::new(farewell), brief);
    }

    /// Results are written, and another run begins: a signal no longer waits, and what the run
    /// before kept is not told again.
    pub fn goes_on(&self) {
        *self.locked() = Ending::Nothing;
        self.writing.store(false, Ordering::SeqCst);
    }

    /// These paths, a lock or folders that may be empty, go away where the process ends at once.
    pub fn leave_nothing_at(&self, paths: impl IntoIterator<Item = PathBuf>) {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner).extend(paths);
    }

    /// `result`; where it says that the run was interrupted, what is kept is told and the error
    /// says how to go on.
    ///
    /// # Errors
    /// That of `result`.
    pub fn told<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Err(e @ Error::Interrupted(_)) => Err(self.tell().unwrap_or(e)),
            result => result,
        }
    }

    /// Goes on, or stops where the user wants that. Asked between probes.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after a signal.
    pub fn check(&self) -> Result<()> {
        match self.asked.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(Error::interrupted(INTERRUPTED)),
        }
    }

    /// From here on results are written, and a first signal waits until they are.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after a signal.
    pub fn begin_writing(&self) -> Result<()> {
        // In this order: a signal from now on sees `writing`, one before is seen by the check.
        self.writing.store(true, Ordering::SeqCst);
        self.check()
    }
}

/// Says farewell on threads of its own: those of the pool may be in the middle of a long pass.
fn said(farewell: Farewell) -> Error {
    match rayon::ThreadPoolBuilder::new().num_threads(FAREWELL_THREADS).build() {
        Ok(pool) => pool.install(farewell),
        Err(_) => farewell(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_stops_before_the_next_probe_and_before_writing() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.check(), Ok(()));
        interrupt.asked.store(true, Ordering::SeqCst);
        assert_eq!(interrupt.check().unwrap_err().exit_code(), 130);
        assert_eq!(interrupt.begin_writing().unwrap_err().exit_code(), 130);
    }

    #[test]
    fn a_run_behind_another_neither_waits_nor_tells_what_the_first_kept() {
        let interrupt = Interrupt::default();
        interrupt.keep(Error::interrupted("brief"), || Error::interrupted("first"));
        interrupt.begin_writing().unwrap();
        interrupt.goes_on();
        assert!(!interrupt.writing.load(Ordering::SeqCst));
        let stopped = Err::<(), _>(Error::interrupted("stop"));
        assert_eq!(interrupt.told(stopped.clone()), stopped);
    }

    #[test]
    fn what_is_kept_is_told_once_and_for_interruptions_alone() {
        let interrupt = Interrupt::default();
        let stopped = || Err::<(), _>(Error::interrupted("stop"));
        assert_eq!(interrupt.told(stopped()), stopped());
        let brief = Error::interrupted("brief");
        interrupt.keep(brief, || Error::interrupted("kept").advice("go on"));
        assert_eq!(interrupt.told(Ok(5)), Ok(5));
        assert_eq!(interrupt.told(Err::<(), _>(Error::bug("x"))), Err(Error::bug("x")));
        let e = interrupt.told(stopped()).unwrap_err();
        assert_eq!(e, Error::interrupted("kept").advice("go on"));
        // Asked again, it ends in the same way.
        assert_eq!(interrupt.told(stopped()).unwrap_err(), e);
    }
}
