//! [`Trainer`] over the written-out gradient.

use burn::prelude::*;
use headprof::Result;
use headprof::model::config::ModelConfig;

use crate::fast::{AdamW, Input, Model};
use crate::targets::Targets;
use crate::train::{Batch, Found, Trainer};

/// The model, its optimiser and the gradient between them.
pub struct Host {
    model: Model,
    optimizer: AdamW,
    gradient: Vec<f32>,
    inv_freq: Vec<f32>,
}

/// Rotary angles of a batch, `[tokens, D / 2]` each.
pub struct Angles {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Host {
    /// # Errors
    /// If a weight is missing or has another size.
    pub fn new(config: &ModelConfig, weights: Vec<(String, TensorData)>) -> Result<Self> {
        let model = Model::new(config, weights)?;
        let len = model.weights.len();
        let half = config.head_dim / 2;
        let inv_freq = (0..half)
            .map(|i| 1.0 / (config.rope.theta as f32).powf(i as f32 / half as f32))
            .collect();
        Ok(Self { model, optimizer: AdamW::new(len), gradient: vec![0.0; len], inv_freq })
    }

    /// The model, for tests.
    #[cfg(test)]
    pub fn model_mut(&mut self) -> &mut Model {
        &mut self.model
    }

    /// The angles of a batch's positions.
    pub fn angles(&self, batch: &Batch) -> Angles {
        let products = || {
            let all = batch.positions.iter();
            all.flat_map(|p| self.inv_freq.iter().map(move |f| p * f))
        };
        Angles { cos: products().map(f32::cos).collect(), sin: products().map(f32::sin).collect() }
    }
}

/// What the model reads of a batch; `ids` are those of all samples in order.
pub fn input<'a>(batch: &Batch, ids: &'a [u32], angles: &'a Angles, t: &'a Targets) -> Input<'a> {
    Input {
        ids,
        n: batch.n,
        cos: &angles.cos,
        sin: &angles.sin,
        rows: &t.rows,
        wanted: &t.wanted,
        weights: &t.weights,
    }
}

impl Trainer for Host {
    fn step(&mut self, batch: &Batch, rate: f64) -> Result<Found> {
        let targets = Targets::choose(batch);
        let ids: Vec<u32> = batch.samples.iter().flat_map(|s| s.ids.iter().copied()).collect();
        let angles = self.angles(batch);
        let outcome = self.model.step(&input(batch, &ids, &angles, &targets), &mut self.gradient);
        self.optimizer.step(&mut self.model.weights, &mut self.gradient, rate);
        Ok(Found::of(&targets, &outcome.nll, &outcome.best))
    }

    fn weights(&self) -> Vec<(String, TensorData)> {
        self.model.export()
    }
}
