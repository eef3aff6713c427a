//! What the initial weights hold beside noise: heads that see the last tokens, heads that look for
//! what followed the present token before, and heads that look for it behind the same subject.
//!
//! A model of this size finds such *induction heads* (Olsson et al. 2022, arXiv 2209.11895) by
//! itself only after far more tokens than a laptop sees in an evening, and until then it copies
//! nothing in order. As in mimetic initialisation (Trockman and Kolter 2023, arXiv 2305.09828), the
//! weights therefore start close to what training would have to find. All of them are trained.
//!
//! ```text
//! residual stream, 256 wide:  0..127 token   127 a constant   128..192 short codes of the third to
//!                             the sixth token before   192..224 code of the token before
//!                             224..256 code of the one before that
//! layer 0  heads 0..6   look 1 to 6 tokens back, write the code of what they see
//! layer 1  heads 0..4   a fact's last word: key: the token 4 (heads 2, 3: 5) before, a subject;
//!                       query: the token 3 (4) before
//!          heads 4, 5   who had to do with a thing: key: the token;  query: the token 4 before;
//!                       they copy the third and the fourth token before the key
//! layer 2  heads 0..4   key: code of the token before;  query: code of the present token
//!          heads 4, 5   the same with two tokens, 8 numbers of each code
//! ```
//!
//! With two tokens looked back to and without the heads of layer 1, training left the heads 2 to 8
//! of layer 0 and all of layer 1 as even as they began for ten million tokens, and the model told
//! "Mary went to the" apart from "John went to the" only by how long ago it was. Of several matches
//! the heads of a fact's last word prefer what is near, because the last fact is the one that
//! counts; those of a thing hardly do, because the nearest mention is the question's own.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::shape::{HEAD_DIM, HIDDEN, ROPE_THETA};

/// Deviation of the noise, and of the embeddings.
pub const NOISE: f64 = 0.02;
const HALF: usize = HEAD_DIM / 2;
/// Dimensions that hold the token itself.
const TOKEN: usize = 127;
/// The dimension that is the same for every token, and its value in the embeddings.
const CONSTANT: (usize, f64) = (127, 4.0 * NOISE);
/// Where the codes of the last token and of the one before it go.
const SEEN: [usize; 2] = [192, 224];
/// The layer that matches.
const MATCHING: usize = 2;
/// The layer that matches subjects.
const SUBJECTS: usize = 1;
/// Numbers of a short code.
const SHORT: usize = 16;
/// Where the short codes begin, and the first token back that has one.
const FAR: (usize, usize) = (128, 3);
/// Share of the slower rotary pairs, each, in the logit of a key that is near: for subjects, for
/// things.
const NEAR: [f64; 3] = [2.0, 2.0, 0.3];
/// Share of each rotary pair in the logit of a head that looks a fixed distance back; the fast
/// pairs tell neighbours apart, the slower ones the turns of the fast.
const BACK: [f64; 5] = [16.0, 10.0, 8.0, 6.0, 4.0];
/// First rotary pair that turns little within a prompt: matching uses these.
const SLOW: usize = HALF / 2;
/// Scale of matching queries and keys; a match of 16 numbers gets a logit of about 14.
const MATCH: f64 = 2.2;

/// Random directions that stand for tokens in few dimensions.
pub struct Circuit {
    code: Vec<Vec<f64>>,
    values: [Vec<Vec<f64>>; 3],
    subject_values: [Vec<Vec<f64>>; 2],
}

impl Circuit {
    /// Draws the directions.
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut directions =
            || -> Vec<Vec<f64>> { (0..HEAD_DIM).map(|_| direction(&mut rng)).collect() };
        Self {
            code: directions(),
            values: std::array::from_fn(|_| directions()),
            subject_values: std::array::from_fn(|_| directions()),
        }
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
                (0..6).for_each(|head| look_back(&mut m, head, head + 1));
            }
            (Ok(0), "self_attn.k_proj.weight") => {
                (0..3).for_each(|group| look_back(&mut m, group, 0));
            }
            (Ok(0), "self_attn.v_proj.weight") => {
                (0..3).for_each(|group| m.rows(group * HEAD_DIM, &self.code, 1.0));
            }
            (Ok(0), "self_attn.o_proj.weight") => {
                for head in SEEN.len()..6 {
                    m.clear_columns(head * HEAD_DIM);
                    for i in 0..SHORT {
                        m.set(far(head + 1, i), head * HEAD_DIM + i, NOISE);
                    }
                }
                for (head, seen) in SEEN.into_iter().enumerate() {
                    m.clear_columns(head * HEAD_DIM);
                    for i in 0..HEAD_DIM {
                        m.set(seen + i, head * HEAD_DIM + i, NOISE);
                    }
                }
            }
            (Ok(SUBJECTS), part) => self.subjects(&mut m, part),
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
                    m.columns(head * HEAD_DIM, &self.values[head / 2], NOISE);
                }
            }
            _ => (),
        }
    }

    /// The heads of layer 1: two of each group for subjects 3 and 4 tokens back, two for things.
    fn subjects(&self, m: &mut Matrix, part: &str) {
        match part {
            "self_attn.q_proj.weight" => {
                for head in 0..6 {
                    near(m, head, NEAR[head / 2]);
                    let back = [3, 4, 4][head / 2];
                    for i in 0..SHORT {
                        m.only(head * HEAD_DIM + slow(i), far(back, i), MATCH);
                    }
                }
            }
            "self_attn.k_proj.weight" => {
                for (group, share) in NEAR.into_iter().enumerate() {
                    near(m, group, share);
                    for i in 0..SHORT {
                        let row = group * HEAD_DIM + slow(i);
                        match group {
                            2 => m.row(row, &self.code[i], MATCH),
                            _ => m.only(row, far(4 + group, i), MATCH),
                        }
                    }
                }
            }
            "self_attn.v_proj.weight" => {
                for (group, values) in self.subject_values.iter().enumerate() {
                    m.rows(group * HEAD_DIM, values, 1.0);
                }
                for i in 0..2 * SHORT {
                    m.only(2 * HEAD_DIM + i, far(3 + i / SHORT, i % SHORT), 1.0);
                }
            }
            "self_attn.o_proj.weight" => {
                for head in 0..6 {
                    m.clear_columns(head * HEAD_DIM);
                    match self.subject_values.get(head / 2) {
                        Some(values) => m.columns(head * HEAD_DIM, values, NOISE),
                        None => {
                            for half in 0..2 {
                                let first = head * HEAD_DIM + half * SHORT;
                                m.columns(first, &self.code[..SHORT], NOISE);
                            }
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

    /// Columns that write a direction each.
    fn columns(&mut self, first: usize, directions: &[Vec<f64>], scale: f64) {
        for (i, direction) in directions.iter().enumerate() {
            for (row, value) in direction.iter().enumerate() {
                self.set(row, first + i, scale * value);
            }
        }
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
    for (pair, share) in BACK.into_iter().enumerate() {
        let angle = -(back as f64) * ROPE_THETA.powf(-(pair as f64) / HALF as f64);
        let length = (share * (HEAD_DIM as f64).sqrt()).sqrt() / constant();
        m.only(head * HEAD_DIM + pair, CONSTANT.0, length * angle.cos());
        m.only(head * HEAD_DIM + pair + HALF, CONSTANT.0, length * angle.sin());
    }
}

/// Rows of a query or key that meet best at distance 0 and little worse nearby.
fn near(m: &mut Matrix, head: usize, share: f64) {
    // What layer 0 wrote makes the norm before layer 1 smaller.
    let written = (2 * HEAD_DIM + 4 * SHORT) as f64 * (NOISE * token()).powi(2);
    let constant = CONSTANT.1 / ((square() + written) / HIDDEN as f64).sqrt();
    let length = (share * (HEAD_DIM as f64).sqrt()).sqrt() / constant;
    for pair in SLOW / 2..SLOW {
        m.only(head * HEAD_DIM + pair, CONSTANT.0, length);
    }
}

/// The square of an embedding's length.
fn square() -> f64 {
    TOKEN as f64 * NOISE.powi(2) + CONSTANT.1.powi(2)
}

/// What the norm before layer 0 makes of the constant, and of a number of the token.
fn constant() -> f64 {
    CONSTANT.1 / (square() / HIDDEN as f64).sqrt()
}

fn token() -> f64 {
    NOISE / (square() / HIDDEN as f64).sqrt()
}

/// The dimension of number `i` of the short code of the token `back` tokens before.
fn far(back: usize, i: usize) -> usize {
    FAR.0 + (back - FAR.1) * SHORT + i
}

/// The `i`-th dimension that turns little.
fn slow(i: usize) -> usize {
    SLOW + i / 2 + (i % 2) * HALF
}

/// What a group of heads matches: the head's dimension, the code's entry, and whether it is of the
/// older token.
fn matched(group: usize) -> Vec<(usize, usize, bool)> {
    (0..HALF)
        .map(|i| {
            let dim = slow(i);
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
