//! `--export-probes FILE`: the prompts as JSON lines, so that another program can run the same.

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::job::Job;
use crate::system::atomic;

/// One line.
#[derive(Debug, Serialize)]
struct ExportedProbe<'a> {
    id: String,
    /// The prompt's token ids, `[T]`.
    ids: &'a [u32],
    /// Needle spans, `[start, end)` each.
    needle: Vec<[usize; 2]>,
    max_new_tokens: usize,
    stop_ids: &'a [u32],
}

/// Writes every prompt of `job`, in the order of its plan.
///
/// # Errors
/// As [`Job::prompt`] and [`atomic::write`].
pub fn write(job: &Job, path: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for probe in &job.plan.probes {
        let prompt = job.prompt(probe)?;
        let line = ExportedProbe {
            id: probe.id.to_string(),
            ids: &prompt.ids,
            needle: prompt.needle.iter().map(|s| [s.start, s.end]).collect(),
            max_new_tokens: job.max_new_tokens(probe),
            stop_ids: &job.stop_ids,
        };
        serde_json::to_writer(&mut lines, &line)
            .map_err(|e| Error::bug("a probe cannot be written as JSON").got(e))?;
        lines.push(b'\n');
    }
    atomic::write(path, &lines)
}
