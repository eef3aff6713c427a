//! Attention of one query per head over keys and values in host memory, with its weights.
//!
//! Bound by reading keys and values where they lie: a key once for all query heads that share it, values once for
//! each of them, of which the later find them in a cache.

#[cfg(test)]
mod tests;

use burn::prelude::*;
use burn::tensor::DType;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::dot::{AT_ONCE, dots};
use super::exp::exp;
use super::{OnHost, Rows};

/// Multiplications for which a thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 16;
/// Keys whose weights, and whose values, are added up before they are added to the others: one long chain
/// of small shares would lose digits.
const KEYS: usize = 128;

/// Attention row, `[H, 1, t]`, and output, `[1, H, 1, D]`, of the newest query `q`, `[1, H, 1, D]`, over
/// all keys and values, `[1, G, t, D]`, of which it sees at most the last `window`.
///
/// `None` if they do not lie in host memory in f32, or are several sequences; the caller then does without.
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
    keys: Rows<'a>,
    values: Rows<'a>,
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
        let seen = rows[0].len();
        let mut part = vec![0.0; dim];
        for from in (0..seen).step_by(AT_ONCE) {
            let n = AT_ONCE.min(seen - from);
            // Of fewer keys the last is taken again, and its score written once.
            let of_keys: [&[f32]; AT_ONCE] =
                std::array::from_fn(|i| &keys.row(from + i.min(n - 1))[..dim]);
            for (row, query) in rows.iter_mut().zip(queries.chunks_exact(dim)) {
                row[from..from + n].copy_from_slice(&dots(simd, query, of_keys)[..n]);
            }
        }
        for (row, output) in rows.iter_mut().zip(outputs.chunks_exact_mut(dim)) {
            softmax(simd, row);
            for from in (0..seen).step_by(KEYS) {
                let weights = &row[from..seen.min(from + KEYS)];
                part.fill(0.0);
                mix(simd, &mut part, values.from(from), weights);
                output.iter_mut().zip(&part).for_each(|(to, x)| *to += x);
            }
        }
    }
}

/// Scores become weights that sum to 1.
#[inline(always)]
fn softmax<S: Simd>(simd: S, row: &mut [f32]) {
    let largest = {
        let (whole, rest) = S::as_simd_f32s(row);
        let top = whole.iter().fold(simd.splat_f32s(f32::MIN), |top, x| simd.max_f32s(*x, top));
        rest.iter().fold(simd.reduce_max_f32s(top), |top, x| x.max(top))
    };
    let top = simd.splat_f32s(largest);
    let mut total = 0.0;
    for tile in row.chunks_mut(KEYS) {
        let (whole, rest) = S::as_mut_simd_f32s(tile);
        let mut sum = simd.splat_f32s(0.0);
        for x in whole {
            *x = exp(simd, simd.sub_f32s(*x, top));
            sum = simd.add_f32s(sum, *x);
        }
        let weights = exp(simd, simd.sub_f32s(simd.partial_load_f32s(rest), top));
        simd.partial_store_f32s(rest, weights);
        total += simd.reduce_sum_f32s(sum) + rest.iter().sum::<f32>();
    }
    let factor = 1.0 / total;
    row.iter_mut().for_each(|x| *x *= factor);
}

/// `out`, `[D]`, `+= weights`, `[n]`, `· values`, `[n, D]`.
#[inline(always)]
fn mix<S: Simd>(simd: S, out: &mut [f32], values: Rows, weights: &[f32]) {
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
