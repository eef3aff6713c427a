use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// One list behind the other, each of so many tokens.
fn lists(lengths: &[usize]) -> Vec<List> {
    let mut start = 0;
    let list = |len: &usize| {
        let list =
            List { kv_head: 0, start, slots: *len + 1, positions: (0..*len as u32).collect() };
        start += len + 1;
        list
    };
    lengths.iter().map(list).collect()
}

fn random(n: usize, largest: f32, rng: &mut StdRng) -> Vec<f32> {
    (0..n).map(|_| largest * (2.0 * rng.random::<f32>() - 1.0)).collect()
}

/// Random keys and values of `lists`, and queries of `readers` for each.
fn random_store(lists: &[List], dim: usize, readers: usize, seed: u64) -> (HostStore, Vec<f32>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let slots: usize = lists.iter().map(|list| list.slots).sum();
    let keys = random(slots * dim, 2.0, &mut rng);
    let values = random(slots * dim, 1.0, &mut rng);
    let q = random(lists.len() * readers * dim, 1.0, &mut rng);
    (HostStore { dim, keys, values }, q)
}

/// Softmax in two passes and the weighted sum, in f64: output, `[readers, D]`, and rows.
fn plain(store: &HostStore, list: &List, queries: &[f32], oldest: usize) -> (Vec<f64>, Vec<f64>) {
    let (dim, hidden) = (store.dim, list.first_seen(oldest));
    let entry = |all: &[f32], slot: usize, d: usize| f64::from(all[(list.start + slot) * dim + d]);
    let (mut output, mut rows) = (Vec::new(), Vec::new());
    for query in queries.chunks(dim) {
        let score = |slot| -> f64 {
            (0..dim).map(|d| f64::from(query[d]) * entry(&store.keys, slot, d)).sum()
        };
        let scores: Vec<f64> = (hidden..list.len()).map(score).collect();
        let largest = scores.iter().fold(f64::NEG_INFINITY, |m, s| m.max(*s));
        let sum: f64 = scores.iter().map(|s| (s - largest).exp()).sum();
        let mut row = vec![0.0; hidden];
        row.extend(scores.iter().map(|s| (s - largest).exp() / sum));
        let mix =
            |d| row.iter().enumerate().map(|(j, w)| w * entry(&store.values, j, d)).sum::<f64>();
        output.extend((0..dim).map(mix).collect::<Vec<f64>>());
        rows.extend(row);
    }
    (output, rows)
}

/// Largest difference relative to the largest entry.
fn relative(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0f64, |m, v| m.max(v.abs()));
    got.iter().zip(want).fold(0f64, |m, (g, w)| m.max((f64::from(*g) - w).abs())) / largest
}

/// One dimension, q = 1: the weights are shares of exp(key). 600 tokens are three pieces.
#[test]
fn a_long_list_by_hand() {
    let list = lists(&[600]);
    let values: Vec<f32> = (0..601).map(|j| j as f32).collect();
    // Equal keys: the mean of 0 .. 599.
    let store = HostStore { dim: 1, keys: vec![0.25; 601], values: values.clone() };
    let (output, rows) = store.attend_to_lists(&list, &[1.0], 0, true);
    assert!((output[0] - 299.5).abs() < 1e-4, "{output:?}");
    assert!(rows[0].iter().all(|w| (w * 600.0 - 1.0).abs() < 1e-6));
    // Two keys stand out by so much that the others weigh nothing, in the last piece and in the
    // first, exp(ln 3) : exp(0): 3/4 of 599 and 1/4 of 3.
    let mut keys = vec![-300.0; 601];
    (keys[3], keys[599]) = (0.0, 3f32.ln());
    let store = HostStore { dim: 1, keys, values };
    let (output, rows) = store.attend_to_lists(&list, &[1.0], 0, true);
    assert!((output[0] - 450.0).abs() < 1e-4, "{output:?}");
    assert!((rows[0][3] - 0.25).abs() < 1e-6 && (rows[0][599] - 0.75).abs() < 1e-6);
    // Positions from 4 on are seen: the first of the two is not.
    let (output, rows) = store.attend_to_lists(&list, &[1.0], 4, true);
    assert_eq!((output[0], rows[0][3], rows[0][599]), (599.0, 0.0, 1.0));
}

#[test]
fn pieces_make_no_difference_but_rounding() {
    let lengths = [1, 2, 255, 256, 257, 511, 700, 5000];
    for (dim, readers, oldest) in [(32, 2, 0), (20, 3, 0), (64, 1, 100)] {
        let lengths: Vec<usize> = lengths.iter().map(|n| n + oldest).collect();
        let lists = lists(&lengths);
        let (store, q) = random_store(&lists, dim, readers, 7 + dim as u64);
        let (output, rows) = store.attend_to_lists(&lists, &q, oldest, true);
        for (l, list) in lists.iter().enumerate() {
            let width = readers * dim;
            let (want, want_rows) = plain(&store, list, &q[l * width..][..width], oldest);
            let error = relative(&output[l * width..][..width], &want);
            assert!(error <= 1e-6, "{} tokens of {dim}: {error}", list.len());
            assert!(relative(&rows[l], &want_rows) <= 1e-6, "rows of {} tokens", list.len());
        }
        let (without, none) = store.attend_to_lists(&lists, &q, oldest, false);
        assert_eq!((without, none.len()), (output, 0));
    }
}

/// To the bit, for one long list and for lists of very different lengths.
#[test]
fn the_number_of_threads_does_not_show() {
    for lengths in [&[40_000][..], &[9000, 3, 128, 2000]] {
        let lists = lists(lengths);
        let (store, q) = random_store(&lists, 32, 2, 3);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| store.attend_to_lists(&lists, &q, 0, true))
        };
        let one = with(1);
        assert!(one.0.iter().all(|v| v.is_finite()));
        assert_eq!(with(2), one);
        assert_eq!(with(3), one);
    }
}
