//! The sidecar of a head_score file, `<name>.meta.json` beside it: which model the scores are of.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::heads::{HeadMatrix, HeadTypes};
use crate::score::aggregate::Spread;
use crate::system::text::without_bom;

/// Where the sidecar of the scores in `path` is: `x_heads.json` → `x_heads.meta.json`.
pub fn path_of(path: &Path) -> PathBuf {
    path.with_extension("meta.json")
}

/// The scores that the sidecar at `path` is of: the other way round than [`path_of`].
pub fn scores_of(path: &Path) -> PathBuf {
    path.with_extension("").with_extension("json")
}

/// What a sidecar says of every head: mean over the accepted probes, its standard error and 95 %
/// interval, and in which share of the resamples it is among the ten best, each `[L][H]`; only
/// means where there is a single probe.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeadsMeta {
    mean: Vec<Vec<f32>>,
    std_error: Option<Vec<Vec<f32>>>,
    low_95: Option<Vec<Vec<f32>>>,
    high_95: Option<Vec<Vec<f32>>>,
    top_probability: Option<Vec<Vec<f32>>>,
    /// Of which kind they are, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    types: Option<HeadTypes>,
}

/// `rows`, if they are a matrix.
fn matrix(rows: &[Vec<f32>]) -> Option<HeadMatrix> {
    let heads = rows.first()?.len();
    let even = rows.iter().all(|row| row.len() == heads);
    HeadMatrix::new(rows.len(), heads, rows.concat()).ok().filter(|_| even)
}

/// What the sidecar of a head_score file says of the score, as far as it can be read.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ScoreMeta {
    /// Which score it is, and its words.
    #[serde(default)]
    pub score: Option<ScoreWords>,
    /// Of every head.
    #[serde(default)]
    pub heads: Option<HeadsMeta>,
}

/// How a score is called and made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ScoreWords {
    /// Its name.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub title: String,
    /// The formula in ASCII.
    #[serde(default)]
    pub formula: String,
    /// Where it comes from.
    #[serde(default)]
    pub source: String,
}

/// What the sidecar of the scores in `path` says of the score; nothing where there is none or it
/// cannot be read.
pub fn score(path: &Path) -> ScoreMeta {
    let bytes = std::fs::read(path_of(path)).unwrap_or_default();
    serde_json::from_slice(without_bom(&bytes)).unwrap_or_default()
}

impl HeadsMeta {
    /// Of a `mean`, `[L, H]`, that is as sure as `spread` says.
    pub fn of(mean: &HeadMatrix, spread: Option<&Spread>) -> Self {
        let rows = |m: &HeadMatrix| m.values().chunks(m.heads()).map(<[f32]>::to_vec).collect();
        Self {
            mean: rows(mean),
            std_error: spread.map(|s| rows(&s.std_error)),
            low_95: spread.map(|s| rows(&s.low)),
            high_95: spread.map(|s| rows(&s.high)),
            top_probability: spread.map(|s| rows(&s.top_probability)),
            types: None,
        }
    }

    /// Mean, `[L, H]`, with its sign, which the file of scores has not.
    pub fn mean(&self) -> Option<HeadMatrix> {
        matrix(&self.mean)
    }

    /// Standard error of the mean, `[L, H]`.
    pub fn std_error(&self) -> Option<HeadMatrix> {
        matrix(self.std_error.as_ref()?)
    }

    /// Lower end of the 95 % interval, `[L, H]`.
    pub fn low_95(&self) -> Option<HeadMatrix> {
        matrix(self.low_95.as_ref()?)
    }

    /// Upper end of the 95 % interval, `[L, H]`.
    pub fn high_95(&self) -> Option<HeadMatrix> {
        matrix(self.high_95.as_ref()?)
    }

    /// Share of the resamples in which a head is among the ten best, `[L, H]`.
    pub fn top_probability(&self) -> Option<HeadMatrix> {
        matrix(self.top_probability.as_ref()?)
    }

    /// Kinds of heads.
    pub fn types(&self) -> Option<&HeadTypes> {
        self.types.as_ref()
    }

    /// With the kinds of the heads.
    pub fn with_types(self, types: Option<HeadTypes>) -> Self {
        Self { types, ..self }
    }
}

/// What the sidecar says about the model.
#[derive(Debug, Deserialize)]
struct Sidecar {
    model: SidecarModel,
}

#[derive(Debug, Deserialize)]
struct SidecarModel {
    name: String,
    layers: usize,
    heads: usize,
    kv_heads: usize,
}

/// The number of KV heads that the sidecar of `path`, a file of scores `[L, H]` of this
/// `shape`, names; `None`, with a note, where there is no such file. `asked` is the model that the
/// scores are to be of; with `force` they may be of any.
///
/// # Errors
/// [`Error::Data`] if the file cannot be read, is of another size or of another model.
pub fn kv_heads(
    path: &Path,
    shape: (usize, usize),
    asked: Option<&str>,
    force: bool,
    notes: &mut Vec<String>,
) -> Result<Option<usize>> {
    let beside = path_of(path);
    let bytes = match std::fs::read(&beside) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::data("the sidecar of a head_score file cannot be read")
                .at(beside.display())
                .got(e));
        }
        Err(_) => {
            notes.push(format!(
                "{} has no sidecar: which model its scores are of is not known",
                path.display()
            ));
            return Ok(None);
        }
    };
    let model = match serde_json::from_slice::<Sidecar>(without_bom(&bytes)) {
        Ok(sidecar) => sidecar.model,
        Err(_) if force => {
            notes.push(format!("{} cannot be read and is left out", beside.display()));
            return Ok(None);
        }
        Err(e) => {
            return Err(Error::data("the sidecar of a head_score file cannot be read")
                .at(beside.display())
                .got(e)
                .expected("what headprof writes beside its scores")
                .advice("--force leaves it out"));
        }
    };
    check_model(path, &model.name, asked, force, notes)?;
    if (model.layers, model.heads) != shape {
        let text = format!("{} layers x {} heads", model.layers, model.heads);
        if !force {
            return Err(Error::data("a head_score file and its sidecar differ in size")
                .at(beside.display())
                .got(text)
                .expected(format!("{} layers x {} heads", shape.0, shape.1))
                .advice("--force leaves the sidecar out"));
        }
        notes.push(format!("{} says {text} and is left out", beside.display()));
        return Ok(None);
    }
    Ok(Some(model.kv_heads))
}

/// The hash of the weights that a head_score file was made with, where the file beside it says so.
pub fn model_sha256(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path_of(path)).ok()?;
    let sidecar: serde_json::Value = serde_json::from_slice(without_bom(&bytes)).ok()?;
    sidecar["model"]["sha256"].as_str().map(str::to_owned)
}

/// The SHA-256 of the needles that the scores in `path` were made with, as its sidecar names them;
/// none where it does not.
pub fn needles(path: &Path) -> HashSet<String> {
    let bytes = std::fs::read(path_of(path)).unwrap_or_default();
    let sidecar: serde_json::Value =
        serde_json::from_slice(without_bom(&bytes)).unwrap_or_default();
    let list = sidecar["needles"]["needles"].as_array().cloned().unwrap_or_default();
    list.iter().filter_map(|needle| needle["sha256"].as_str().map(str::to_owned)).collect()
}

/// Refuses what is of the model `found` where another was asked for; with `force`, notes it.
///
/// # Errors
/// [`Error::Data`] naming `path` and both models.
pub fn check_model(
    path: &Path,
    found: &str,
    asked: Option<&str>,
    force: bool,
    notes: &mut Vec<String>,
) -> Result<()> {
    let Some(asked) = asked.filter(|asked| *asked != found) else { return Ok(()) };
    if force {
        notes.push(format!("{} is of {found}, not of {asked}", path.display()));
        return Ok(());
    }
    Err(Error::data("these are the scores of another model")
        .at(path.display())
        .got(found)
        .expected(asked)
        .advice("profile the model, or use these all the same with --force"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_in_a_models_name_stay() {
        assert_eq!(
            path_of(Path::new("h/Llama-3.1_inf_heads.json")),
            Path::new("h/Llama-3.1_inf_heads.meta.json")
        );
        let scores = Path::new("x.meta.json.d/Llama-3.1_inf_heads.json");
        assert_eq!(scores_of(&path_of(scores)), scores);
    }
}
