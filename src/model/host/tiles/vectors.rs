//! What vector registers do beside the tile unit: parts of bf16, and the softmax between two products.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::Rows;
use super::operands::{BLOCK, PARTS, STEP, TILE_ROWS, Tile};
use super::unit::Unit;

/// Lanes of a register.
const WIDTH: usize = 16;

impl Unit {
    /// Writes row `row` of `tiles`, `[K / 32, PARTS]`: the parts of `x` times `scale`, and zeros behind them.
    pub fn split(self, x: &[f32], scale: f32, row: usize, tiles: &mut [Tile]) {
        // SAFETY: `self` says that the processor has these instructions; so below.
        unsafe { split(x, scale, row, tiles) }
    }

    /// Writes the parts of some `columns`, at most [`BLOCK`], of `rows`, at most [`STEP`], of `w`: the left and
    /// the right half of each part, rows in pairs, and zeros behind them. Returns how many parts there are: those
    /// behind are all zero, and may not have been written.
    pub fn interleave(
        self,
        w: Rows,
        rows: Range<usize>,
        columns: Range<usize>,
        tiles: &mut [Tile; 2 * PARTS],
    ) -> usize {
        assert!(rows.len() <= STEP && columns.len() <= BLOCK);
        // SAFETY: as above.
        unsafe { interleave(w, rows, columns, tiles) }
    }

    /// Rows become columns, where two numbers of bf16 that are side by side stay so.
    pub fn transpose(self, tile: &mut Tile) {
        // SAFETY: as above.
        unsafe { transpose(tile) }
    }

    /// Scores, a key per row and a query per column, of keys that a query does not see become -infinity;
    /// the first row is key number `first`.
    pub fn hide(self, scores: &mut [[f32; BLOCK]], first: usize, seen: &[Range<usize>; BLOCK]) {
        // SAFETY: as above.
        unsafe { hide(scores, first, seen) }
    }

    /// One tile of keys of online softmax, to the base of 2: scores, a key per row and a query per column, become
    /// parts of weights, `[keys / 32, PARTS, 2]` tiles as of a panel. `tops` and `sums` go on, and the factors
    /// by which earlier weights shrink are returned.
    pub fn soften(
        self,
        scores: &[[f32; BLOCK]],
        weights: &mut [Tile],
        tops: &mut [f32; BLOCK],
        sums: &mut [f32; BLOCK],
    ) -> [f32; BLOCK] {
        assert_eq!(scores.len() * 2 * PARTS, weights.len() * STEP);
        // SAFETY: as above.
        unsafe { soften(scores, weights, tops, sums) }
    }

    /// Multiplies each row by `factors`.
    pub fn scale(self, rows: &mut [[f32; BLOCK]], factors: &[f32; BLOCK]) {
        // SAFETY: as above.
        unsafe { scale(rows, factors) }
    }

    /// Writes the columns of `rows`, `[D, 32]`, divided by `sums`, one behind the other to `out`, `[32, D]`.
    pub fn divided(self, rows: &[[f32; BLOCK]], sums: &[f32; BLOCK], out: &mut [f32]) {
        assert_eq!(out.len(), rows.as_flattened().len());
        // SAFETY: as above.
        unsafe { divided(rows, sums, out) }
    }
}

/// The nearest numbers of bf16 to those of `low` and `high`, the former in the lower half.
#[target_feature(enable = "avx512f,avx512bf16")]
fn rounded(low: __m512, high: __m512) -> __m512i {
    // SAFETY: of the same size, and any bits are integers.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(high, low)) }
}

/// The first 16 of `x` from `from` on, and zeros.
#[target_feature(enable = "avx512f")]
fn loaded(x: &[f32], from: usize) -> __m512 {
    let x = x.get(from..).unwrap_or(&[]);
    let mask = ((1u32 << x.len().min(WIDTH)) - 1) as u16;
    // SAFETY: reads the numbers that the mask says, which `x` has.
    unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
fn load(x: &[f32; WIDTH]) -> __m512 {
    // SAFETY: 16 numbers.
    unsafe { _mm512_loadu_ps(x.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
fn store(x: __m512, to: &mut [f32; WIDTH]) {
    // SAFETY: 16 numbers.
    unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
}

#[target_feature(enable = "avx512f")]
fn store_row(bits: __m512i, to: &mut [u16; STEP]) {
    // SAFETY: 64 bytes.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), bits) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn split(x: &[f32], scale: f32, row: usize, tiles: &mut [Tile]) {
    let scale = _mm512_set1_ps(scale);
    for (step, tiles) in tiles.chunks_exact_mut(PARTS).enumerate() {
        let mut low = _mm512_mul_ps(loaded(x, step * STEP), scale);
        let mut high = _mm512_mul_ps(loaded(x, step * STEP + WIDTH), scale);
        for tile in tiles {
            let part = rounded(low, high);
            store_row(part, &mut tile.0[row]);
            let wide =
                |half| _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
            low = _mm512_sub_ps(low, wide(_mm512_castsi512_si256(part)));
            high = _mm512_sub_ps(high, wide(_mm512_extracti64x4_epi64(part, 1)));
        }
    }
}

/// What is left of `a` and `b` behind the parts that are side by side in `both`.
#[target_feature(enable = "avx512f")]
fn rests(a: __m512, b: __m512, both: __m512i) -> [__m512; 2] {
    let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    let [first, second] = [_mm512_slli_epi32(both, 16), _mm512_and_si512(both, upper)];
    [_mm512_sub_ps(a, _mm512_castsi512_ps(first)), _mm512_sub_ps(b, _mm512_castsi512_ps(second))]
}

/// Where [`rounded`] has what is to stand side by side: number i of the lower half, then i of the upper.
#[target_feature(enable = "avx512f")]
fn side_by_side() -> __m512i {
    let mut places = [0u16; STEP];
    for (i, pair) in places.as_chunks_mut().0.iter_mut().enumerate() {
        *pair = [i as u16, (WIDTH + i) as u16];
    }
    // SAFETY: 64 bytes.
    unsafe { _mm512_loadu_si512(places.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn interleave(
    w: Rows,
    rows: Range<usize>,
    columns: Range<usize>,
    tiles: &mut [Tile; 2 * PARTS],
) -> usize {
    let places = side_by_side();
    let row = |pair: usize, i: usize| match rows.start + 2 * pair + i {
        k if k < rows.end => &w.row(k)[columns.clone()],
        _ => &[],
    };
    let mut left = [_mm512_setzero_si512(); 2];
    for pair in 0..TILE_ROWS {
        let [first, second] = [row(pair, 0), row(pair, 1)];
        for x in [first, second] {
            // What the next step reads: rows are too far apart for the processor to see it coming.
            let next = x.as_ptr().wrapping_add(STEP * w.stride);
            _mm_prefetch::<_MM_HINT_T0>(next.cast());
            _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(WIDTH).cast());
        }
        for half in 0..2 {
            let [mut a, mut b] = [first, second].map(|x| loaded(x, half * WIDTH));
            for (part, left) in left.iter_mut().enumerate() {
                let both = _mm512_permutexvar_epi16(places, rounded(a, b));
                store_row(both, &mut tiles[2 * part + half].0[pair]);
                [a, b] = rests(a, b, both);
                let [a, b] = [a, b].map(|x| _mm512_castps_si512(x));
                *left = _mm512_or_si512(*left, _mm512_or_si512(a, b));
            }
        }
    }
    match left.map(|bits| _mm512_test_epi32_mask(bits, bits) != 0) {
        [false, _] => return 1,
        [_, false] => return 2,
        _ => (),
    }
    for pair in 0..TILE_ROWS {
        for half in 0..2 {
            let [mut a, mut b] = [0, 1].map(|i| loaded(row(pair, i), half * WIDTH));
            for _ in 0..2 {
                [a, b] = rests(a, b, _mm512_permutexvar_epi16(places, rounded(a, b)));
            }
            let both = _mm512_permutexvar_epi16(places, rounded(a, b));
            store_row(both, &mut tiles[4 + half].0[pair]);
        }
    }
    3
}

#[target_feature(enable = "avx512f")]
fn transpose(tile: &mut Tile) {
    let mut rows = [_mm512_setzero_si512(); TILE_ROWS];
    for (to, row) in rows.iter_mut().zip(&tile.0) {
        // SAFETY: 64 bytes.
        *to = unsafe { _mm512_loadu_si512(row.as_ptr().cast()) };
    }
    for (row, to) in transposed(rows).into_iter().zip(&mut tile.0) {
        store_row(row, to);
    }
}

/// Of 16 rows of 16 numbers of 32 bits.
#[target_feature(enable = "avx512f")]
fn transposed(rows: [__m512i; WIDTH]) -> [__m512i; WIDTH] {
    // Pairs of rows, then fours, in each quarter of a register.
    let mut pairs = rows;
    for i in (0..WIDTH).step_by(2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    let mut fours = pairs;
    for i in (0..WIDTH).step_by(4) {
        for j in 0..2 {
            fours[i + 2 * j] = _mm512_unpacklo_epi64(pairs[i + j], pairs[i + j + 2]);
            fours[i + 2 * j + 1] = _mm512_unpackhi_epi64(pairs[i + j], pairs[i + j + 2]);
        }
    }
    // Quarters, two times by two.
    let mut columns = fours;
    for i in 0..4 {
        let [a, b, c, d] = [fours[i], fours[i + 4], fours[i + 8], fours[i + 12]];
        let ab = [_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd)];
        let cd = [_mm512_shuffle_i32x4(c, d, 0x88), _mm512_shuffle_i32x4(c, d, 0xdd)];
        for j in 0..2 {
            columns[i + 4 * j] = _mm512_shuffle_i32x4(ab[j], cd[j], 0x88);
            columns[i + 4 * j + 8] = _mm512_shuffle_i32x4(ab[j], cd[j], 0xdd);
        }
    }
    columns
}

#[target_feature(enable = "avx512f")]
fn hide(scores: &mut [[f32; BLOCK]], first: usize, seen: &[Range<usize>; BLOCK]) {
    for half in 0..2 {
        // Relative to the first key; what is beyond all keys stays so.
        let relative = |key: usize| key.saturating_sub(first).min(scores.len()) as i32;
        let (mut starts, mut ends) = ([0; WIDTH], [0; WIDTH]);
        for (lane, seen) in seen[half * WIDTH..][..WIDTH].iter().enumerate() {
            (starts[lane], ends[lane]) = (relative(seen.start), relative(seen.end));
        }
        // SAFETY: 16 numbers each.
        let [starts, ends] =
            [starts, ends].map(|x| unsafe { _mm512_loadu_si512(x.as_ptr().cast()) });
        for (key, row) in scores.iter_mut().enumerate() {
            let row = &mut row.as_chunks_mut().0[half];
            let key = _mm512_set1_epi32(key as i32);
            let visible = _mm512_cmple_epi32_mask(starts, key) & _mm512_cmplt_epi32_mask(key, ends);
            let hidden = _mm512_set1_ps(f32::NEG_INFINITY);
            store(_mm512_mask_mov_ps(hidden, visible, load(row)), row);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn soften(
    scores: &[[f32; BLOCK]],
    weights: &mut [Tile],
    tops: &mut [f32; BLOCK],
    sums: &mut [f32; BLOCK],
) -> [f32; BLOCK] {
    let places = side_by_side();
    let mut factors = [0.0; BLOCK];
    for half in 0..2 {
        let of = |x: &[f32; BLOCK]| load(&x.as_chunks().0[half]);
        let old = of(tops);
        // Several, so that none waits for the one before; numbers that are none stay out.
        let mut each = [old; 4];
        for rows in scores.as_chunks::<4>().0 {
            for (top, row) in each.iter_mut().zip(rows) {
                *top = _mm512_max_ps(of(row), *top);
            }
        }
        let [a, b, c, d] = each;
        let top = _mm512_max_ps(_mm512_max_ps(a, b), _mm512_max_ps(c, d));
        let factor = exp2(_mm512_sub_ps(old, top));
        let mut sum = [_mm512_setzero_ps(); 2];
        for (pair, [first, second]) in scores.as_chunks().0.iter().enumerate() {
            let tiles = &mut weights[pair / TILE_ROWS * 2 * PARTS..][..2 * PARTS];
            let [mut a, mut b] = [first, second].map(|row| exp2(_mm512_sub_ps(of(row), top)));
            sum = [_mm512_add_ps(sum[0], a), _mm512_add_ps(sum[1], b)];
            for part in 0..PARTS {
                let both = _mm512_permutexvar_epi16(places, rounded(a, b));
                store_row(both, &mut tiles[2 * part + half].0[pair % TILE_ROWS]);
                [a, b] = rests(a, b, both);
            }
        }
        // A tile for itself: one long chain of small shares would lose digits.
        let sum = _mm512_add_ps(sum[0], sum[1]);
        store(_mm512_fmadd_ps(of(sums), factor, sum), &mut sums.as_chunks_mut().0[half]);
        store(top, &mut tops.as_chunks_mut().0[half]);
        store(factor, &mut factors.as_chunks_mut().0[half]);
    }
    factors
}

#[target_feature(enable = "avx512f")]
fn scale(rows: &mut [[f32; BLOCK]], factors: &[f32; BLOCK]) {
    let factors = [load(&factors.as_chunks().0[0]), load(&factors.as_chunks().0[1])];
    for row in rows {
        for (x, factor) in row.as_chunks_mut().0.iter_mut().zip(factors) {
            store(_mm512_mul_ps(load(x), factor), x);
        }
    }
}

#[target_feature(enable = "avx512f")]
fn divided(rows: &[[f32; BLOCK]], sums: &[f32; BLOCK], out: &mut [f32]) {
    let dim = rows.len();
    for (d, sixteen) in rows.chunks(WIDTH).enumerate() {
        for half in 0..2 {
            let sum = load(&sums.as_chunks().0[half]);
            let mut block = [_mm512_setzero_si512(); WIDTH];
            for (to, row) in block.iter_mut().zip(sixteen) {
                let x = load(&row.as_chunks().0[half]);
                *to = _mm512_castps_si512(_mm512_div_ps(x, sum));
            }
            let mask = ((1u32 << sixteen.len()) - 1) as u16;
            for (column, x) in transposed(block).into_iter().enumerate() {
                let to = &mut out[(half * WIDTH + column) * dim + d * WIDTH..][..sixteen.len()];
                // SAFETY: writes the numbers that the mask says, which `to` has.
                unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), mask, _mm512_castsi512_ps(x)) };
            }
        }
    }
}

/// `2^x` of `x <= 0` to 2 units in the last place, 0 below -126: of the nearest whole number by the exponent, of
/// the rest by a polynomial (the best of its degree with 1 at 0; its coefficients are near `ln(2)^i / i!`).
#[target_feature(enable = "avx512f")]
fn exp2(x: __m512) -> __m512 {
    // Adding 1.5 * 2^23 rounds to the nearest whole number and leaves it in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    const TERMS: [f32; 5] = [9.671_513e-3, 5.550_733_6e-2, 2.402_224_2e-1, 6.931_47e-1, 1.0];
    let magic = _mm512_set1_ps(MAGIC);
    let shifted = _mm512_add_ps(x, magic);
    let rest = _mm512_sub_ps(x, _mm512_sub_ps(shifted, magic));
    let mut p = _mm512_set1_ps(1.326_472_7e-3);
    for term in TERMS {
        p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(term));
    }
    let power = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    let power = _mm512_castsi512_ps(_mm512_add_epi32(power, _mm512_set1_epi32(0x3f80_0000)));
    // What is not a number is not below.
    let counts = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-126.0), _CMP_NLT_UQ);
    _mm512_maskz_mul_ps(counts, p, power)
}
