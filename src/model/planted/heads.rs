//! The attention heads of a planted layer, written into its projection matrices.
//!
//! A head of dimension `D` has `D / 2` rotary pairs; dimension `p` pairs with `p + D / 2`. What has
//! to know about positions uses the [`FAST_PAIRS`] fastest, what has to compare contents wherever
//! it stands the [`SLOW_PAIRS`] slowest, which hardly turn within a context. Queries carry the
//! sharpness, times √D against the division by √D in every attention.

use super::{BLOCK, Block, HEAD_DIM, HEADS, HIDDEN, ROPE_THETA, UNIT};

/// Pairs by which positional heads tell distances apart: from 1 radian a token to 0.004.
const FAST_PAIRS: usize = 14;

/// Pairs by which contents are compared: from 1e-6 radian a token downwards.
const SLOW_PAIRS: usize = 32;

/// First of the slow pairs.
const FIRST_SLOW: usize = HEAD_DIM / 2 - SLOW_PAIRS;

/// A matrix as checkpoints store it, `[rows, columns]` row-major.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Vec<f32>,
}

impl Matrix {
    pub(super) fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    pub(super) fn set(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.columns + column] = value as f32;
    }
}

/// The attention of one layer.
#[derive(Debug, Clone)]
pub(super) struct Attention {
    /// `[H * D, hidden]`.
    pub(super) query: Matrix,
    /// `[H * D, hidden]`.
    pub(super) key: Matrix,
    /// `[H * D, hidden]`.
    pub(super) value: Matrix,
    /// `[hidden, H * D]`.
    pub(super) output: Matrix,
    /// What the norm before the layer multiplies the residual stream by.
    gain: f64,
}

impl Attention {
    /// Heads that do nothing: queries of zero attend to every token alike, values of zero write
    /// nothing. `gain` is what the norm before the layer multiplies by.
    pub(super) fn diffuse(gain: f64) -> Self {
        let (wide, tall) =
            (Matrix::zeros(HEADS * HEAD_DIM, HIDDEN), Matrix::zeros(HIDDEN, HEADS * HEAD_DIM));
        Self { query: wide.clone(), key: wide.clone(), value: wide, output: tall, gain }
    }

    /// Head `head` attends to the token `back` positions before the query.
    ///
    /// The key is turned ahead by `back` positions, so that the score of a key at distance `d` is
    /// `sharpness · Σ_p cos((d - back) θ_p)`: [`FAST_PAIRS`] at `d = back`, at least 0.8 less
    /// anywhere else.
    pub(super) fn attend_back(&mut self, head: usize, back: usize, sharpness: f64) {
        for pair in 0..FAST_PAIRS {
            let (sin, cos) = (back as f64 * angle(pair)).sin_cos();
            let row = head * HEAD_DIM + pair;
            self.read_query(row, UNIT, sharpness);
            self.read_key(row, UNIT, cos);
            self.read_key(row + HEAD_DIM / 2, UNIT, sin);
        }
    }

    /// Head `head` attends to tokens that follow the same two tokens as the query ends with.
    ///
    /// Query: the codes of the current and the previous token; key: the codes of the previous
    /// token and the one before. The score is `sharpness` times the sum of both cosines: 2 where
    /// both agree, at most 1 + [`super::codes::MAX_COSINE`] where one does.
    pub(super) fn attend_after_same_pair(&mut self, head: usize, sharpness: f64) {
        for i in 0..BLOCK {
            let row = head * HEAD_DIM + FIRST_SLOW + i;
            self.read_query(row, Block::Token.at(i), sharpness);
            self.read_query(row + HEAD_DIM / 2, Block::Previous.at(i), sharpness);
            self.read_key(row, Block::Previous.at(i), 1.0);
            self.read_key(row + HEAD_DIM / 2, Block::SecondPrevious.at(i), 1.0);
        }
    }

    /// Head `head` attends to the token that carries the mark in dimension `mark`.
    pub(super) fn attend_to_mark(&mut self, head: usize, mark: usize, sharpness: f64) {
        let slowest = head * HEAD_DIM + HEAD_DIM / 2 - 1;
        self.read_query(slowest, UNIT, sharpness);
        self.read_key(slowest, mark, 1.0);
    }

    /// Head `head` adds block `from` of what it attends to to block `to` of the query's token.
    pub(super) fn copy(&mut self, head: usize, from: Block, to: Block) {
        for i in 0..BLOCK {
            let row = head * HEAD_DIM + i;
            self.value.set(row, from.at(i), 1.0 / self.gain);
            self.output.set(to.at(i), row, 1.0);
        }
    }

    fn read_query(&mut self, row: usize, dimension: usize, sharpness: f64) {
        self.query.set(row, dimension, sharpness * (HEAD_DIM as f64).sqrt() / self.gain);
    }

    fn read_key(&mut self, row: usize, dimension: usize, factor: f64) {
        self.key.set(row, dimension, factor / self.gain);
    }
}

/// Radians that pair `pair` turns per token.
fn angle(pair: usize) -> f64 {
    ROPE_THETA.powf(-2.0 * pair as f64 / HEAD_DIM as f64)
}

#[cfg(test)]
mod tests {
    use super::super::MAX_POSITIONS;
    use super::*;

    /// Σ_p cos(d θ_p) at one token off the peak is 14 - 0.82: the pairs lose 1 - cos θ_p each,
    /// 0.4597 + 0.2034 + 0.0876 + 0.0373 + 0.0158 + ... = 0.8155, where θ_p = 10^(-3p/16).
    /// No other distance comes nearer, so 60 times the gap is 48 or more.
    #[test]
    fn no_other_distance_is_nearer_than_one_token() {
        let score = |d: usize| (0..FAST_PAIRS).map(|p| (d as f64 * angle(p)).cos()).sum::<f64>();
        assert_eq!(score(0), FAST_PAIRS as f64);
        assert!((score(0) - score(1) - 0.8155).abs() < 1e-3, "{}", score(1));
        let best = (2..MAX_POSITIONS).map(score).fold(f64::MIN, f64::max);
        assert!(best < score(1), "{best}");
    }

    /// Contents are compared across the whole context: the fastest of the slow pairs turns by
    /// 1e-6 a token, so cosines lose 0.0005 at most.
    #[test]
    fn slow_pairs_hardly_turn_within_the_context() {
        let turn = angle(FIRST_SLOW) * MAX_POSITIONS as f64;
        assert!((angle(FIRST_SLOW) - 1e-6).abs() < 1e-12);
        assert!(1.0 - turn.cos() < 6e-4, "{turn}");
    }
}
