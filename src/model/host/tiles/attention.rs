//! Causal attention on the tile unit.
//!
//! ```text
//! S [keys, 32] = K · Qᵀ          a key per row, a query per column, in parts of bf16 as products of matrices
//! W            = 2^(S - M)       M, Z per column; the largest M and the sums Z run from tile to tile
//! O [D, 32]    = O · 2^(M_old - M) + Vᵀ · W
//! ```
//!
//! Queries are scaled by `log2(e) / sqrt(D)`. Each tile of keys and values is split into parts once for
//! many queries.

use std::array::from_fn;
use std::f32::consts::LOG2_E;
use std::ops::Range;

use rayon::prelude::*;

use super::super::attention::Shape;
use super::super::{OnHost, Rows};
use super::operands::{BLOCK, Block, PARTS, Panel, STEP, TILE_ROWS, Tile};
use super::unit::{Tiles, Unit};

/// Keys of a tile: its scores and weights stay in the nearest cache.
const KEYS: usize = 128;
/// Steps of keys in a tile.
const STEPS: usize = KEYS / STEP;
/// Bytes of queries and outputs that a thread has beside a tile of keys and values, in its core's own cache.
const STATE: usize = 1 << 20;

/// The outputs, `[n, H, D]`; none without a tile unit.
pub fn outputs(shape: &Shape, q: &OnHost, k: &OnHost, v: &OnHost) -> Option<Vec<f32>> {
    let unit = Unit::get()?;
    let strips = shape.queries_of_group().div_ceil(BLOCK);
    let groups = (2 * rayon::current_num_threads()).div_ceil(shape.kv_heads);
    let at_most = STATE / (shape.dim.div_ceil(STEP) * Strip::BYTES_OF_STEP);
    let at_once = strips.div_ceil(groups).clamp(1, at_most.max(1));
    let groups = strips.div_ceil(at_once);
    let outputs: Vec<Vec<Vec<f32>>> = (0..shape.kv_heads * groups)
        .into_par_iter()
        .with_min_len(shape.tasks_per_thread(shape.kv_heads * groups))
        .map(|task| {
            let (kv_head, first) = (task / groups, task % groups * at_once);
            let mut strips: Vec<Strip> = (first..strips.min(first + at_once))
                .map(|strip| Strip::new(unit, shape, q, kv_head, strip))
                .collect();
            let (keys, values) = (k.rows(&[0, kv_head]), v.rows(&[0, kv_head]));
            attend(unit, shape, &mut strips, keys, values);
            strips.iter().map(|strip| strip.outputs(unit, shape.dim)).collect()
        })
        .collect();
    let strips = outputs.into_iter().flatten();
    Some(shape.together(strips, BLOCK))
}

/// [`BLOCK`] queries and what becomes of them.
struct Strip {
    /// As of a panel: `[D / 32, PARTS, 2]`.
    queries: Vec<Tile>,
    /// All of them, `[D / 32]`.
    parts: Vec<u8>,
    /// The keys that each sees: one at least.
    seen: [Range<usize>; BLOCK],
    /// Keys that one of them sees.
    by_some: Range<usize>,
    /// Keys that all of them see.
    by_all: Range<usize>,
    /// `[D, 32]`, zeros behind the last row.
    outputs: Vec<[f32; BLOCK]>,
    tops: [f32; BLOCK],
    sums: [f32; BLOCK],
}

impl Strip {
    /// Of queries and outputs, for 32 numbers of a head.
    const BYTES_OF_STEP: usize = 2 * PARTS * size_of::<Tile>() + STEP * size_of::<[f32; BLOCK]>();

    /// Number `strip` of the queries that `kv_head` is for.
    fn new(unit: Unit, shape: &Shape, q: &OnHost, kv_head: usize, strip: usize) -> Self {
        let steps = shape.dim.div_ceil(STEP);
        let own = strip * BLOCK..shape.queries_of_group().min((strip + 1) * BLOCK);
        // Columns without a query do what the last one does.
        let query = |column: usize| shape.query(kv_head, (own.start + column).min(own.end - 1));
        let scale = LOG2_E / (shape.dim as f32).sqrt();
        let mut halves = [0, 1].map(|half| {
            let mut tiles = vec![Tile::ZEROS; steps * PARTS];
            for row in 0..TILE_ROWS {
                let (head, query) = query(half * TILE_ROWS + row);
                let numbers = &q.rows(&[0, head]).row(query)[..shape.dim];
                unit.split(numbers, scale, row, &mut tiles);
            }
            tiles.iter_mut().for_each(|tile| unit.transpose(tile));
            tiles.into_iter()
        });
        let queries = (0..2 * steps * PARTS).filter_map(|i| halves[i % 2].next()).collect();
        let seen: [_; BLOCK] = from_fn(|column| shape.seen(query(column).1));
        let edge = |of: fn(&Range<usize>) -> usize| seen.iter().map(of);
        let (first, last) = (edge(|s| s.start), edge(|s| s.end));
        let by_some = first.clone().min().unwrap_or(0)..last.clone().max().unwrap_or(0);
        let by_all = first.max().unwrap_or(0)..last.min().unwrap_or(0);
        let outputs = vec![[0.0; BLOCK]; steps * STEP];
        let parts = vec![PARTS as u8; steps];
        // Not -infinity: its difference from the score of a hidden key would not be a number.
        let (tops, sums) = ([f32::MIN; BLOCK], [0.0; BLOCK]);
        Self { queries, parts, seen, by_some, by_all, outputs, tops, sums }
    }

    /// The outputs, `[32, D]`.
    fn outputs(&self, unit: Unit, dim: usize) -> Vec<f32> {
        let mut all = vec![0.0; BLOCK * dim];
        unit.divided(&self.outputs[..dim], &self.sums, &mut all);
        all
    }
}

/// Makes the outputs of `strips`, all of one key/value head.
fn attend(unit: Unit, shape: &Shape, strips: &mut [Strip], keys: Rows, values: Rows) {
    let steps = shape.dim.div_ceil(STEP);
    let mut tile = KeyTile {
        keys: vec![Tile::ZEROS; STEPS * 2 * steps * PARTS],
        values: vec![Tile::ZEROS; steps * 2 * STEPS * PARTS],
        scores: vec![[0.0; BLOCK]; KEYS],
        weights: vec![Tile::ZEROS; STEPS * PARTS * 2],
    };
    let first = strips.iter().map(|s| s.by_some.start).min().unwrap_or(0);
    let last = strips.iter().map(|s| s.by_some.end).max().unwrap_or(0);
    unit.with_tiles(|tiles| {
        // Tiles begin at multiples of their size, whatever other queries see.
        for from in (first - first % KEYS..last).step_by(KEYS) {
            tile.fill(unit, shape.dim, keys, values, from..last.min(from + KEYS));
            for strip in &mut *strips {
                tile.attend(unit, &tiles, strip, from);
            }
        }
    });
}

/// Some keys and values in parts, and what one strip's scores and weights of them are.
struct KeyTile {
    /// `[STEPS, 2, D / 32, PARTS]`.
    keys: Vec<Tile>,
    /// Transposed, `[D / 32, 2, STEPS, PARTS]`.
    values: Vec<Tile>,
    scores: Vec<[f32; BLOCK]>,
    /// As of a panel: `[STEPS, PARTS, 2]`.
    weights: Vec<Tile>,
}

impl KeyTile {
    /// Splits the keys and values of `tokens`.
    fn fill(&mut self, unit: Unit, dim: usize, keys: Rows, values: Rows, tokens: Range<usize>) {
        let steps = dim.div_ceil(STEP);
        let used = tokens.len().div_ceil(STEP);
        for (i, sixteen) in self.keys.chunks_exact_mut(steps * PARTS).take(2 * used).enumerate() {
            for row in 0..TILE_ROWS {
                let numbers = match tokens.start + i * TILE_ROWS + row {
                    key if key < tokens.end => &keys.row(key)[..dim],
                    _ => &[],
                };
                unit.split(numbers, 1.0, row, sixteen);
            }
        }
        for (d, block) in self.values.chunks_exact_mut(2 * STEPS * PARTS).enumerate() {
            let columns = d * STEP..dim.min((d + 1) * STEP);
            for step in 0..used {
                let from = tokens.start + step * STEP;
                let rows = from..tokens.end.min(from + STEP);
                let mut parts = [Tile::ZEROS; 2 * PARTS];
                unit.interleave(values, rows, columns.clone(), &mut parts);
                for (i, part) in parts.iter_mut().enumerate() {
                    unit.transpose(part);
                    block[(i % 2 * STEPS + step) * PARTS + i / 2] = *part;
                }
            }
        }
    }

    /// Goes on with the outputs of `strip`, by the keys from number `from` on.
    fn attend(&mut self, unit: Unit, tiles: &Tiles, strip: &mut Strip, from: usize) {
        let steps = strip.outputs.len() / STEP;
        let start = strip.by_some.start.saturating_sub(from) / STEP;
        let end = strip.by_some.end.saturating_sub(from).div_ceil(STEP).min(STEPS);
        if start >= end {
            return;
        }
        let scores = &mut self.scores[start * STEP..end * STEP];
        let queries = Panel { tiles: &strip.queries, parts: &strip.parts };
        let keys = self.keys.chunks_exact(2 * steps * PARTS).skip(start);
        for (scores, keys) in scores.as_chunks_mut().0.iter_mut().zip(keys) {
            let (upper, lower) = keys.split_at(steps * PARTS);
            tiles.multiply(Block { upper, lower }, queries, scores, true);
        }
        let shown = from + start * STEP..from + end * STEP;
        if shown.start < strip.by_all.start || strip.by_all.end < shown.end {
            unit.hide(scores, shown.start, &strip.seen);
        }
        let weights = &mut self.weights[start * PARTS * 2..end * PARTS * 2];
        let factors = unit.soften(scores, weights, &mut strip.tops, &mut strip.sums);
        if factors != [1.0; BLOCK] {
            unit.scale(&mut strip.outputs, &factors);
        }
        let weights = Panel { tiles: weights, parts: &[PARTS as u8; STEPS][..end - start] };
        let values = self.values.chunks_exact(2 * STEPS * PARTS);
        for (outputs, values) in strip.outputs.as_chunks_mut().0.iter_mut().zip(values) {
            let (upper, lower) = values.split_at(STEPS * PARTS);
            let [upper, lower] = [upper, lower].map(|half| &half[start * PARTS..end * PARTS]);
            tiles.multiply(Block { upper, lower }, weights, outputs, false);
        }
    }
}
