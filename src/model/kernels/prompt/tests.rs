use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::model::Compute;

/// A prompt's end: `queries` of `tokens`, in a cache with room for three more.
#[derive(Debug, Clone, Copy)]
struct Case {
    heads: usize,
    kv_heads: usize,
    dim: usize,
    queries: usize,
    tokens: usize,
    window: Option<usize>,
}

const CASE: Case = Case { heads: 2, kv_heads: 1, dim: 64, queries: 1, tokens: 1, window: None };

/// Numbers that are exact in f16, `[1, heads, rows, dim]`.
struct Numbers {
    query: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Case {
    fn capacity(&self) -> usize {
        self.tokens + 3
    }

    /// Scores of up to about 6: rows that are neither flat nor one-hot. Behind the tokens there is
    /// no number. In bf16 exact, too: eight bits each.
    fn numbers(&self) -> Numbers {
        let mut rng = StdRng::seed_from_u64((self.queries * 1000 + self.dim) as u64);
        let mut random = |n: usize, size: f32| -> Vec<f32> {
            let mut number =
                || half::bf16::from_f32((rng.random::<f32>() * 2.0 - 1.0) * size).to_f32();
            (0..n).map(|_| number()).collect()
        };
        let query = random(self.heads * self.queries * self.dim, 4.0);
        let mut store = || {
            let mut all = random(self.kv_heads * self.capacity() * self.dim, 1.0);
            for head in all.chunks_mut(self.capacity() * self.dim) {
                head[self.tokens * self.dim..].fill(f32::NAN);
            }
            all
        };
        Numbers { query, keys: store(), values: store() }
    }

    /// The formula, in f64 and plain loops: `[H, n, D]`.
    fn by_hand(&self, of: &Numbers) -> Vec<f64> {
        let Case { dim, queries, tokens, .. } = *self;
        let mut output = Vec::new();
        for h in 0..self.heads {
            let first = h / (self.heads / self.kv_heads) * self.capacity() * dim;
            for q in 0..queries {
                let query = &of.query[(h * queries + q) * dim..][..dim];
                let position = tokens - queries + q;
                let seen = position.saturating_sub(self.window.unwrap_or(tokens) - 1)..position + 1;
                let score = |t: usize| -> f64 {
                    let key = &of.keys[first + t * dim..][..dim];
                    let product = |(a, b): (&f32, &f32)| f64::from(*a) * f64::from(*b);
                    query.iter().zip(key).map(product).sum::<f64>() / (dim as f64).sqrt()
                };
                let weights: Vec<f64> = seen.clone().map(|t| score(t).exp()).collect();
                let total: f64 = weights.iter().sum();
                output.extend((0..dim).map(|d| {
                    let value = |t: usize| f64::from(of.values[first + t * dim + d]);
                    seen.clone().zip(&weights).map(|(t, w)| w * value(t)).sum::<f64>() / total
                }));
            }
        }
        output
    }

    /// The largest difference from the formula in numbers of this type.
    fn difference(&self, compute: &Compute, dtype: DType, plain: bool) -> f64 {
        let of = self.numbers();
        let Case { heads, kv_heads, dim, queries, .. } = *self;
        let tensor = |numbers: Vec<f32>, shape: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(numbers, shape), (&compute.device, dtype))
        };
        // As it comes out of a model: heads within tokens.
        let of_token = |q: usize| (0..heads).map(move |h| (h * queries + q) * dim);
        let query = (0..queries).flat_map(of_token).flat_map(|at| &of.query[at..at + dim]);
        let query = tensor(query.copied().collect(), [1, queries, heads, dim]).swap_dims(1, 2);
        let store = |numbers: &[f32]| tensor(numbers.to_vec(), [1, kv_heads, self.capacity(), dim]);
        let (keys, values) = (store(&of.keys), store(&of.values));
        let (output, _) = attend_by(query, keys, values, self.tokens, self.window, plain);
        assert_eq!((output.dims(), output.dtype()), ([1, heads, queries, dim], dtype));
        let output: Vec<f32> = output.cast(DType::F32).try_into_vec_as().unwrap();
        let wanted = self.by_hand(&of);
        assert_eq!(output.len(), wanted.len());
        // `max` would pass over a NaN.
        let differences = output.iter().zip(&wanted).map(|(a, b)| (f64::from(*a) - b).abs());
        differences.fold(0.0, |m: f64, d| if d > m || d.is_nan() { d } else { m })
    }
}

/// Ends of prompts: alone, behind others, across the borders of blocks of queries and of keys.
const LENGTHS: [[usize; 2]; 9] =
    [[2, 2], [2, 300], [31, 31], [33, 64], [64, 64], [65, 65], [66, 193], [129, 130], [200, 517]];

/// Every form and type that the device has: what it may be off by at most. Sums are in f32; 16-bit
/// outputs, below 1, are rounded, and on tensor cores the weights before them.
fn forms(compute: &Compute) -> Vec<(DType, bool, f64)> {
    let types = [(DType::F32, 2e-6), (DType::F16, 1e-3), (DType::BF16, 8e-3)];
    let there = types.into_iter().filter(|(dtype, _)| compute.device.supports_dtype(*dtype));
    there.flat_map(|(dtype, most)| [(dtype, true, most), (dtype, false, most)]).collect()
}

fn check(compute: &Compute, case: Case) {
    for (dtype, plain, most) in forms(compute) {
        let off = case.difference(compute, dtype, plain);
        assert!(off <= most, "{case:?} in {dtype:?}, plain: {plain}: off by {off}");
    }
}

#[test]
fn a_prompt_equals_the_formula_whatever_its_length() {
    let Some(compute) = Compute::of_kernels() else { return };
    for [queries, tokens] in LENGTHS {
        check(&compute, Case { queries, tokens, ..CASE });
    }
}

#[test]
fn a_prompt_sees_no_more_than_its_window() {
    let Some(compute) = Compute::of_kernels() else { return };
    for window in [1, 2, 31, 64, 100, 1000] {
        for [queries, tokens] in [[2, 300], [129, 130], [200, 517]] {
            check(&compute, Case { queries, tokens, window: Some(window), ..CASE });
        }
    }
    // Smaller blocks, of which some show some queries of a cube no key.
    check(&compute, Case { dim: 256, queries: 129, tokens: 130, window: Some(9), ..CASE });
}

#[test]
fn prompts_of_every_shape_of_heads() {
    let Some(compute) = Compute::of_kernels() else { return };
    for (heads, kv_heads, dim) in
        [(4, 4, 16), (8, 2, 32), (7, 1, 80), (3, 3, 33), (4, 1, 128), (2, 1, 256), (2, 2, 40)]
    {
        check(&compute, Case { heads, kv_heads, dim, queries: 70, tokens: 150, window: None });
    }
}

/// Scores of -1000 and +1000, and the largest behind the others: without the largest subtracted
/// weights would be 0 or infinite.
#[test]
fn extreme_scores_of_prompts_stay_finite() {
    let Some(compute) = Compute::of_kernels() else { return };
    let (dim, tokens) = (16, 150);
    for (dtype, plain, _) in forms(&compute) {
        let tensor = |numbers: Vec<f32>| {
            let data = TensorData::new(numbers, [1, 1, tokens, dim]);
            Tensor::<4>::from_data(data, (&compute.device, dtype))
        };
        // q · k / √16 = 16 · 250 · x / 4 = 1000 x.
        for (high, at) in [(1.0, 100), (-1.0, 3)] {
            let mut keys = vec![high - 2.0; tokens * dim];
            keys[at * dim..][..dim].fill(high);
            let mut values = vec![5.0; tokens * dim];
            values[at * dim..][..dim].fill(7.0);
            let query = tensor(vec![250.0; tokens * dim]);
            let (output, _) = attend_by(query, tensor(keys), tensor(values), tokens, None, plain);
            let output: Vec<f32> = output.cast(DType::F32).try_into_vec_as().unwrap();
            for (i, output) in output.iter().enumerate() {
                let wanted = if i / dim < at { 5.0 } else { 7.0 };
                assert!((output - wanted).abs() <= 0.04, "{dtype:?} {plain} {i}: {output}");
            }
        }
    }
}

/// A key that is no number is not passed over, of queries that see it; others do not notice.
#[test]
fn damage_shows_where_it_is_seen() {
    let Some(compute) = Compute::of_kernels() else { return };
    let (dim, tokens, at) = (16, 90, 70);
    for (dtype, plain, _) in forms(&compute) {
        let tensor = |numbers: Vec<f32>| {
            let data = TensorData::new(numbers, [1, 1, tokens, dim]);
            Tensor::<4>::from_data(data, (&compute.device, dtype))
        };
        let whole = || vec![0.5; tokens * dim];
        let mut damaged = whole();
        damaged[at * dim + 3] = f32::NAN;
        let query = tensor(whole());
        let (output, _) = attend_by(query, tensor(damaged), tensor(whole()), tokens, None, plain);
        let output: Vec<f32> = output.cast(DType::F32).try_into_vec_as().unwrap();
        for (q, row) in output.chunks(dim).enumerate() {
            assert!(row.iter().all(|o| o.is_nan() == (q >= at)), "{dtype:?} {plain} {q}: {row:?}");
        }
    }
}
