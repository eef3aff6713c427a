//! Attention over a cache, and the rows of chosen queries.
//!
//! Chunks of queries go through tiled attention, our own in host memory and the backend's
//! elsewhere; no `T x T` matrix exists at any time. A row that a score wants is one small product
//! more: `softmax(q · Kᵀ)` for that query.

use burn::prelude::*;
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, DType};

use crate::model::cpu;

/// What [`chunk`] computes, where a single query takes the shorter way of [`single`].
pub(super) fn outputs(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    window: Option<usize>,
    on_host: bool,
) -> Tensor<4> {
    match q.dims()[2] {
        1 => single(q, k, v, window, on_host).1,
        _ => chunk(q, k, v, window, on_host),
    }
}

/// Attention row, `[H, 1, t]` in f32, and output, `[1, H, 1, D]`, of the newest query `q`, `[1, H,
/// 1, D]`, over all keys and values, `[1, G, t, D]`, of which it sees at most the last `window`.
///
/// `on_host`: they lie in host memory.
pub(super) fn single(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    window: Option<usize>,
    on_host: bool,
) -> (Tensor<3>, Tensor<4>) {
    if on_host && let Some(both) = cpu::single::attend(&q, &k, &v, window) {
        return both;
    }
    let rows = rows(q, k, window);
    (rows.clone(), mix(rows, v))
}

/// Output, `[1, H, n, D]`, of the `n` newest queries `q` (`[1, H, n, D]`) over all keys and values
/// (`[1, G, t, D]`), causal, each query seeing at most the last `window` keys.
///
/// `on_host`: they lie in host memory.
pub(super) fn chunk(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    window: Option<usize>,
    on_host: bool,
) -> Tensor<4> {
    if on_host && let Some(output) = cpu::attention::chunk(&q, &k, &v, window) {
        return output;
    }
    let ([_, heads, n, _], [_, _, t, _]) = (q.dims(), k.dims());
    // The oldest key that any query of the chunk sees.
    let first = window.map_or(0, |w| (t - n + 1).saturating_sub(w));
    let seen = |x: Tensor<4>| expanded(x.narrow(2, first, t - first), heads);
    // Where no query of the chunk reaches back further than the window, causality is all.
    let hidden = window
        .filter(|w| t - first > *w)
        .map(|w| mask(n, t - first, Some(w), &q.device()).reshape([1, 1, n, t - first]));
    let options = AttentionModuleOptions { is_causal: hidden.is_none(), ..Default::default() };
    attention(q, seen(k), seen(v), hidden, None, options)
}

/// Scaled products, `[H, n, t]` in f32, of queries `q`, `[1, H, n, D]`, and keys, `[1, G, t, D]`.
///
/// In f32: in bf16 a score of 100 is off by up to 0.25, its weight by a quarter.
pub(super) fn scores(q: Tensor<4>, k: Tensor<4>) -> Tensor<3> {
    let ([_, heads, n, dim], [_, kv_heads, t, _]) = (q.dims(), k.dims());
    // No copy where they are f32 already.
    let (q, k) = (q.cast(DType::F32), k.cast(DType::F32));
    let q = q.mul_scalar(1.0 / (dim as f64).sqrt());
    let q = q.reshape([1, kv_heads, heads / kv_heads * n, dim]);
    q.matmul(k.swap_dims(2, 3)).reshape([heads, n, t])
}

/// Attention rows, `[H, n, t]` in f32, of the `n` newest queries `q`, `[1, H, n, D]`, over all
/// keys, `[1, G, t, D]`. Keys outside the window have weight 0.
pub(super) fn rows(q: Tensor<4>, k: Tensor<4>, window: Option<usize>) -> Tensor<3> {
    let ([_, heads, n, _], t) = (q.dims(), k.dims()[2]);
    let scores = scores(q, k);
    let scores = match n > 1 || window.is_some_and(|w| t > w) {
        true => {
            let hidden = mask(n, t, window, &scores.device()).reshape([1, n, t]);
            scores.mask_fill(hidden.expand([heads, n, t]), f32::NEG_INFINITY)
        }
        false => scores,
    };
    softmax(scores, 2)
}

/// Output, `[1, H, 1, D]`, of one query whose `rows`, `[H, 1, t]`, are known.
fn mix(rows: Tensor<3>, v: Tensor<4>) -> Tensor<4> {
    let ([heads, _, t], [_, kv_heads, _, dim]) = (rows.dims(), v.dims());
    let rows = rows.reshape([1, kv_heads, heads / kv_heads, t]).cast(v.dtype());
    rows.matmul(v).reshape([1, heads, 1, dim])
}

/// True where one of the `n` newest queries must not see one of `t` keys, `[n, t]`. Made where it
/// is needed: in a long context it is larger than all that travels otherwise.
fn mask(n: usize, t: usize, window: Option<usize>, device: &Device) -> Tensor<2, Bool> {
    let range = |from: usize, to: usize, shape: [usize; 2]| {
        Tensor::<1, Int>::arange(from as i64..to as i64, device).reshape(shape)
    };
    let (queries, keys) = (range(t - n, t, [n, 1]), range(0, t, [1, t]));
    let later = keys.clone().greater(queries.clone());
    // Wider windows hide nothing, and may not fit the device's integers.
    match window.filter(|w| *w < t) {
        None => later,
        Some(w) => later.bool_or(keys.lower_equal(queries.sub_scalar(w as i64))),
    }
}

/// Repeats key/value heads until there are `heads`.
fn expanded(x: Tensor<4>, heads: usize) -> Tensor<4> {
    let [batch, kv_heads, t, dim] = x.dims();
    if kv_heads == heads {
        return x;
    }
    x.reshape([batch, kv_heads, 1, t, dim])
        .expand([batch, kv_heads, heads / kv_heads, t, dim])
        .reshape([batch, heads, t, dim])
}
