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

use super::config::ModelConfig;
use super::cpu::{rowwise, stored};
#[cfg(feature = "kernels")]
use super::kernels;
use super::layout::{EMBEDDING, FINAL_NORM, Norm, OUTPUT, Projection};
use super::ops::{gated, picked, product_added, product_transposed, products, silu_product};
use super::rope::Angles;
use super::weight_source::WeightSource;
use crate::error::Result;

/// What attention is: `(layer, q, k, v)` to the heads' outputs, as [`Decoder::run`] says.
pub type Attend<'a> =
    &'a mut dyn FnMut(usize, Tensor<4>, Tensor<4>, Tensor<4>) -> Result<Tensor<4>>;

/// Root-mean-square norm with a learned scale.
#[derive(Module, Debug)]
pub struct RmsNorm {
    pub(super) weight: Param<Tensor<1>>,
    pub(super) eps: f64,
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
        #[cfg(feature = "kernels")]
        if kernels::run_on(&x.device()) {
            let shape = x.shape();
            let (rows, width) = (shape.num_elements() / shape[D - 1], shape[D - 1]);
            let x = x.reshape([rows, width]);
            return kernels::norm::normed(x, self.weight.val(), self.eps).reshape(shape);
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
    pub(super) weight: Param<Tensor<2>>,
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

    /// `x`, `[n, in]`, with what this makes of it added to `to`, `[n, out]`.
    fn added(&self, x: Tensor<2>, to: Tensor<2>) -> Tensor<2> {
        match &self.bias {
            None => product_added(x, &self.weight.val(), to),
            Some(_) => to + self.forward(x),
        }
    }

    /// `x`, `[n, in]` → `[n, out]`, for each of them.
    pub(super) fn of_each<const N: usize>(linears: [&Self; N], x: Tensor<2>) -> [Tensor<2>; N] {
        let weights = linears.map(|linear| linear.weight.val());
        let mut linears = linears.into_iter();
        products(&x, weights.each_ref()).map(|y| {
            match linears.next().and_then(|linear| linear.bias.as_ref()) {
                // Rows in f32 stay so in a model that computes in less.
                Some(bias) => {
                    let dtype = y.dtype();
                    y + bias.val().cast(dtype).unsqueeze()
                }
                None => y,
            }
        })
    }
}

/// One decoder layer; what its weights are is listed in [`super::layout`].
#[derive(Module, Debug)]
pub struct Layer {
    /// In the order of [`Projection::ALL`].
    projections: Vec<Linear>,
    /// In the order of [`Norm::ALL`]; `None` for those that the family does without.
    pub(super) norms: Vec<Option<RmsNorm>>,
}

impl Layer {
    fn new(source: &mut dyn WeightSource, c: &ModelConfig, index: usize) -> Result<Self> {
        let mut projection = |projection: Projection| {
            let shape = projection.shape().map(|size| size.of(c));
            Linear::new(source, &projection.name(index), shape, projection.has_bias(c))
        };
        let projections =
            Projection::ALL.into_iter().map(&mut projection).collect::<Result<_>>()?;
        let mut norm = |norm: Norm| match norm.is_in(c) {
            true => RmsNorm::new(source, &norm.name(index), norm.size().of(c), c.rms_eps).map(Some),
            false => Ok(None),
        };
        let norms = Norm::ALL.into_iter().map(&mut norm).collect::<Result<_>>()?;
        Ok(Self { projections, norms })
    }

    pub(super) fn projection(&self, which: Projection) -> &Linear {
        &self.projections[which as usize]
    }

    /// `x`, `[n, in]` → `[n, out]`, by each of them.
    fn projected<const N: usize>(&self, by: [Projection; N], x: Tensor<2>) -> [Tensor<2>; N] {
        Linear::of_each(by.map(|which| self.projection(which)), x)
    }

    /// `x` normalised, or as it is where the layer does without the norm.
    fn normed<const D: usize>(&self, which: Norm, x: Tensor<D>) -> Tensor<D> {
        match &self.norms[which as usize] {
            Some(norm) => norm.forward(x),
            None => x,
        }
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
        let x = self.normed(Norm::Input, x);
        let split = |y: Tensor<2>, heads| {
            let n = y.dims()[0] / batch;
            y.reshape([batch, n, heads, c.dim])
        };
        let (q, k, v, angles_of_queries) = match wanted {
            None => {
                let [q, k, v] =
                    self.projected([Projection::Query, Projection::Key, Projection::Value], x);
                (q, k, v, None)
            }
            Some(rows) => {
                let [q] = self.projected([Projection::Query], picked(x.clone(), 0, rows));
                let [k, v] = self.projected([Projection::Key, Projection::Value], x);
                (q, k, v, Some(angles.of(rows)))
            }
        };
        let (q, k, v) = (split(q, c.query), split(k, c.kv), split(v, c.kv).swap_dims(1, 2));
        let angles_of_queries = angles_of_queries.as_ref().unwrap_or(angles);
        #[cfg(feature = "kernels")]
        if batch == 1 && kernels::run_on(&q.device()) {
            let norm = |which: Norm| {
                let norm = self.norms[which as usize].as_ref();
                norm.map(|norm| (norm.weight.val(), norm.eps))
            };
            let heads = |x: Tensor<4>, angles: &Angles, which| kernels::rotation::Heads {
                angles: angles.on(&x.device()),
                x: x.squeeze_dim::<3>(0),
                norm: norm(which),
            };
            let (q, k) = kernels::rotation::rotated(
                heads(q, angles_of_queries, Norm::Query),
                heads(k, angles, Norm::Key),
            );
            let of_heads = |x: Tensor<3>| x.unsqueeze::<4>().swap_dims(1, 2);
            return (of_heads(q), of_heads(k), v);
        }
        let q = angles_of_queries.rotate(self.normed(Norm::Query, q).swap_dims(1, 2));
        let k = angles.rotate(self.normed(Norm::Key, k).swap_dims(1, 2));
        (q, k, v)
    }

    /// `x` with what the feed-forward layer makes of it.
    fn with_mlp(&self, x: Tensor<2>) -> Tensor<2> {
        let normed = self.normed(Norm::Mlp, x.clone());
        let [gate, up] = [Projection::Gate, Projection::Up].map(|which| self.projection(which));
        let gated = match (&gate.bias, &up.bias) {
            (None, None) => gated(&normed, &gate.weight.val(), &up.weight.val()),
            _ => {
                let [gate, up] = Linear::of_each([gate, up], normed);
                silu_product(gate, up)
            }
        };
        self.projection(Projection::Down).added(gated, x)
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
    pub(super) embedding: Param<Tensor<2>>,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: RmsNorm,
    pub(super) output: Option<Linear>,
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
        let embedding = source.matrix(EMBEDDING, [c.vocab, c.hidden], false)?;
        let layers = (0..c.layers).map(|l| Layer::new(source, c, l)).collect::<Result<_>>()?;
        let output = match c.tied {
            true => None,
            false => Some(Linear::new(source, OUTPUT, [c.vocab, c.hidden], false)?),
        };
        Ok(Self {
            embedding: Param::from_tensor(embedding),
            layers,
            norm: RmsNorm::new(source, FINAL_NORM, c.hidden, c.rms_eps)?,
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
    /// `wanted` (of a single sequence, `B = 1`) of these alone, `[wanted, hidden]`. The last layer
    /// then does no more for the others than their keys and values.
    ///
    /// `attend(layer, q, k, v)` gets the rotated `q`, `[B, H, n, D]` (in the last layer those of
    /// the wanted), and `k`, `v`, `[B, G, n, D]`, and returns the heads' outputs, in the shape of
    /// `q`. `after(layer, x)` sees the residual stream after every layer.
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
        let x = brought_to(x, &layer.projection(Projection::Query).weight.val().device());
        let (q, k, v) = layer.project(x.clone(), &self.heads, batch, angles, wanted);
        let x = match wanted {
            Some(rows) => picked(x, 0, rows),
            None => x,
        };
        let (rows, width) = (x.dims()[0], self.heads.query * self.heads.dim);
        let heads = attend(index, q, k, v)?.swap_dims(1, 2).reshape([rows, width]);
        Ok(layer.with_mlp(layer.projection(Projection::Output).added(heads, x)))
    }

    /// The output projection of one layer's attention, `[H * D, hidden]`, in the type that it is
    /// held in.
    pub(super) fn output_projection(&self, layer: usize) -> Tensor<2> {
        self.layers[layer].projection(Projection::Output).weight.val()
    }

    /// Every weight in its Hugging Face layout (matrices `[out, in]`), with its name, in the type
    /// that the decoder computes in.
    pub fn weights(&self) -> Vec<(String, TensorData)> {
        let mut all = vec![(EMBEDDING.to_owned(), self.embedding.val().into_data())];
        let mut norm = |name: &str, norm: &RmsNorm| {
            all.push((format!("{name}.weight"), norm.weight.val().into_data()));
        };
        norm(FINAL_NORM, &self.norm);
        for (i, layer) in self.layers.iter().enumerate() {
            for (which, weight) in Norm::ALL.iter().zip(&layer.norms) {
                weight.iter().for_each(|weight| norm(&which.name(i), weight));
            }
        }
        let mut linear = |name: &str, linear: &Linear| {
            let weight = linear.weight.val().transpose().into_data();
            all.push((format!("{name}.weight"), weight));
            if let Some(bias) = &linear.bias {
                all.push((format!("{name}.bias"), bias.val().into_data()));
            }
        };
        for (i, layer) in self.layers.iter().enumerate() {
            for (which, weight) in Projection::ALL.iter().zip(&layer.projections) {
                linear(&which.name(i), weight);
            }
        }
        self.output.iter().for_each(|output| linear(OUTPUT, output));
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
                product_transposed(hidden, &embedding)
            }
        }
    }
}

/// `x` on `device`, where the next weights are.
pub(super) fn brought_to(x: Tensor<2>, device: &Device) -> Tensor<2> {
    if x.device() == *device { x } else { x.to_device(device) }
}
