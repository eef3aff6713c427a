//! Weights: `model.safetensors`, or shards with an index, from a folder or from memory; or GGUF.
//!
//! The file's length is checked against its header before any tensor is touched; tensors are read
//! one at a time, straight to the device that their layer is on, so that the host needs room for
//! two copies of one (as stored, and transposed) beside what it keeps. The processor keeps matrices
//! in the type that they were saved in ([`Compute::held`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::prelude::*;
use burn::tensor::{DType, Element};
use half::f16;
use sha2::{Digest, Sha256};

use super::config::ModelConfig;
use super::device::Compute;
use super::layout;
use super::numbers::{converted, first};
use super::shards::opened;
use super::transposed::transposed;
use super::weight_source::WeightSource;
use super::weights_file::{Values, WeightsFile};
use crate::error::{Error, Result};
use crate::gguf::{Place, ROPE_FACTORS};
use crate::system::digest::hex;

/// All tensors of a checkpoint, read one at a time.
pub struct Checkpoint {
    shards: Arc<Vec<WeightsFile>>,
    /// Tensors by the names that [`layout`] has for them.
    index: BTreeMap<String, Stored>,
    used: BTreeSet<String>,
    compute: Compute,
    /// Whether matrices may stay in the type that they were saved in.
    as_saved: bool,
    /// Of the model; known when the tensors have been checked.
    layers: usize,
    /// What tensor shapes are checked against, for messages.
    config_place: String,
    /// Whether it is a GGUF file, of which every tensor has to be understood.
    gguf: bool,
}

/// Where a tensor is.
#[derive(Debug, Clone)]
struct Stored {
    shard: usize,
    /// Its name there.
    name: String,
}

impl Checkpoint {
    /// Opens the checkpoint in `dir`; tensors will be made on the devices and in the type of
    /// `compute`.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file, and the tensor where there is one.
    /// Values are read, and those that are not finite refused, when a tensor is asked for.
    pub fn open(dir: &Path, compute: &Compute) -> Result<Self> {
        Self::new(opened(dir)?, compute, dir.join("config.json").display().to_string())
    }

    /// The same with all numbers in the type of `compute`, as training needs them.
    pub fn in_one_type(self) -> Self {
        Self { as_saved: false, ..self }
    }

    /// The same for a checkpoint at `place`.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn at(place: &Place, compute: &Compute) -> Result<Self> {
        match place {
            Place::Folder(dir) => Self::open(dir, compute),
            Place::Gguf(gguf) => {
                let place = format!("{}, read as config.json", gguf.path().display());
                let checkpoint = Self::new(WeightsFile::of_gguf(gguf)?, compute, place)?;
                Ok(Self { gguf: true, ..checkpoint })
            }
        }
    }

    /// A checkpoint that is part of the program.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn embedded(bytes: &'static [u8], name: &str, compute: &Compute) -> Result<Self> {
        let shard = WeightsFile::embedded(bytes, format!("{name}/model.safetensors"))?;
        Self::new(vec![shard], compute, format!("{name}/config.json"))
    }

    /// A checkpoint in memory, for models that are set by construction.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn in_memory(bytes: Vec<u8>, name: &str, compute: &Compute) -> Result<Self> {
        let shard = WeightsFile::in_memory(bytes, format!("{name}/model.safetensors"))?;
        Self::new(vec![shard], compute, format!("{name}/config.json"))
    }

    fn new(shards: Vec<WeightsFile>, compute: &Compute, config_place: String) -> Result<Self> {
        let names = || shards.iter().flat_map(|shard| shard.tensors.keys());
        // A decoder that was saved without its output layer (`AutoModel`) has names of its own.
        let bare = !names().any(|name| name.starts_with(layout::PREFIX));
        let mut index: BTreeMap<String, Stored> = BTreeMap::new();
        for (i, shard) in shards.iter().enumerate() {
            for name in shard.tensors.keys() {
                let known = match bare && !name.starts_with(layout::OUTPUT) {
                    true => format!("{}{name}", layout::PREFIX),
                    false => name.clone(),
                };
                if let Some(other) = index.insert(known, Stored { shard: i, name: name.clone() }) {
                    return Err(Error::model(format!("tensor {name} is stored twice"))
                        .at(format!("{} and {}", shards[other.shard].place, shard.place)));
                }
            }
        }
        let (shards, used) = (Arc::new(shards), BTreeSet::new());
        let compute = compute.clone();
        Ok(Self {
            shards,
            index,
            used,
            compute,
            as_saved: true,
            layers: 0,
            config_place,
            gguf: false,
        })
    }

    /// `config` with the output layer that the checkpoint really has, and what is odd about that.
    /// As in transformers 5: a model that says `tie_word_embeddings` and also holds an output layer
    /// has one of its own if the two differ; if it holds nothing but that, it is the embedding,
    /// too.
    ///
    /// # Errors
    /// [`Error::Model`] if the two have to be compared and cannot be read.
    pub fn output_layer(&mut self, config: ModelConfig) -> Result<(ModelConfig, Option<String>)> {
        let output = format!("{}.weight", layout::OUTPUT);
        if !config.tied {
            return Ok((config, None));
        }
        let [embedded, own] =
            [layout::EMBEDDING, &output].map(|name| self.index.get(name).cloned());
        match (embedded, own) {
            (None, Some(own)) => {
                self.index.remove(&output);
                self.index.insert(layout::EMBEDDING.to_owned(), own);
                Ok((config, None))
            }
            (Some(embedded), Some(own)) => {
                if self.values(&embedded)? == self.values(&own)? {
                    self.used.insert(output);
                    return Ok((config, None));
                }
                let warning = format!(
                    "tie_word_embeddings is true and the checkpoint has another output layer than \
                     its embedding: {} is used, as transformers 5 does; say \
                     \"tie_word_embeddings\": false in {}",
                    own.name, self.config_place
                );
                Ok((ModelConfig { tied: false, ..config }, Some(warning)))
            }
            (_, None) => Ok((config, None)),
        }
    }

    fn values(&self, stored: &Stored) -> Result<Values> {
        let shard = &self.shards[stored.shard];
        match shard.tensors.get(&stored.name) {
            Some(info) => shard.values(&stored.name, info),
            None => Err(Error::bug(format!("tensor {} has no header entry", stored.name))),
        }
    }

    /// Checks names and shapes of all tensors against `config` before any is read, and notes how
    /// many layers the devices share.
    ///
    /// # Errors
    /// [`Error::Model`] that lists what is missing, or names the first tensor of another shape and
    /// the keys of `config.json` that its shape should come from.
    pub fn check(&mut self, config: &ModelConfig) -> Result<()> {
        const LISTED: usize = 10;
        self.layers = config.layers;
        let expected = layout::tensors(config);
        let missing: Vec<&str> = expected
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !self.index.contains_key(*name))
            .collect();
        if !missing.is_empty() {
            let more = match missing.len().saturating_sub(LISTED) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            let listed = missing[..missing.len().min(LISTED)].join(", ");
            let present = match self.index.len() {
                0 => "no tensors".to_owned(),
                n => format!("{n} tensors, among them {}", self.some_names()),
            };
            return Err(Error::model(format!("the checkpoint lacks {} tensors", missing.len()))
                .at(self.place())
                .got(present)
                .expected(format!("also {listed}{more}, from {}", self.config_place))
                .advice(self.same_download(config)));
        }
        for (name, sizes) in expected {
            let Some((place, info)) = self.index.get(&name).and_then(|stored| {
                let shard = &self.shards[stored.shard];
                Some((&shard.place, shard.tensors.get(&stored.name)?))
            }) else {
                continue;
            };
            let shape: Vec<usize> = sizes.iter().map(|size| size.of(config)).collect();
            if info.shape != shape {
                let sources: Vec<String> = sizes.iter().map(|size| size.source(config)).collect();
                return Err(Error::model(format!("tensor {name} has another shape"))
                    .at(place)
                    .got(format!("{:?}", info.shape))
                    .expected(format!(
                        "{shape:?} from {}: {}",
                        self.config_place,
                        sources.join(", ")
                    ))
                    .advice(self.same_download(config)));
            }
        }
        Ok(())
    }

    /// Refuses tensors that no layer asked for, in a file whose format has no room for what does
    /// not matter.
    ///
    /// # Errors
    /// [`Error::Model`] naming the first.
    pub fn check_unused(&self) -> Result<()> {
        match self.unused().first().filter(|_| self.gguf) {
            None => Ok(()),
            Some(name) => Err(Error::model(format!("the model would need tensor {name}"))
                .at(self.place())
                .got(format!("{} tensors that are not understood", self.unused().len()))
                .expected("those of llama, qwen2 or qwen3 alone")
                .advice("a file of another conversion, or the checkpoint's folder")),
        }
    }

    /// What computes the SHA-256 over all files in order, hexadecimal; on another thread, if
    /// wanted. Of no use once `stop` is true, and soon over.
    pub fn hasher<'a>(
        &self,
        stop: &'a AtomicBool,
    ) -> impl FnOnce() -> Result<String> + Send + use<'a> {
        let shards = self.shards.clone();
        move || {
            let mut hash = Sha256::new();
            shards.iter().try_for_each(|shard| shard.hash_into(&mut hash, stop))?;
            Ok(hex(&hash.finalize()))
        }
    }

    /// Names of the tensors that no layer asked for.
    pub fn unused(&self) -> Vec<&str> {
        // The factors are read with the configuration.
        let known = |name: &str| name.ends_with("rotary_emb.inv_freq") || name == ROPE_FACTORS;
        let unused = self.index.iter().filter(|(known, _)| !self.used.contains(*known));
        unused.map(|(_, stored)| stored.name.as_str()).filter(|name| !known(name)).collect()
    }

    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        transpose: bool,
    ) -> Result<TensorData> {
        let Some(stored) = self.index.get(name) else {
            return Err(
                Error::model(format!("the checkpoint lacks tensor {name}")).at(self.place())
            );
        };
        let shard = &self.shards[stored.shard];
        let Some(info) = shard.tensors.get(&stored.name) else {
            return Err(Error::bug(format!("tensor {name} has no header entry")));
        };
        if info.shape != shape {
            return Err(Error::model(format!("tensor {name} has another shape"))
                .at(&shard.place)
                .got(format!("{:?}", info.shape))
                .expected(format!("{shape:?}")));
        }
        self.used.insert(name.to_owned());
        match shard.values(name, info)? {
            Values::F32(values) => self.data(name, &shard.place, values, shape, transpose),
            Values::F16(values) => self.data(name, &shard.place, values, shape, transpose),
            Values::Bf16(values) => self.data(name, &shard.place, values, shape, transpose),
        }
    }

    /// The tensor `name` of `values` that were read at `place`.
    fn data<T: Element + Into<f32>, const D: usize>(
        &self,
        name: &str,
        place: &str,
        values: Vec<T>,
        shape: [usize; D],
        transpose: bool,
    ) -> Result<TensorData> {
        let wrong = |what: &str, at: usize| {
            Error::model(format!("tensor {name} holds a number that {what}"))
                .at(place)
                .got(format!("{} at element {at} of {}", values[at], values.len()))
        };
        // Attention over a chunk may drop a score that is NaN instead of handing it on, so damage
        // in queries and keys need not reach the logits: it has to be found here.
        if let Some(at) = first(&values, |v| !v.is_finite()) {
            return Err(wrong("is not finite", at)
                .expected("finite numbers")
                .advice("the weights are damaged; download them again"));
        }
        const MOST: f32 = f16::MAX.to_f32_const();
        let narrow = [Some(self.compute.dtype), self.compute.weights].contains(&Some(DType::F16));
        if narrow && let Some(at) = first(&values, |v| v.abs() > MOST) {
            return Err(wrong("f16 cannot hold", at)
                .expected(format!("at most {MOST}"))
                .advice("--dtype (of a GPU) or --weights (of the CPU): bf16 or f32"));
        }
        Ok(match transpose && D == 2 {
            true => {
                let values = transposed(&values, shape[0], shape[1]);
                TensorData::new(values, vec![shape[1], shape[0]])
            }
            false => TensorData::new(values, shape.to_vec()),
        })
    }

    /// The tensor `name` on the device of its layer, in the type `dtype`.
    fn make<const D: usize>(&self, name: &str, data: TensorData, dtype: DType) -> Tensor<D> {
        let device = match layer_of(name) {
            Some(layer) => self.compute.layer_device(layer, self.layers),
            None if name == layout::EMBEDDING => &self.compute.device,
            None => self.compute.last_device(),
        };
        Tensor::from_data(converted(data, dtype), (device, dtype))
    }

    /// What to do where names or shapes do not suit `config`.
    fn same_download(&self, config: &ModelConfig) -> String {
        if self.gguf {
            return "download the file again, or one of another conversion".to_owned();
        }
        let advice = "take config.json and all weights from the same download";
        match config.assumed.is_empty() {
            true => advice.to_owned(),
            false => format!(
                "{advice}; it does not say {}, which transformers assumes",
                config.assumed.join(", ")
            ),
        }
    }

    fn place(&self) -> String {
        match self.shards.len() {
            1 => self.shards[0].place.clone(),
            n => format!("{n} shards beside {}", self.config_place),
        }
    }

    fn some_names(&self) -> String {
        let names = self.index.values().take(3).map(|stored| stored.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    }
}

impl WeightSource for Checkpoint {
    fn matrix(&mut self, name: &str, shape: [usize; 2], transpose: bool) -> Result<Tensor<2>> {
        let data = self.tensor(name, shape, transpose)?;
        let dtype = match self.as_saved {
            true => self.compute.held(data.dtype()),
            false => self.compute.dtype,
        };
        Ok(self.make(name, data, dtype))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Tensor<1>> {
        let data = self.tensor(name, [len], false)?;
        Ok(self.make(name, data, self.compute.dtype))
    }
}

/// The layer of a weight of a layer.
fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("model.layers.")?.split('.').next()?.parse().ok()
}
