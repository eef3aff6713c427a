//! Writes GGUF files: any keys and tensors, and whole checkpoints as llama.cpp's converter does.

use std::f32::consts::PI;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Types of metadata.
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const LIST: u32 = 9;

/// Types of tensors.
pub const TYPE_F32: u32 = 0;
pub const TYPE_F16: u32 = 1;
pub const TYPE_BF16: u32 = 30;

/// Bytes to whose multiples tensors are moved.
const ALIGNMENT: usize = 32;

/// A file in the making.
#[derive(Default, Clone)]
pub struct GgufWriter {
    keys: Vec<(String, u32, Vec<u8>)>,
    tensors: Vec<(String, Vec<usize>, u32, Vec<u8>)>,
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

impl GgufWriter {
    fn key(&mut self, key: &str, kind: u32, value: Vec<u8>) -> &mut Self {
        self.keys.retain(|(other, ..)| other != key);
        self.keys.push((key.to_owned(), kind, value));
        self
    }

    fn list(&mut self, key: &str, kind: u32, n: usize, items: Vec<u8>) -> &mut Self {
        let mut value = kind.to_le_bytes().to_vec();
        value.extend((n as u64).to_le_bytes());
        value.extend(items);
        self.key(key, LIST, value)
    }

    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        let mut bytes = Vec::new();
        text(&mut bytes, value);
        self.key(key, TEXT, bytes)
    }

    pub fn number(&mut self, key: &str, value: u32) -> &mut Self {
        self.key(key, U32, value.to_le_bytes().to_vec())
    }

    pub fn float(&mut self, key: &str, value: f32) -> &mut Self {
        self.key(key, F32, value.to_le_bytes().to_vec())
    }

    pub fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key, BOOL, vec![u8::from(value)])
    }

    pub fn texts<T: AsRef<str>>(&mut self, key: &str, values: &[T]) -> &mut Self {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| text(&mut bytes, value.as_ref()));
        self.list(key, TEXT, values.len(), bytes)
    }

    pub fn numbers(&mut self, key: &str, values: &[i32]) -> &mut Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.list(key, I32, values.len(), bytes)
    }

    pub fn floats(&mut self, key: &str, values: &[f32]) -> &mut Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.list(key, F32, values.len(), bytes)
    }

    pub fn without(&mut self, key: &str) -> &mut Self {
        self.keys.retain(|(other, ..)| other != key);
        self
    }

    /// Rows first.
    pub fn tensor(&mut self, name: &str, shape: &[usize], kind: u32, bytes: Vec<u8>) -> &mut Self {
        self.tensors.retain(|(other, ..)| other != name);
        self.tensors.push((name.to_owned(), shape.to_vec(), kind, bytes));
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.keys {
            text(&mut out, key);
            out.extend(kind.to_le_bytes());
            out.extend(value);
        }
        let mut offset = 0;
        for (name, shape, kind, bytes) in &self.tensors {
            text(&mut out, name);
            out.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|d| out.extend((*d as u64).to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend((offset as u64).to_le_bytes());
            offset = (offset + bytes.len()).next_multiple_of(ALIGNMENT);
        }
        for (.., bytes) in &self.tensors {
            out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
            out.extend(bytes);
        }
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        out
    }

    /// The same in `count` files, whose tensors are dealt out one by one.
    pub fn parts(&self, count: usize) -> Vec<Vec<u8>> {
        let part = |i: usize| {
            let own = self.tensors.iter().skip(i).step_by(count).cloned().collect();
            let keys = if i == 0 { self.keys.clone() } else { vec![] };
            let mut part = Self { keys, tensors: own };
            part.number("split.no", i as u32).number("split.count", count as u32);
            part.number("split.tensors.count", self.tensors.len() as u32);
            part.bytes()
        };
        (0..count).map(part).collect()
    }

    /// The checkpoint in `dir`, without its tokenizer; every number as it was saved.
    pub fn of_checkpoint(dir: &Path) -> Self {
        let config = std::fs::read(dir.join("config.json")).expect("config.json");
        let config: Value = serde_json::from_slice(&config).expect("config.json is JSON");
        let files = std::fs::read_dir(dir).expect("a folder");
        let files = files.map(|entry| entry.expect("an entry").path());
        let weights = files.filter(|path| path.extension().is_some_and(|end| end == "safetensors"));
        let weights: Vec<Vec<u8>> =
            weights.map(|path| std::fs::read(path).expect("weights")).collect();
        Self::of_model(&config, &weights)
    }

    /// The model of `config.json` and the safetensors files `weights`.
    pub fn of_model(config: &Value, weights: &[Vec<u8>]) -> Self {
        let weights: Vec<SafeTensors> = weights
            .iter()
            .map(|bytes| SafeTensors::deserialize(bytes).expect("safetensors"))
            .collect();
        let family = config["model_type"].as_str().expect("model_type");
        let kind = if family == "mistral" { "llama" } else { family };
        let size = |key: &str| config[key].as_u64().map(|n| n as u32);
        let heads = size("num_attention_heads").expect("heads");
        let kv_heads = size("num_key_value_heads").unwrap_or(heads);
        let dim = size("head_dim").unwrap_or(size("hidden_size").expect("hidden") / heads);

        let mut out = Self::default();
        let own = |key: &str| format!("{kind}.{key}");
        out.text("general.architecture", kind);
        for (ours, theirs) in [
            ("block_count", "num_hidden_layers"),
            ("context_length", "max_position_embeddings"),
            ("embedding_length", "hidden_size"),
            ("feed_forward_length", "intermediate_size"),
        ] {
            out.number(&own(ours), size(theirs).unwrap_or_else(|| panic!("{theirs}")));
        }
        out.number(&own("attention.head_count"), heads);
        out.number(&own("attention.head_count_kv"), kv_heads);
        out.number(&own("attention.key_length"), dim);
        out.number(&own("attention.value_length"), dim);
        let epsilon = config["rms_norm_eps"].as_f64().expect("epsilon") as f32;
        out.float(&own("attention.layer_norm_rms_epsilon"), epsilon);
        let rope = [&config["rope_parameters"], &config["rope_scaling"]];
        let rope = rope.into_iter().find(|value| value.is_object()).unwrap_or(&Value::Null);
        let theta = rope["rope_theta"].as_f64().or(config["rope_theta"].as_f64());
        let theta = theta.unwrap_or(10_000.0) as f32;
        out.float(&own("rope.freq_base"), theta);
        if family == "mistral" {
            out.number(&own("attention.sliding_window"), size("sliding_window").expect("window"));
        }
        if rope["rope_type"] == "llama3" {
            let factors = llama3_factors(rope, theta, dim as usize);
            let bytes = factors.iter().flat_map(|f| f.to_le_bytes()).collect();
            out.tensor("rope_freqs.weight", &[factors.len()], TYPE_F32, bytes);
        }
        if rope["rope_type"] == "linear" || rope["type"] == "linear" {
            let factor = rope["factor"].as_f64().expect("factor") as f32;
            out.text(&own("rope.scaling.type"), "linear");
            out.float(&own("rope.scaling.factor"), factor);
        }
        let mut tensors: Vec<_> = weights.iter().flat_map(SafeTensors::tensors).collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, view) in tensors {
            let (number, kind_of) = match view.dtype() {
                Dtype::F32 => (4, TYPE_F32),
                Dtype::F16 => (2, TYPE_F16),
                Dtype::BF16 => (2, TYPE_BF16),
                other => panic!("{name}: {other:?}"),
            };
            let paired = match kind == "llama" {
                true if name.contains("q_proj") => Some(heads as usize),
                true if name.contains("k_proj") => Some(kv_heads as usize),
                _ => None,
            };
            let width = view.shape()[1..].iter().product::<usize>() * number;
            let bytes = match paired {
                Some(heads) => side_by_side(view.data(), heads, width),
                None => view.data().to_vec(),
            };
            out.tensor(&ggml_name(&name), view.shape(), kind_of, bytes);
        }
        out
    }
}

/// Rows of `width` bytes in the order of Meta's files: 0, D/2, 1, D/2 + 1, ... of each head.
fn side_by_side(rows: &[u8], heads: usize, width: usize) -> Vec<u8> {
    let dim = rows.len() / (heads * width);
    let order = (0..dim).map(|i| i / 2 + i % 2 * (dim / 2));
    let of_head = |head: usize| order.clone().map(move |i| head * dim + i);
    let rows = (0..heads).flat_map(of_head).map(|i| &rows[i * width..(i + 1) * width]);
    rows.flatten().copied().collect()
}

/// What the converter divides frequencies by for Llama 3.1.
fn llama3_factors(rope: &Value, theta: f32, dim: usize) -> Vec<f32> {
    let number = |key: &str| rope[key].as_f64().unwrap_or_else(|| panic!("{key}")) as f32;
    let (factor, context) = (number("factor"), number("original_max_position_embeddings"));
    let (low, high) = (number("low_freq_factor"), number("high_freq_factor"));
    let of = |i: usize| {
        let wavelength = 2.0 * PI * theta.powf((2 * i) as f32 / dim as f32);
        if wavelength < context / high {
            1.0
        } else if wavelength > context / low {
            factor
        } else {
            let smooth = (context / wavelength - low) / (high - low);
            1.0 / ((1.0 - smooth) / factor + smooth)
        }
    };
    (0..dim / 2).map(of).collect()
}

fn ggml_name(name: &str) -> String {
    let name = name.strip_prefix("model.").unwrap_or(name);
    let name = name.replace("layers.", "blk.");
    [
        ("embed_tokens", "token_embd"),
        ("lm_head", "output"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ]
    .iter()
    .fold(
        match name.strip_prefix("norm.") {
            Some(rest) => format!("output_norm.{rest}"),
            None => name,
        },
        |name, (theirs, ours)| name.replace(theirs, ours),
    )
}
