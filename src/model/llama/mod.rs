//! [`Llama`]: a decoder with its tokenizer's ids in, logits and attention rows out.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::prelude::*;
use burn::tensor::DType;

use super::checkpoint::Checkpoint;
use super::config::ModelConfig;
use super::decoder::Decoder;
use super::device::Compute;
#[cfg(feature = "kernels")]
use super::kernels;
use super::kv_cache::KvCache;
use super::packed::{NoRows, PackedSequence, RowSink};
use super::read_back;
use super::rope::Rope;
use super::weight_source::WeightSource;
use crate::error::{Error, Result};
use crate::gguf::Place;

/// Positions whose logits [`Llama::each_logits`] holds at a time.
const LOGITS_AT_ONCE: usize = 64;

/// A decoder of the Llama family, ready to run.
pub struct Llama {
    decoder: Decoder,
    config: ModelConfig,
    rope: Rope,
    compute: Compute,
    sha256: String,
    warnings: Vec<String>,
}

impl Llama {
    /// Loads the Hugging Face checkpoint in `dir`.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file and the key or tensor.
    pub fn from_dir(dir: &Path, compute: &Compute) -> Result<Self> {
        let config = ModelConfig::from_dir(dir)?;
        let checkpoint = Checkpoint::open(dir, compute)?;
        Self::new(config, checkpoint, compute)
    }

    /// Loads the checkpoint at `place`.
    ///
    /// # Errors
    /// As [`Llama::from_dir`].
    pub fn at(place: &Place, compute: &Compute) -> Result<Self> {
        Self::new(ModelConfig::at(place)?, Checkpoint::at(place, compute)?, compute)
    }

    /// Builds the model of `config` from `checkpoint`.
    ///
    /// # Errors
    /// [`Error::Model`] if tensors are missing or one has another shape.
    pub fn new(config: ModelConfig, mut checkpoint: Checkpoint, compute: &Compute) -> Result<Self> {
        let (config, oddity) = checkpoint.output_layer(config)?;
        checkpoint.check(&config)?;
        #[cfg(feature = "kernels")]
        if compute.devices().any(kernels::run_on) {
            kernels::check_heads(config.head_dim)?;
        }
        let stop = AtomicBool::new(false);
        let hash = checkpoint.hasher(&stop);
        let (decoder, sha256) = std::thread::scope(|scope| {
            let hash = scope.spawn(hash);
            let decoder = Decoder::new(&config, &mut checkpoint);
            stop.store(decoder.is_err(), Ordering::Relaxed);
            (decoder, hash.join())
        });
        let (decoder, sha256) = (decoder?, sha256.map_err(|_| Error::bug("hashing failed"))??);
        checkpoint.check_unused()?;
        let unused = checkpoint.unused();
        let mut warnings: Vec<String> = oddity.into_iter().collect();
        if !unused.is_empty() {
            let (n, names) = (unused.len(), unused[..unused.len().min(4)].join(", "));
            warnings.push(format!(
                "the checkpoint holds {n} tensors that the model does not use: {names}"
            ));
        }
        Ok(Self {
            decoder,
            rope: Rope::new(&config.rope, config.head_dim),
            config,
            compute: compute.clone(),
            sha256,
            warnings,
        })
    }

    /// The model of `config` with weights that no file has.
    ///
    /// # Errors
    /// As [`Decoder::new`].
    pub(super) fn of_source(
        config: ModelConfig,
        source: &mut dyn WeightSource,
        compute: &Compute,
    ) -> Result<Self> {
        Ok(Self {
            decoder: Decoder::new(&config, source)?,
            rope: Rope::new(&config.rope, config.head_dim),
            config,
            compute: compute.clone(),
            sha256: String::new(),
            warnings: Vec::new(),
        })
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The device it runs on.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    pub(super) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    pub(super) fn rope(&self) -> &Rope {
        &self.rope
    }

    /// SHA-256 of the weights' files.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What was odd about the checkpoint, but harmless.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// An empty cache with room for `capacity` tokens.
    pub fn new_cache(&self, capacity: usize) -> KvCache {
        KvCache::new(&self.config, capacity, &self.compute)
    }

    /// Runs `ids` after what `cache` holds, `chunk` tokens at a time, and returns the logits,
    /// `[V]`, after the last. The rows of the last `captured` tokens of `ids` go to `sink`.
    ///
    /// # Errors
    /// [`Error::Bug`] if `ids` is empty or does not fit the cache, [`Error::Model`] for ids beyond
    /// the vocabulary and for logits that are not finite, the first error of `sink`.
    pub fn run(
        &self,
        ids: &[u32],
        cache: &mut KvCache,
        chunk: usize,
        captured: usize,
        sink: &mut dyn RowSink,
    ) -> Result<Vec<f32>> {
        let before = cache.len();
        let logits =
            self.hidden(ids, cache, chunk, captured, sink).and_then(|hidden| self.logits(hidden));
        self.finite(logits, ids, cache, before, chunk)
    }

    /// `logits`, or an error that says where numbers first stop being finite: `cache` held `before`
    /// tokens when `ids` were run, `chunk` at a time.
    pub(super) fn finite(
        &self,
        logits: Result<Vec<f32>>,
        ids: &[u32],
        cache: &KvCache,
        before: usize,
        chunk: usize,
    ) -> Result<Vec<f32>> {
        match logits {
            Ok(logits) if logits.iter().all(|l| l.is_finite()) => Ok(logits),
            Ok(_) => Err(not_finite(self.first_not_finite(ids, cache, before, chunk))),
            // A sink may see the same damage first, one layer after it arose.
            Err(e @ Error::Model(_)) => {
                let place = self.first_not_finite(ids, cache, before, chunk);
                Err(place.map_or(e, |place| not_finite(Some(place))))
            }
            Err(e) => Err(e),
        }
    }

    /// Calls `visit(i, logits)` with the logits, `[V]`, after every one of `ids`, run `chunk` at a
    /// time.
    ///
    /// # Errors
    /// As [`Llama::run`], and the first error of `visit`. Logits that are not finite are handed on.
    pub fn each_logits(
        &self,
        ids: &[u32],
        chunk: usize,
        visit: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let mut cache = self.new_cache(ids.len());
        self.check_ids(ids, &cache)?;
        let mut position = 0;
        for part in self.parts(ids, chunk) {
            let hidden = self.followed(part, &mut cache, &mut |_, _| Ok(()))?;
            self.visit_logits(hidden, position, visit)?;
            position += part.len();
        }
        Ok(())
    }

    /// Runs all `sequences` in one pass and calls `visit(row, logits)` with the logits, `[V]`,
    /// after each of the tokens that are followed, one sequence behind the other.
    ///
    /// # Errors
    /// The first error of a sink or of `visit`. Logits that are not finite are handed on.
    pub(crate) fn each_followed(
        &self,
        sequences: &mut [PackedSequence],
        visit: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let hidden = self.run_packed(sequences, &mut |_, _| Ok(()))?;
        self.visit_logits(hidden, 0, visit)
    }

    /// Calls `visit(from + i, logits)` for the hidden states, `[n, hidden]`, one after the other.
    fn visit_logits(
        &self,
        hidden: Tensor<2>,
        from: usize,
        visit: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let mut row = from;
        // A few at a time: the logits of a whole chunk are gigabytes for large vocabularies.
        for some in hidden.split(LOGITS_AT_ONCE, 0) {
            for logits in self.logits(some)?.chunks(self.config.vocab) {
                visit(row, logits)?;
                row += 1;
            }
        }
        Ok(())
    }

    /// Hidden state, `[1, hidden]`, of the last of `ids`.
    fn hidden(
        &self,
        ids: &[u32],
        cache: &mut KvCache,
        chunk: usize,
        captured: usize,
        sink: &mut dyn RowSink,
    ) -> Result<Tensor<2>> {
        self.check_ids(ids, cache)?;
        let end = cache.len() + ids.len();
        let mut last = None;
        for ids in self.parts_with_end(ids, chunk, captured.min(ids.len())) {
            let captured = if cache.len() + ids.len() == end { captured } else { 0 };
            let mut sequence =
                [PackedSequence { ids, cache, followed: 1, captured, sink, ablation: None }];
            last = Some(self.run_packed(&mut sequence, &mut |_, _| Ok(()))?);
        }
        let last = last.ok_or_else(|| Error::bug("no tokens were run"))?;
        let n = last.dims()[0];
        Ok(last.narrow(0, n - 1, 1))
    }

    /// One pass over `ids`, all followed to the end: hidden states, `[n, hidden]`.
    pub(super) fn followed(
        &self,
        ids: &[u32],
        cache: &mut KvCache,
        after: &mut dyn FnMut(usize, &Tensor<2>) -> Result<()>,
    ) -> Result<Tensor<2>> {
        let sink = &mut NoRows;
        self.run_packed(
            &mut [PackedSequence {
                ids,
                cache,
                followed: ids.len(),
                captured: 0,
                sink,
                ablation: None,
            }],
            after,
        )
    }

    /// Whether `ids` can be run after what `cache` holds.
    pub(crate) fn check_ids(&self, ids: &[u32], cache: &KvCache) -> Result<()> {
        if ids.is_empty() || cache.len() + ids.len() > cache.capacity() {
            return Err(Error::bug("tokens do not fit the cache")
                .got(format!("{} + {} tokens", cache.len(), ids.len()))
                .expected(format!("1 to {} in all", cache.capacity())));
        }
        self.check_vocabulary(ids)
    }

    /// Whether the model has embeddings for all of `ids`.
    pub(super) fn check_vocabulary(&self, ids: &[u32]) -> Result<()> {
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.config.vocab) {
            return Err(Error::model("a token id lies beyond the model's vocabulary")
                .got(id)
                .expected(format!("below vocab_size = {}", self.config.vocab))
                .advice("use the tokenizer that belongs to this checkpoint"));
        }
        Ok(())
    }

    /// Logits, `[n * V]`, of hidden states, `[n, hidden]`, on the host.
    pub(super) fn logits(&self, hidden: Tensor<2>) -> Result<Vec<f32>> {
        let logits = self.decoder.logits(hidden).cast(DType::F32);
        logits.try_into_vec_as().map_err(|e| {
            Error::resources("the device failed while computing logits")
                .at(&self.compute.name)
                .got(read_back::reason(&e))
                .advice("use shorter contexts or --device cpu")
        })
    }

    /// Where numbers first stop being finite, found by running `ids` again on a fork of `cache`
    /// that holds its first `before` tokens. `None` if that does not happen before the final norm.
    pub(crate) fn first_not_finite(
        &self,
        ids: &[u32],
        cache: &KvCache,
        before: usize,
        chunk: usize,
    ) -> Option<String> {
        let finite = |x: Tensor<2>| x.is_finite().all().try_into_scalar::<bool>().unwrap_or(true);
        let mut cache = cache.clone();
        cache.rewind(before);
        self.check_ids(ids, &cache).ok()?;
        let mut place = None;
        for part in self.parts(ids, chunk) {
            if !finite(self.decoder.embed(self.tokens(part))) {
                return Some("model.embed_tokens".to_owned());
            }
            let mut after = |layer: usize, x: &Tensor<2>| {
                if finite(x.clone()) {
                    return Ok(());
                }
                place = Some(format!("model.layers.{layer}"));
                Err(Error::model("not finite"))
            };
            if self.followed(part, &mut cache, &mut after).is_err() {
                break;
            }
        }
        place
    }
}

/// The error for damaged weights, which show at `place`, or only after the last layer.
pub(crate) fn not_finite(place: Option<String>) -> Error {
    Error::model("the model computes numbers that are not finite")
        .at(place.unwrap_or_else(|| "model.norm or lm_head".to_owned()))
        .got("NaN or infinity")
        .expected("finite numbers")
        .advice("the weights are damaged or overflow in this dtype; download them again")
}

#[cfg(test)]
mod tests;
