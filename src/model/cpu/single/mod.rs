//! Attention of one query per head over keys and values in host memory, with its weights: over all
//! of them, or over some ([`Share`]).
//!
//! Bound by reading keys and values where they lie: a key once for all query heads that share it,
//! values once for each of them, of which the later find them in a cache.

#[cfg(test)]
mod tests;

use burn::prelude::*;
use burn::tensor::DType;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::dot::{AT_ONCE, dots};
use super::softmax::{KEYS, exponentials, softmax};
use super::{OnHost, RowsView};

/// Multiplications for which a thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 16;

/// Attention row, `[H, 1, t]`, and output, `[1, H, 1, D]`, of the newest query `q`, `[1, H, 1, D]`,
/// over all keys and values, `[1, G, t, D]`, of which it sees at most the last `window`.
///
/// `None` if they do not lie in host memory in f32, or are several sequences; the caller then does
/// without.
pub fn attend(
    q: &Tensor<4>,
    k: &Tensor<4>,
    v: &Tensor<4>,
    window: Option<usize>,
) -> Option<(Tensor<3>, Tensor<4>)> {
    let ([1, heads, 1, dim], [1, kv_heads, keys, _]) = (q.dims(), k.dims()) else {
        return None;
    };
    let (queries, k, v) = (OnHost::new(q)?, OnHost::new(k)?, OnHost::new(v)?);
    let group = heads / kv_heads;
    let scale = 1.0 / (dim as f32).sqrt();
    let scaled: Vec<f32> = (0..heads)
        .flat_map(|h| queries.rows(&[0, h]).row(0)[..dim].iter().map(|x| x * scale))
        .collect();
    let (mut rows, mut outputs) = (vec![0.0; heads * keys], vec![0.0; heads * dim]);
    let first = window.map_or(0, |w| keys.saturating_sub(w));
    let kv_heads_per_thread = WORTH_A_THREAD.div_ceil((2 * group * (keys - first) * dim).max(1));
    rows.par_chunks_mut(group * keys)
        .zip(outputs.par_chunks_mut(group * dim))
        .with_min_len(kv_heads_per_thread)
        .enumerate()
        .for_each(|(kv_head, (rows, outputs))| {
            Arch::new().dispatch(Attend {
                queries: &scaled[kv_head * group * dim..][..group * dim],
                keys: k.rows(&[0, kv_head]).from(first),
                values: v.rows(&[0, kv_head]).from(first),
                rows: rows.chunks_exact_mut(keys).map(|row| &mut row[first..]).collect(),
                outputs,
            });
        });
    let device = q.device();
    let tensor = |numbers: Vec<f32>, shape: &[usize]| TensorData::new(numbers, shape.to_vec());
    let rows = Tensor::from_data(tensor(rows, &[heads, 1, keys]), (&device, DType::F32));
    let outputs = Tensor::from_data(tensor(outputs, &[1, heads, 1, dim]), (&device, DType::F32));
    Some((rows, outputs))
}

/// The query heads of one key/value head.
struct Attend<'a> {
    /// Queries, `[g, D]`, scaled.
    queries: &'a [f32],
    keys: RowsView<'a>,
    values: RowsView<'a>,
    /// Weights of the keys that are seen, one row per head.
    rows: Vec<&'a mut [f32]>,
    /// Outputs, `[g, D]`, zeros before.
    outputs: &'a mut [f32],
}

impl WithSimd for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { queries, keys, values, mut rows, outputs } = self;
        let dim = queries.len() / rows.len();
        scores(simd, queries, keys, dim, &mut rows);
        for (row, output) in rows.iter_mut().zip(outputs.chunks_exact_mut(dim)) {
            softmax(simd, row);
            mix(simd, output, values, row);
        }
    }
}

/// What queries make of some of the keys and values that they see.
pub struct Share {
    /// Exponentials of the scores less the largest, `[g, n]`.
    pub weights: Vec<f32>,
    /// The largest score, `[g]`.
    pub largest: Vec<f32>,
    /// Sums of the exponentials, `[g]`.
    pub sums: Vec<f64>,
    /// The values weighted with them, `[g, D]`.
    pub mixed: Vec<f32>,
}

impl Share {
    /// Of scaled queries, `[g, D]`, and `n` keys and values, `[n, D]`, one at least.
    pub fn new(queries: &[f32], keys: &[f32], values: &[f32], dim: usize) -> Self {
        let rows = |data| RowsView { data, stride: dim };
        let (heads, n) = (queries.len() / dim, keys.len() / dim);
        let mut share = Self {
            weights: vec![0.0; heads * n],
            largest: Vec::with_capacity(heads),
            sums: Vec::with_capacity(heads),
            mixed: vec![0.0; queries.len()],
        };
        let (keys, values) = (rows(keys), rows(values));
        Arch::new().dispatch(Fill { share: &mut share, queries, keys, values, dim, n });
        share
    }
}

struct Fill<'a> {
    share: &'a mut Share,
    queries: &'a [f32],
    keys: RowsView<'a>,
    values: RowsView<'a>,
    dim: usize,
    n: usize,
}

impl WithSimd for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { share, queries, keys, values, dim, n } = self;
        let Share { weights, largest, sums, mixed } = share;
        let mut rows: Vec<&mut [f32]> = weights.chunks_exact_mut(n).collect();
        scores(simd, queries, keys, dim, &mut rows);
        for (row, mixed) in rows.iter_mut().zip(mixed.chunks_exact_mut(dim)) {
            let (top, sum) = exponentials(simd, row);
            largest.push(top);
            sums.push(sum);
            mix(simd, mixed, values, row);
        }
    }
}

/// Fills `rows`, `[g, n]`, with the products of `queries`, `[g, D]`, and `keys`.
#[inline(always)]
fn scores<S: Simd>(simd: S, queries: &[f32], keys: RowsView, dim: usize, rows: &mut [&mut [f32]]) {
    let seen = rows.first().map_or(0, |row| row.len());
    for from in (0..seen).step_by(AT_ONCE) {
        let n = AT_ONCE.min(seen - from);
        // Of fewer keys the last is taken again, and its score written once.
        let of_keys: [&[f32]; AT_ONCE] =
            std::array::from_fn(|i| &keys.row(from + i.min(n - 1))[..dim]);
        for (row, query) in rows.iter_mut().zip(queries.chunks_exact(dim)) {
            row[from..from + n].copy_from_slice(&dots(simd, query, of_keys)[..n]);
        }
    }
}

/// `output`, `[D]`, `+= weights`, `[n]`, `· values`, `[n, D]`; of [`KEYS`] at a time, as one long
/// chain of small shares would lose digits.
#[inline(always)]
fn mix<S: Simd>(simd: S, output: &mut [f32], values: RowsView, weights: &[f32]) {
    let mut part = vec![0.0; output.len()];
    for (i, weights) in weights.chunks(KEYS).enumerate() {
        part.fill(0.0);
        add_values(simd, &mut part, values.from(i * KEYS), weights);
        output.iter_mut().zip(&part).for_each(|(to, x)| *to += x);
    }
}

/// `out`, `[D]`, `+= weights`, `[n]`, `· values`, `[n, D]`.
#[inline(always)]
fn add_values<S: Simd>(simd: S, out: &mut [f32], values: RowsView, weights: &[f32]) {
    let dim = out.len();
    let (blocks, rest) = weights.as_chunks::<AT_ONCE>();
    for (i, weights) in blocks.iter().enumerate() {
        let rows: [&[f32]; AT_ONCE] = std::array::from_fn(|j| &values.row(i * AT_ONCE + j)[..dim]);
        add(simd, out, rows, *weights);
    }
    for (i, weight) in rest.iter().enumerate() {
        add(simd, out, [&values.row(blocks.len() * AT_ONCE + i)[..dim]], [*weight]);
    }
}

/// `out += Σ weight · row`.
#[inline(always)]
fn add<S: Simd, const N: usize>(simd: S, out: &mut [f32], rows: [&[f32]; N], weights: [f32; N]) {
    let (out, out_rest) = S::as_mut_simd_f32s(out);
    let rows = rows.map(|row| S::as_simd_f32s(row));
    let splats = weights.map(|weight| simd.splat_f32s(weight));
    for (i, to) in out.iter_mut().enumerate() {
        let mut sum = *to;
        for ((row, _), weight) in rows.iter().zip(splats) {
            sum = simd.mul_add_e_f32s(row[i], weight, sum);
        }
        *to = sum;
    }
    for (i, to) in out_rest.iter_mut().enumerate() {
        *to += rows.iter().zip(weights).map(|((_, rest), weight)| rest[i] * weight).sum::<f32>();
    }
}
