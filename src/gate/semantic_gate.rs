//! [`SemanticGate`]: compares embeddings of answer and gold answer, with the model that a
//! [`SemanticConfig`] names.

use std::sync::{Mutex, PoisonError};

use super::embedder::Embedder;
use super::model_folder::ModelFolder;
use super::semantic::{EmbeddingIdentity, EmbeddingModelIdentity, EmbeddingSource, SemanticConfig};
use super::{AnswerGate, Expected, GateKind, runtime};
use crate::error::{Error, Result};
use crate::hub::{self, HubModel, Snapshot};
use crate::system::digest::sha256;

/// The gate, with its model unless it is only checked.
struct SemanticGate {
    threshold: f64,
    /// Behind a lock, since it changes while it computes, and remembers gold answers.
    loaded: Option<(Mutex<Embedder>, EmbeddingIdentity)>,
}

/// Loads ONNX Runtime, then the embedding model.
///
/// # Errors
/// [`Error::Model`] for a library or a model that cannot be found or used, and as
/// [`crate::hub::fetch`].
pub(super) fn open(config: &SemanticConfig, threshold: f64) -> Result<Box<dyn AnswerGate>> {
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
        sha256: sha256(&folder.onnx),
        tokenizer_sha256: sha256(folder.tokenizer.concat()),
    };
    let embedder = Mutex::new(Embedder::load(&runtime, folder)?);
    let identity = EmbeddingIdentity { model, onnxruntime: runtime.identity };
    Ok(Box::new(SemanticGate { threshold, loaded: Some((embedder, identity)) }))
}

impl AnswerGate for SemanticGate {
    fn name(&self) -> &str {
        GateKind::Semantic.name()
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
