//! Ctrl-C and SIGTERM: what is finished is kept, the probe at hand is dropped, exit code 130.

use std::fmt;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::system::terminal::note;

/// How long a probe may go on after the signal. Files are written whole or not at all, and journals
/// line by line, so that ending the process between probes or within one makes no difference to
/// what is on disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// Threads that sum up what is kept.
const FAREWELL_THREADS: usize = 2;

const INTERRUPTED: &str = "interrupted; no results were written";

/// What is told at the end of an interrupted run; the error says how to go on.
type Farewell = Box<dyn FnOnce() -> Error + Send>;

/// Says farewell on threads of its own: those of the pool may be in the middle of a long pass.
fn said(farewell: Farewell) -> Error {
    match rayon::ThreadPoolBuilder::new().num_threads(FAREWELL_THREADS).build() {
        Ok(pool) => pool.install(farewell),
        Err(_) => farewell(),
    }
}

/// Whether the user wants to stop, and whether that has to wait.
#[derive(Default)]
pub struct Interrupt {
    asked: AtomicBool,
    writing: AtomicBool,
    farewell: Mutex<Option<Farewell>>,
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
            process::exit(130);
        }
        let interrupt = Arc::clone(self);
        thread::spawn(move || {
            thread::sleep(PATIENCE);
            if !interrupt.writing.load(Ordering::SeqCst) {
                // Whoever else ends the run waits here until the process is gone.
                let mut farewell = interrupt.locked();
                let e = farewell.take().map_or_else(|| Error::interrupted(INTERRUPTED), said);
                note(&format!("error: {e}"));
                process::exit(130);
            }
        });
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<Farewell>> {
        self.farewell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on something is kept: `farewell` tells it when the run is interrupted, once.
    pub fn keep(&self, farewell: impl FnOnce() -> Error + Send + 'static) {
        *self.locked() = Some(Box::new(farewell));
    }

    /// `result`; where it says that the run was interrupted, what is kept is told and the error
    /// says how to go on.
    ///
    /// # Errors
    /// That of `result`.
    pub fn told<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Err(e @ Error::Interrupted(_)) => {
                let mut farewell = self.locked();
                Err(farewell.take().map_or(e, said))
            }
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
    fn what_is_kept_is_told_once_and_for_interruptions_alone() {
        let interrupt = Interrupt::default();
        let stopped = || Err::<(), _>(Error::interrupted("stop"));
        assert_eq!(interrupt.told(stopped()), stopped());
        interrupt.keep(|| Error::interrupted("kept").advice("go on"));
        assert_eq!(interrupt.told(Ok(5)), Ok(5));
        assert_eq!(interrupt.told(Err::<(), _>(Error::bug("x"))), Err(Error::bug("x")));
        let e = interrupt.told(stopped()).unwrap_err();
        assert_eq!(e, Error::interrupted("kept").advice("go on"));
        assert_eq!(interrupt.told(stopped()), stopped());
    }
}
