//! `config.json` of a Hugging Face checkpoint → [`ModelConfig`], or a refusal that names the key.
//!
//! Both dialects are read: `rope_theta` + `rope_scaling` (transformers 4) and `rope_parameters`
//! (transformers 5). Whatever would change the arithmetic and is not implemented is an error;
//! nothing that matters is silently ignored.

use std::cell::RefCell;
use std::path::Path;

use burn::tensor::DType;
use serde_json::Value;

use super::shards;
use crate::error::{Error, Result};
use crate::gguf::Place;
use crate::heads::{CacheHeads, Granularity};
use crate::system::text::without_bom;

mod family;
mod gguf;
mod keys;
mod rope;
mod window;

pub use family::Family;
use keys::Keys;
pub use rope::{RopeConfig, RopeScaling};

/// The shape of a decoder. Validated: sizes positive and bounded, `heads % kv_heads == 0`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Family, from `model_type`.
    pub family: Family,
    /// Number of layers, `L`.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Query heads per layer, `H`.
    pub heads: usize,
    /// Key/value heads per layer, `G`.
    pub kv_heads: usize,
    /// Head dimension, `D`.
    pub head_dim: usize,
    /// Rows of the embedding.
    pub vocab: usize,
    /// ε of the RMS norms.
    pub rms_eps: f64,
    /// Rotary embedding.
    pub rope: RopeConfig,
    /// Biases on query, key and value projections.
    pub qkv_bias: bool,
    /// Bias on the output projection.
    pub output_bias: bool,
    /// Biases in the feed-forward layer.
    pub mlp_bias: bool,
    /// RMS norm on each query and key head.
    pub qk_norm: bool,
    /// The output layer shares the embedding's weights.
    pub tied: bool,
    /// Per layer: how many keys back a query sees (`None` = all).
    pub sliding_window: Vec<Option<usize>>,
    /// Longest context the model was made for, in tokens.
    pub max_positions: usize,
    /// End-of-sequence ids, from `generation_config.json` where there is one.
    pub eos: Vec<u32>,
    /// The widest type that its matrices were saved in; where they are not here, or cannot be read,
    /// the one that `config.json` says, or f32.
    pub saved: DType,
    /// Keys that `config.json` does not have, with what transformers takes them to be in models of
    /// this family: `num_key_value_heads = 8`.
    pub assumed: Vec<String>,
}

/// Upper bound of any one dimension; far above every real model, far below an overflow.
const MAX_DIMENSION: u64 = 1 << 24;
const MAX_LAYERS: u64 = 4096;

impl ModelConfig {
    /// Whose caches there are: of `granularity`.
    pub fn cache_heads(&self, granularity: Granularity) -> CacheHeads {
        CacheHeads { layers: self.layers, heads: self.heads, kv_heads: self.kv_heads, granularity }
    }

    /// Reads `config.json` and, if present, `generation_config.json` of a checkpoint folder.
    ///
    /// # Errors
    /// [`Error::Model`] naming file and key.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let read = |path: &Path| {
            std::fs::read(path).map_err(|e| {
                Error::model("the checkpoint's configuration cannot be read")
                    .at(path.display())
                    .got(e)
                    .expected("a Hugging Face config.json")
                    .advice("name the folder that holds config.json and model.safetensors")
            })
        };
        let generation = dir.join("generation_config.json");
        let generation = if generation.exists() { Some(read(&generation)?) } else { None };
        let config =
            Self::parse(&read(&path)?, generation.as_deref(), &path.display().to_string())?;
        Ok(Self { saved: shards::saved_type(dir).unwrap_or(config.saved), ..config })
    }

    /// Reads what the checkpoint at `place` says.
    ///
    /// # Errors
    /// [`Error::Model`] naming file and key.
    pub fn at(place: &Place) -> Result<Self> {
        match place {
            Place::Folder(dir) => Self::from_dir(dir),
            Place::Gguf(gguf) => Self::of_gguf(gguf),
        }
    }

    /// Parses the two files' bytes; `place` is how errors call `config.json`.
    ///
    /// # Errors
    /// [`Error::Model`] naming the key.
    pub fn parse(config: &[u8], generation: Option<&[u8]>, place: &str) -> Result<Self> {
        let root: Value = serde_json::from_slice(without_bom(config))
            .map_err(|e| Error::model("config.json is not JSON").at(place).got(e))?;
        let Value::Object(root) = root else {
            return Err(Error::model("config.json is not a JSON object").at(place));
        };
        let keys = Keys { map: &root, place };
        let family = keys.family()?;
        let defaults = family.defaults();
        let assumed = RefCell::new(Vec::new());
        // Of a key that is absent, not null, the family's own default applies.
        let absent = |key: &str| !root.contains_key(key);
        let size = |key: &str, default: usize, limit| {
            if absent(key) {
                assumed.borrow_mut().push(format!("{key} = {default}"));
            }
            keys.size(key, Some(default), limit)
        };
        let dimension = |key: &str, default| size(key, default, MAX_DIMENSION);
        let layers = size("num_hidden_layers", defaults.layers, MAX_LAYERS)?;
        let hidden = dimension("hidden_size", defaults.hidden)?;
        let heads = dimension("num_attention_heads", defaults.heads)?;
        let kv_heads = match defaults.kv_heads.filter(|_| absent("num_key_value_heads")) {
            Some(kv_heads) => dimension("num_key_value_heads", kv_heads)?,
            None => keys.size("num_key_value_heads", Some(heads), MAX_DIMENSION)?,
        };
        if heads % kv_heads != 0 {
            return Err(Error::model("query heads cannot be shared evenly by key/value heads")
                .at(keys.at("num_key_value_heads"))
                .got(kv_heads)
                .expected(format!("a divisor of num_attention_heads = {heads}")));
        }
        let dim_default = defaults.head_dim.filter(|_| absent("head_dim"));
        let head_dim = match (keys.get("head_dim"), dim_default) {
            (Some(_), _) => keys.size("head_dim", None, MAX_DIMENSION)?,
            (None, Some(dim)) => dimension("head_dim", dim)?,
            (None, None) if hidden % heads == 0 => hidden / heads,
            (None, None) => {
                return Err(Error::model("the head dimension is not a whole number")
                    .at(keys.at("hidden_size"))
                    .got(format!("hidden_size {hidden}, num_attention_heads {heads}"))
                    .expected("a multiple, or the key head_dim"));
            }
        };
        if head_dim % 2 != 0 {
            return Err(Error::model("rotary embeddings need an even head dimension")
                .at(keys.at("head_dim"))
                .got(head_dim));
        }
        keys.refuse_unless("hidden_act", &["silu", "swish"])?;
        keys.refuse_present("quantization_config", "quantised weights")?;
        keys.refuse_other_number("partial_rotary_factor", 1.0)?;
        // Keys that the others' classes do not read.
        let attention_bias = matches!(family, Family::Llama | Family::Qwen3)
            && keys.flag("attention_bias", false)?;
        let mlp_bias = family == Family::Llama && keys.flag("mlp_bias", false)?;
        let of_config = || match absent("eos_token_id") {
            true => {
                let told = defaults.eos.map(|id| format!("eos_token_id = {id}"));
                assumed.borrow_mut().extend(told);
                Ok(defaults.eos.into_iter().collect())
            }
            false => keys.ids("eos_token_id"),
        };
        if absent("rms_norm_eps") {
            assumed.borrow_mut().push("rms_norm_eps = 1e-6".to_owned());
        }
        if family == Family::Mistral && absent("sliding_window") {
            assumed.borrow_mut().push("sliding_window = 4096".to_owned());
        }
        let eos = match generation {
            Some(bytes) => match serde_json::from_slice::<Value>(without_bom(bytes)) {
                Ok(Value::Object(map)) if map.contains_key("eos_token_id") => {
                    Keys { map: &map, place: "generation_config.json" }.ids("eos_token_id")?
                }
                Ok(Value::Object(_)) => of_config()?,
                Ok(_) | Err(_) => {
                    return Err(Error::model("generation_config.json is not a JSON object")
                        .at(place.replace("config.json", "generation_config.json")));
                }
            },
            None => of_config()?,
        };
        let config = Self {
            family,
            layers,
            hidden,
            intermediate: dimension("intermediate_size", defaults.intermediate)?,
            heads,
            kv_heads,
            head_dim,
            vocab: dimension("vocab_size", defaults.vocab)?,
            rms_eps: keys.number("rms_norm_eps", Some(1e-6))?,
            rope: keys.rope()?,
            qkv_bias: attention_bias || family == Family::Qwen2,
            output_bias: attention_bias,
            mlp_bias,
            qk_norm: family == Family::Qwen3,
            tied: keys.flag("tie_word_embeddings", false)?,
            sliding_window: keys.sliding_window(family, layers)?,
            max_positions: size("max_position_embeddings", defaults.max_positions, 1 << 32)?,
            eos,
            saved: match keys.get("dtype").or(keys.get("torch_dtype")).and_then(Value::as_str) {
                Some("bfloat16") => DType::BF16,
                Some("float16") => DType::F16,
                _ => DType::F32,
            },
            assumed: assumed.take(),
        };
        if config.rms_eps < 0.0 {
            return Err(Error::model("the norm's epsilon is negative")
                .at(keys.at("rms_norm_eps"))
                .got(config.rms_eps));
        }
        Ok(config)
    }

    /// Query heads per key/value head, `H / G`.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

/// Keys whose meaning is more than one value.
impl Keys<'_> {
    fn family(&self) -> Result<Family> {
        let value = self.get("model_type").ok_or_else(|| self.missing("model_type"))?;
        value.as_str().and_then(Family::parse).ok_or_else(|| {
            Error::model("this kind of model is not supported")
                .at(self.at("model_type"))
                .got(value)
                .expected(Family::SUPPORTED)
        })
    }

    /// Window per layer: Mistral in every layer; Qwen from `layer_types`, or above
    /// `max_window_layers`, and only with `use_sliding_window`.
    fn sliding_window(&self, family: Family, layers: usize) -> Result<Vec<Option<usize>>> {
        let window = match self.get("sliding_window") {
            Some(_) => Some(self.size("sliding_window", None, 1 << 32)?),
            None if self.map.contains_key("sliding_window") => None,
            // Where the key is absent, not null, these families' default applies.
            None => Some(4096),
        };
        let on = match family {
            Family::Llama => false,
            Family::Mistral => true,
            Family::Qwen2 | Family::Qwen3 => self.flag("use_sliding_window", false)?,
        };
        let Some(window) = window.filter(|_| on) else {
            return Ok(vec![None; layers]);
        };
        if let Some(value) = self.get("layer_types") {
            // Its class in transformers does not read the key: every layer has a window.
            let all = |list: &Vec<Value>| list.iter().all(|kind| kind == "sliding_attention");
            if family == Family::Mistral && !value.as_array().is_some_and(all) {
                return Err(self.wrong(
                    "layer_types",
                    value,
                    "windows in every layer of a mistral",
                ));
            }
            let kinds = value.as_array().filter(|list| list.len() == layers);
            let kinds = kinds.ok_or_else(|| {
                self.wrong("layer_types", value, format!("a list of {layers} names"))
            })?;
            return kinds
                .iter()
                .map(|kind| match kind.as_str() {
                    Some("full_attention") => Ok(None),
                    Some("sliding_attention") => Ok(Some(window)),
                    _ => {
                        Err(self.wrong("layer_types", kind, "full_attention or sliding_attention"))
                    }
                })
                .collect();
        }
        let first = match family {
            Family::Mistral => 0,
            _ => match self.get("max_window_layers") {
                None => 28,
                Some(value) => value
                    .as_u64()
                    .and_then(|n| usize::try_from(n).ok())
                    .ok_or_else(|| self.wrong("max_window_layers", value, "a whole number"))?,
            },
        };
        Ok((0..layers).map(|l| (l >= first).then_some(window)).collect())
    }
}
