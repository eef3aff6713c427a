//! [`Trap`]: a file of which it is known whether anybody has opened it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// A named pipe with a writer that waits for whoever opens it first, and writes one byte to it.
/// Who reads that byte has it to himself.
pub struct Trap {
    path: PathBuf,
    writer: Option<JoinHandle<()>>,
}

impl Trap {
    pub fn new(path: PathBuf) -> Self {
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let at = path.clone();
        let writer = std::thread::spawn(move || {
            let mut pipe = OpenOptions::new().write(true).open(at).unwrap();
            // Nobody may be there any more.
            let _ = pipe.write_all(b"x");
        });
        Self { path, writer: Some(writer) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether anybody has opened the file until now.
    pub fn was_opened(mut self) -> bool {
        /// `O_NONBLOCK` of Linux.
        const NOT_WAITING: i32 = 0o4000;
        // Whoever has opened it lets the writer go, who may still be on his way.
        let gone = |_| {
            sleep(Duration::from_millis(2));
            self.writer.as_ref().is_some_and(JoinHandle::is_finished)
        };
        if (0..100).any(gone) {
            return true;
        }
        let opened = File::options().read(true).custom_flags(NOT_WAITING).open(&self.path);
        self.writer.take().unwrap().join().unwrap();
        let mut byte = [0];
        !matches!(opened.unwrap().read(&mut byte), Ok(1))
    }
}

#[test]
fn a_trap_knows_who_opened_it() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!Trap::new(dir.path().join("untouched")).was_opened());
    let touched = Trap::new(dir.path().join("touched"));
    assert_eq!(std::fs::read(touched.path()).unwrap(), b"x");
    assert!(touched.was_opened());
    let closed = Trap::new(dir.path().join("closed"));
    drop(File::open(closed.path()).unwrap());
    assert!(closed.was_opened());
}
