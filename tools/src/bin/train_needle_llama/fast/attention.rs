//! Causal attention over one head at a time, forward and back, with nothing of size `n x n` kept.
//!
//! Rows go in blocks of [`BLOCK`], so that a block's weights stay in the second-level cache; going
//! back, they are computed again from the saved logarithm of each row's sum, as in
//! FlashAttention (arXiv 2205.14135).

use rayon::prelude::*;

use super::kernels::{Mat, dot, matmul, softmax, softmax_back};

const BLOCK: usize = 128;

/// Shapes of one call: `b` sequences of `n` tokens, `g` key/value heads of `dim`, `group` query
/// heads for each.
#[derive(Clone, Copy)]
pub struct Shape {
    pub n: usize,
    pub dim: usize,
    pub group: usize,
}

impl Shape {
    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }

    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> {
        let n = self.n;
        (0..n).step_by(BLOCK).map(move |from| (from, (from + BLOCK).min(n)))
    }
}

/// `o`, `[b, H, n, dim]`, and the rows' log-sums `lse`, `[b, H, n]`, from `q` of `o`'s shape and
/// `k`, `v`, `[b, G, n, dim]`.
pub fn forward(s: Shape, q: &[f32], k: &[f32], v: &[f32], o: &mut [f32], lse: &mut [f32]) {
    let (head, heads) = (s.n * s.dim, s.group * s.n * s.dim);
    let tasks = q.par_chunks(heads).zip(k.par_chunks(head)).zip(v.par_chunks(head));
    let tasks = tasks.zip(o.par_chunks_mut(heads)).zip(lse.par_chunks_mut(s.group * s.n));
    tasks.for_each(|((((q, k), v), o), lse)| {
        let mut p = vec![0f32; BLOCK * s.n];
        let each = q.chunks(head).zip(o.chunks_mut(head)).zip(lse.chunks_mut(s.n));
        for ((q, o), lse) in each {
            for (from, to) in s.blocks() {
                let rows = to - from;
                let (q, o) = (&q[from * s.dim..to * s.dim], &mut o[from * s.dim..to * s.dim]);
                let shape = [rows, s.dim, to];
                matmul(&mut p, shape, Mat::new(q, s.dim), Mat::new(k, s.dim).t(), false, false);
                for (i, row) in p.chunks_mut(to).take(rows).enumerate() {
                    let (seen, hidden) = row.split_at_mut(from + i + 1);
                    lse[from + i] = softmax(seen, s.scale());
                    hidden.fill(0.0);
                }
                let shape = [rows, to, s.dim];
                matmul(o, shape, Mat::new(&p, to), Mat::new(v, s.dim), false, false);
            }
        }
    });
}

/// What [`forward`] saw and made.
pub struct Saved<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub o: &'a [f32],
    pub lse: &'a [f32],
}

/// Writes `dq`, `dk` and `dv` from `d_o`, the gradient of `o`.
pub fn backward(
    s: Shape,
    saved: &Saved,
    d_o: &[f32],
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
) {
    let (head, heads) = (s.n * s.dim, s.group * s.n * s.dim);
    let kv = saved.k.par_chunks(head).zip(saved.v.par_chunks(head));
    let outs = saved.o.par_chunks(heads).zip(d_o.par_chunks(heads));
    let sums = saved.lse.par_chunks(s.group * s.n);
    let grads = dq.par_chunks_mut(heads).zip(dk.par_chunks_mut(head)).zip(dv.par_chunks_mut(head));
    let tasks = saved.q.par_chunks(heads).zip(kv).zip(outs).zip(sums).zip(grads);
    tasks.for_each(|((((q, (k, v)), (o, d_o)), lse), ((dq, dk), dv))| {
        dk.fill(0.0);
        dv.fill(0.0);
        let mut p = vec![0f32; BLOCK * s.n];
        let mut dp = vec![0f32; BLOCK * s.n];
        for member in 0..s.group {
            let part = member * head..(member + 1) * head;
            let (q, o, d_o) = (&q[part.clone()], &o[part.clone()], &d_o[part.clone()]);
            let (dq, lse) = (&mut dq[part], &lse[member * s.n..(member + 1) * s.n]);
            for (from, to) in s.blocks() {
                let (rows, span) = (to - from, from * s.dim..to * s.dim);
                let (q, o, d_o) = (&q[span.clone()], &o[span.clone()], &d_o[span.clone()]);
                let wide = [rows, s.dim, to];
                matmul(&mut p, wide, Mat::new(q, s.dim), Mat::new(k, s.dim).t(), false, false);
                matmul(&mut dp, wide, Mat::new(d_o, s.dim), Mat::new(v, s.dim).t(), false, false);
                for i in 0..rows {
                    let row = i * s.dim..(i + 1) * s.dim;
                    let delta = dot(&d_o[row.clone()], &o[row]);
                    let seen = from + i + 1;
                    let (p, dp) = (&mut p[i * to..(i + 1) * to], &mut dp[i * to..(i + 1) * to]);
                    softmax_back(&mut p[..seen], &mut dp[..seen], s.scale(), lse[from + i], delta);
                    p[seen..].fill(0.0);
                    dp[seen..].fill(0.0);
                }
                let (p, dp) = (Mat::new(&p, to), Mat::new(&dp, to));
                let tall = [to, rows, s.dim];
                matmul(dv, tall, p.t(), Mat::new(d_o, s.dim), true, false);
                matmul(dk, tall, dp.t(), Mat::new(q, s.dim), true, false);
                let back = [rows, to, s.dim];
                matmul(&mut dq[span], back, dp, Mat::new(k, s.dim), false, false);
            }
        }
    });
}
