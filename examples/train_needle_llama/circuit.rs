//! What the initial weights hold beside noise: heads that see the last two tokens, and heads that
//! look for what followed the present token before.
//!
//! A model of this size finds such *induction heads* (Olsson et al. 2022, arXiv 2209.11895) by
//! itself only after far more tokens than a laptop sees in an evening, and until then it copies
//! nothing in order. As in mimetic initialisation (Trockman and Kolter 2023, arXiv 2305.09828), the
//! weights therefore start close to what training would have to find. All of them are trained.
//!
//! ```text
//! residual stream, 256 wide:  0..191 token   191 a constant   192..224 code of the token before
//!                             224..256 code of the one before that
//! layer 0  heads 0, 1   look 1 and 2 tokens back, write the code of what they see
//! layer 2  heads 0..4   key: code of the token before;  query: code of the present token
//!          heads 4, 5   the same with two tokens, 8 numbers of each code
//! ```

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::shape::{HEAD_DIM, HIDDEN, ROPE_THETA};

/// Deviation of the noise, and of the embeddings.
pub const NOISE: f64 = 0.02;
const HALF: usize = HEAD_DIM / 2;
/// Dimensions that hold the token itself.
const TOKEN: usize = 191;
/// The dimension that is the same for every token, and its value in the embeddings.
const CONSTANT: (usize, f64) = (191, 4.0 * NOISE);
/// Where the codes of the last token and of the one before it go.
const SEEN: [usize; 2] = [192, 224];
/// The layer that matches.
const MATCHING: usize = 2;
/// Share of each rotary pair in the logit of a head that looks a fixed distance back; the fast
/// pairs tell neighbours apart, the slower ones the turns of the fast.
const BACK: [f64; 4] = [14.0, 8.0, 4.0, 2.0];
/// First rotary pair that turns little within a prompt: matching uses these.
const SLOW: usize = HALF / 2;
/// Scale of matching queries and keys; a match of 16 numbers gets a logit of about 14.
const MATCH: f64 = 2.2;

/// Random directions that stand for tokens in few dimensions.
pub struct Circuit {
    code: Vec<Vec<f64>>,
    values: [Vec<Vec<f64>>; 3],
}

impl Circuit {
    /// Draws the directions.
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut directions =
            || -> Vec<Vec<f64>> { (0..HEAD_DIM).map(|_| direction(&mut rng)).collect() };
        Self { code: directions(), values: std::array::from_fn(|_| directions()) }
    }

    /// Writes the circuit's part of a matrix over the noise; `weights` is `[out, in]`, row-major.
    pub fn write(&self, name: &str, weights: &mut [f32], input: usize) {
        let mut m = Matrix { weights, input };
        if name == "model.embed_tokens.weight" {
            return embedding(&mut m);
        }
        let Some((layer, part)) =
            name.strip_prefix("model.layers.").and_then(|n| n.split_once('.'))
        else {
            return;
        };
        match (layer.parse(), part) {
            (Ok(0), "self_attn.q_proj.weight") => {
                look_back(&mut m, 0, 1);
                look_back(&mut m, 1, 2);
            }
            (Ok(0), "self_attn.k_proj.weight") => look_back(&mut m, 0, 0),
            (Ok(0), "self_attn.v_proj.weight") => m.rows(0, &self.code, 1.0),
            (Ok(0), "self_attn.o_proj.weight") => {
                for (head, seen) in SEEN.into_iter().enumerate() {
                    m.clear_columns(head * HEAD_DIM);
                    for i in 0..HEAD_DIM {
                        m.set(seen + i, head * HEAD_DIM + i, NOISE);
                    }
                }
            }
            (Ok(MATCHING), "self_attn.q_proj.weight") => {
                for head in 0..6 {
                    for (dim, entry, older) in matched(head / 2) {
                        match older {
                            false => m.row(head * HEAD_DIM + dim, &self.code[entry], MATCH),
                            true => m.only(head * HEAD_DIM + dim, SEEN[0] + entry, MATCH),
                        }
                    }
                }
            }
            (Ok(MATCHING), "self_attn.k_proj.weight") => {
                for group in 0..3 {
                    for (dim, entry, older) in matched(group) {
                        let seen = SEEN[usize::from(older)];
                        m.only(group * HEAD_DIM + dim, seen + entry, MATCH);
                    }
                }
            }
            (Ok(MATCHING), "self_attn.v_proj.weight") => {
                for (group, values) in self.values.iter().enumerate() {
                    m.rows(group * HEAD_DIM, values, 1.0);
                }
            }
            (Ok(MATCHING), "self_attn.o_proj.weight") => {
                for head in 0..6 {
                    m.clear_columns(head * HEAD_DIM);
                    for (i, direction) in self.values[head / 2].iter().enumerate() {
                        for (row, value) in direction.iter().enumerate() {
                            m.set(row, head * HEAD_DIM + i, NOISE * value);
                        }
                    }
                }
            }
            _ => (),
        }
    }
}

/// A matrix `[out, in]`.
struct Matrix<'a> {
    weights: &'a mut [f32],
    input: usize,
}

impl Matrix<'_> {
    fn set(&mut self, row: usize, column: usize, value: f64) {
        self.weights[row * self.input + column] = value as f32;
    }

    /// A row that reads a direction of the token.
    fn row(&mut self, row: usize, direction: &[f64], scale: f64) {
        self.weights[row * self.input..][..self.input].fill(0.0);
        for (column, value) in direction.iter().enumerate() {
            self.set(row, column, scale * value);
        }
    }

    fn rows(&mut self, first: usize, directions: &[Vec<f64>], scale: f64) {
        for (i, direction) in directions.iter().enumerate() {
            self.row(first + i, direction, scale);
        }
    }

    /// A row that reads one dimension.
    fn only(&mut self, row: usize, column: usize, value: f64) {
        self.weights[row * self.input..][..self.input].fill(0.0);
        self.set(row, column, value);
    }

    /// The columns of one head.
    fn clear_columns(&mut self, first: usize) {
        for row in self.weights.chunks_mut(self.input) {
            row[first..first + HEAD_DIM].fill(0.0);
        }
    }
}

fn embedding(m: &mut Matrix) {
    for row in m.weights.chunks_mut(m.input) {
        row[CONSTANT.0] = CONSTANT.1 as f32;
        row[CONSTANT.0 + 1..].iter_mut().for_each(|v| *v *= 0.1);
    }
}

/// Rows of a query (or key, for 0 tokens) that meet best `back` tokens later: rotary pair `i` turns
/// by its angle a token, so that the query stands `back` angles behind.
fn look_back(m: &mut Matrix, head: usize, back: usize) {
    // The norm before layer 0 makes of the constant what it is to the embeddings' mean square.
    let mean_square = (TOKEN as f64 * NOISE.powi(2) + CONSTANT.1.powi(2)) / HIDDEN as f64;
    let constant = CONSTANT.1 / mean_square.sqrt();
    for (pair, share) in BACK.into_iter().enumerate() {
        let angle = -(back as f64) * ROPE_THETA.powf(-(pair as f64) / HALF as f64);
        let length = (share * (HEAD_DIM as f64).sqrt()).sqrt() / constant;
        m.only(head * HEAD_DIM + pair, CONSTANT.0, length * angle.cos());
        m.only(head * HEAD_DIM + pair + HALF, CONSTANT.0, length * angle.sin());
    }
}

/// What a group of heads matches: the head's dimension, the code's entry, and whether it is of the
/// older token.
fn matched(group: usize) -> Vec<(usize, usize, bool)> {
    (0..HALF)
        .map(|i| {
            let dim = SLOW + i / 2 + (i % 2) * HALF;
            match group {
                2 => (dim, i % SLOW, i >= SLOW),
                _ => (dim, group * HALF + i, false),
            }
        })
        .collect()
}

/// A random direction of length 1.
fn direction(rng: &mut StdRng) -> Vec<f64> {
    let v: Vec<f64> = (0..TOKEN).map(|_| rng.random_range(-1.0..1.0)).collect();
    let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    v.into_iter().map(|x| x / norm).collect()
}
