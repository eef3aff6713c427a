//! Goldens outside the repository: `$HEADPROF_GOLDENS`, or the folder beside a checkout.
//!
//! Without them a test has nothing to compare and says so. With `HEADPROF_GOLDENS` set, a kind of
//! goldens that is not there is a failure: nobody points at a folder to have nothing tested.

use std::path::{Path, PathBuf};

const VARIABLE: &str = "HEADPROF_GOLDENS";

/// Files or folders in `folder` (a path below the goldens) that `keep` chooses, sorted.
///
/// # Panics
/// If `HEADPROF_GOLDENS` is set and there are none.
#[track_caller]
pub fn listing(folder: &str, keep: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let asked = std::env::var_os(VARIABLE);
    let root = asked.as_ref().map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/goldens"),
        PathBuf::from,
    );
    let mut found: Vec<PathBuf> = match std::fs::read_dir(root.join(folder)) {
        Ok(entries) => entries.map(|e| e.unwrap().path()).filter(|p| keep(p)).collect(),
        Err(_) => Vec::new(),
    };
    found.sort();
    if found.is_empty() {
        assert!(asked.is_none(), "{VARIABLE} is set, but there are no such goldens in {folder}");
        println!("{folder}: not here, 0 goldens");
    }
    found
}

/// One golden file or folder, where it is there.
///
/// # Panics
/// As [`listing`].
#[track_caller]
#[allow(dead_code, reason = "this file is a part of several tests, not all of which need it")]
pub fn one(folder: &str, name: &str) -> Option<PathBuf> {
    listing(folder, |path| path.file_name().is_some_and(|n| n == name)).pop()
}
