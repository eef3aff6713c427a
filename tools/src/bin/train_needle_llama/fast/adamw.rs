//! AdamW (arXiv 1711.05101) over one vector, with the gradient's norm clipped.

use rayon::prelude::*;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.98;
const EPSILON: f32 = 1e-8;
const WEIGHT_DECAY: f32 = 0.01;
const MAX_NORM: f64 = 1.0;
const LANE: usize = 1 << 14;

/// The optimiser's moments.
pub struct AdamW {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

impl AdamW {
    pub fn new(weights: usize) -> Self {
        Self { first: vec![0.0; weights], second: vec![0.0; weights], steps: 0 }
    }

    /// One update with `rate`; leaves `gradient` at zero and returns its norm before clipping.
    pub fn step(&mut self, weights: &mut [f32], gradient: &mut [f32], rate: f64) -> f64 {
        let square: f64 = gradient
            .par_chunks(LANE)
            .map(|g| g.iter().map(|v| (*v as f64).powi(2)).sum::<f64>())
            .sum();
        let norm = square.sqrt();
        let clip = (MAX_NORM / norm.max(MAX_NORM)) as f32;
        self.steps += 1;
        let (bias_1, bias_2) = (1.0 - BETA_1.powi(self.steps), 1.0 - BETA_2.powi(self.steps));
        let rate = rate as f32;
        let moments = self.first.par_chunks_mut(LANE).zip(self.second.par_chunks_mut(LANE));
        let values = weights.par_chunks_mut(LANE).zip(gradient.par_chunks_mut(LANE));
        values.zip(moments).for_each(|((weights, gradient), (first, second))| {
            for i in 0..weights.len() {
                let g = gradient[i] * clip;
                first[i] = BETA_1 * first[i] + (1.0 - BETA_1) * g;
                second[i] = BETA_2 * second[i] + (1.0 - BETA_2) * g * g;
                let step = first[i] / bias_1 / ((second[i] / bias_2).sqrt() + EPSILON);
                weights[i] -= rate * (step + WEIGHT_DECAY * weights[i]);
                gradient[i] = 0.0;
            }
        });
        norm
    }
}
