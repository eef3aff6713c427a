//! Attention of some queries to one key/value head, on slices, in vector registers.
//!
//! ```text
//! S [keys, LANES] = K · Q          a key per row, a query per lane: nothing is packed or transposed
//! W = exp(S - M)                   M, Z per lane; the largest M and the sums Z run from tile to tile
//! O [D, LANES]    = O · exp(M_old - M) + Vᵀ · W
//! ```
//!
//! Lanes never meet: no sum goes across a register, and a query's result does not depend on who its
//! neighbours are, as long as the values that they see are finite.

use std::array::from_fn;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::RowsView;
use super::exp::exp;

/// Queries that are attended to together, one to a lane of vector registers.
pub(super) const LANES: usize = 32;
/// Keys of a tile: its weights, `[KEYS, LANES]`, stay in the nearest cache.
const KEYS: usize = 128;

/// Queries, and what becomes of them; used again from call to call.
pub(super) struct Lanes {
    /// Queries, `[D, LANES]`, scaled.
    pub queries: Vec<f32>,
    /// The keys that each lane sees: one at least.
    pub seen: [Range<usize>; LANES],
    /// Outputs, `[D, LANES]`.
    outputs: Vec<f32>,
    /// Scores of a tile, then their exponentials, `[KEYS, LANES]`.
    weights: Vec<f32>,
}

impl Lanes {
    /// For heads of `dim` numbers.
    pub fn new(dim: usize) -> Self {
        let zeros = |rows| vec![0.0; rows * LANES];
        let seen = from_fn(|_| 0..0);
        Self { queries: zeros(dim), outputs: zeros(dim), seen, weights: zeros(KEYS) }
    }

    /// Makes the outputs from the queries.
    pub fn attend(&mut self, keys: RowsView, values: RowsView) {
        Arch::new().dispatch(Attend { lanes: self, keys, values });
    }

    /// The outputs of the first `n` lanes, `[n, D]`.
    pub fn outputs(&self, n: usize) -> Vec<f32> {
        (0..n).flat_map(|lane| self.outputs[lane..].iter().step_by(LANES).copied()).collect()
    }
}

struct Attend<'a> {
    lanes: &'a mut Lanes,
    keys: RowsView<'a>,
    values: RowsView<'a>,
}

impl WithSimd for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // R rows of two registers are summed at a time, with registers left for what is multiplied.
        match S::REGISTER_COUNT {
            32.. => attend::<S, 8>(simd, self),
            _ => attend::<S, 4>(simd, self),
        }
    }
}

#[inline(always)]
fn attend<S: Simd, const R: usize>(simd: S, Attend { lanes, keys, values }: Attend) {
    let Lanes { queries, outputs, seen, weights } = lanes;
    let (queries, outputs) = (S::as_simd_f32s(queries).0, S::as_mut_simd_f32s(outputs).0);
    let width = LANES / S::F32_LANES;
    outputs.fill(simd.splat_f32s(0.0));
    // Not -infinity: its difference from the score of a hidden key would not be a number.
    let mut largest = [f32::MIN; LANES];
    let mut sums = [0f32; LANES];
    let by_some = common(seen, usize::min, usize::max);
    let by_all = common(seen, usize::max, usize::min);
    // Tiles begin at multiples of their size, whatever the lanes beside a lane see.
    let first = by_some.start - by_some.start % KEYS;
    for from in (first..by_some.end).step_by(KEYS) {
        let tile = from.max(by_some.start)..by_some.end.min(from + KEYS);
        let weights = &mut weights[..tile.len() * LANES];
        let rows = RowsView { data: &keys.data[tile.start * keys.stride..], ..keys };
        scores::<S, R>(simd, S::as_mut_simd_f32s(weights).0, rows, queries);
        if tile.start < by_all.start || by_all.end < tile.end {
            hide(weights, tile.start, seen);
        }
        let weights = S::as_mut_simd_f32s(weights).0;
        let (largest, sums) =
            (S::as_mut_simd_f32s(&mut largest).0, S::as_mut_simd_f32s(&mut sums).0);
        for lane in 0..width {
            let rows = || (lane..weights.len()).step_by(width);
            let old = largest[lane];
            let top = rows().fold(old, |top, i| simd.max_f32s(weights[i], top));
            let factor = exp(simd, simd.sub_f32s(old, top));
            // A tile for itself: one long chain of small shares would lose digits.
            let mut sum = simd.splat_f32s(0.0);
            for i in rows() {
                weights[i] = exp(simd, simd.sub_f32s(weights[i], top));
                sum = simd.add_f32s(sum, weights[i]);
            }
            for i in (lane..outputs.len()).step_by(width) {
                outputs[i] = simd.mul_f32s(outputs[i], factor);
            }
            largest[lane] = top;
            sums[lane] = simd.mul_add_e_f32s(sums[lane], factor, sum);
        }
        let rows = RowsView { data: &values.data[tile.start * values.stride..], ..values };
        mix::<S, R>(simd, outputs, rows, weights);
    }
    let sums = S::as_simd_f32s(&sums).0;
    for row in outputs.chunks_exact_mut(width) {
        for (output, sum) in row.iter_mut().zip(sums) {
            *output = simd.div_f32s(*output, *sum);
        }
    }
}

/// The first and the last ends of what the lanes see, as `start` and `end` choose among two.
fn common(
    seen: &[Range<usize>; LANES],
    start: fn(usize, usize) -> usize,
    end: fn(usize, usize) -> usize,
) -> Range<usize> {
    let [first, rest @ ..] = seen;
    rest.iter().fold(first.clone(), |all, s| start(all.start, s.start)..end(all.end, s.end))
}

/// `out`, `[n, LANES]`, `= keys`, `[n, D]`, `· queries`, `[D, LANES]`.
#[inline(always)]
fn scores<S: Simd, const R: usize>(
    simd: S,
    out: &mut [S::f32s],
    keys: RowsView,
    queries: &[S::f32s],
) {
    let width = LANES / S::F32_LANES;
    let dim = queries.len() / width;
    let mut blocks = out.chunks_exact_mut(R * width);
    let mut key = 0;
    for block in &mut blocks {
        let rows = from_fn::<_, R, _>(|r| &keys.data[(key + r) * keys.stride..][..dim]);
        score_rows(simd, block, rows, queries);
        key += R;
    }
    for block in blocks.into_remainder().chunks_exact_mut(width) {
        score_rows(simd, block, [&keys.data[key * keys.stride..][..dim]], queries);
        key += 1;
    }
}

#[inline(always)]
fn score_rows<S: Simd, const R: usize>(
    simd: S,
    out: &mut [S::f32s],
    rows: [&[f32]; R],
    queries: &[S::f32s],
) {
    let width = LANES / S::F32_LANES;
    for pair in (0..width).step_by(2) {
        let mut sums = [[simd.splat_f32s(0.0); 2]; R];
        for (d, query) in queries.chunks_exact(width).enumerate() {
            let [a, b] = [query[pair], query[pair + 1]];
            for r in 0..R {
                let key = simd.splat_f32s(rows[r][d]);
                sums[r][0] = simd.mul_add_e_f32s(key, a, sums[r][0]);
                sums[r][1] = simd.mul_add_e_f32s(key, b, sums[r][1]);
            }
        }
        for (row, sums) in out.chunks_exact_mut(width).zip(sums) {
            row[pair..][..2].copy_from_slice(&sums);
        }
    }
}

/// Scores of keys that a lane does not see become -infinity; the first row is key number `first`.
#[inline(always)]
fn hide(scores: &mut [f32], first: usize, seen: &[Range<usize>; LANES]) {
    for (row, key) in scores.chunks_exact_mut(LANES).zip(first..) {
        for (score, seen) in row.iter_mut().zip(seen) {
            if !seen.contains(&key) {
                *score = f32::NEG_INFINITY;
            }
        }
    }
}

/// `out`, `[D, LANES]`, `+= values`, `[n, D]`, transposed `· weights`, `[n, LANES]`.
#[inline(always)]
fn mix<S: Simd, const R: usize>(
    simd: S,
    out: &mut [S::f32s],
    values: RowsView,
    weights: &[S::f32s],
) {
    let width = LANES / S::F32_LANES;
    let mut blocks = out.chunks_exact_mut(R * width);
    let mut d = 0;
    for block in &mut blocks {
        mix_rows::<S, R>(simd, block, RowsView { data: &values.data[d..], ..values }, weights);
        d += R;
    }
    for block in blocks.into_remainder().chunks_exact_mut(width) {
        mix_rows::<S, 1>(simd, block, RowsView { data: &values.data[d..], ..values }, weights);
        d += 1;
    }
}

#[inline(always)]
fn mix_rows<S: Simd, const R: usize>(
    simd: S,
    out: &mut [S::f32s],
    values: RowsView,
    weights: &[S::f32s],
) {
    let width = LANES / S::F32_LANES;
    for pair in (0..width).step_by(2) {
        let mut sums = [[simd.splat_f32s(0.0); 2]; R];
        for (value, weight) in values.data.chunks(values.stride).zip(weights.chunks_exact(width)) {
            let Some(value) = value.first_chunk::<R>() else { break };
            let [a, b] = [weight[pair], weight[pair + 1]];
            for r in 0..R {
                let value = simd.splat_f32s(value[r]);
                sums[r][0] = simd.mul_add_e_f32s(value, a, sums[r][0]);
                sums[r][1] = simd.mul_add_e_f32s(value, b, sums[r][1]);
            }
        }
        for (row, sums) in out.chunks_exact_mut(width).zip(sums) {
            for (to, sum) in row[pair..][..2].iter_mut().zip(sums) {
                *to = simd.add_f32s(*to, sum);
            }
        }
    }
}
