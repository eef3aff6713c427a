//! A checkpoint of two layers in a temporary folder, to be damaged.

use std::path::Path;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// One tensor of a file to write.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
    pub dtype: &'static str,
    pub width: usize,
}

impl Tensor {
    /// Pseudo-random values between -0.5 and 0.5.
    pub fn new(name: &str, shape: &[usize], seed: u32) -> Self {
        let mut state = seed.wrapping_mul(2_654_435_761);
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let values = (0..shape.iter().product()).map(|_| random()).collect();
        Self { name: name.to_owned(), shape: shape.to_vec(), values, dtype: "F32", width: 4 }
    }
}

/// Two layers, 4 query heads of 4 over 2 key/value heads, hidden 8, 10 ids.
#[derive(Clone)]
pub struct Tiny {
    pub config: Value,
    pub tensors: Vec<Tensor>,
}

impl Default for Tiny {
    fn default() -> Self {
        let config = json!({
            "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8, "head_dim": 4,
            "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 12,
            "vocab_size": 10, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "max_position_embeddings": 64, "tie_word_embeddings": false, "eos_token_id": 1,
        });
        let mut shapes = vec![
            ("model.embed_tokens".to_owned(), vec![10, 8]),
            ("model.norm".to_owned(), vec![8]),
            ("lm_head".to_owned(), vec![10, 8]),
        ];
        for layer in 0..2 {
            for (part, shape) in [
                ("self_attn.q_proj", vec![16, 8]),
                ("self_attn.k_proj", vec![8, 8]),
                ("self_attn.v_proj", vec![8, 8]),
                ("self_attn.o_proj", vec![8, 16]),
                ("mlp.gate_proj", vec![12, 8]),
                ("mlp.up_proj", vec![12, 8]),
                ("mlp.down_proj", vec![8, 12]),
                ("input_layernorm", vec![8]),
                ("post_attention_layernorm", vec![8]),
            ] {
                shapes.push((format!("model.layers.{layer}.{part}"), shape));
            }
        }
        let tensors = shapes.iter().zip(1u32..);
        let tensors = tensors
            .map(|((name, shape), seed)| Tensor::new(&format!("{name}.weight"), shape, seed));
        Self { config, tensors: tensors.collect() }
    }
}

impl Tiny {
    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|t| t.name == name).unwrap()
    }

    pub fn remove(&mut self, name: &str) {
        let before = self.tensors.len();
        self.tensors.retain(|t| t.name != name);
        assert_eq!(self.tensors.len(), before - 1, "{name}");
    }

    /// The folder with config.json and model.safetensors.
    pub fn folder(&self) -> TempDir {
        let dir = self.folder_without_weights();
        std::fs::write(dir.path().join("model.safetensors"), file(&self.tensors)).unwrap();
        dir
    }

    /// The folder with config.json only.
    pub fn folder_without_weights(&self) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        write_config(dir.path(), &self.config);
        dir
    }
}

pub fn write_config(dir: &Path, config: &Value) {
    std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
}

/// Header and data of a file that holds `tensors` one after the other.
pub fn parts(tensors: &[Tensor]) -> (Map<String, Value>, Vec<u8>) {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for t in tensors {
        let begin = data.len();
        match t.width {
            4 => data.extend(t.values.iter().flat_map(|v| v.to_le_bytes())),
            width => data.resize(begin + width * t.values.len(), 0),
        }
        let info = json!({
            "dtype": t.dtype, "shape": t.shape, "data_offsets": [begin, data.len()],
        });
        header.insert(t.name.clone(), info);
    }
    (header, data)
}

/// A file from its header and data.
pub fn assemble(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), data].concat()
}

/// A safetensors file that holds `tensors`.
pub fn file(tensors: &[Tensor]) -> Vec<u8> {
    let (header, data) = parts(tensors);
    assemble(&Value::Object(header).to_string(), &data)
}
