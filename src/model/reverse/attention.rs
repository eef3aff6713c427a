//! Attention of the last rows of a sequence, up and down; keys and values before them are constant.
//!
//! ```text
//! s = c q · Kᵀ,  a = softmax(s),  o = a · V                         c = 1 / sqrt(D)
//! da = do · Vᵀ,  ds = a ⊙ (da - (do · o)),  dq = c ds · K,  dK = c dsᵀ · q,  dV = aᵀ · do
//! ```
//!
//! Of `K` and `V` only the rows' own have a gradient. Query heads that share them lie behind one
//! another, `[1, G, H / G * n, D]`, so that their gradients add up in the product. The weights, `n`
//! rows as long as the context, are computed anew on the way down and not kept for all layers.

use burn::prelude::*;
use burn::tensor::DType;

use crate::model::attention::weights;
#[cfg(feature = "kernels")]
use crate::model::kernels;
use crate::model::kv_cache::Held;
#[cfg(feature = "kernels")]
use crate::model::ops::matmul;

/// What the way down needs of the way up.
pub(super) struct AttentionRun {
    /// Scaled, `[1, G, H / G * n, D]`.
    queries: Tensor<4>,
    /// The rows' own, `[1, G, n, D]`.
    keys: Tensor<4>,
    values: Tensor<4>,
    /// What stands before them.
    held: Held,
    /// How much of it no row sees.
    hidden: usize,
    window: Option<usize>,
    /// `H`.
    heads: usize,
}

impl AttentionRun {
    /// Of rows with rotated queries, `[1, H, n, D]`, keys and values, `[1, G, n, D]`, all in f32,
    /// behind what is `held`, a token at least; each sees at most the last `window` keys.
    pub fn new(
        [queries, keys, values]: [Tensor<4>; 3],
        held: Held,
        window: Option<usize>,
    ) -> (Tensor<4>, Self) {
        let [_, heads, n, dim] = queries.dims();
        let kv_heads = keys.dims()[1];
        let queries = queries.mul_scalar(scale(dim));
        let queries = queries.reshape([1, kv_heads, heads / kv_heads * n, dim]);
        let before = held.tokens();
        // One that is seen by none stays where no other would: there are no empty tensors.
        let hidden = window.map_or(0, |w| (before + 1).saturating_sub(w)).min(before - 1);
        let run = Self { queries, keys, values, held, hidden, window, heads };
        let (before, own) = run.weights();
        let outputs =
            product(before, run.before(run.held.values())) + product(own, run.values.clone());
        (outputs.reshape([1, heads, n, dim]), run)
    }

    /// Of what stands before the rows, that which some row sees, in f32.
    fn before(&self, of: Tensor<4>) -> Tensor<4> {
        of.narrow(2, self.hidden, self.held.tokens() - self.hidden).cast(DType::F32)
    }

    /// Weights, `[1, G, H / G * n, ..]`, of the keys before the rows and of their own.
    fn weights(&self) -> (Tensor<4>, Tensor<4>) {
        let [_, kv_heads, rows, _] = self.queries.dims();
        let scores = |keys: Tensor<4>| product(self.queries.clone(), keys.swap_dims(2, 3));
        let before = scores(self.before(self.held.keys()));
        let scores = Tensor::cat(vec![before, scores(self.keys.clone())], 3);
        let (keys, n) = (scores.dims()[3], self.keys.dims()[2]);
        let scores = scores.reshape([self.heads, n, keys]);
        let weights = weights(scores, self.window).reshape([1, kv_heads, rows, keys]);
        (weights.clone().narrow(3, 0, keys - n), weights.narrow(3, keys - n, n))
    }

    /// Gradients to rotated queries, `[1, H, n, D]`, keys and values, `[1, G, n, D]`, of the rows
    /// from that to their `outputs`, both `[1, H, n, D]`.
    pub fn back(&self, gradient: Tensor<4>, outputs: Tensor<4>) -> [Tensor<4>; 3] {
        let [_, kv_heads, rows, dim] = self.queries.dims();
        let [gradient, outputs] = [gradient, outputs].map(|x| x.reshape([1, kv_heads, rows, dim]));
        let along = (gradient.clone() * outputs).sum_dim(3);
        let to_scores = |weights: &Tensor<4>, values: Tensor<4>| {
            let to_weights = product(gradient.clone(), values.swap_dims(2, 3));
            weights.clone() * (to_weights - along.clone())
        };
        let (before, own) = self.weights();
        let to_before = to_scores(&before, self.before(self.held.values()));
        let to_own = to_scores(&own, self.values.clone());
        let queries = product(to_before, self.before(self.held.keys()))
            + product(to_own.clone(), self.keys.clone());
        let keys = product(to_own.swap_dims(2, 3), self.queries.clone());
        let values = product(own.swap_dims(2, 3), gradient);
        let n = self.keys.dims()[2];
        [queries.mul_scalar(scale(dim)).reshape([1, self.heads, n, dim]), keys, values]
    }
}

fn scale(dim: usize) -> f64 {
    1.0 / (dim as f64).sqrt()
}

/// `a · b`, both in f32, for every KV head, `[1, G, .., ..]`.
fn product(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "kernels")]
    if kernels::run_on(&a.device()) {
        // One by one, as the library's own would be in TF32.
        let of = |x: &Tensor<4>, head: usize| -> Tensor<2> {
            x.clone().narrow(1, head, 1).squeeze_dims(&[0, 1])
        };
        let one = |head| matmul(of(&a, head), of(&b, head)).unsqueeze::<4>();
        return Tensor::cat((0..a.dims()[1]).map(one).collect(), 1);
    }
    a.matmul(b)
}
