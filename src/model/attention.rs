//! Attention over a cache, and the rows of chosen queries.
//!
//! Chunks of queries go through tiled attention of our own, in host memory and in kernels; no `T x
//! T` matrix exists at any time. On a GPU a single query takes the kernel of ragged lists, each as
//! long as the cache. A row that a score wants is one small product more, `softmax(q · Kᵀ)` for
//! that query, or its scores come out of the kernel.

use burn::prelude::*;
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, DType};

use super::kv_cache::Held;
use crate::model::cpu;
#[cfg(feature = "kernels")]
use crate::model::kernels::{self, prompt, ragged, weights::Queries};

/// What queries put out, and what their rows can be had from without their sums anew.
pub(super) struct Attended {
    /// `[1, H, n, D]`.
    pub output: Tensor<4>,
    /// Logarithms of the sums of exponentials, `[H, n]` in f32, where a kernel has had them.
    pub totals: Option<Tensor<2>>,
}

impl From<Tensor<4>> for Attended {
    fn from(output: Tensor<4>) -> Self {
        Self { output, totals: None }
    }
}

/// A query's attention row, `H` heads.
pub(super) enum Row {
    /// `[H, 1, t]` in f32.
    Weights(Tensor<3>),
    /// What they come from.
    #[cfg(feature = "kernels")]
    Scores(Scores),
}

/// A query's scaled scores, before the softmax.
#[cfg(feature = "kernels")]
#[derive(Debug, Clone)]
pub struct Scores {
    /// Of the keys that it sees, `[H, s]` in f32.
    pub(super) seen: Tensor<2>,
    /// How many keys before them its window hides.
    pub(super) hidden: usize,
}

#[cfg(feature = "kernels")]
impl Scores {
    /// All keys, `t`.
    pub fn keys(&self) -> usize {
        self.hidden + self.seen.dims()[1]
    }

    /// The row, `[H, 1, t]` in f32; what is hidden has weight 0.
    pub fn rows(self) -> Tensor<3> {
        let [heads, seen] = self.seen.dims();
        let rows = softmax(self.seen.reshape([heads, 1, seen]), 2);
        match self.hidden {
            0 => rows,
            hidden => {
                let zeros = Tensor::zeros([heads, 1, hidden], (&rows.device(), DType::F32));
                Tensor::cat(vec![zeros, rows], 2)
            }
        }
    }
}

/// What [`chunk`] computes, where a single query takes the shorter way of [`single`].
pub(super) fn outputs(q: Tensor<4>, held: Held, window: Option<usize>, on_host: bool) -> Attended {
    match q.dims()[2] {
        1 => single(q, held, window, on_host, false).1.into(),
        _ => chunk(q, held, window, on_host),
    }
}

/// Attention row, if it is `wanted`, and output, `[1, H, 1, D]`, of the newest query `q`, `[1, H,
/// 1, D]`, over all that is held, of which it sees at most the last `window`.
///
/// `on_host`: it lies in host memory.
pub(super) fn single(
    q: Tensor<4>,
    held: Held,
    window: Option<usize>,
    on_host: bool,
    wanted: bool,
) -> (Option<Row>, Tensor<4>) {
    if on_host
        && let Some((row, output)) = cpu::single::attend(&q, &held.keys(), &held.values(), window)
    {
        return (wanted.then_some(Row::Weights(row)), output);
    }
    #[cfg(feature = "kernels")]
    if !on_host && kernels::run_on(&q.device()) {
        return single_by_kernel(q, held, window, wanted);
    }
    let rows = rows(q, &held, window);
    let output = mix(rows.clone(), held.values());
    (wanted.then_some(Row::Weights(rows)), output)
}

/// [`single`] where kernels run.
#[cfg(feature = "kernels")]
fn single_by_kernel(
    q: Tensor<4>,
    held: Held,
    window: Option<usize>,
    wanted: bool,
) -> (Option<Row>, Tensor<4>) {
    let ([_, heads, _, dim], t, [kv_heads, _]) = (q.dims(), held.tokens(), held.shape());
    let tokens = window.map_or(t, |w| w.min(t));
    let [keys, values] = held.stores().map(|store| {
        let [_, _, capacity, _] = store.dims();
        store.reshape([kv_heads * capacity, dim])
    });
    let capacity = keys.dims()[0] / kv_heads;
    let list = |g: usize| ragged::Seen { first: g * capacity + t - tokens, tokens };
    let lists: Vec<ragged::Seen> = (0..kv_heads).map(list).collect();
    let q = q.reshape([heads, dim]);
    let (output, scores) = ragged::attend(q, keys, values, &lists, wanted);
    let row = wanted
        .then(|| Row::Scores(Scores { seen: scores.reshape([heads, tokens]), hidden: t - tokens }));
    (row, output.reshape([1, heads, 1, dim]))
}

/// Output, `[1, H, n, D]`, of the `n` newest queries `q` (`[1, H, n, D]`) over all that is held,
/// causal, each query seeing at most the last `window` keys.
///
/// `on_host`: it lies in host memory.
pub(super) fn chunk(q: Tensor<4>, held: Held, window: Option<usize>, on_host: bool) -> Attended {
    if on_host && let Some(output) = cpu::attention::chunk(&q, &held.keys(), &held.values(), window)
    {
        return output.into();
    }
    #[cfg(feature = "kernels")]
    if !on_host && kernels::run_on(&q.device()) {
        let tokens = held.tokens();
        let [keys, values] = held.stores();
        let (output, totals) = prompt::attend(q, keys, values, tokens, window);
        return Attended { output, totals: Some(totals) };
    }
    let (k, v) = (held.keys(), held.values());
    let ([_, heads, n, _], t) = (q.dims(), held.tokens());
    // The oldest key that any query of the chunk sees.
    let first = window.map_or(0, |w| (t - n + 1).saturating_sub(w));
    let seen = |x: Tensor<4>| expanded(x.narrow(2, first, t - first), heads);
    // Where no query of the chunk reaches back further than the window, causality is all.
    let hidden = window
        .filter(|w| t - first > *w)
        .map(|w| mask(n, t - first, Some(w), &q.device()).reshape([1, 1, n, t - first]));
    let options = AttentionModuleOptions { is_causal: hidden.is_none(), ..Default::default() };
    attention(q, seen(k), seen(v), hidden, None, options).into()
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

/// The `n` newest queries `q`, `[1, H, n, D]`, over what is held, for kernels; their `totals` as
/// [`Attended`] has them, or anew.
#[cfg(feature = "kernels")]
pub(super) fn queries(
    q: Tensor<4>,
    held: &Held,
    window: Option<usize>,
    totals: Option<Tensor<2>>,
) -> Queries {
    let tokens = held.tokens();
    let [keys, values] = held.clone().stores();
    let totals =
        totals.unwrap_or_else(|| prompt::attend(q.clone(), keys.clone(), values, tokens, window).1);
    Queries { query: q, keys, totals, tokens, window }
}

/// Attention rows, `[H, n, t]` in f32, of the `n` newest queries `q`, `[1, H, n, D]`, over all that
/// is held. Keys outside the window have weight 0.
pub(super) fn rows(q: Tensor<4>, held: &Held, window: Option<usize>) -> Tensor<3> {
    #[cfg(feature = "kernels")]
    if kernels::run_on(&q.device()) {
        return queries(q, held, window, None).rows();
    }
    rows_of(q, held.keys(), window)
}

/// The same, over all keys, `[1, G, t, D]`, by products of the tensor library.
pub(super) fn rows_of(q: Tensor<4>, k: Tensor<4>, window: Option<usize>) -> Tensor<3> {
    weights(scores(q, k), window)
}

/// The same from scaled products, `[H, n, t]` in f32.
pub(super) fn weights(scores: Tensor<3>, window: Option<usize>) -> Tensor<3> {
    let [heads, n, t] = scores.dims();
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
