use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::model::Compute;

/// What the kernel is to compute, by the formula, in f64 and plain loops: output, `[H, D]`, and
/// scores as [`attend`] orders them.
fn by_hand([query, keys, values]: [&[f32]; 3], dim: usize, lists: &[Seen]) -> (Vec<f64>, Vec<f64>) {
    let group = query.len() / dim / lists.len();
    let (mut output, mut all_scores) = (vec![], vec![]);
    for (h, query) in query.chunks_exact(dim).enumerate() {
        let list = lists[h / group];
        let rows = |all: &'_ [f32]| all[list.first * dim..][..list.tokens * dim].to_vec();
        let dot = |key: &[f32]| -> f64 {
            query.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let scale = 1.0 / (dim as f64).sqrt();
        let scores: Vec<f64> = rows(keys).chunks_exact(dim).map(|key| dot(key) * scale).collect();
        let weights: Vec<f64> = scores.iter().map(|s| s.exp()).collect();
        let values = rows(values);
        let mix = |d: usize| {
            let sum: f64 =
                weights.iter().enumerate().map(|(t, w)| w * f64::from(values[t * dim + d])).sum();
            sum / weights.iter().sum::<f64>()
        };
        output.extend((0..dim).map(mix));
        all_scores.extend(scores);
    }
    (output, all_scores)
}

/// Lists of `lens` tokens with three slots between them that hold no number.
fn lists(lens: &[usize]) -> (Vec<Seen>, usize) {
    let mut slots = 0;
    let list = |tokens: &usize| {
        let first = slots + 3;
        slots = first + tokens;
        Seen { first, tokens: *tokens }
    };
    (lens.iter().map(list).collect(), slots)
}

/// The largest differences of output and scores from the formula.
fn differences(
    compute: &Compute,
    dtype: DType,
    lens: &[usize],
    group: usize,
    dim: usize,
) -> [f64; 2] {
    let mut rng = StdRng::seed_from_u64((lens.len() * 1000 + group * 300 + dim) as u64);
    let mut random = |n: usize, size: f32| -> Vec<f32> {
        let mut number = || half::f16::from_f32((rng.random::<f32>() * 2.0 - 1.0) * size).to_f32();
        (0..n).map(|_| number()).collect()
    };
    let (lists, slots) = lists(lens);
    // Scores of up to about 6: rows that are neither flat nor one-hot. Numbers are exact in f16.
    let query = random(lens.len() * group * dim, 4.0);
    let mut store = || {
        let mut all = random(slots * dim, 1.0);
        let mut free = 0;
        for list in &lists {
            all[free * dim..list.first * dim].fill(f32::NAN);
            free = list.first + list.tokens;
        }
        all
    };
    let (keys, values) = (store(), store());
    let tensor = |numbers: &[f32]| {
        let shape = [numbers.len() / dim, dim];
        Tensor::<2>::from_data(TensorData::new(numbers.to_vec(), shape), (&compute.device, dtype))
    };
    let (output, scores) = attend(tensor(&query), tensor(&keys), tensor(&values), &lists, true);
    assert_eq!((output.dims(), output.dtype()), ([lens.len() * group, dim], dtype));
    let (want_output, want_scores) = by_hand([&query, &keys, &values], dim, &lists);
    let difference = |got: Vec<f32>, want: Vec<f64>| {
        assert_eq!(got.len(), want.len());
        // `max` would pass over a NaN.
        let differences = got.iter().zip(&want).map(|(a, b)| (f64::from(*a) - b).abs());
        differences.fold(0.0, |m: f64, d| if d > m || d.is_nan() { d } else { m })
    };
    let output = output.cast(DType::F32).try_into_vec_as().unwrap();
    [difference(output, want_output), difference(scores.try_into_vec_as().unwrap(), want_scores)]
}

/// A chunk has 256 tokens: ends before, at and after it, and many chunks beside few.
const LENS: [&[usize]; 4] =
    [&[1], &[2, 63, 1, 64, 65], &[1000, 1, 256, 257], &[3, 5000, 512, 31, 1, 1, 1025, 255]];

#[test]
fn equals_the_formula_on_uneven_lists() {
    let Some(compute) = Compute::of_kernels() else { return };
    let mut largest = [0f64; 2];
    for dim in [16, 32, 64, 80, 128, 256] {
        for group in [1, 2, 4] {
            for lens in LENS {
                let [output, scores] = differences(&compute, DType::F32, lens, group, dim);
                assert!(output <= 1e-5, "{lens:?}, {group} x {dim}: output off by {output}");
                assert!(scores <= 1e-5, "{lens:?}, {group} x {dim}: scores off by {scores}");
                largest = [largest[0].max(output), largest[1].max(scores)];
            }
        }
    }
    println!("largest differences: output {:e}, scores {:e}", largest[0], largest[1]);
}

/// More query heads for a list than a cube serves, in even shares and as single heads; head
/// dimensions that the units of a cube are no multiple of.
#[test]
fn serves_groups_and_heads_of_any_size() {
    let Some(compute) = Compute::of_kernels() else { return };
    assert_eq!([1, 7, 8, 11, 16, 24].map(readers_at_once), [1, 7, 8, 1, 8, 8]);
    for (group, dim) in [(7, 40), (11, 64), (16, 128), (3, 33)] {
        let [output, scores] = differences(&compute, DType::F32, &[300, 9, 1], group, dim);
        assert!(output <= 1e-5 && scores <= 1e-5, "{group} x {dim}: {output}, {scores}");
    }
}

/// Numbers are rounded to f16 where they are stored and nowhere else: sums are in f32.
#[test]
fn half_precision_is_for_storage_alone() {
    let Some(compute) = Compute::of_kernels() else { return };
    if !compute.device.supports_dtype(DType::F16) {
        eprintln!("skipped: this device has no f16");
        return;
    }
    let [output, scores] = differences(&compute, DType::F16, &[700, 1, 64], 4, 64);
    // The output, below 1, is rounded to 11 bits: by up to 2^-12.
    assert!(output <= 0.5f64.powi(12) + 1e-5, "output off by {output}");
    assert!(scores <= 1e-5, "scores off by {scores}");
}

/// Scores of -1000 and +1000: without the largest subtracted, within a chunk and between chunks,
/// weights would be 0 or infinite.
#[test]
fn extreme_scores_stay_finite() {
    let Some(compute) = Compute::of_kernels() else { return };
    let dim = 16;
    let tensor = |numbers: Vec<f32>| {
        let shape = [numbers.len() / dim, dim];
        Tensor::<2>::from_data(TensorData::new(numbers, shape), &compute.device)
    };
    // q · k / √16 = 16 · 250 · x / 4 = 1000 x.
    let query = vec![250.0; dim];
    for (high, at) in [(1.0, 300), (-1.0, 3)] {
        let mut keys = vec![high - 2.0; 600 * dim];
        keys[at * dim..][..dim].fill(high);
        let mut values = vec![5.0; 600 * dim];
        values[at * dim..][..dim].fill(7.0);
        let lists = [Seen { first: 0, tokens: 600 }];
        let (output, _) =
            attend(tensor(query.clone()), tensor(keys), tensor(values), &lists, false);
        let output: Vec<f32> = output.try_into_vec_as().unwrap();
        assert!(output.iter().all(|o| *o == 7.0), "{output:?}");
    }
}
