//! What the unit multiplies: parts of rows, and parts of some columns of a weight.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::super::RowsView;
use super::WORTH_A_THREAD;
use super::unit::Unit;
use super::vectors::Parts;

/// Rows of a tile, of 64 bytes each.
pub const TILE_ROWS: usize = 16;
/// Rows and columns of a block of the product: two tiles each.
pub const BLOCK: usize = 2 * TILE_ROWS;
/// Numbers of bf16 in a tile's row, and of the inner dimension that one instruction goes through.
pub const STEP: usize = 32;
/// Multiplications of which splitting a number takes the time.
const SPLITTING: usize = 64;
/// Numbers of bf16 whose sum is any number of f32.
pub const PARTS: usize = 3;

/// A tile of bf16: rows of `x`, `[16, 32]`, or pairs of rows of `w`, `[16, 16, 2]`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Tile(pub [[u16; STEP]; TILE_ROWS]);

impl Tile {
    pub const ZEROS: Self = Self([[0; STEP]; TILE_ROWS]);
}

/// The left factor of a block of the product: two tiles of rows, `[K / 32, PARTS]` each.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    pub upper: &'a [Tile],
    pub lower: &'a [Tile],
}

/// Some numbers of rows, split: `[m / 32, 2, K / 32, PARTS]` tiles, zeros behind the last row and
/// number.
pub struct SplitRows {
    tiles: Scratch,
    steps: usize,
}

impl SplitRows {
    /// Numbers `inner` of the first `m` of `rows`.
    pub fn new(unit: Unit, rows: RowsView, m: usize, inner: Range<usize>) -> Self {
        let steps = inner.len().div_ceil(STEP);
        let len = m.div_ceil(BLOCK) * 2 * steps * PARTS;
        let tiles = Scratch::filled(len, |tiles| {
            let sixteens = tiles.par_chunks_mut(steps * PARTS).enumerate();
            let per_thread = WORTH_A_THREAD.div_ceil(SPLITTING * TILE_ROWS * inner.len());
            sixteens.with_min_len(per_thread).for_each(|(sixteen, tiles)| {
                for row in 0..TILE_ROWS {
                    let numbers = match sixteen * TILE_ROWS + row {
                        i if i < m => &rows.row(i)[inner.clone()],
                        _ => &[],
                    };
                    unit.split(numbers, row, tiles);
                }
            });
        });
        Self { tiles, steps }
    }

    /// Each [`BLOCK`] of the rows.
    pub fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        let half = self.steps * PARTS;
        self.tiles.tiles().chunks_exact(2 * half).map(move |block| {
            let (upper, lower) = block.split_at(half);
            Block { upper, lower }
        })
    }
}

/// Columns of a weight, [`BLOCK`] in each panel, split; zeros behind the last.
pub struct Panels {
    /// `[panels, K / 32, PARTS, 2]`: of each step, each part's left and right 16 columns.
    tiles: Scratch,
    /// `[panels, K / 32]`, how many parts of each step's numbers there are: what stands in the
    /// place of the others is of no use.
    parts: Vec<u8>,
    steps: usize,
}

/// One of them.
#[derive(Clone, Copy)]
pub struct Panel<'a> {
    pub tiles: &'a [Tile],
    pub parts: &'a [u8],
}

impl Panels {
    /// Of the rows `inner` of `w`.
    pub fn new<T: Parts>(
        unit: Unit,
        w: RowsView<T>,
        inner: Range<usize>,
        columns: Range<usize>,
    ) -> Self {
        let (steps, panels) = (inner.len().div_ceil(STEP), columns.len().div_ceil(BLOCK));
        let mut parts = vec![0; panels * steps];
        let tiles = Scratch::filled(panels * steps * PARTS * 2, |tiles| {
            let tiles = tiles.as_chunks_mut::<{ 2 * PARTS }>().0;
            // Step by step, as what rows have side by side is read together.
            for (step, from) in inner.clone().step_by(STEP).enumerate() {
                let rows = from..inner.end.min(from + STEP);
                for (panel, from) in columns.clone().step_by(BLOCK).enumerate() {
                    let columns = from..columns.end.min(from + BLOCK);
                    let place = panel * steps + step;
                    let found = unit.interleave(w, rows.clone(), columns, &mut tiles[place]);
                    parts[place] = found as u8;
                }
            }
        });
        Self { tiles, parts, steps }
    }

    /// All of them, from the left.
    pub fn iter(&self) -> impl Iterator<Item = Panel<'_>> {
        let tiles = self.tiles.tiles().chunks_exact(self.steps * PARTS * 2);
        tiles.zip(self.parts.chunks_exact(self.steps)).map(|(tiles, parts)| Panel { tiles, parts })
    }
}

thread_local! {
    /// Memory that a thread uses again: taken from the system each time, it would cost as much as
    /// what is done in it.
    static FREE: RefCell<Vec<Vec<Tile>>> = const { RefCell::new(Vec::new()) };
}

/// Tiles, in memory that is given back to the thread.
struct Scratch {
    held: Vec<Tile>,
    len: usize,
}

impl Scratch {
    /// `len` tiles; what `fill` leaves as it is, is whatever was there.
    fn filled(len: usize, fill: impl FnOnce(&mut [Tile])) -> Self {
        let mut held = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
        held.resize(held.len().max(len), Tile::ZEROS);
        fill(&mut held[..len]);
        Self { held, len }
    }

    fn tiles(&self) -> &[Tile] {
        &self.held[..self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        FREE.with_borrow_mut(|free| free.push(std::mem::take(&mut self.held)));
    }
}
