//! The files of a run. Each is made in memory and written whole, after every probe is done.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::facts::{ProfileFacts, ProfileRun};
use super::record::ProbeRecord;
use super::sidecar::{Sidecar, Written};
use super::statistics::ScoreResult;
use crate::error::{Error, Result};
use crate::head_score::{self, sidecar};
use crate::needle::SubTask;
use crate::plot::Picture;
use crate::score::registry;
use crate::system::atomic::{self, MadeFolders};

/// One line per probe, in the output folder.
pub(super) const PROBES_FILE: &str = "probes.jsonl";

/// A folder that results can be written to.
#[derive(Debug)]
pub struct OutputDir {
    root: PathBuf,
    made: MadeFolders,
}

impl OutputDir {
    /// Creates the folder with `head_score/` and `plots/` in it, and tries each by writing to it.
    /// Those that stay empty go away with this.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the folder that cannot be used.
    pub fn prepare(root: &Path) -> Result<Self> {
        let inside = ["head_score", "plots"].map(|name| root.join(name));
        let made = atomic::usable_folders([root, &inside[0], &inside[1]])?;
        Ok(Self { root: root.to_owned(), made })
    }

    /// The folders that were made, the innermost first.
    pub(super) fn made(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.made.paths()
    }

    /// The folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the head_score files.
    pub(super) fn head_score(&self) -> PathBuf {
        self.root.join("head_score")
    }

    /// `probes.jsonl`: one line per probe.
    ///
    /// # Errors
    /// As [`atomic::write`].
    pub fn write_probes(&self, records: &[ProbeRecord]) -> Result<()> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record).map_err(not_json)?;
            lines.push(b'\n');
        }
        atomic::write(&self.root.join(PROBES_FILE), &lines)
    }

    /// Score files of all probes that an earlier run of the same kind left here.
    pub(super) fn earlier_scores(&self, facts: &ProfileFacts) -> Vec<PathBuf> {
        let folder = self.head_score();
        let stem = file_stem(facts, None);
        let names = registry().iter().map(|s| head_score::file_name(&stem, s.name()));
        names.map(|name| folder.join(name)).filter(|path| path.exists()).collect()
    }

    /// `head_score/` and the `pictures`; returns the paths of all files of the run.
    ///
    /// # Errors
    /// As [`atomic::write`].
    pub(super) fn write_scores(
        &self,
        made: &ProfileRun,
        results: &[ScoreResult],
        pictures: Vec<(String, Picture)>,
        written: &Written,
    ) -> Result<Vec<PathBuf>> {
        let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for (stem, picture) in pictures {
            files.extend(picture.into_files(&self.root.join("plots").join(stem)));
        }
        for result in results {
            let name = head_score::file_name(&stem(made, result.task), result.score.name());
            let path = self.head_score().join(name);
            let sidecar = Sidecar::new(made, result, written);
            files.push((sidecar::path_of(&path), pretty(&sidecar)?));
            files.push((path, result.file.to_json_line().into_bytes()));
        }
        for (path, bytes) in &files {
            atomic::write(path, bytes)?;
        }
        let mut paths: Vec<PathBuf> = files.into_iter().map(|(path, _)| path).collect();
        paths.push(self.root.join(PROBES_FILE));
        paths.sort();
        Ok(paths)
    }
}

/// `<model>`, with what was probed behind it where that is not needles: `<model>_babilong`,
/// `<model>_babilong-qa1`.
fn file_stem(facts: &ProfileFacts, sub_task: Option<SubTask>) -> String {
    let model = &facts.model;
    match (&facts.task, sub_task) {
        (None, _) => model.clone(),
        (Some(task), None) => format!("{model}_{task}"),
        (Some(task), Some(sub_task)) => format!("{model}_{task}-{sub_task}"),
    }
}

pub(super) fn stem(made: &ProfileRun, sub_task: Option<SubTask>) -> String {
    file_stem(made.facts, sub_task)
}

fn not_json(e: serde_json::Error) -> Error {
    Error::bug("a result cannot be written as JSON").got(e)
}

fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(not_json)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_folder_that_is_a_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("results");
        std::fs::write(&file, "x").unwrap();
        for out in [file.clone(), file.join("below")] {
            let e = OutputDir::prepare(&out).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains("results"), "{e}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
        let new = dir.path().join("a/b");
        let out = OutputDir::prepare(&new).unwrap();
        assert!(new.join("head_score").is_dir() && new.join("plots").is_dir());
        // Trying leaves nothing behind, and nothing stays that was not used.
        assert_eq!(std::fs::read_dir(new.join("plots")).unwrap().count(), 0);
        drop(out);
        assert!(!dir.path().join("a").exists());
    }
}
