//! [`RowStats`](crate::score::RowStats) from tensor operations, for rows that lie on a GPU.
//!
//! Nothing is sorted and no running sum is taken: both cost far more than a count over the row on
//! a GPU. The k-th largest weight is found by about 31 counts, the cut among weights equal to it
//! by another log2(T).

use burn::prelude::*;
use burn::tensor::{Bool, DType, FloatDType};

use crate::score::{HeadStats, NeedleMask};

/// Numbers that travel per head.
pub(super) const FIELDS: usize = 6;

/// Weights are multiplied by 2^24, exactly: the smallest positive f32, 2^-149, becomes 2^-125,
/// which is a normal number, so that thresholds are never rounded to 0 on devices that do that.
const SCALE: f32 = (1u32 << 24) as f32;

/// Below every positive scaled weight.
const BELOW_ALL: f32 = f32::MIN_POSITIVE;

/// The needle's mask on the device, from its first position to its last.
pub(super) struct DeviceMask {
    /// 1 inside, 0 between spans, `[1, end - start]`.
    inside: Tensor<2>,
    start: usize,
    tokens: usize,
}

impl DeviceMask {
    /// Uploads `needle`.
    pub(super) fn new(needle: &NeedleMask, device: &Device) -> Self {
        let start = needle.spans().first().map_or(0, |span| span.start);
        let inside: Vec<f32> =
            (start..needle.end()).map(|i| f32::from(u8::from(needle.contains(i)))).collect();
        let shape = [1, inside.len()];
        let inside = Tensor::from_data(TensorData::new(inside, shape), (device, DType::F32));
        Self { inside, start, tokens: needle.tokens() }
    }

    /// The columns of `x`, `[R, T]`, from the needle's first position to its last, 0 between spans.
    fn of(&self, x: Tensor<2>) -> Tensor<2> {
        x.narrow(1, self.start, self.inside.dims()[1]) * self.inside.clone()
    }
}

/// The statistics, `[R, FIELDS]` (see [`unpack`]), of `rows`, `[R, T]` in f32, without leaving the
/// device.
///
/// The rows cover the needle; `top_k` is at least 1. Positions travel as f32, exact up to 2^24
/// keys.
pub(super) fn reduce(rows: Tensor<2>, needle: &DeviceMask, top_k: usize) -> Tensor<2> {
    let [count, keys] = rows.dims();
    let (top_k, top_n) = (top_k.min(keys), needle.tokens.min(keys));
    let rows = rows.mul_scalar(SCALE);
    let positions = positions(keys, &rows.device());
    let in_top_k = number(top_mask(&rows, &positions, top_k));
    let in_top_n = match top_n == top_k {
        true => needle.of(in_top_k.clone()),
        false => needle.of(number(top_mask(&rows, &positions, top_n))),
    };
    let needle_rows = needle.of(rows.clone());
    let needle_top_k = needle.of(in_top_k.clone());
    let columns = vec![
        argmax(&rows, &positions),
        needle_top_k.clone().sum_dim(1),
        (in_top_k * rows).sum_dim(1),
        (needle_top_k * needle_rows.clone()).sum_dim(1),
        (in_top_n * needle_rows.clone()).sum_dim(1),
        needle_rows.sum_dim(1),
    ];
    Tensor::cat(columns, 1).reshape([count, FIELDS])
}

/// One head's statistics from its numbers.
pub(super) fn unpack(numbers: &[f32; FIELDS]) -> HeadStats {
    HeadStats {
        argmax: numbers[0] as u32,
        top_k_in_needle: numbers[1] as u32,
        top_k_mass: numbers[2] / SCALE,
        top_k_needle_mass: numbers[3] / SCALE,
        top_n_needle_mass: numbers[4] / SCALE,
        needle_mass: numbers[5] / SCALE,
    }
}

/// 0, 1, ... in f32, `[1, keys]`. Not through the device's default type, which may have 16 bits.
fn positions(keys: usize, device: &Device) -> Tensor<2> {
    Tensor::<1, Int>::arange(0..keys as i64, device).cast(FloatDType::F32).unsqueeze()
}

/// 1 where `mask` holds, else 0, in f32.
fn number(mask: Tensor<2, Bool>) -> Tensor<2> {
    mask.cast(FloatDType::F32)
}

/// How many hold in each row, `[R, 1]`.
fn count(mask: Tensor<2, Bool>) -> Tensor<2> {
    number(mask).sum_dim(1)
}

/// The first position of each row's largest weight, `[R, 1]`.
fn argmax(rows: &Tensor<2>, positions: &Tensor<2>) -> Tensor<2> {
    let [count, keys] = rows.dims();
    let best = rows.clone().equal(rows.clone().max_dim(1));
    let beyond = Tensor::full([count, keys], keys as f32, (&rows.device(), DType::F32));
    beyond.mask_where(best, positions.clone().expand([count, keys])).min_dim(1)
}

/// True at the `k` largest weights of each row of `rows`, `[R, T]`; equal weights: lower position.
/// `1 <= k <= T`.
fn top_mask(rows: &Tensor<2>, positions: &Tensor<2>, k: usize) -> Tensor<2, Bool> {
    let kth = kth_largest(rows, k);
    let above = rows.clone().greater(kth.clone());
    let tied = rows.clone().equal(kth);
    // Of the tied ones those up to the `wanted`-th are taken, at least one. `cut` grows to the
    // largest bound below which there are fewer than that: the position of the last one taken.
    let wanted = count(above.clone()).neg().add_scalar(k as f32);
    let mut cut = wanted.zeros_like();
    for bit in (0..bits(rows.dims()[1])).rev() {
        let bound = cut.clone().add_scalar((1u64 << bit) as f32);
        let before = positions.clone().lower(bound.clone());
        let too_few = count(tied.clone().bool_and(before)).lower(wanted.clone());
        cut = cut.mask_where(too_few, bound);
    }
    above.bool_or(tied.bool_and(positions.clone().lower_equal(cut)))
}

/// How many bits a position below `keys` has.
fn bits(keys: usize) -> u32 {
    usize::BITS - keys.saturating_sub(1).leading_zeros()
}

/// The `k`-th largest of each row of scaled weights, `[R, 1]`, exactly.
///
/// It is the largest number that at least `k` weights reach. First the power of two below it is
/// found, then bit after bit of its significand. All thresholds are exact.
fn kth_largest(rows: &Tensor<2>, k: usize) -> Tensor<2> {
    let reached = |threshold: &Tensor<2>| {
        count(rows.clone().greater_equal(threshold.clone())).greater_equal_elem(k as f32)
    };
    let mut low = Tensor::<2>::full([rows.dims()[0], 1], BELOW_ALL, (&rows.device(), DType::F32));
    // The exponent, -126 at first, rises by these where that is still reached. Scaled weights are
    // at most 2^24: no threshold exceeds 2^(24 + 64).
    for rise in [64, 64, 32, 16, 8, 4, 2, 1] {
        let higher = low.clone().mul_scalar(2f32.powi(rise));
        low = low.mask_where(reached(&higher), higher);
    }
    // Never reached: the k-th weight is 0.
    let zero = low.clone().lower_equal_elem(BELOW_ALL);
    let power = low.clone();
    for bit in 1..f32::MANTISSA_DIGITS as i32 {
        let higher = low.clone() + power.clone().mul_scalar(0.5f32.powi(bit));
        low = low.mask_where(reached(&higher), higher);
    }
    low.mask_fill(zero, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::head_stats;

    /// Compares every number of `rows`, `[R, keys]` row-major, with the definition's.
    fn check(rows: &[f32], keys: usize, needle: &NeedleMask, top_k: usize) {
        let device = Device::flex();
        let count = rows.len() / keys;
        let tensor = Tensor::<2>::from_data(TensorData::new(rows.to_vec(), [count, keys]), &device);
        let mask = DeviceMask::new(needle, &device);
        let got: Vec<f32> = reduce(tensor, &mask, top_k).try_into_vec_as().unwrap();
        assert_eq!(got.len(), count * FIELDS);
        for (i, (row, got)) in rows.chunks(keys).zip(got.as_chunks::<FIELDS>().0).enumerate() {
            let (got, want) = (unpack(got), head_stats(row, needle, top_k).unwrap());
            let place = format!("row {i}, {keys} keys, top {top_k}");
            assert_eq!(got.argmax, want.argmax, "{place}");
            assert_eq!(got.top_k_in_needle, want.top_k_in_needle, "{place}");
            for (g, w) in [
                (got.top_k_mass, want.top_k_mass),
                (got.top_k_needle_mass, want.top_k_needle_mass),
                (got.top_n_needle_mass, want.top_n_needle_mass),
                (got.needle_mass, want.needle_mass),
            ] {
                // Relative: which of two tiny weights was taken has to show.
                assert!((g - w).abs() <= 1e-5 * w.abs(), "{place}: {g} {w}");
            }
        }
    }

    fn random(state: &mut u32) -> f32 {
        *state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (*state >> 8) as f32 / (1 << 24) as f32
    }

    #[test]
    fn equals_the_definition_with_ties_and_every_k() {
        let mut state = 1;
        for (keys, top_k) in [(40usize, 10usize), (40, 1), (40, 13), (40, 60), (500, 10), (33, 33)]
        {
            let mut rows: Vec<f32> = (0..5 * keys).map(|_| random(&mut state).powi(8)).collect();
            rows[..keys].fill(1.0 / keys as f32);
            for v in &mut rows[keys..2 * keys] {
                *v = (*v * 4.0).round() / 64.0;
            }
            // 13 tokens: also the case where top_k and top_n are one.
            check(&rows, keys, &NeedleMask::new(&[3..9, 20..27]).unwrap(), top_k);
        }
    }

    /// One head with nearly everything on one key: the other weights are tiny or 0, down to the
    /// smallest f32, and lie late in the row, within the needle and around it.
    #[test]
    fn equals_the_definition_where_weights_are_tiny_or_zero() {
        const KEYS: usize = 37;
        let smallest = f32::from_bits(1);
        let row = |weights: &[(usize, f32)]| {
            let mut row = vec![0.0; KEYS];
            weights.iter().for_each(|(key, weight)| row[*key] = *weight);
            row
        };
        let rows = [
            // One-hot, outside and inside of the needle, first and last key.
            row(&[(0, 1.0)]),
            row(&[(30, 1.0)]),
            row(&[(KEYS - 1, 1.0)]),
            row(&[(0, 1.0), (31, 1e-13), (29, 1e-20)]),
            row(&[(0, 1.0), (36, 1e-13), (35, 1e-20), (32, 1e-30), (31, 1e-30), (30, 1e-38)]),
            // Neighbouring floats, large and tiny.
            row(&[(0, 0.5), (29, 0.5f32.next_up()), (30, 0.5f32.next_down()), (31, 0.5)]),
            row(&[(36, 1e-20), (30, 1e-20f32.next_up()), (31, 1e-20f32.next_down()), (29, 1e-20)]),
            // Subnormal.
            row(&[(0, 1.0), (36, smallest), (31, 2.0 * smallest), (30, 3.0 * smallest)]),
            row(&[(36, f32::MIN_POSITIVE), (30, f32::MIN_POSITIVE.next_down()), (31, 1e-44)]),
            // Powers of two, on which thresholds fall.
            row(&[(36, 1.0), (30, 0.25), (31, 2f32.powi(-40)), (32, 2f32.powi(-149)), (1, 0.25)]),
            row(&[]),
            vec![1e-30; KEYS],
            vec![1.0; KEYS],
        ]
        .concat();
        for needle in [vec![29..33], vec![29..31, 34..37], vec![0..1], vec![0..KEYS]] {
            let needle = NeedleMask::new(&needle).unwrap();
            for top_k in [1, 2, 3, 4, 5, 6, 10, 36, 37, 50] {
                check(&rows, KEYS, &needle, top_k);
            }
        }
    }

    #[test]
    fn every_rank_of_a_row_is_found_exactly() {
        let mut state = 5;
        // Products of up to 40 random numbers: many magnitudes.
        let mut row: Vec<f32> =
            (0..64).map(|i| (0..=i * 2 / 3).map(|_| random(&mut state)).product::<f32>()).collect();
        let tensor = Tensor::<2>::from_data(TensorData::new(row.clone(), [1, 64]), &Device::flex())
            .mul_scalar(SCALE);
        row.sort_by(|a, b| b.total_cmp(a));
        assert!(row[0] > 0.1 && row[60] < 1e-12 && row[60] > 0.0, "{row:?}");
        for (i, weight) in row.iter().enumerate() {
            let found = kth_largest(&tensor, i + 1).try_into_scalar::<f32>().unwrap();
            assert_eq!(found, weight * SCALE, "rank {i}");
        }
    }

    #[test]
    fn bits_are_enough_for_every_position() {
        assert_eq!([1, 2, 3, 4, 5, 1024, 1025].map(bits), [0, 1, 2, 2, 3, 10, 11]);
    }
}
