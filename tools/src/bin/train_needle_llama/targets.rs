//! Which next tokens enter the loss of a batch, and how many answers came out right.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::train::Batch;

/// Weight of a target from which on it counts as part of an answer.
const ANSWER: f32 = 0.99;

/// Share of the targets outside answers that enter the loss of one step.
const KEEP: f64 = 0.25;

/// The targets that enter the loss: all of the answers, a random part of the rest.
pub struct Targets {
    /// Row `sequence * n + position` whose next token is a target.
    pub rows: Vec<i32>,
    /// That token.
    pub wanted: Vec<i32>,
    /// Its weight.
    pub weights: Vec<f32>,
    /// Sum of the answers' weights, by which the loss is divided.
    pub total: f64,
}

impl Targets {
    /// All targets of the answers and a random part of the others.
    pub fn choose(batch: &Batch) -> Self {
        let mut rng = StdRng::seed_from_u64(batch.samples[0].ids.iter().map(|i| *i as u64).sum());
        let mut t = Self { rows: vec![], wanted: vec![], weights: vec![], total: 0.0 };
        for (s, sample) in batch.samples.iter().enumerate() {
            for i in 1..sample.ids.len() {
                let weight = sample.weights[i];
                let answer = weight >= ANSWER;
                if weight == 0.0 || (!answer && !rng.random_bool(KEEP)) {
                    continue;
                }
                t.rows.push((s * batch.n + i - 1) as i32);
                t.wanted.push(sample.ids[i] as i32);
                t.weights.push(if answer { weight } else { weight / KEEP as f32 });
                t.total += if answer { weight as f64 } else { 0.0 };
            }
        }
        t
    }

    /// Mean negative log likelihood of answer tokens, answers right in every token, answers.
    pub fn tally(&self, nll: &[f32], best: &[i32]) -> (f64, usize, usize) {
        let (mut sum, mut count, mut right, mut answers) = (0.0, 0usize, 0, 0);
        let mut i = 0;
        while i < self.rows.len() {
            if self.weights[i] < ANSWER || self.weights[i] > 1.5 {
                i += 1;
                continue;
            }
            let (first, mut all) = (i, true);
            while i < self.rows.len()
                && self.rows[i] - self.rows[first] == (i - first) as i32
                && (ANSWER..1.5).contains(&self.weights[i])
            {
                all &= best[i] == self.wanted[i];
                sum += nll[i] as f64;
                count += 1;
                i += 1;
            }
            answers += 1;
            right += usize::from(all);
        }
        (sum / count.max(1) as f64, right, answers)
    }
}
