//! Where each weight lies in the one vector that the optimiser sees.

use std::collections::HashMap;
use std::ops::Range;

use burn::prelude::*;
use headprof::model::config::ModelConfig;
use headprof::{Error, Result};

/// One layer's weights; matrices `[in, out]`, those that read the same input side by side.
pub struct LayerRanges {
    pub norm: Range<usize>,
    pub qkv: Range<usize>,
    pub output: Range<usize>,
    pub mlp_norm: Range<usize>,
    pub gate_up: Range<usize>,
    pub down: Range<usize>,
}

/// All ranges, and which checkpoint tensors they hold.
pub struct Layout {
    pub embedding: Range<usize>,
    pub norm: Range<usize>,
    pub layers: Vec<LayerRanges>,
    parts: Vec<Part>,
    len: usize,
}

/// One checkpoint tensor: where it starts, and how far apart its rows lie.
struct Part {
    name: String,
    /// `[out, in]` in the checkpoint; a vector is `[1, len]`, kept as it is.
    shape: [usize; 2],
    transposed: bool,
    start: usize,
    stride: usize,
}

impl Layout {
    pub fn new(c: &ModelConfig) -> Self {
        let mut layout =
            Self { embedding: 0..0, norm: 0..0, layers: vec![], parts: vec![], len: 0 };
        let (d, f) = (c.hidden, c.intermediate);
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        layout.embedding = layout.plain("model.embed_tokens.weight", [c.vocab, d]);
        for i in 0..c.layers {
            let name = |part: &str| format!("model.layers.{i}.{part}.weight");
            let norm = layout.plain(&name("input_layernorm"), [1, d]);
            let joined =
                [("self_attn.q_proj", q), ("self_attn.k_proj", kv), ("self_attn.v_proj", kv)];
            let qkv = layout.matrices(d, &joined.map(|(part, out)| (name(part), out)));
            let output = layout.matrices(q, &[(name("self_attn.o_proj"), d)]);
            let mlp_norm = layout.plain(&name("post_attention_layernorm"), [1, d]);
            let joined = [("mlp.gate_proj", f), ("mlp.up_proj", f)];
            let gate_up = layout.matrices(d, &joined.map(|(part, out)| (name(part), out)));
            let down = layout.matrices(f, &[(name("mlp.down_proj"), d)]);
            layout.layers.push(LayerRanges { norm, qkv, output, mlp_norm, gate_up, down });
        }
        layout.norm = layout.plain("model.norm.weight", [1, d]);
        layout
    }

    fn plain(&mut self, name: &str, shape: [usize; 2]) -> Range<usize> {
        let start = self.len;
        self.len += shape[0] * shape[1];
        let part = Part { name: name.into(), shape, transposed: false, start, stride: shape[1] };
        self.parts.push(part);
        start..self.len
    }

    /// Matrices with `input` rows side by side.
    fn matrices(&mut self, input: usize, parts: &[(String, usize)]) -> Range<usize> {
        let (start, stride) = (self.len, parts.iter().map(|(_, out)| out).sum());
        let mut column = start;
        for (name, out) in parts {
            let shape = [*out, input];
            let name = name.clone();
            self.parts.push(Part { name, shape, transposed: true, start: column, stride });
            column += out;
        }
        self.len += input * stride;
        start..self.len
    }

    /// One vector from checkpoint tensors.
    ///
    /// # Errors
    /// If a tensor is missing or has another size.
    pub fn gather(&self, tensors: Vec<(String, TensorData)>) -> Result<Vec<f32>> {
        let mut tensors: HashMap<String, TensorData> = tensors.into_iter().collect();
        let mut out = vec![0f32; self.len];
        for part in &self.parts {
            let wrong = || Error::model("a weight is missing or has another size").at(&part.name);
            let data = tensors.remove(&part.name).ok_or_else(wrong)?;
            let values: Vec<f32> = data.try_into_vec().map_err(|_| wrong())?;
            if values.len() != part.shape[0] * part.shape[1] {
                return Err(wrong());
            }
            part.each(|from, to| out[to] = values[from]);
        }
        Ok(out)
    }

    /// Checkpoint tensors from the one vector.
    pub fn scatter(&self, weights: &[f32]) -> Vec<(String, TensorData)> {
        let tensors = self.parts.iter().map(|part| {
            let mut values = vec![0f32; part.shape[0] * part.shape[1]];
            part.each(|to, from| values[to] = weights[from]);
            let shape = if part.shape[0] == 1 { vec![part.shape[1]] } else { part.shape.to_vec() };
            (part.name.clone(), TensorData::new(values, shape))
        });
        tensors.collect()
    }
}

impl Part {
    /// Calls `visit(position in the checkpoint tensor, position in the vector)` for every number.
    fn each(&self, mut visit: impl FnMut(usize, usize)) {
        let [out, input] = self.shape;
        for o in 0..out {
            for i in 0..input {
                let to = if self.transposed { i * self.stride + o } else { o * self.stride + i };
                visit(o * input + i, self.start + to);
            }
        }
    }
}
