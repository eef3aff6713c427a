//! The files of a sensitivity: made in memory, written whole.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Results, report};
use crate::error::{Error, Result};
use crate::plot::Picture;
use crate::system::{atomic, machine};

const JSON: &str = "sensitivity.json";
const CSV: &str = "sensitivity.csv";
/// The folder of the pictures.
pub(super) const PLOTS: &str = "plots";

/// The content of `sensitivity.json`.
#[derive(Serialize)]
struct File<'a> {
    headprof: &'static str,
    command: &'a [String],
    #[serde(flatten)]
    results: &'a Results,
    units: Units,
    run: Run,
}

/// What the numbers are.
#[derive(Serialize)]
struct Units {
    rho: &'static str,
    top_shared: &'static str,
    chance: &'static str,
    p: &'static str,
}

const UNITS: Units = Units {
    rho: "Spearman's rank correlation of all query heads' means over probes, -1 to 1",
    top_shared: "heads among the ten best of both; top_of: how many could be",
    chance: "the same of random groups: mean, and what 5 % of them lie below (low) and above (high)",
    p: "share of random groups that are no more alike, 0 to 1",
};

/// What differs from run to run.
#[derive(Serialize)]
struct Run {
    created: String,
    seconds: f64,
}

/// Writes everything to `root`; returns the paths, sorted.
///
/// # Errors
/// As [`atomic::write`].
pub(super) fn write(
    root: &Path,
    command: &[String],
    results: &Results,
    pictures: Vec<(String, Picture)>,
    seconds: f64,
) -> Result<Vec<PathBuf>> {
    let run = Run { created: machine::utc_now(), seconds };
    let file = File { headprof: env!("CARGO_PKG_VERSION"), command, results, units: UNITS, run };
    let not_json = |e| Error::bug("a result cannot be written as JSON").got(e);
    let mut json = serde_json::to_vec_pretty(&file).map_err(not_json)?;
    json.push(b'\n');
    let mut files =
        vec![(root.join(JSON), json), (root.join(CSV), report::csv(&results.scores).into_bytes())];
    for (stem, picture) in pictures {
        files.extend(picture.into_files(&root.join(PLOTS).join(stem)));
    }
    for (path, bytes) in &files {
        atomic::write(path, bytes)?;
    }
    let mut paths: Vec<PathBuf> = files.into_iter().map(|(path, _)| path).collect();
    paths.sort();
    Ok(paths)
}
