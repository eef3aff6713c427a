//! The gate `semantic`: the cosine of the sentence embeddings of answer and gold answer, as the gate
//! of DiliLazyKV (all-MiniLM-L6-v2, above 0.2).
//!
//! ```text
//! answer, gold ─► tokenizer ─► BERT (ONNX Runtime) ─► mean over the tokens ─► length 1 ─► cosine
//! ```
//!
//! It sees what a text is about, not whether it is right: `docs/gates.md` says what 0.2 lets
//! through. The language model's weights are read after the embedding model is loaded and tried.

use std::path::PathBuf;

use serde::Serialize;

use super::AnswerGate;
use super::onnxruntime::RuntimePlaces;
use crate::error::{Error, Result};
use crate::hub::{HubModel, Origin};

#[cfg(feature = "semantic")]
use super::{Expected, embedder::Embedder, model_folder::ModelFolder, runtime};
#[cfg(feature = "semantic")]
use crate::hub::{self, Snapshot};
#[cfg(feature = "semantic")]
use std::sync::{Mutex, PoisonError};

/// all-MiniLM-L6-v2 as ONNX, as fastembed has it.
pub const DEFAULT_MODEL: &str = "Qdrant/all-MiniLM-L6-v2-onnx";

/// The published threshold.
pub const DEFAULT_THRESHOLD: f64 = 0.2;

/// Below this threshold the user is warned: a wrong answer on the right topic had 0.507.
pub const WARN_BELOW: f64 = 0.6;

/// What longer texts are cut to, in tokens of the embedding model, its two special tokens included;
/// as sentence-transformers cuts them for all-MiniLM-L6-v2.
pub const MAX_TOKENS: usize = 256;

/// Where the embedding model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbeddingSource {
    /// In a folder.
    Dir(PathBuf),
    /// On the Hugging Face hub.
    Hub(HubModel),
}

/// What the gate is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SemanticConfig {
    /// The embedding model.
    pub model: EmbeddingSource,
    /// Where ONNX Runtime may be.
    pub runtime: RuntimePlaces,
    /// Whether answers are judged; else it is only checked that they could be, and no weights are
    /// downloaded or loaded.
    pub weights: bool,
}

/// Which embeddings are compared, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EmbeddingIdentity {
    model: EmbeddingModelIdentity,
    onnxruntime: RuntimeIdentity,
}

/// Which model computes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct EmbeddingModelIdentity {
    /// `None` for one of the hub, which is the same in every cache.
    dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hub: Option<Origin>,
    /// Of the ONNX file.
    sha256: String,
}

/// Which library computes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RuntimeIdentity {
    /// Two parts, such as 1.31; `None` if it does not say.
    pub version: Option<String>,
    /// What it says of its build: commit, type.
    pub build: String,
    /// The file, or the name that the system found it by.
    pub library: String,
}

/// Whether this build has the gate.
///
/// # Errors
/// [`Error::Usage`] if not.
pub fn supported() -> Result<()> {
    match cfg!(feature = "semantic") {
        true => Ok(()),
        false => Err(Error::usage("this headprof was built without sentence embeddings")
            .at("--gate")
            .got("semantic")
            .expected("rouge, f1, exact, label or none")
            .advice("another gate, or build with the cargo feature semantic")),
    }
}

/// The gate, with its model unless it is only checked.
#[cfg(feature = "semantic")]
struct SemanticGate {
    threshold: f64,
    /// Behind a lock, since it changes while it computes, and remembers gold answers.
    loaded: Option<(Mutex<Embedder>, EmbeddingIdentity)>,
}

/// Loads ONNX Runtime, then the embedding model.
///
/// # Errors
/// [`Error::Model`] for a library or a model that cannot be found or used, and as
/// [`crate::hub::fetch`]; [`Error::Usage`] in builds without the feature `semantic`.
#[cfg(feature = "semantic")]
pub(super) fn open(config: &SemanticConfig, threshold: f64) -> Result<Box<dyn AnswerGate>> {
    use sha2::{Digest, Sha256};

    let runtime = runtime::load(&config.runtime)?;
    let (dir, hub) = match &config.model {
        EmbeddingSource::Dir(dir) => (dir.clone(), None),
        EmbeddingSource::Hub(model) => {
            let model = HubModel { weights: config.weights, ..model.clone() };
            let Snapshot { dir, origin } = hub::fetch(&model)?;
            (dir, Some(origin))
        }
    };
    if !config.weights {
        ModelFolder::check(&dir, hub.is_none())?;
        return Ok(Box::new(SemanticGate { threshold, loaded: None }));
    }
    let folder = ModelFolder::read(&dir)?;
    let full = dir.canonicalize().unwrap_or(dir);
    let model = EmbeddingModelIdentity {
        dir: hub.is_none().then(|| full.display().to_string()),
        hub,
        sha256: format!("{:x}", Sha256::digest(&folder.onnx)),
    };
    let embedder = Mutex::new(Embedder::load(&runtime, folder)?);
    let identity = EmbeddingIdentity { model, onnxruntime: runtime.identity };
    Ok(Box::new(SemanticGate { threshold, loaded: Some((embedder, identity)) }))
}

/// This build has no embeddings.
///
/// # Errors
/// Always, as [`supported`].
#[cfg(not(feature = "semantic"))]
pub(super) fn open(_: &SemanticConfig, _: f64) -> Result<Box<dyn AnswerGate>> {
    supported()?;
    Err(Error::bug("a gate that is not built in was asked for"))
}

#[cfg(feature = "semantic")]
impl AnswerGate for SemanticGate {
    fn name(&self) -> &str {
        super::GateKind::Semantic.name()
    }

    fn threshold(&self) -> f64 {
        self.threshold
    }

    fn check(&self, expected: &Expected) -> Result<()> {
        match expected.gold.trim().is_empty() {
            false => Ok(()),
            true => Err(Error::data("the gate \"semantic\" has no gold answer to compare with")
                .got(format!("{:?}", expected.gold))
                .expected("a text")
                .advice("choose --gate none, or change the answer that is expected")),
        }
    }

    fn value(&self, answer: &str, expected: &Expected) -> Result<f64> {
        self.check(expected)?;
        if answer.trim().is_empty() {
            return Ok(0.0);
        }
        let (embedder, _) = self
            .loaded
            .as_ref()
            .ok_or_else(|| Error::bug("an answer is judged by a gate that was only checked"))?;
        // A panic in it leaves nothing half changed but the library's own state.
        embedder.lock().unwrap_or_else(PoisonError::into_inner).cosine(answer, expected.gold)
    }

    fn passes(&self, value: f64) -> bool {
        value > self.threshold
    }

    fn embedding(&self) -> Option<&EmbeddingIdentity> {
        self.loaded.as_ref().map(|(_, identity)| identity)
    }
}
