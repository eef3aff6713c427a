//! Inputs of attention and of products, and what they give by the formula, for the tests of the
//! ways to compute them.

use burn::prelude::*;

use super::attention::Shape;

/// Numbers between -1 and 1, the same for the same seed.
pub fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut x = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

pub fn tensor(numbers: Vec<f32>, shape: [usize; 4]) -> Tensor<4> {
    Tensor::from_data(TensorData::new(numbers, shape), &Device::flex())
}

impl Shape {
    /// Queries (long: some rows are sharp), keys and values.
    pub fn inputs(self) -> [Tensor<4>; 3] {
        let Self { heads, kv_heads, queries, keys, dim, .. } = self;
        let q = numbers(heads * queries * dim, 1).into_iter().map(|x| 6.0 * x).collect();
        let of_keys = |seed| tensor(numbers(kv_heads * keys * dim, seed), [1, kv_heads, keys, dim]);
        [tensor(q, [1, heads, queries, dim]), of_keys(2), of_keys(3)]
    }

    /// The formula, in f64.
    pub fn expected(self) -> Expected {
        let [q, k, v] = self.inputs().map(|x| x.into_data().try_into_vec_as::<f32>().unwrap());
        let Self { heads, kv_heads, queries, keys, dim, window } = self;
        let (mut rows, mut outputs) = (Vec::new(), Vec::new());
        for head in 0..heads {
            let shared = head / (heads / kv_heads) * keys * dim;
            for query in 0..queries {
                let position = keys - queries + query;
                let first = (position + 1).saturating_sub(window.unwrap_or(usize::MAX));
                let row = &q[(head * queries + query) * dim..][..dim];
                let weight = |key: usize| {
                    let key = &k[shared + key * dim..][..dim];
                    let product = row.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b));
                    (product.sum::<f64>() / (dim as f64).sqrt()).exp()
                };
                let seen = first..=position;
                let sum: f64 = seen.clone().map(weight).sum();
                let weights: Vec<f64> = (0..keys)
                    .map(|key| if seen.contains(&key) { weight(key) / sum } else { 0.0 })
                    .collect();
                outputs.extend((0..dim).map(|d| {
                    let value = |key: usize| f64::from(v[shared + key * dim + d]);
                    (0..keys).map(|key| weights[key] * value(key)).sum::<f64>()
                }));
                rows.extend(weights);
            }
        }
        Expected { rows, outputs }
    }
}

/// What attention gives.
pub struct Expected {
    /// `[H, n, t]`.
    pub rows: Vec<f64>,
    /// `[H, n, D]`.
    pub outputs: Vec<f64>,
}

pub fn vec_of<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec_as().unwrap()
}

pub fn case(heads: usize, kv_heads: usize, queries: usize, keys: usize, dim: usize) -> Shape {
    Shape { heads, kv_heads, queries, keys, dim, window: None }
}

/// A matrix of [`numbers`].
pub fn matrix(rows: usize, columns: usize, seed: u32) -> Tensor<2> {
    tensor(numbers(rows * columns, seed), [1, 1, rows, columns]).reshape([rows, columns])
}

/// The largest difference of `x · w` from the sum in f64, relative to the sum of what is added.
pub fn off(got: Tensor<2>, x: &Tensor<2>, w: &Tensor<2>) -> f64 {
    let ([m, inner], [_, outputs]) = (x.dims(), w.dims());
    assert_eq!(got.dims(), [m, outputs]);
    let [x, w, got] = [x.clone(), w.clone(), got].map(vec_of);
    let mut off = 0f64;
    for row in 0..m {
        for column in 0..outputs {
            let part =
                |k: usize| f64::from(x[row * inner + k]) * f64::from(w[k * outputs + column]);
            let sum: f64 = (0..inner).map(part).sum();
            let size: f64 = (0..inner).map(|k| part(k).abs()).sum();
            off = off.max((f64::from(got[row * outputs + column]) - sum).abs() / size);
        }
    }
    off
}
