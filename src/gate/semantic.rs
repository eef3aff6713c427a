//! The gate `semantic`: the cosine of the sentence embeddings of answer and gold answer, as the
//! gate of DiliLazyKV (all-MiniLM-L6-v2, above 0.2).
//!
//! ```text
//! answer, gold ─► tokenizer ─► BERT (ONNX Runtime) ─► mean over the tokens ─► length 1 ─► cosine
//! ```
//!
//! It sees what a text is about, not whether it is right: `docs/gates.md` says what 0.2 lets
//! through. The language model's weights are read after the embedding model is loaded and tried.

use std::path::PathBuf;

use serde::Serialize;

use super::onnxruntime::RuntimePlaces;
use crate::error::{Error, Result};
use crate::hub::{HubModel, Origin};

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
    pub(super) model: EmbeddingModelIdentity,
    pub(super) onnxruntime: RuntimeIdentity,
}

/// Which model computes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct EmbeddingModelIdentity {
    /// `None` for one of the hub, which is the same in every cache.
    pub dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<Origin>,
    /// Of the ONNX file.
    pub sha256: String,
    /// Of the files of configuration and tokenizer beside it, one behind the other.
    pub tokenizer_sha256: String,
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
