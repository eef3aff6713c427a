//! [`Target`]: one reader, with inputs that it takes; [`Folder`]: where its files lie.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use headprof::Result;

/// A reader that is fuzzed.
pub struct Target {
    /// What the command line calls it.
    pub name: &'static str,
    /// What is read.
    pub reads: &'static str,
    /// Inputs that it takes, all of them: a target whose seeds are refused tests nothing.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Files that stand beside the input and stay as they are: name and content.
    pub beside: fn() -> Vec<(&'static str, Vec<u8>)>,
    /// Reads an input: to the end, as the program would.
    pub read: fn(&Folder, &[u8]) -> Result<()>,
}

/// A worker's folder: what stands beside the input, and the input.
pub struct Folder {
    path: PathBuf,
}

/// The input that is being read, in every worker's folder.
pub const CURRENT: &str = "current-input";

impl Folder {
    /// Makes the folder `path` for `target`.
    ///
    /// # Errors
    /// If it cannot be written to.
    pub fn new(path: PathBuf, target: &Target) -> std::io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        for (name, content) in (target.beside)() {
            std::fs::write(path.join(name), content)?;
        }
        Ok(Self { path })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` under `name` and returns where.
    ///
    /// # Panics
    /// If the disk is full: that is no fault of a reader.
    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path.join(name);
        if let Err(e) = written(&path, bytes) {
            panic!("the fuzzer cannot write {}: {e}", path.display());
        }
        path
    }
}

/// Not emptied before: file systems wait for the disk where a file is replaced in that way.
fn written(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::options().create(true).truncate(false).write(true).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

/// Nothing stands beside the input.
pub fn alone() -> Vec<(&'static str, Vec<u8>)> {
    Vec::new()
}
