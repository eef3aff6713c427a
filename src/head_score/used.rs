//! [`UsedScores`]: a head_score file that a command goes by.

use std::path::Path;

use serde::Serialize;

use super::{HeadScoreFile, sidecar};
use crate::error::Result;
use crate::heads::HeadMatrix;
use crate::system::digest::sha256;

/// The scores of a file, for a model.
#[derive(Debug)]
pub struct UsedScores {
    /// The mean of each head, `[L, H]`.
    pub mean: HeadMatrix,
    /// What is unusual about the file: sentences for the user.
    pub warnings: Vec<String>,
}

impl UsedScores {
    /// The scores in `path` of the model called `model`, which has this `shape`, `(L, H)`; with
    /// `force`, of any model of the shape.
    ///
    /// # Errors
    /// As [`HeadScoreFile::read`] and [`sidecar::kv_heads`].
    pub fn read(path: &Path, shape: (usize, usize), model: &str, force: bool) -> Result<Self> {
        let read = HeadScoreFile::read(path, Some(shape))?;
        let named = |text: &String| format!("{}: {text}", path.display());
        let mut warnings: Vec<String> = read.warnings.iter().map(named).collect();
        sidecar::kv_heads(path, shape, Some(model), force, &mut warnings)?;
        Ok(Self { mean: read.file.mean(), warnings })
    }
}

/// A file that results follow, for the record.
#[derive(Debug, Clone, Serialize)]
pub struct UsedFile {
    path: String,
    sha256: String,
}

impl UsedFile {
    /// The file at `path`; `None` if it cannot be read again.
    pub fn of(path: &Path) -> Option<Self> {
        let sha256 = std::fs::read(path).ok().map(sha256)?;
        Some(Self { path: path.display().to_string(), sha256 })
    }
}
