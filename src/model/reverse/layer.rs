//! One decoder layer, up and down.

use burn::prelude::*;
use burn::tensor::activation::sigmoid;

use super::attention::AttentionRun;
use super::back_through;
use super::norm::NormRun;
use crate::model::ModelConfig;
use crate::model::decoder::{Layer, Linear, brought_to};
use crate::model::kv_cache::Held;
use crate::model::layout::{Norm, Projection};
use crate::model::ops::silu_product;
use crate::model::rope::Angles;

/// What the way down needs of the way up, for `n` rows.
pub(super) struct LayerRun<'a> {
    layer: &'a Layer,
    angles: &'a Angles,
    input: NormRun<2>,
    query: NormRun<4>,
    key: NormRun<4>,
    attention: AttentionRun,
    /// Of the heads, `[1, H, n, D]`.
    pub outputs: Tensor<4>,
    mlp: NormRun<2>,
    /// `[n, intermediate]` each.
    gate: Tensor<2>,
    up: Tensor<2>,
}

impl<'a> LayerRun<'a> {
    /// Layer `index` of a model of shape `c`, from the states before it, `[n, hidden]` in f32, to
    /// those behind it. `held` is what its cache has of the tokens before, `angles` are the rows'.
    pub fn new(
        layer: &'a Layer,
        c: &ModelConfig,
        x: Tensor<2>,
        angles: &'a Angles,
        held: Held,
        index: usize,
    ) -> (Self, Tensor<2>) {
        let norm = |which: Norm| layer.norms[which as usize].as_ref();
        let x = brought_to(x, &layer.projection(Projection::Query).weight.val().device());
        let n = x.dims()[0];
        let (normed, input) = NormRun::new(norm(Norm::Input), x.clone());
        let qkv = [Projection::Query, Projection::Key, Projection::Value];
        let [q, k, v] = Linear::of_each(qkv.map(|which| layer.projection(which)), normed);
        let split = |y: Tensor<2>, heads| y.reshape([1, n, heads, c.head_dim]);
        let (q, query) = NormRun::new(norm(Norm::Query), split(q, c.heads));
        let (k, key) = NormRun::new(norm(Norm::Key), split(k, c.kv_heads));
        let [q, k] = [q, k].map(|x| angles.rotate(x.swap_dims(1, 2)));
        let v = split(v, c.kv_heads).swap_dims(1, 2);
        let (outputs, attention) = AttentionRun::new([q, k, v], held, c.sliding_window[index]);
        let heads = outputs.clone().swap_dims(1, 2).reshape([n, c.heads * c.head_dim]);
        let x = x + layer.projection(Projection::Output).forward(heads);
        let (normed, mlp) = NormRun::new(norm(Norm::Mlp), x.clone());
        let gate_and_up = [Projection::Gate, Projection::Up].map(|which| layer.projection(which));
        let [gate, up] = Linear::of_each(gate_and_up, normed);
        let gated = silu_product(gate.clone(), up.clone());
        let x = x + layer.projection(Projection::Down).forward(gated);
        (Self { layer, angles, input, query, key, attention, outputs, mlp, gate, up }, x)
    }

    fn back(&self, through: Projection, gradient: Tensor<2>) -> Tensor<2> {
        back_through(self.layer.projection(through), gradient)
    }

    /// From the gradient to the states behind the layer, `[n, hidden]`, those to the states between
    /// attention and MLP, `[n, hidden]`, and to the heads' outputs, `[1, H, n, D]`.
    ///
    /// ```text
    /// y = silu(g) ⊙ u,  silu(g) = g σ(g):  dg = dy ⊙ u ⊙ σ(g) (1 + g (1 - σ(g))),  du = dy ⊙ silu(g)
    /// ```
    pub fn to_outputs(&self, gradient: Tensor<2>) -> (Tensor<2>, Tensor<4>) {
        let gradient = brought_to(gradient, &self.gate.device());
        let gated = self.back(Projection::Down, gradient.clone());
        let (gate, sigma) = (self.gate.clone(), sigmoid(self.gate.clone()));
        let rest = sigma.clone().neg().add_scalar(1.0);
        let slope = sigma.clone() * (gate.clone() * rest).add_scalar(1.0);
        let to_gate = gated.clone() * self.up.clone() * slope;
        let to_up = gated * gate * sigma;
        let normed = self.back(Projection::Gate, to_gate) + self.back(Projection::Up, to_up);
        let stream = gradient + self.mlp.back(normed);
        let [_, heads, n, dim] = self.outputs.dims();
        let outputs = self.back(Projection::Output, stream.clone());
        (stream, outputs.reshape([1, n, heads, dim]).swap_dims(1, 2))
    }

    /// The gradient to the states before the layer, `[n, hidden]`, from those that
    /// [`LayerRun::to_outputs`] gives.
    pub fn to_input(&self, stream: Tensor<2>, outputs: Tensor<4>) -> Tensor<2> {
        let [q, k, v] = self.attention.back(outputs, self.outputs.clone());
        let angles = self.angles.reversed();
        let [q, k] = [q, k].map(|x| angles.rotate(x).swap_dims(1, 2));
        let (q, k, v) = (self.query.back(q), self.key.back(k), v.swap_dims(1, 2));
        let all = |x: Tensor<4>| {
            let [_, n, heads, dim] = x.dims();
            x.reshape([n, heads * dim])
        };
        let normed = self.back(Projection::Query, all(q))
            + self.back(Projection::Key, all(k))
            + self.back(Projection::Value, all(v));
        stream + self.input.back(normed)
    }
}
