//! [`UsualOutputs`]: what heads put out on average.

use burn::prelude::*;
use burn::tensor::DType;

use crate::error::Result;
use crate::model::config::ModelConfig;
use crate::model::{Llama, attention, read_back};

/// The mean output of every head over tokens of prompts, `[L, H, D]`.
#[derive(Debug, Clone)]
pub struct UsualOutputs {
    heads: usize,
    dim: usize,
    sums: Vec<f64>,
    tokens: usize,
}

impl UsualOutputs {
    /// Of no token yet, for a model of shape `config`.
    pub fn new(config: &ModelConfig) -> Self {
        let (heads, dim) = (config.heads, config.head_dim);
        Self { heads, dim, sums: vec![0.0; config.layers * heads * dim], tokens: 0 }
    }

    /// Adds all tokens of a prompt, run `chunk` at a time.
    ///
    /// # Errors
    /// As [`Llama::run`].
    pub fn add(&mut self, model: &Llama, prompt: &[u32], chunk: usize) -> Result<()> {
        let (config, on_host) = (model.config(), model.compute().on_host);
        let mut cache = model.new_cache(prompt.len());
        model.check_ids(prompt, &cache)?;
        for ids in model.parts(prompt, chunk) {
            let (start, n) = (cache.len(), ids.len());
            let mut attend = |layer: usize, q: Tensor<4>, k, v| {
                let held = cache.append(layer, k, v);
                let window = config.sliding_window[layer];
                let output = attention::outputs(q, held, window, on_host).output;
                self.add_layer(layer, output.clone())?;
                Ok(output)
            };
            model.pass(ids, start, n, &mut attend)?;
            cache.advance(n);
        }
        self.tokens += prompt.len();
        Ok(())
    }

    /// Adds outputs, `[1, H, n, D]`, of one layer.
    fn add_layer(&mut self, layer: usize, outputs: Tensor<4>) -> Result<()> {
        let sums = read_back::floats(outputs.cast(DType::F32).sum_dim(2), "outputs of heads")?;
        let width = self.heads * self.dim;
        let own = &mut self.sums[layer * width..(layer + 1) * width];
        own.iter_mut().zip(sums).for_each(|(sum, more)| *sum += f64::from(more));
        Ok(())
    }

    /// The mean output of one head, `[D]`.
    pub(super) fn of(&self, layer: usize, head: usize) -> Vec<f32> {
        let at = (layer * self.heads + head) * self.dim;
        let tokens = self.tokens.max(1) as f64;
        self.sums[at..at + self.dim].iter().map(|sum| (sum / tokens) as f32).collect()
    }
}
