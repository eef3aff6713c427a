//! `headprof report`: the results in a folder as one page of HTML.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::ReportArgs;
use crate::error::{Error, Result};
use crate::report;

/// A page that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reported {
    /// The page.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({} KiB): open it in a browser", self.file.display(), self.bytes >> 10)
    }
}

/// Writes the page of the folder of `args`.
///
/// # Errors
/// As [`report::write`]; [`Error::Usage`] for a folder that is not there.
pub fn run(args: &ReportArgs) -> Result<Reported> {
    if !args.folder.is_dir() {
        return Err(Error::usage("there is no such folder")
            .at(args.folder.display())
            .expected("the --out of a run, or a folder of head_score files"));
    }
    let file = report::write(&args.folder, args.model.as_deref())?;
    let bytes = std::fs::metadata(&file).map_or(0, |meta| meta.len());
    Ok(Reported { file, bytes })
}
