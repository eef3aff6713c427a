//! The Llama decoder from embedding to final norm, written once for inference and training.
//!
//! ```text
//! x = E[ids]
//! for each layer:  x = x + O · attend(rope(Q·norm(x)), rope(K·norm(x)), V·norm(x))
//!                  x = x + down · (silu(gate·norm(x)) ⊙ up·norm(x))
//! logits = W · norm(x)                                    (W = E where tied)
//! ```
//!
//! What attention is, decides the caller: with a cache and captured rows in [`super::llama`], over
//! a whole batch with gradients in training.

use std::ops::Range;

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::activation::silu;

use super::config::ModelConfig;
use super::rope::Angles;
use crate::error::Result;
use crate::model::cpu::{few, rowwise, stored, tiles, wide};

/// What attention is: `(layer, q, k, v)` to the heads' outputs, as [`Decoder::run`] says.
pub type Attend<'a> =
    &'a mut dyn FnMut(usize, Tensor<4>, Tensor<4>, Tensor<4>) -> Result<Tensor<4>>;

/// Where weights come from: a checkpoint, a construction, an initialiser.
pub trait WeightSource {
    /// A matrix that Hugging Face stores as `shape` = `[out, in]`. With `transpose`, as `[in, out]`. In any type of
    /// floats: it is multiplied in that of the vectors.
    ///
    /// # Errors
    /// If there is none of that name and shape.
    fn matrix(&mut self, name: &str, shape: [usize; 2], transpose: bool) -> Result<Tensor<2>>;

    /// A vector of `len` numbers, in the type that the model computes in.
    ///
    /// # Errors
    /// If there is none of that name and length.
    fn vector(&mut self, name: &str, len: usize) -> Result<Tensor<1>>;
}

/// Root-mean-square norm with a learned scale.
#[derive(Module, Debug)]
pub struct RmsNorm {
    weight: Param<Tensor<1>>,
    eps: f64,
}

impl RmsNorm {
    fn new(source: &mut dyn WeightSource, name: &str, len: usize, eps: f64) -> Result<Self> {
        let weight = Param::from_tensor(source.vector(&format!("{name}.weight"), len)?);
        Ok(Self { weight, eps })
    }

    /// Normalises the last dimension, in f32 whatever the model's dtype.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if let Some(normed) = rowwise::rms_norm(&x, &self.weight.val(), self.eps) {
            return normed;
        }
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let mean = x.clone().square().mean_dim(D - 1);
        let x = x * mean.add_scalar(self.eps).sqrt().recip();
        x.cast(dtype) * self.weight.val().unsqueeze()
    }
}

/// `x · W + b`, with `W` stored as `[in, out]`.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    fn new(
        source: &mut dyn WeightSource,
        name: &str,
        [out, input]: [usize; 2],
        bias: bool,
    ) -> Result<Self> {
        let weight = source.matrix(&format!("{name}.weight"), [out, input], true)?;
        let bias = match bias {
            true => Some(Param::from_tensor(source.vector(&format!("{name}.bias"), out)?)),
            false => None,
        };
        Ok(Self { weight: Param::from_tensor(weight), bias })
    }

    /// `x`, `[n, in]` → `[n, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [y] = Self::of_each([self], x);
        y
    }

    /// `x`, `[n, in]` → `[n, out]`, for each of them.
    fn of_each<const N: usize>(linears: [&Self; N], x: Tensor<2>) -> [Tensor<2>; N] {
        let weights = linears.map(|linear| linear.weight.val());
        let mut linears = linears.into_iter();
        products(&x, weights.each_ref()).map(|y| {
            match linears.next().and_then(|linear| linear.bias.as_ref()) {
                Some(bias) => y + bias.val().unsqueeze(),
                None => y,
            }
        })
    }
}

/// `x`, `[n, in]`, `· w`, `[in, out]`, for each of `weights`, the fastest way there is.
pub(super) fn products<const N: usize>(x: &Tensor<2>, weights: [&Tensor<2>; N]) -> [Tensor<2>; N] {
    let by_library = |w: &_| x.clone().matmul(stored::widened(w, x.dtype()));
    let one = |w: &Tensor<2>| {
        let ours = few::product(x, w).or_else(|| wide::product(x, w));
        ours.unwrap_or_else(|| by_library(w))
    };
    tiles::products(x, weights).unwrap_or_else(|| weights.map(one))
}

/// One decoder layer.
#[derive(Module, Debug)]
pub struct Layer {
    input_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    query_norm: Option<RmsNorm>,
    key_norm: Option<RmsNorm>,
    output: Linear,
    mlp_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Layer {
    fn new(source: &mut dyn WeightSource, c: &ModelConfig, index: usize) -> Result<Self> {
        let prefix = format!("model.layers.{index}");
        let name = |part: &str| format!("{prefix}.{part}");
        let (d, ffn) = (c.hidden, c.intermediate);
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let mut head_norm = |part: &str| match c.qk_norm {
            true => RmsNorm::new(source, &name(part), c.head_dim, c.rms_eps).map(Some),
            false => Ok(None),
        };
        let (query_norm, key_norm) =
            (head_norm("self_attn.q_norm")?, head_norm("self_attn.k_norm")?);
        Ok(Self {
            input_norm: RmsNorm::new(source, &name("input_layernorm"), d, c.rms_eps)?,
            query: Linear::new(source, &name("self_attn.q_proj"), [q, d], c.qkv_bias)?,
            key: Linear::new(source, &name("self_attn.k_proj"), [kv, d], c.qkv_bias)?,
            value: Linear::new(source, &name("self_attn.v_proj"), [kv, d], c.qkv_bias)?,
            query_norm,
            key_norm,
            output: Linear::new(source, &name("self_attn.o_proj"), [d, q], c.output_bias)?,
            mlp_norm: RmsNorm::new(source, &name("post_attention_layernorm"), d, c.rms_eps)?,
            gate: Linear::new(source, &name("mlp.gate_proj"), [ffn, d], c.mlp_bias)?,
            up: Linear::new(source, &name("mlp.up_proj"), [ffn, d], c.mlp_bias)?,
            down: Linear::new(source, &name("mlp.down_proj"), [d, ffn], c.mlp_bias)?,
        })
    }

    /// Query, key and value of `x`, `[B * n, hidden]`: `[B, H or G, n, D]`, rotated. Queries of the
    /// `wanted` rows alone if some are given.
    fn project(
        &self,
        x: Tensor<2>,
        c: &Heads,
        batch: usize,
        angles: &Angles,
        wanted: Option<&[Range<usize>]>,
    ) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
        let x = self.input_norm.forward(x);
        let split = |y: Tensor<2>, heads| {
            let n = y.dims()[0] / batch;
            y.reshape([batch, n, heads, c.dim])
        };
        let normed = |y: Tensor<4>, norm: &Option<RmsNorm>| match norm {
            Some(norm) => norm.forward(y),
            None => y,
        };
        let (q, k, v, angles_of_queries) = match wanted {
            None => {
                let [q, k, v] = Linear::of_each([&self.query, &self.key, &self.value], x);
                (q, k, v, None)
            }
            Some(rows) => {
                let q = self.query.forward(picked(x.clone(), 0, rows));
                let [k, v] = Linear::of_each([&self.key, &self.value], x);
                (q, k, v, Some(angles.of(rows)))
            }
        };
        let q = normed(split(q, c.query), &self.query_norm).swap_dims(1, 2);
        let q = angles_of_queries.as_ref().unwrap_or(angles).rotate(q);
        let k = angles.rotate(normed(split(k, c.kv), &self.key_norm).swap_dims(1, 2));
        let v = split(v, c.kv);
        (q, k, v.swap_dims(1, 2))
    }

    fn mlp(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.mlp_norm.forward(x);
        let [gate, up] = Linear::of_each([&self.gate, &self.up], x);
        let gated = rowwise::gated(&gate, &up);
        self.down.forward(gated.unwrap_or_else(|| silu(gate) * up))
    }
}

/// Head counts that reshapes need.
#[derive(Module, Debug)]
struct Heads {
    query: usize,
    kv: usize,
    dim: usize,
}

/// The weights of a decoder and their arithmetic.
#[derive(Module, Debug)]
pub struct Decoder {
    embedding: Param<Tensor<2>>,
    layers: Vec<Layer>,
    norm: RmsNorm,
    output: Option<Linear>,
    heads: Heads,
}

impl Decoder {
    /// Builds the decoder of `config`, asking `source` for every weight once, under its Hugging
    /// Face name.
    ///
    /// # Errors
    /// The first error of `source`.
    pub fn new(config: &ModelConfig, source: &mut dyn WeightSource) -> Result<Self> {
        let c = config;
        let embedding = source.matrix("model.embed_tokens.weight", [c.vocab, c.hidden], false)?;
        let layers = (0..c.layers).map(|l| Layer::new(source, c, l)).collect::<Result<_>>()?;
        let output = match c.tied {
            true => None,
            false => Some(Linear::new(source, "lm_head", [c.vocab, c.hidden], false)?),
        };
        Ok(Self {
            embedding: Param::from_tensor(embedding),
            layers,
            norm: RmsNorm::new(source, "model.norm", c.hidden, c.rms_eps)?,
            output,
            heads: Heads { query: c.heads, kv: c.kv_heads, dim: c.head_dim },
        })
    }

    /// Embeddings, `[B * n, hidden]`, of `ids`, `[B, n]`.
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<2> {
        let [batch, n] = ids.dims();
        let embeddings = self.embedding.val().select(0, ids.reshape([batch * n]));
        stored::widened(&embeddings, self.dtype())
    }

    /// The type that it computes in.
    fn dtype(&self) -> DType {
        self.norm.weight.val().dtype()
    }

    /// Hidden states before the final norm, `[B * n, hidden]`, of `ids`, `[B, n]`; if some are
    /// `wanted` (of a single sequence, `B = 1`) of these alone, `[wanted, hidden]`. The last layer then does
    /// no more for the others than their keys and values.
    ///
    /// `attend(layer, q, k, v)` gets the rotated `q`, `[B, H, n, D]` (in the last layer those of the
    /// wanted), and `k`, `v`, `[B, G, n, D]`, and returns the heads' outputs, in the shape of `q`.
    /// `after(layer, x)` sees the residual stream after every layer.
    ///
    /// # Errors
    /// The first error of `attend` or `after`.
    pub fn run(
        &self,
        ids: Tensor<2, Int>,
        angles: &Angles,
        wanted: Option<&[Range<usize>]>,
        attend: Attend,
        after: &mut dyn FnMut(usize, &Tensor<2>) -> Result<()>,
    ) -> Result<Tensor<2>> {
        let [batch, _] = ids.dims();
        debug_assert!(batch == 1 || wanted.is_none(), "rows are wanted of one sequence");
        let mut x = self.embed(ids);
        for layer in 0..self.layers.len() {
            let wanted = wanted.filter(|_| layer + 1 == self.layers.len());
            x = self.layer(layer, x, batch, angles, wanted, attend)?;
            after(layer, &x)?;
        }
        Ok(x)
    }

    /// The residual stream behind one layer, `[B * n, hidden]`, or of its `wanted` rows, from that
    /// before it; `attend` as in [`Decoder::run`].
    ///
    /// # Errors
    /// That of `attend`.
    pub(super) fn layer(
        &self,
        index: usize,
        x: Tensor<2>,
        batch: usize,
        angles: &Angles,
        wanted: Option<&[Range<usize>]>,
        attend: Attend,
    ) -> Result<Tensor<2>> {
        let layer = &self.layers[index];
        let x = brought_to(x, &layer.input_norm.weight.val().device());
        let (q, k, v) = layer.project(x.clone(), &self.heads, batch, angles, wanted);
        let x = match wanted {
            Some(rows) => picked(x, 0, rows),
            None => x,
        };
        let (rows, width) = (x.dims()[0], self.heads.query * self.heads.dim);
        let heads = attend(index, q, k, v)?.swap_dims(1, 2).reshape([rows, width]);
        let x = x + layer.output.forward(heads);
        Ok(x.clone() + layer.mlp(x))
    }

    /// The output projection of one layer's attention, `[H * D, hidden]`, in the type that it is held in.
    pub(super) fn output_projection(&self, layer: usize) -> Tensor<2> {
        self.layers[layer].output.weight.val()
    }

    /// Every weight in its Hugging Face layout (matrices `[out, in]`), with its name, in the type that
    /// the decoder computes in.
    pub fn weights(&self) -> Vec<(String, TensorData)> {
        let mut all = vec![("model.embed_tokens.weight".into(), self.embedding.val().into_data())];
        let mut norm = |name: String, norm: &RmsNorm| {
            all.push((format!("{name}.weight"), norm.weight.val().into_data()));
        };
        norm("model.norm".into(), &self.norm);
        for (i, layer) in self.layers.iter().enumerate() {
            let at = |part: &str| format!("model.layers.{i}.{part}");
            norm(at("input_layernorm"), &layer.input_norm);
            norm(at("post_attention_layernorm"), &layer.mlp_norm);
            layer.query_norm.iter().for_each(|n| norm(at("self_attn.q_norm"), n));
            layer.key_norm.iter().for_each(|n| norm(at("self_attn.k_norm"), n));
        }
        let mut linear = |name: String, linear: &Linear| {
            let weight = linear.weight.val().transpose().into_data();
            all.push((format!("{name}.weight"), weight));
            if let Some(bias) = &linear.bias {
                all.push((format!("{name}.bias"), bias.val().into_data()));
            }
        };
        for (i, layer) in self.layers.iter().enumerate() {
            let at = |part: &str| format!("model.layers.{i}.{part}_proj");
            linear(at("self_attn.q"), &layer.query);
            linear(at("self_attn.k"), &layer.key);
            linear(at("self_attn.v"), &layer.value);
            linear(at("self_attn.o"), &layer.output);
            linear(at("mlp.gate"), &layer.gate);
            linear(at("mlp.up"), &layer.up);
            linear(at("mlp.down"), &layer.down);
        }
        self.output.iter().for_each(|output| linear("lm_head".into(), output));
        all.into_iter().map(|(name, data)| (name, data.convert_dtype(self.dtype()))).collect()
    }

    /// Logits, `[n, V]`, of hidden states, `[n, hidden]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let hidden = self.norm.forward(brought_to(hidden, &self.norm.weight.val().device()));
        match &self.output {
            Some(output) => output.forward(hidden),
            None => {
                let embedding = self.embedding.val();
                let hidden = brought_to(hidden, &embedding.device());
                let by_library = |hidden: &Tensor<2>| {
                    let embedding = stored::widened(&embedding, hidden.dtype());
                    hidden.clone().matmul(embedding.transpose())
                };
                few::transposed(&hidden, &embedding).unwrap_or_else(|| by_library(&hidden))
            }
        }
    }
}

/// `ranges` of one dimension, one behind the other.
pub(super) fn picked<const D: usize>(
    x: Tensor<D>,
    dim: usize,
    ranges: &[Range<usize>],
) -> Tensor<D> {
    let mut parts: Vec<Tensor<D>> =
        ranges.iter().map(|r| x.clone().narrow(dim, r.start, r.len())).collect();
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => Tensor::cat(parts, dim),
    }
}

/// `x` on `device`, where the next weights are.
fn brought_to(x: Tensor<2>, device: &Device) -> Tensor<2> {
    if x.device() == *device { x } else { x.to_device(device) }
}
