//! Ctrl-C and SIGTERM: the probe at hand is dropped, nothing is half written, exit code 130.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::system::terminal::note;

/// How long a probe may go on after the signal. Files are written whole or not at all, so that
/// ending the process between probes or within one makes no difference to what is on disk.
const PATIENCE: Duration = Duration::from_secs(3);

const INTERRUPTED: &str = "interrupted; no results were written";

/// Whether the user wants to stop, and whether that has to wait.
#[derive(Debug, Default)]
pub struct Interrupt {
    asked: AtomicBool,
    writing: AtomicBool,
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
                note(&format!("error: {INTERRUPTED}"));
                process::exit(130);
            }
        });
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
}
