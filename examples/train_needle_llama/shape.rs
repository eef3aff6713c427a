//! The shape of needle-llama and its initial weights.

use burn::prelude::*;
use burn::tensor::Distribution;
use headprof::Result;
use headprof::model::config::ModelConfig;
use headprof::model::decoder::WeightSource;

/// `config.json` of needle-llama, as transformers writes it.
pub fn config_json() -> String {
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 256,
        "intermediate_size": 640,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 32,
        "vocab_size": 2048,
        "max_position_embeddings": 4096,
        "rope_theta": 500_000.0,
        "rope_scaling": null,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "attention_bias": false,
        "mlp_bias": false,
        "tie_word_embeddings": true,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "torch_dtype": "float16",
        "transformers_version": "4.46.0"
    });
    format!("{config:#}\n")
}

/// The same, parsed.
///
/// # Errors
/// Never, unless [`config_json`] is wrong.
pub fn config() -> Result<ModelConfig> {
    ModelConfig::parse(config_json().as_bytes(), None, "needle-llama/config.json")
}

/// Normal weights of deviation 0.02, smaller where a layer writes into the residual stream.
pub struct Initialiser {
    pub device: Device,
    pub layers: usize,
}

impl WeightSource for Initialiser {
    fn matrix(
        &mut self,
        name: &str,
        [out, input]: [usize; 2],
        transpose: bool,
    ) -> Result<Tensor<2>> {
        let writes = name.contains("o_proj") || name.contains("down_proj");
        let std = if writes { 0.02 / (2.0 * self.layers as f64).sqrt() } else { 0.02 };
        let shape = if transpose { [input, out] } else { [out, input] };
        Ok(Tensor::random(shape, Distribution::Normal(0.0, std), &self.device))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Tensor<1>> {
        let value = if name.ends_with("bias") { 0.0 } else { 1.0 };
        Ok(Tensor::full([len], value, &self.device))
    }
}
