use super::*;
use crate::model::Compute;
use crate::score::head_stats;

/// The weights of one row of scores behind hidden keys, by the formula in f64.
fn weights(scores: &[f32], hidden: usize) -> Vec<f32> {
    let max = scores.iter().copied().fold(f32::MIN, f32::max);
    let exponentials: Vec<f64> = scores.iter().map(|s| f64::from(s - max).exp()).collect();
    let total: f64 = exponentials.iter().sum();
    let seen = exponentials.iter().map(|e| (e / total) as f32);
    std::iter::repeat_n(0.0, hidden).chain(seen).collect()
}

/// Compares every number of rows of `seen` scores with the definition's.
fn check(compute: &Compute, scores: &[f32], seen: usize, hidden: usize, spans: &NeedleMask) {
    let heads = scores.len() / seen;
    let needle = Needle::new(spans, &compute.device);
    for top_k in [1, 2, 10, 13, 60, 2000] {
        let data = TensorData::new(scores.to_vec(), [heads, seen]);
        let there = Scores { seen: Tensor::from_data(data, &compute.device), hidden };
        let numbers = Tensor::full([3, heads, FIELDS], -7.0, (&compute.device, DType::F32));
        let got: Vec<f32> = set(numbers, 1, there, &needle, top_k).try_into_vec_as().unwrap();
        let (before, rest) = got.split_at(heads * FIELDS);
        let (own, behind) = rest.split_at(heads * FIELDS);
        assert!(before.iter().chain(behind).all(|n| *n == -7.0), "another layer's numbers");
        for (i, (row, got)) in scores.chunks(seen).zip(own.as_chunks::<FIELDS>().0).enumerate() {
            let (got, want) =
                (unpack(got), head_stats(&weights(row, hidden), spans, top_k).unwrap());
            let place = format!("row {i}, {hidden} + {seen} keys, top {top_k}");
            assert_eq!(got.argmax, want.argmax, "{place}");
            assert_eq!(got.top_k_in_needle, want.top_k_in_needle, "{place}");
            for (got, want) in [
                (got.top_k_mass, want.top_k_mass),
                (got.top_k_needle_mass, want.top_k_needle_mass),
                (got.top_n_needle_mass, want.top_n_needle_mass),
                (got.needle_mass, want.needle_mass),
            ] {
                // Relative: which of two tiny weights was taken has to show.
                assert!((got - want).abs() <= 2e-5 * want.abs(), "{place}: {got} {want}");
            }
        }
    }
}

/// Multiples of 1/8 within `size`: no two weights are nearly equal and not equal.
fn random(state: &mut u32, size: i32) -> f32 {
    *state = state.wrapping_mul(1664525).wrapping_add(1013904223);
    ((*state >> 8) as i32 % (8 * size)) as f32 / 8.0
}

/// Rows with many ties, flat ones, one-hot ones whose other weights are 0 or tiny.
fn rows(seen: usize) -> Vec<f32> {
    let mut state = seen as u32;
    let mut rows = vec![0.5; seen];
    rows.extend((0..seen).map(|_| random(&mut state, 2)));
    rows.extend((0..seen).map(|_| random(&mut state, 60)));
    for at in [0, seen / 2, seen - 1] {
        let mut row = vec![-300.0; seen];
        row[at] = 0.0;
        row[(at + 1) % seen] = -30.0;
        row[(at + 2) % seen] = -60.0;
        row[(at + 7) % seen] = -60.0;
        rows.extend(row);
    }
    rows
}

#[test]
fn kernel_statistics_equal_the_definition_with_ties_and_every_k() {
    let Some(compute) = Compute::of_kernels() else { return };
    for seen in [40, 256, 1025] {
        // 13 tokens: also the case where top_k and top_n are one.
        for spans in [vec![3..9, 20..27], vec![0..1], vec![0..40]] {
            check(&compute, &rows(seen), seen, 0, &NeedleMask::new(&spans).unwrap());
        }
    }
}

#[test]
fn kernel_statistics_count_hidden_keys_as_weights_of_zero() {
    let Some(compute) = Compute::of_kernels() else { return };
    for (seen, hidden) in [(1, 59), (30, 30), (300, 900)] {
        let scores: Vec<f32> = (0..3 * seen).map(|i| (i * 37 % 29) as f32 / 8.0).collect();
        for spans in [vec![3..9, 20..27], vec![55..60]] {
            check(&compute, &scores, seen, hidden, &NeedleMask::new(&spans).unwrap());
        }
    }
}

#[test]
fn kernel_statistics_show_damage() {
    let Some(compute) = Compute::of_kernels() else { return };
    let needle = Needle::new(&NeedleMask::new(&[3..9]).unwrap(), &compute.device);
    for damage in [f32::NAN, f32::INFINITY] {
        let mut scores = vec![0.25; 2 * 300];
        scores[417] = damage;
        let seen = Tensor::from_data(TensorData::new(scores, [2, 300]), &compute.device);
        let numbers = Tensor::zeros([1, 2, FIELDS], (&compute.device, DType::F32));
        let got = set(numbers, 0, Scores { seen, hidden: 0 }, &needle, 10);
        let got: Vec<f32> = got.try_into_vec_as().unwrap();
        let mass = |row: usize| got[row * FIELDS + 2];
        assert!((mass(0) - 10.0 / 300.0).abs() < 1e-6, "{}", mass(0));
        assert!(!mass(1).is_finite(), "{}", mass(1));
    }
}
