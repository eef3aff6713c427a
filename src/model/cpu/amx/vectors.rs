//! What vector registers do for the tile unit: parts of bf16.

use std::arch::x86_64::*;
use std::ops::Range;

use half::{bf16, f16};

use super::super::RowsView;
use super::super::stored::Stored;
use super::operands::{BLOCK, PARTS, STEP, TILE_ROWS, Tile};
use super::unit::Unit;

/// Lanes of a register.
const WIDTH: usize = 16;

/// A type that weights are saved in.
pub trait Parts: Stored {
    /// How many parts of bf16 any number of it has at most.
    const MOST: usize;

    /// The first 16 numbers at `from` that `mask` says, in f32, and zeros.
    ///
    /// # Safety
    /// The numbers must be there, and a processor that [`Unit`] stands for.
    unsafe fn load_some(mask: u16, from: *const Self) -> __m512;
}

impl Parts for f32 {
    const MOST: usize = PARTS;

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_some(mask: u16, from: *const f32) -> __m512 {
        // SAFETY: as the caller says.
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }
}

impl Parts for f16 {
    const MOST: usize = 2;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn load_some(mask: u16, from: *const f16) -> __m512 {
        // SAFETY: as the caller says.
        _mm512_cvtph_ps(unsafe { _mm256_maskz_loadu_epi16(mask, from.cast()) })
    }
}

impl Parts for bf16 {
    const MOST: usize = 1;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn load_some(mask: u16, from: *const bf16) -> __m512 {
        // SAFETY: as the caller says.
        let bits = unsafe { _mm256_maskz_loadu_epi16(mask, from.cast()) };
        _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))
    }
}

impl Unit {
    /// Writes row `row` of `tiles`, `[K / 32, PARTS]`: the parts of `x`, and zeros behind them.
    pub fn split(self, x: &[f32], row: usize, tiles: &mut [Tile]) {
        // SAFETY: `self` says that the processor has these instructions; so below.
        unsafe { split(x, row, tiles) }
    }

    /// Writes the parts of some `columns`, at most [`BLOCK`], of `rows`, at most [`STEP`], of `w`:
    /// the left and the right half of each part, rows in pairs, and zeros behind them. Returns how
    /// many parts there are: those behind are all zero, and may not have been written.
    pub fn interleave<T: Parts>(
        self,
        w: RowsView<T>,
        rows: Range<usize>,
        columns: Range<usize>,
        tiles: &mut [Tile; 2 * PARTS],
    ) -> usize {
        assert!(rows.len() <= STEP && columns.len() <= BLOCK);
        // SAFETY: as above.
        unsafe { interleave(w, rows, columns, tiles) }
    }
}

/// The nearest numbers of bf16 to those of `low` and `high`, the former in the lower half.
#[target_feature(enable = "avx512f,avx512bf16")]
fn rounded(low: __m512, high: __m512) -> __m512i {
    // SAFETY: of the same size, and any bits are integers.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(high, low)) }
}

/// The first 16 of `x` from `from` on, and zeros.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn loaded<T: Parts>(x: &[T], from: usize) -> __m512 {
    let x = x.get(from..).unwrap_or(&[]);
    let mask = ((1u32 << x.len().min(WIDTH)) - 1) as u16;
    // SAFETY: reads the numbers that the mask says, which `x` has.
    unsafe { T::load_some(mask, x.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
fn store_row(bits: __m512i, to: &mut [u16; STEP]) {
    // SAFETY: 64 bytes.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), bits) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn split(x: &[f32], row: usize, tiles: &mut [Tile]) {
    for (step, tiles) in tiles.chunks_exact_mut(PARTS).enumerate() {
        let mut low = loaded(x, step * STEP);
        let mut high = loaded(x, step * STEP + WIDTH);
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

/// Where [`rounded`] has what is to stand side by side: number i of the lower half, then i of the
/// upper.
#[target_feature(enable = "avx512f")]
fn side_by_side() -> __m512i {
    let mut places = [0u16; STEP];
    for (i, pair) in places.as_chunks_mut().0.iter_mut().enumerate() {
        *pair = [i as u16, (WIDTH + i) as u16];
    }
    // SAFETY: 64 bytes.
    unsafe { _mm512_loadu_si512(places.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn interleave<T: Parts>(
    w: RowsView<T>,
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
            let next = x.as_ptr().wrapping_add(STEP * w.stride).cast::<i8>();
            _mm_prefetch::<_MM_HINT_T0>(next);
            _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(BLOCK * size_of::<T>() / 2));
        }
        for half in 0..2 {
            let [mut a, mut b] = [first, second].map(|x| loaded(x, half * WIDTH));
            for (part, left) in left.iter_mut().take(T::MOST).enumerate() {
                let both = _mm512_permutexvar_epi16(places, rounded(a, b));
                store_row(both, &mut tiles[2 * part + half].0[pair]);
                [a, b] = rests(a, b, both);
                let [a, b] = [a, b].map(|x| _mm512_castps_si512(x));
                *left = _mm512_or_si512(*left, _mm512_or_si512(a, b));
            }
        }
    }
    let parts = match left.map(|bits| _mm512_test_epi32_mask(bits, bits) != 0) {
        [false, _] => 1,
        [_, false] => 2,
        _ => PARTS,
    };
    // Finite numbers of `T` have no more parts than that; of others, something is left behind any.
    if parts.min(T::MOST) < PARTS {
        return parts.min(T::MOST);
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
    PARTS
}
