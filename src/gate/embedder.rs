//! [`Embedder`]: texts as vectors of length 1, by a BERT as ONNX (fastembed, ONNX Runtime).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fastembed::{
    InitOptionsUserDefined, Pooling, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel,
};

use super::model_folder::ModelFolder;
use super::runtime::Runtime;
use super::semantic::MAX_TOKENS;
use crate::error::{Error, Result};
use crate::system::panics::caught;

/// Threads that wait for work must not take the processor from the language model.
const NO_SPINNING: (&str, &str) = ("session.intra_op.allow_spinning", "0");

/// An embedding model that is loaded.
pub(super) struct Embedder {
    model: TextEmbedding,
    dir: PathBuf,
    /// Gold answers, which are compared with again and again.
    known: HashMap<String, Vec<f32>>,
}

impl Embedder {
    /// Loads the model of `folder`, and tries it: a model that cannot embed is told at once.
    ///
    /// # Errors
    /// [`Error::Model`] for a graph that ONNX Runtime refuses, a tokenizer that cannot be read, and
    /// as [`Self::embed`].
    pub fn load(runtime: &Runtime, folder: ModelFolder) -> Result<Self> {
        let ModelFolder { dir, onnx, tokenizer } = folder;
        let [config, tokenizer, special_tokens_map, tokenizer_config] = tokenizer;
        let files = TokenizerFiles {
            tokenizer_file: tokenizer,
            config_file: config,
            special_tokens_map_file: special_tokens_map,
            tokenizer_config_file: tokenizer_config,
        };
        let model = UserDefinedEmbeddingModel::new(onnx, files).with_pooling(Pooling::Mean);
        let options = InitOptionsUserDefined::new()
            .with_environment(runtime.environment.clone())
            .with_max_length(MAX_TOKENS)
            .with_intra_threads(rayon::current_num_threads())
            .with_session_config(NO_SPINNING.0, NO_SPINNING.1);
        // What a library makes of files that it did not expect is up to it.
        caught(|| {
            let model = TextEmbedding::try_new_from_user_defined(model, options)
                .map_err(|e| refused(&dir, e))?;
            let mut embedder = Self { model, dir: dir.clone(), known: HashMap::new() };
            embedder.embed("headprof")?;
            Ok(embedder)
        })
        .unwrap_or_else(|panic| Err(refused(&dir, panic)))
    }

    /// The cosine of the angle between the vectors of two texts, -1 to 1; 0 if one of them has
    /// length 0. `gold` is embedded once.
    ///
    /// # Errors
    /// As [`Self::embed`].
    pub fn cosine(&mut self, answer: &str, gold: &str) -> Result<f64> {
        if !self.known.contains_key(gold) {
            let vector = self.embed(gold)?;
            self.known.insert(gold.to_owned(), vector);
        }
        let answer = self.embed(answer)?;
        Ok(cosine(&answer, &self.known[gold]))
    }

    /// The vector of a text: the mean over its tokens, divided by its length. Alone, without a
    /// batch, so that it does not depend on other texts.
    ///
    /// # Errors
    /// [`Error::Model`] where the model fails or computes numbers that are not finite.
    fn embed(&mut self, text: &str) -> Result<Vec<f32>> {
        let Self { model, dir, .. } = self;
        let vectors = caught(|| model.embed([text], None)).map_err(|panic| refused(dir, panic))?;
        let vectors = vectors.map_err(|e| refused(dir, e))?;
        let vector = vectors.into_iter().next().unwrap_or_default();
        match vector.is_empty() || vector.iter().any(|x| !x.is_finite()) {
            false => Ok(vector),
            true => Err(refused(dir, "numbers that are not finite, or none")),
        }
    }
}

/// Of vectors of one length, in f64; rounding does not lead out of -1 to 1.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { (dot(a, b) / lengths).clamp(-1.0, 1.0) } else { 0.0 }
}

fn refused(dir: &Path, why: impl ToString) -> Error {
    Error::model("the embedding model of --gate semantic does not work")
        .at(dir.display())
        .got(why.to_string().trim())
        .expected(
            "a BERT that computes sentence embeddings: inputs input_ids, attention_mask and perhaps \
             token_type_ids, output last_hidden_state",
        )
        .advice("the default --gate-model, or another folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_by_hand() {
        // 3·4 + 4·3 = 24 of 5·5.
        assert_eq!(cosine(&[3.0, 4.0], &[4.0, 3.0]), 0.96);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), 0.0);
        assert_eq!(cosine(&[1.0, 2.0], &[-2.0, -4.0]), -1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
        let v = [0.1_f32, 0.7, 0.3];
        assert_eq!(cosine(&v, &v), 1.0);
    }
}
