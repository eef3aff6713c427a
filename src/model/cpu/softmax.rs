//! Softmax of one row in vector registers.

use pulp::{Arch, Simd, WithSimd};

use super::exp::exp;

/// Keys whose weights are added up in f32. Sums of these are in f64: over many keys of equal weight
/// a sum in f32 drifts by more than the weights themselves are off.
pub(super) const KEYS: usize = 128;

/// Turns scores into weights that sum to 1.
#[cfg(feature = "kernels")]
pub fn weights(row: &mut [f32]) {
    struct Weights<'a>(&'a mut [f32]);

    impl WithSimd for Weights<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            softmax(simd, self.0);
        }
    }

    Arch::new().dispatch(Weights(row));
}

/// The same, within code for vector registers.
#[inline(always)]
pub(super) fn softmax<S: Simd>(simd: S, row: &mut [f32]) {
    let (_, sum) = exponentials(simd, row);
    let factor = (1.0 / sum) as f32;
    row.iter_mut().for_each(|x| *x *= factor);
}

/// Turns scores into the exponentials of what they are below the largest; returns that and their
/// sum.
#[inline(always)]
pub(super) fn exponentials<S: Simd>(simd: S, row: &mut [f32]) -> (f32, f64) {
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
        total += f64::from(simd.reduce_sum_f32s(sum) + rest.iter().sum::<f32>());
    }
    (largest, total)
}

/// Scores of the newest queries of one head become weights, row by row, and these are added up per
/// key.
pub struct RowsOfHead<'a> {
    /// Scores, `[n, t]`; the last query stands where the last key does.
    pub rows: &'a mut [f32],
    /// Keys, `t`.
    pub keys: usize,
    /// How many keys each query sees at most.
    pub window: Option<usize>,
}

impl RowsOfHead<'_> {
    /// Sums, `[skips, t]`: for each of `skips` of the rows behind so many. In the place of the
    /// scores are the weights of what each query sees.
    pub fn sums(self, skips: &[usize]) -> Vec<f32> {
        let mut sums = vec![0.0; skips.len() * self.keys];
        Arch::new().dispatch(Sums { of: self, skips, sums: &mut sums });
        sums
    }
}

struct Sums<'a, 'b> {
    of: RowsOfHead<'a>,
    skips: &'b [usize],
    sums: &'b mut [f32],
}

impl WithSimd for Sums<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of: RowsOfHead { rows, keys, window }, skips, sums } = self;
        let queries = rows.len() / keys;
        for (i, row) in rows.chunks_exact_mut(keys).enumerate() {
            let query = keys - queries + i;
            let seen = window.map_or(0, |w| (query + 1).saturating_sub(w))..query + 1;
            let row = &mut row[seen.clone()];
            softmax(simd, row);
            for (sums, skip) in sums.chunks_exact_mut(keys).zip(skips) {
                if i >= *skip {
                    sums[seen.clone()].iter_mut().zip(&*row).for_each(|(sum, w)| *sum += w);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One query that sees all: its weights.
    fn softmax(scores: &[f32]) -> Vec<f32> {
        let keys = scores.len();
        RowsOfHead { rows: &mut scores.to_vec(), keys, window: None }.sums(&[0])
    }

    #[test]
    fn weights_are_shares_of_the_exponentials() {
        // exp(ln 3) : exp(0) : exp(-200) = 3 : 1 : 0, however large the scores are.
        let row = softmax(&[3f32.ln() + 500.0, 500.0, 300.0]);
        assert!((row[0] - 0.75).abs() < 1e-5 && (row[1] - 0.25).abs() < 1e-5, "{row:?}");
        assert_eq!(row[2], 0.0);
        assert_eq!(softmax(&[-7.0]), [1.0]);
    }

    #[test]
    fn many_equal_weights_sum_to_one() {
        assert_eq!(softmax(&vec![0.37; 1 << 20])[0], (0.5f32).powi(20));
    }

    /// Rows longer than a register and than a tile, of which windows begin anywhere.
    #[test]
    fn rows_of_any_length_are_as_in_f64() {
        for (keys, queries) in [(7, 3), (16, 16), (129, 5), (300, 40), (700, 2)] {
            for window in [None, Some(1), Some(13), Some(130)] {
                let score = |i: usize| ((i * 7919 + i / 5) % 997) as f32 / 60.0 - 8.0;
                let scores: Vec<f32> = (0..queries * keys).map(score).collect();
                let mut want = vec![0f64; keys];
                for (i, row) in scores.chunks(keys).enumerate() {
                    let query = keys - queries + i;
                    let first = window.map_or(0, |w: usize| (query + 1).saturating_sub(w));
                    let e = |j: usize| f64::from(row[j]).exp();
                    let sum: f64 = (first..=query).map(e).sum();
                    (first..=query).for_each(|j| want[j] += e(j) / sum);
                }
                let rows = &mut scores.clone();
                let got = RowsOfHead { rows, keys, window }.sums(&[0]);
                let off = got.iter().zip(&want).map(|(a, b)| (f64::from(*a) - b).abs());
                assert!(off.fold(0.0, f64::max) < 2e-6 * queries as f64, "{keys} {window:?}");
            }
        }
        // Damage is not hidden.
        assert!(softmax(&[0.5, f32::NAN, 0.25].repeat(20)).iter().all(|w| w.is_nan()));
    }

    #[test]
    fn each_row_counts_what_it_sees_behind_the_skipped() {
        let ln = |x: f32| x.ln();
        // Three queries, the last of five positions: they see 3, 4 and 5 keys.
        let scores = [
            [ln(1.0), ln(1.0), ln(2.0), 9.0, 9.0],
            [ln(5.0), ln(1.0), ln(1.0), ln(1.0), 9.0],
            [ln(1.0), ln(1.0), ln(1.0), ln(1.0), ln(4.0)],
        ];
        let of = |window, skips: &[usize]| {
            RowsOfHead { rows: &mut scores.as_flattened().to_vec(), keys: 5, window }.sums(skips)
        };
        let close = |got: Vec<f32>, want: &[f32]| {
            assert_eq!(got.len(), want.len());
            assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?} {want:?}");
        };
        let last = [0.125, 0.125, 0.125, 0.125, 0.5];
        let two = [0.625 + 0.125, 0.25, 0.25, 0.25, 0.5];
        close(of(None, &[1, 2, 3]), &[&two[..], &last[..], &[0.0; 5]].concat());
        // Of two keys each: (1, 2) / 3, (1, 1) / 2, (1, 4) / 5.
        close(of(Some(2), &[0]), &[0.0, 1.0 / 3.0, 2.0 / 3.0 + 0.5, 0.5 + 0.2, 0.8]);
    }
}
