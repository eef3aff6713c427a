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

/// What a sidecar says of every head: mean over the accepted probes, its standard error and 95 %
/// interval, and in which share of the resamples it is among the ten best, each `[L][H]`; only
/// means where there is a single probe.
#[derive(Debug, Serialize)]
pub struct HeadsMeta {
    mean: Vec<Vec<f32>>,
    std_error: Option<Vec<Vec<f32>>>,
    low_95: Option<Vec<Vec<f32>>>,
    high_95: Option<Vec<Vec<f32>>>,
    top_probability: Option<Vec<Vec<f32>>>,
    /// Of which kind they are, where that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<HeadTypes>,
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
    }
}
