//! Goldens: what reference implementations computed, in a folder outside the repository,
//! `$HEADPROF_GOLDENS` or `shared/goldens` beside a checkout, and published files in `data` beside
//! that folder.
//!
//! Where the folder is, a test gets every file that it names or fails. Where it is not, the test
//! has nothing to compare with and says so on the terminal. `$HEADPROF_GOLDEN_LOG` names a file to
//! which both are added, a line each: test, `run` or `skipped`, path. `scripts/count_goldens.py`
//! compares it with the list of all golden tests, `tests/goldens.txt`.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The files or folders at `paths`, below the folder of goldens; `None` where there is no such
/// folder.
///
/// # Panics
/// If the folder lacks one of them, or if `HEADPROF_GOLDENS` names no folder.
pub fn find<const N: usize>(paths: [&str; N]) -> Option<[PathBuf; N]> {
    let named = std::env::var_os("HEADPROF_GOLDENS").filter(|value| !value.is_empty());
    let root = named.as_ref().map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/goldens"),
        PathBuf::from,
    );
    assert!(named.is_none() || root.is_dir(), "HEADPROF_GOLDENS={}: no folder", root.display());
    if !root.is_dir() {
        note("skipped", &paths);
        // Printed past the capture of test output, which shows it of failed tests alone.
        let line = format!("skipped: {} (no goldens in {})\n", test(), root.display());
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    }
    let found = paths.map(|path| demanded(&root, path));
    note("run", &paths);
    Some(found)
}

/// The checkpoints for which there is a `golden.json` from transformers; none without goldens.
pub fn checkpoints() -> Vec<PathBuf> {
    let found = find([
        "models/llama2-mha",
        "models/llama31-gqa-rope-scaled",
        "models/mistral-sliding",
        "models/qwen2-bias",
    ]);
    found.into_iter().flatten().collect()
}

/// What lies at `path` below `root`.
fn demanded(root: &Path, path: &str) -> PathBuf {
    let found = root.join(path);
    assert!(found.exists(), "{}: missing, though there are goldens beside it", found.display());
    found
}

/// The test that runs: its binary, and its name, which libtest gives to the thread.
fn test() -> String {
    let thread = std::thread::current();
    format!("{}::{}", env!("CARGO_CRATE_NAME"), thread.name().expect("the name of a test"))
}

fn note(outcome: &str, paths: &[&str]) {
    let Some(log) = std::env::var_os("HEADPROF_GOLDEN_LOG") else { return };
    let lines: String =
        paths.iter().map(|path| format!("{}\t{outcome}\t{path}\n", test())).collect();
    // In one write: other tests add to the file at the same time.
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log);
    file.unwrap().write_all(lines.as_bytes()).unwrap();
}

#[test]
#[should_panic(expected = "not-here.json: missing")]
fn a_golden_that_is_not_there_fails() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    assert!(demanded(&root, "common/goldens.rs").is_file());
    demanded(&root, "not-here.json");
}
