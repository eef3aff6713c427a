//! What `config.json` would say of the model in a [`Gguf`].

use serde_json::{Map, Value, json};

use super::Gguf;
use super::tensors::ROPE_FACTORS;
use crate::error::{Error, Result};

/// Architectures that are read, by the names of ggml.
const SUPPORTED: [&str; 3] = ["llama", "qwen2", "qwen3"];

/// Tokens that end an answer, whichever of them a file names as the end of a sequence: models of
/// chats end their turn with one and a text with another, and llama.cpp stops at all of them.
const ENDS: [&str; 6] =
    ["<|eot_id|>", "<|im_end|>", "<|end_of_text|>", "<|endoftext|>", "<|eom_id|>", "</s>"];

impl Gguf {
    /// The keys of `config.json` that the metadata mean.
    ///
    /// # Errors
    /// [`Error::Model`] naming the key: for another architecture, mixtures of experts, another kind
    /// of RoPE scaling, a number that is missing or cannot be.
    pub fn config(&self) -> Result<Value> {
        let architecture = self.supported()?;
        let size = |key: &str| self.size(&self.own(key));
        let optional = |key: &str| self.whole(&self.own(key));
        if optional("expert_count")?.is_some_and(|n| n > 0) {
            return Err(self.unsupported("expert_count", "no mixture of experts"));
        }
        let (hidden, (heads, kv_heads)) = (size("embedding_length")?, self.heads()?);
        let head_dim = match optional("attention.key_length")? {
            Some(dim) => dim,
            None if heads > 0 && hidden % heads == 0 => hidden / heads,
            None => return Err(self.wrong(&self.own("attention.key_length"), "a whole number")),
        };
        for key in ["attention.value_length", "rope.dimension_count"] {
            if optional(key)?.is_some_and(|n| n != head_dim) {
                let expected = format!("{head_dim}, the dimension of a head");
                return Err(self.unsupported(key, expected));
            }
        }
        let embedding = self.tensors().get("model.embed_tokens.weight");
        let vocab = embedding.and_then(|t| t.shape.first().copied()).ok_or_else(|| {
            Error::model("the model file lacks a tensor").at(self.place("token_embd.weight"))
        })?;
        let windows = match (architecture, optional("attention.sliding_window")?) {
            ("llama", Some(window)) if window > 0 => Some(window),
            // Qwen's files name a window that is switched off.
            _ => None,
        };
        let mut config = json!({
            "model_type": if windows.is_some() { "mistral" } else { architecture },
            "num_hidden_layers": size("block_count")?,
            "hidden_size": hidden,
            "intermediate_size": self.for_all_layers("feed_forward_length")?,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "head_dim": head_dim,
            "vocab_size": vocab,
            "max_position_embeddings": size("context_length")?,
            "rms_norm_eps": self.needed("attention.layer_norm_rms_epsilon")?,
            "rope_theta": self.number(&self.own("rope.freq_base"))?.unwrap_or(10_000.0),
            "sliding_window": windows,
            "tie_word_embeddings": !self.tensors().contains_key("lm_head.weight"),
            "eos_token_id": self.ends()?,
        });
        let Some(keys) = config.as_object_mut() else {
            return Err(Error::bug("a configuration is no object"));
        };
        self.add_scaling(keys)?;
        let has = |name: &str| self.tensors().contains_key(&format!("model.layers.0.{name}.bias"));
        if architecture != "qwen2" {
            keys.insert("attention_bias".into(), has("self_attn.q_proj").into());
        }
        if architecture == "llama" {
            keys.insert("mlp_bias".into(), has("mlp.up_proj").into());
        }
        Ok(config)
    }

    /// The architecture, if it is one that is read.
    fn supported(&self) -> Result<&str> {
        match SUPPORTED.contains(&&*self.architecture) {
            true => Ok(&self.architecture),
            false => Err(Error::model("this kind of model is not supported")
                .at(self.place("general.architecture"))
                .got(&self.architecture)
                .expected(format!("{} (llama with Mistral's)", SUPPORTED.join(", ")))),
        }
    }

    /// Query heads and KV heads of a layer.
    pub(super) fn heads(&self) -> Result<(u64, u64)> {
        let heads = self.for_all_layers("attention.head_count")?;
        let kv_heads = self.whole_for_all_layers(&self.own("attention.head_count_kv"))?;
        Ok((heads, kv_heads.unwrap_or(heads)))
    }

    /// Adds what stretches rotary frequencies. Factors of frequencies, which stand in for the
    /// scaling of Llama 3, are a tensor: see [`ROPE_FACTORS`].
    fn add_scaling(&self, keys: &mut Map<String, Value>) -> Result<()> {
        let others = ["rope_factors_long.weight", "rope_factors_short.weight"];
        if let Some(other) = others.iter().find(|name| self.tensors().contains_key(**name)) {
            return Err(Error::model("this kind of RoPE scaling is not supported")
                .at(self.place(other))
                .expected(format!("linear scaling, or {ROPE_FACTORS}")));
        }
        let kind = self.own("rope.scaling.type");
        // Older files have one key alone, and without a kind a factor is linear, as for llama.cpp.
        let factor = match self.number(&self.own("rope.scaling.factor"))? {
            None => self.number(&self.own("rope.scale_linear"))?,
            factor => factor,
        };
        match (self.text_or_none(&kind)?, factor) {
            (None, None) | (Some("none"), _) => Ok(()),
            (None, Some(factor)) if factor == 1.0 || factor == 0.0 => Ok(()),
            (None | Some("linear"), factor) => {
                let factor = match factor {
                    Some(factor) => factor,
                    None => self.needed("rope.scaling.factor")?,
                };
                let scaling = json!({"rope_type": "linear", "factor": factor});
                keys.insert("rope_scaling".into(), scaling);
                Ok(())
            }
            (Some(_), _) => Err(self.unsupported("rope.scaling.type", "none or linear")),
        }
    }

    /// The ids of tokens that end an answer, ascending.
    fn ends(&self) -> Result<Vec<u64>> {
        let named = ["eos_token_id", "eot_token_id", "eom_token_id"];
        let named = named.map(|key| self.whole(&format!("tokenizer.ggml.{key}")));
        let mut ends = named.into_iter().collect::<Result<Vec<_>>>()?;
        let tokens = self.tokens().unwrap_or_default();
        let control = self.control_tokens()?;
        let also = |id: &usize| control[*id] && ENDS.contains(&&*tokens[*id]);
        ends.extend((0..tokens.len()).filter(also).map(|id| Some(id as u64)));
        let mut ends: Vec<u64> = ends.into_iter().flatten().collect();
        ends.sort_unstable();
        ends.dedup();
        Ok(ends)
    }

    /// A whole number above 0 that has to be there.
    fn size(&self, key: &str) -> Result<u64> {
        let size = self.whole(key)?.filter(|n| *n > 0);
        size.ok_or_else(|| self.wrong(key, "a whole number above 0"))
    }

    fn for_all_layers(&self, key: &str) -> Result<u64> {
        let key = self.own(key);
        let size = self.whole_for_all_layers(&key)?.filter(|n| *n > 0);
        size.ok_or_else(|| self.wrong(&key, "a whole number above 0"))
    }

    /// A number that has to be there.
    fn needed(&self, key: &str) -> Result<f64> {
        let key = self.own(key);
        self.number(&key)?.ok_or_else(|| self.wrong(&key, "a number"))
    }

    fn unsupported(&self, key: &str, expected: impl std::fmt::Display) -> Error {
        self.wrong(&self.own(key), expected)
    }
}
