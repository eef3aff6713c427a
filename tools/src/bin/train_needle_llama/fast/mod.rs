//! The same model with its gradient written out, for training on a processor.
//!
//! burn's autodiff allocates and walks memory once per operation, and keeps every `n x n` matrix of
//! attention; here a step is a few large products and fused loops between them. A test holds its
//! loss against [`headprof::model::decoder::Decoder`] and its gradient against finite differences.

mod adamw;
mod attention;
mod kernels;
mod layout;

#[cfg(test)]
mod tests;

use std::ops::Range;

use burn::prelude::*;
use headprof::Result;
use headprof::model::config::ModelConfig;
use rayon::prelude::*;

pub use adamw::AdamW;
use attention::{Saved, Shape};
use kernels::{Mat, matmul, rms_norm, rms_norm_back, swiglu, swiglu_back};
use layout::{LayerRanges, Layout};

/// The weights and the shape they have.
pub struct Model {
    pub weights: Vec<f32>,
    layout: Layout,
    config: ModelConfig,
}

/// One batch: `b` sequences of `n` tokens.
pub struct Input<'a> {
    pub ids: &'a [u32],
    pub n: usize,
    /// Cosines and sines, `[b * n, D / 2]` each.
    pub cos: &'a [f32],
    pub sin: &'a [f32],
    /// Rows whose next token enters the loss, which token that is, and its weight.
    pub rows: &'a [i32],
    pub wanted: &'a [i32],
    pub weights: &'a [f32],
}

/// What a step found out about its targets.
pub struct Outcome {
    /// Weighted sum of the targets' negative log likelihoods over the weight of the answers.
    #[cfg(test)]
    pub loss: f64,
    /// Per target: negative log likelihood and the most likely token.
    pub nll: Vec<f32>,
    pub best: Vec<i32>,
}

/// What a layer's forward pass keeps for its backward pass.
struct Kept {
    x: Vec<f32>,
    inverse: Vec<f32>,
    h: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    lse: Vec<f32>,
    o: Vec<f32>,
    o_rows: Vec<f32>,
    x_mid: Vec<f32>,
    inverse_mid: Vec<f32>,
    h_mid: Vec<f32>,
    gu: Vec<f32>,
    act: Vec<f32>,
}

impl Model {
    /// Takes the weights of a decoder, as [`headprof::model::decoder::Decoder::weights`] gives
    /// them.
    ///
    /// # Errors
    /// If a weight is missing or has another size.
    pub fn new(config: &ModelConfig, weights: Vec<(String, TensorData)>) -> Result<Self> {
        let layout = Layout::new(config);
        let weights = layout.gather(weights)?;
        Ok(Self { weights, layout, config: config.clone() })
    }

    /// The weights under their Hugging Face names.
    pub fn export(&self) -> Vec<(String, TensorData)> {
        self.layout.scatter(&self.weights)
    }

    /// Loss of a batch; adds its gradient to `gradient`, which has the length of the weights.
    pub fn step(&self, input: &Input, gradient: &mut [f32]) -> Outcome {
        let d = self.config.hidden;
        let mut x = vec![0f32; input.ids.len() * d];
        let embedding = &self.weights[self.layout.embedding.clone()];
        for (x, id) in x.chunks_mut(d).zip(input.ids) {
            x.copy_from_slice(&embedding[*id as usize * d..][..d]);
        }
        let mut kept = Vec::with_capacity(self.layout.layers.len());
        for layer in &self.layout.layers {
            let (next, layer_kept) = self.layer(layer, x, input);
            kept.push(layer_kept);
            x = next;
        }
        let (outcome, mut dx) = self.head(&x, input, gradient);
        for (layer, kept) in self.layout.layers.iter().zip(kept).rev() {
            self.layer_back(layer, kept, input, &mut dx, gradient);
        }
        let d_embedding = &mut gradient[self.layout.embedding.clone()];
        for (dx, id) in dx.chunks(d).zip(input.ids) {
            let row = &mut d_embedding[*id as usize * d..][..d];
            row.iter_mut().zip(dx).for_each(|(a, b)| *a += b);
        }
        outcome
    }

    fn weight(&self, range: &Range<usize>) -> &[f32] {
        &self.weights[range.clone()]
    }

    fn layer(&self, w: &LayerRanges, x: Vec<f32>, input: &Input) -> (Vec<f32>, Kept) {
        let c = &self.config;
        let (rows, d, f) = (input.ids.len(), c.hidden, c.intermediate);
        let (q_width, kv_width) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let (mut h, mut inverse) = (vec![0f32; rows * d], vec![0f32; rows]);
        rms_norm(&x, self.weight(&w.norm), c.rms_eps as f32, &mut h, &mut inverse);
        let width = q_width + 2 * kv_width;
        let mut qkv = vec![0f32; rows * width];
        let weight = Mat::new(self.weight(&w.qkv), width);
        matmul(&mut qkv, [rows, d, width], Mat::new(&h, d), weight, false, true);
        let (q, k, v) = self.split(&qkv, input);
        let (mut o, mut lse) = (vec![0f32; q.len()], vec![0f32; rows * c.heads]);
        attention::forward(self.shape(input), &q, &k, &v, &mut o, &mut lse);
        let mut o_rows = vec![0f32; rows * q_width];
        to_rows(&o, &mut o_rows, q_width, 0, c.heads, input.n, c.head_dim);
        let mut x_mid = x.clone();
        let weight = Mat::new(self.weight(&w.output), d);
        matmul(&mut x_mid, [rows, q_width, d], Mat::new(&o_rows, q_width), weight, true, true);
        let (mut h_mid, mut inverse_mid) = (vec![0f32; rows * d], vec![0f32; rows]);
        let eps = c.rms_eps as f32;
        rms_norm(&x_mid, self.weight(&w.mlp_norm), eps, &mut h_mid, &mut inverse_mid);
        let mut gu = vec![0f32; rows * 2 * f];
        let weight = Mat::new(self.weight(&w.gate_up), 2 * f);
        matmul(&mut gu, [rows, d, 2 * f], Mat::new(&h_mid, d), weight, false, true);
        let mut act = vec![0f32; rows * f];
        swiglu(&gu, f, &mut act);
        let mut out = x_mid.clone();
        let weight = Mat::new(self.weight(&w.down), d);
        matmul(&mut out, [rows, f, d], Mat::new(&act, f), weight, true, true);
        let kept =
            Kept { x, inverse, h, q, k, v, lse, o, o_rows, x_mid, inverse_mid, h_mid, gu, act };
        (out, kept)
    }

    /// Turns `dx`, the gradient of the layer's output, into that of its input.
    fn layer_back(
        &self,
        w: &LayerRanges,
        kept: Kept,
        input: &Input,
        dx: &mut [f32],
        gradient: &mut [f32],
    ) {
        let c = &self.config;
        let (rows, d, f) = (input.ids.len(), c.hidden, c.intermediate);
        let (q_width, kv_width) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let mut product = |range: &Range<usize>, a: &[f32], b: &[f32], m: usize, n: usize| {
            let out = &mut gradient[range.clone()];
            matmul(out, [m, rows, n], Mat::new(a, m).t(), Mat::new(b, n), true, true);
        };
        product(&w.down, &kept.act, dx, f, d);
        let mut dact = vec![0f32; rows * f];
        let weight = Mat::new(self.weight(&w.down), d).t();
        matmul(&mut dact, [rows, d, f], Mat::new(dx, d), weight, false, true);
        let mut dgu = vec![0f32; rows * 2 * f];
        swiglu_back(&kept.gu, f, &dact, &mut dgu);
        product(&w.gate_up, &kept.h_mid, &dgu, d, 2 * f);
        let mut dh = vec![0f32; rows * d];
        let weight = Mat::new(self.weight(&w.gate_up), 2 * f).t();
        matmul(&mut dh, [rows, 2 * f, d], Mat::new(&dgu, 2 * f), weight, false, true);
        let norm = &mut vec![0f32; d];
        rms_norm_back(&kept.x_mid, self.weight(&w.mlp_norm), &kept.inverse_mid, &dh, dx, norm);

        product(&w.output, &kept.o_rows, dx, q_width, d);
        let mut do_rows = vec![0f32; rows * q_width];
        let weight = Mat::new(self.weight(&w.output), d).t();
        matmul(&mut do_rows, [rows, d, q_width], Mat::new(dx, d), weight, false, true);
        let d_o = to_heads(&do_rows, q_width, 0, c.heads, input.n, c.head_dim);
        let mut dq = vec![0f32; kept.q.len()];
        let (mut dk, mut dv) = (vec![0f32; kept.k.len()], vec![0f32; kept.v.len()]);
        let saved = Saved { q: &kept.q, k: &kept.k, v: &kept.v, o: &kept.o, lse: &kept.lse };
        attention::backward(self.shape(input), &saved, &d_o, &mut dq, &mut dk, &mut dv);
        let dqkv = self.join(dq, dk, dv, input);
        let width = q_width + 2 * kv_width;
        product(&w.qkv, &kept.h, &dqkv, d, width);
        let weight = Mat::new(self.weight(&w.qkv), width).t();
        matmul(&mut dh, [rows, width, d], Mat::new(&dqkv, width), weight, false, true);
        add(&mut gradient[w.mlp_norm.clone()], norm);
        norm.fill(0.0);
        rms_norm_back(&kept.x, self.weight(&w.norm), &kept.inverse, &dh, dx, norm);
        add(&mut gradient[w.norm.clone()], norm);
    }

    /// Loss of the chosen rows and the gradient of the last layer's output.
    fn head(&self, x: &[f32], input: &Input, gradient: &mut [f32]) -> (Outcome, Vec<f32>) {
        let (d, vocab, m) = (self.config.hidden, self.config.vocab, input.rows.len());
        let mut chosen = vec![0f32; m * d];
        for (to, row) in chosen.chunks_mut(d).zip(input.rows) {
            to.copy_from_slice(&x[*row as usize * d..][..d]);
        }
        let (mut h, mut inverse) = (vec![0f32; m * d], vec![0f32; m]);
        let norm = self.weight(&self.layout.norm);
        rms_norm(&chosen, norm, self.config.rms_eps as f32, &mut h, &mut inverse);
        let mut logits = vec![0f32; m * vocab];
        let embedding = Mat::new(self.weight(&self.layout.embedding), d);
        matmul(&mut logits, [m, d, vocab], Mat::new(&h, d), embedding.t(), false, true);
        let total: f32 = input.weights.iter().filter(|w| **w >= 0.99 && **w < 1.5).sum();
        let total = total.max(1.0);
        let targets = input.wanted.par_iter().zip(input.weights);
        let found: Vec<(f32, i32)> = logits
            .par_chunks_mut(vocab)
            .zip(targets)
            .map(|(row, (wanted, weight))| cross_entropy(row, *wanted as usize, weight / total))
            .collect();
        let d_embedding = &mut gradient[self.layout.embedding.clone()];
        matmul(
            d_embedding,
            [vocab, m, d],
            Mat::new(&logits, vocab).t(),
            Mat::new(&h, d),
            true,
            true,
        );
        let mut dh = vec![0f32; m * d];
        matmul(&mut dh, [m, vocab, d], Mat::new(&logits, vocab), embedding, false, true);
        let mut d_chosen = vec![0f32; m * d];
        let d_norm = &mut gradient[self.layout.norm.clone()];
        rms_norm_back(&chosen, norm, &inverse, &dh, &mut d_chosen, d_norm);
        let mut dx = vec![0f32; x.len()];
        for (from, row) in d_chosen.chunks(d).zip(input.rows) {
            dx[*row as usize * d..][..d].copy_from_slice(from);
        }
        #[cfg(test)]
        let loss = found
            .iter()
            .zip(input.weights)
            .map(|((nll, _), w)| (nll * w) as f64 / total as f64)
            .sum::<f64>();
        let (nll, best) = found.into_iter().unzip();
        let outcome = Outcome {
            #[cfg(test)]
            loss,
            nll,
            best,
        };
        (outcome, dx)
    }

    fn shape(&self, input: &Input) -> Shape {
        Shape { n: input.n, dim: self.config.head_dim, group: self.config.group() }
    }

    /// Rows of `q | k | v` into heads, `q` and `k` rotated.
    fn split(&self, qkv: &[f32], input: &Input) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let c = &self.config;
        let (q_width, kv_width) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let width = q_width + 2 * kv_width;
        let part = |from, heads| to_heads(qkv, width, from, heads, input.n, c.head_dim);
        let (mut q, mut k) = (part(0, c.heads), part(q_width, c.kv_heads));
        turn(&mut q, c.heads, input, c.head_dim, 1.0);
        turn(&mut k, c.kv_heads, input, c.head_dim, 1.0);
        (q, k, part(q_width + kv_width, c.kv_heads))
    }

    /// The inverse of [`Model::split`], for gradients.
    fn join(&self, mut dq: Vec<f32>, mut dk: Vec<f32>, dv: Vec<f32>, input: &Input) -> Vec<f32> {
        let c = &self.config;
        let (q_width, kv_width) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let width = q_width + 2 * kv_width;
        turn(&mut dq, c.heads, input, c.head_dim, -1.0);
        turn(&mut dk, c.kv_heads, input, c.head_dim, -1.0);
        let mut out = vec![0f32; input.ids.len() * width];
        to_rows(&dq, &mut out, width, 0, c.heads, input.n, c.head_dim);
        to_rows(&dk, &mut out, width, q_width, c.kv_heads, input.n, c.head_dim);
        to_rows(&dv, &mut out, width, q_width + kv_width, c.kv_heads, input.n, c.head_dim);
        out
    }
}

/// Leaves the gradient of `weight * nll` in `row` and returns the nll and the most likely token.
fn cross_entropy(row: &mut [f32], wanted: usize, weight: f32) -> (f32, i32) {
    let mut best = 0;
    for (i, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = i;
        }
    }
    let (top, target) = (row[best], row[wanted]);
    row.iter_mut().for_each(|v| *v = kernels::exp(*v - top));
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|v| *v *= weight / sum);
    row[wanted] -= weight;
    (sum.ln() + top - target, best as i32)
}

/// Columns `from..` of `rows`, `[b * n, width]`, as `[b, heads, n, dim]`.
fn to_heads(
    rows: &[f32],
    width: usize,
    from: usize,
    heads: usize,
    n: usize,
    dim: usize,
) -> Vec<f32> {
    let mut out = vec![0f32; rows.len() / width * heads * dim];
    let sequences = out.par_chunks_mut(heads * n * dim).zip(rows.par_chunks(width * n));
    sequences.for_each(|(out, rows)| {
        for (head, out) in out.chunks_mut(n * dim).enumerate() {
            let at = from + head * dim;
            for (to, row) in out.chunks_mut(dim).zip(rows.chunks(width)) {
                to.copy_from_slice(&row[at..at + dim]);
            }
        }
    });
    out
}

/// The inverse of [`to_heads`], into columns `from..` of `rows`.
fn to_rows(
    x: &[f32],
    rows: &mut [f32],
    width: usize,
    from: usize,
    heads: usize,
    n: usize,
    dim: usize,
) {
    let sequences = rows.par_chunks_mut(width * n).zip(x.par_chunks(heads * n * dim));
    sequences.for_each(|(rows, x)| {
        for (head, x) in x.chunks(n * dim).enumerate() {
            let at = from + head * dim;
            for (row, from) in rows.chunks_mut(width).zip(x.chunks(dim)) {
                row[at..at + dim].copy_from_slice(from);
            }
        }
    });
}

/// Rotates `x`, `[b, heads, n, dim]`, by its positions' angles; back with `sign` -1.
fn turn(x: &mut [f32], heads: usize, input: &Input, dim: usize, sign: f32) {
    let (half, n) = (dim / 2, input.n);
    x.par_chunks_mut(heads * n * dim).enumerate().for_each(|(sequence, x)| {
        for (i, x) in x.chunks_mut(dim).enumerate() {
            let at = (sequence * n + i % n) * half;
            let (cos, sin) = (&input.cos[at..at + half], &input.sin[at..at + half]);
            let (a, b) = x.split_at_mut(half);
            for j in 0..half {
                let (s, c) = (sign * sin[j], cos[j]);
                (a[j], b[j]) = (a[j] * c - b[j] * s, b[j] * c + a[j] * s);
            }
        }
    });
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
}
