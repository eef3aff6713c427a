//! Attention of some queries to one key/value head, on slices, in vector registers.
//!
//! ```text
//! S [keys, LANES] = K · Q          a key per row, a query per lane: nothing is packed or transposed
//! W = exp(S - M)                   M, Z per lane; the largest M and the sums Z run from tile to tile
//! O [D, LANES]    = O · exp(M_old - M) + Vᵀ · W
//! ```
//!
//! Lanes never meet: no sum goes across a register, and a query's result does not depend on who its
//! neighbours are.

use std::array::from_fn;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

/// Queries that are attended to together, one to a lane of vector registers.
pub(super) const LANES: usize = 32;
/// Keys of a tile: its weights, `[KEYS, LANES]`, stay in the nearest cache.
const KEYS: usize = 128;

/// Some tokens' keys or values of one head, `[t, D]`, `stride` numbers apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

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
    pub fn attend(&mut self, keys: Rows, values: Rows) {
        Arch::new().dispatch(Attend { lanes: self, keys, values });
    }

    /// The outputs of the first `n` lanes, `[n, D]`.
    pub fn outputs(&self, n: usize) -> Vec<f32> {
        (0..n).flat_map(|lane| self.outputs[lane..].iter().step_by(LANES).copied()).collect()
    }
}

struct Attend<'a> {
    lanes: &'a mut Lanes,
    keys: Rows<'a>,
    values: Rows<'a>,
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
        let rows = Rows { data: &keys.data[tile.start * keys.stride..], ..keys };
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
            let mut sum = simd.mul_f32s(sums[lane], factor);
            for i in rows() {
                weights[i] = exp(simd, simd.sub_f32s(weights[i], top));
                sum = simd.add_f32s(sum, weights[i]);
            }
            for i in (lane..outputs.len()).step_by(width) {
                outputs[i] = simd.mul_f32s(outputs[i], factor);
            }
            (largest[lane], sums[lane]) = (top, sum);
        }
        let rows = Rows { data: &values.data[tile.start * values.stride..], ..values };
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
fn scores<S: Simd, const R: usize>(simd: S, out: &mut [S::f32s], keys: Rows, queries: &[S::f32s]) {
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
fn mix<S: Simd, const R: usize>(simd: S, out: &mut [S::f32s], values: Rows, weights: &[S::f32s]) {
    let width = LANES / S::F32_LANES;
    let mut blocks = out.chunks_exact_mut(R * width);
    let mut d = 0;
    for block in &mut blocks {
        mix_rows::<S, R>(simd, block, Rows { data: &values.data[d..], ..values }, weights);
        d += R;
    }
    for block in blocks.into_remainder().chunks_exact_mut(width) {
        mix_rows::<S, 1>(simd, block, Rows { data: &values.data[d..], ..values }, weights);
        d += 1;
    }
}

#[inline(always)]
fn mix_rows<S: Simd, const R: usize>(
    simd: S,
    out: &mut [S::f32s],
    values: Rows,
    weights: &[S::f32s],
) {
    let width = LANES / S::F32_LANES;
    for pair in (0..width).step_by(2) {
        let mut sums = from_fn::<_, R, _>(|r| [out[r * width + pair], out[r * width + pair + 1]]);
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
            row[pair..][..2].copy_from_slice(&sums);
        }
    }
}

/// `e^x` of `x <= 0` to about 2 units in the last place by range reduction and a polynomial (Cephes'
/// `expf`); 0 below -87.
#[inline(always)]
fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    const TERMS: [f32; 5] = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let number = |x| simd.splat_f32s(x);
    let shifted = simd.mul_add_e_f32s(x, number(std::f32::consts::LOG2_E), number(MAGIC));
    let n = simd.sub_f32s(shifted, number(MAGIC));
    let r = simd.mul_add_e_f32s(n, number(-0.693_359_4), x);
    let r = simd.mul_add_e_f32s(n, number(2.121_944_4e-4), r);
    let mut p = number(1.987_569_1e-4);
    for term in TERMS {
        p = simd.mul_add_e_f32s(p, r, number(term));
    }
    let p = simd.mul_add_e_f32s(p, simd.mul_f32s(r, r), r);
    let p = simd.add_f32s(p, number(1.0));
    let power = simd.transmute_u32s_f32s(shifted);
    let power = simd.wrapping_dyn_shl_u32s(power, simd.splat_u32s(23));
    let power = simd.transmute_f32s_u32s(simd.add_u32s(power, simd.splat_u32s(0x3f80_0000)));
    let small = simd.less_than_f32s(x, number(-87.0));
    simd.select_f32s(small, number(0.0), simd.mul_f32s(p, power))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Exp<'a>(&'a mut [f32]);

    impl WithSimd for Exp<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            S::as_mut_simd_f32s(self.0).0.iter_mut().for_each(|x| *x = exp(simd, *x));
        }
    }

    #[test]
    fn exponentials_are_right_to_the_last_places() {
        let arguments: Vec<f32> = (0..1 << 16).map(|i| i as f32 * (-87.0 / 65536.0)).collect();
        let mut got = arguments.clone();
        Arch::new().dispatch(Exp(&mut got));
        for (x, got) in arguments.iter().zip(&got) {
            let expected = f64::from(*x).exp();
            let off = (f64::from(*got) / expected - 1.0).abs();
            assert!(off < 2.5e-7, "exp({x}) = {got}, expected {expected}");
        }
        let mut ends = [0.0, -87.5, -1e30, f32::MIN, f32::NEG_INFINITY, f32::NAN].repeat(16);
        Arch::new().dispatch(Exp(&mut ends));
        assert_eq!(ends[..5], [1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(ends[5].is_nan());
    }
}
