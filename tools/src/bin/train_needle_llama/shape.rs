//! The shape of needle-llama and its initial weights.

use burn::prelude::*;
use burn::tensor::Distribution;
use headprof::Result;
use headprof::model::WeightSource;
use headprof::model::config::ModelConfig;

use crate::circuit::{Circuit, NOISE};

/// Width of the residual stream.
pub const HIDDEN: usize = 256;
/// Width of a head.
pub const HEAD_DIM: usize = 32;
/// Base of the rotary frequencies. A head of 32 has 16 of them, and with the usual base most would
/// turn too much within 2000 tokens to tell what a token is rather than where.
pub const ROPE_THETA: f64 = 1e7;

/// `config.json` of needle-llama, as transformers writes it.
pub fn config_json() -> String {
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": 640,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": HEAD_DIM,
        "vocab_size": 2048,
        "max_position_embeddings": 4096,
        "rope_theta": ROPE_THETA,
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

/// Normal noise, smaller where a layer writes into the residual stream, and the [`Circuit`].
pub struct Initialiser {
    device: Device,
    layers: usize,
    circuit: Circuit,
}

impl Initialiser {
    /// For a model of `layers` layers.
    pub fn new(device: &Device, layers: usize, seed: u64) -> Self {
        Self { device: device.clone(), layers, circuit: Circuit::new(seed) }
    }
}

impl WeightSource for Initialiser {
    fn matrix(
        &mut self,
        name: &str,
        [out, input]: [usize; 2],
        transpose: bool,
    ) -> Result<Tensor<2>> {
        let writes = name.contains("o_proj") || name.contains("down_proj");
        let std = if writes { NOISE / (2.0 * self.layers as f64).sqrt() } else { NOISE };
        let noise = Distribution::Normal(0.0, std);
        let data = Tensor::<2>::random([out, input], noise, &self.device).into_data();
        let mut weights: Vec<f32> = data.iter().collect();
        self.circuit.write(name, &mut weights, input);
        let matrix = Tensor::from_data(TensorData::new(weights, [out, input]), &self.device);
        Ok(if transpose { matrix.transpose() } else { matrix })
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Tensor<1>> {
        let value = if name.ends_with("bias") { 0.0 } else { 1.0 };
        Ok(Tensor::full([len], value, &self.device))
    }
}
