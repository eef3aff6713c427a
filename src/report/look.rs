//! [`Look`]: where heads looked while one answer was written, a file in `look/`.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::answers::{Answers, shortened};
use super::read::{json, unreadable};
use crate::error::{Error, Result};
use crate::system::{atomic, files};

/// The folder.
pub(super) const FOLDER: &str = "look";
/// Bytes of weights on a page, at most.
const BYTES: usize = 500_000;

/// A probe's prompt and where heads looked in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// The model's name.
    pub model: String,
    /// The probe's name.
    pub id: String,
    /// What was asked about.
    pub about: String,
    /// Tokens of the context.
    pub length: usize,
    /// Depth asked for.
    pub depth: Option<f64>,
    /// What the model said.
    pub answer: String,
    /// The text of every token of the prompt, `[T]`.
    pub tokens: Vec<String>,
    /// Where the needle is, `[start, end)` each.
    pub needle: Vec<[usize; 2]>,
    /// The heads.
    pub heads: Vec<LookHead>,
}

/// A head's rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookHead {
    /// Its layer.
    pub layer: usize,
    /// Its number in the layer.
    pub head: usize,
    /// By which score it is among the best; empty where it was asked for.
    pub score: String,
    /// One per token of the answer.
    pub steps: Vec<LookStep>,
}

/// The row that produced a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookStep {
    /// Its text.
    pub token: String,
    /// The largest weight.
    pub max: f64,
    /// A byte per token of the prompt, in base64: `weight = byte / 255 * max`.
    pub weights: String,
}

impl LookStep {
    /// The `row` behind `token`.
    pub fn new(token: String, row: &[f32]) -> Self {
        let max = row.iter().copied().fold(0.0f32, f32::max);
        let byte = |weight: &f32| if max > 0.0 { (weight / max * 255.0).round() as u8 } else { 0 };
        let bytes: Vec<u8> = row.iter().map(byte).collect();
        Self { token, max: f64::from(max), weights: STANDARD.encode(bytes) }
    }

    /// The weight of every token of the prompt, `[T]`, to a 255th of the largest; none where the
    /// text is no base64.
    pub fn row(&self) -> Vec<f64> {
        let bytes = STANDARD.decode(&self.weights).unwrap_or_default();
        bytes.into_iter().map(|byte| f64::from(byte) / 255.0 * self.max).collect()
    }
}

impl Look {
    /// Writes it into `folder`'s `look/`; one of the same probe is replaced.
    ///
    /// # Errors
    /// As [`atomic::write`] and [`atomic::usable_folder`].
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let place = folder.join(FOLDER);
        let _made = atomic::usable_folder(&place)?;
        let path = place.join(format!("{}_{}.json", self.model, self.id));
        let mut bytes = serde_json::to_vec(self)
            .map_err(|e| Error::bug("a look cannot be written as JSON").got(e))?;
        bytes.push(b'\n');
        atomic::write(&path, &bytes)?;
        Ok(path)
    }

    /// Those in `folder` of `model` and of `answers`, the latest first, as many as a page takes.
    ///
    /// # Errors
    /// As [`json`] and [`files::ending_with`]; [`Error::Data`] for a look that contradicts itself.
    pub(super) fn all(folder: &Path, model: &str, answers: &Answers) -> Result<Vec<Self>> {
        let mut found = files::ending_with(&folder.join(FOLDER), ".json")?;
        let written = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
        found.sort_by_key(|path| std::cmp::Reverse(written(path)));
        let mut all: Vec<Self> = Vec::new();
        let mut left = BYTES;
        for path in found {
            let Some(look) = json::<Self>(&path)? else { continue };
            look.check().map_err(|why| unreadable(&path, why))?;
            // The answer of another run with the same prompts is another's.
            let shown = answers.list.iter().any(|answer| {
                answer.id == look.id && answer.answer.as_ref() == Some(&shortened(&look.answer))
            });
            let bytes: usize = look.steps().map(|step| step.weights.len()).sum();
            if look.model == model && shown && bytes <= left {
                left -= bytes;
                all.push(look);
            }
        }
        Ok(all)
    }

    fn steps(&self) -> impl Iterator<Item = &LookStep> {
        self.heads.iter().flat_map(|head| &head.steps)
    }

    /// Refuses what a page could not show.
    fn check(&self) -> std::result::Result<(), &'static str> {
        let tokens = self.tokens.len();
        let whole = |step: &LookStep| step.row().len() == tokens && (0.0..=1.0).contains(&step.max);
        if tokens == 0 || self.heads.is_empty() || self.heads.iter().any(|h| h.steps.is_empty()) {
            return Err("no tokens, heads or steps");
        }
        if !self.steps().all(whole) {
            return Err("weights that are not one for each token, from 0 to 1");
        }
        match self.needle.iter().all(|[from, to]| from < to && *to <= tokens) {
            true => Ok(()),
            false => Err("a needle beyond the prompt"),
        }
    }
}
