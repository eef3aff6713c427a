//! One training step with burn's autodiff: on any device, and the definition of the loss.

use burn::module::Module;
use burn::optim::grad_clipping::GradientClippingConfig;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::prelude::*;
use burn::tensor::activation::{log_softmax, softmax};
use headprof::model::config::ModelConfig;
use headprof::model::decoder::Decoder;
use headprof::model::rope::Rope;
use headprof::{Error, Result};

use crate::targets::Targets;
use crate::train::{Batch, Found, Trainer};

/// A decoder on an autodiff device with its optimiser.
pub struct Autodiff {
    model: Decoder,
    optimizer: burn::optim::ModuleOptimizer,
    config: ModelConfig,
    rope: Rope,
    device: Device,
}

impl Autodiff {
    /// `model` must lie on `device`, an autodiff device.
    pub fn new(model: Decoder, config: &ModelConfig, device: &Device) -> Self {
        let optimizer = AdamWConfig::new()
            .with_beta_2(0.98)
            .with_epsilon(1e-8)
            .with_weight_decay(0.01)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
            .init();
        let rope = Rope::new(&config.rope, config.head_dim);
        Self { model, optimizer, config: config.clone(), rope, device: device.clone() }
    }

    /// The loss of `targets` in `batch`, and per target its nll and the most likely token.
    ///
    /// # Errors
    /// If the device fails.
    pub fn loss(
        &self,
        batch: &Batch,
        targets: &Targets,
    ) -> Result<(Tensor<1>, Vec<f32>, Vec<i32>)> {
        let (b, n, device) = (batch.samples.len(), batch.n, &self.device);
        let ids: Vec<i32> =
            batch.samples.iter().flat_map(|s| s.ids.iter().map(|id| *id as i32)).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [b, n]), device);
        let angles = self.rope.angles(&batch.positions, b, [device]);
        let group = self.config.group();
        let mask = causal_mask(group, n, device);
        let mut attend = |_, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>| {
            let [_, h, _, d] = q.dims();
            let q = q.mul_scalar(1.0 / (d as f64).sqrt()).reshape([b, h / group, group * n, d]);
            let weights = softmax(q.matmul(k.swap_dims(2, 3)) + mask.clone(), 3);
            Ok(weights.matmul(v).reshape([b, h, n, d]))
        };
        let hidden = self.model.run(ids, &angles, None, &mut attend, &mut |_, _| Ok(()))?;
        let m = targets.rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(targets.rows.clone(), [m]), device);
        let logits = self.model.logits(hidden.select(0, rows));
        let wanted =
            Tensor::<2, Int>::from_data(TensorData::new(targets.wanted.clone(), [m, 1]), device);
        let nll = log_softmax(logits.clone(), 1).gather(1, wanted).neg().reshape([m]);
        let weights = Tensor::<1>::from_data(TensorData::new(targets.weights.clone(), [m]), device);
        let loss = (nll.clone() * weights).sum().div_scalar(targets.total.max(1.0));
        let nll: Vec<f32> = nll.detach().try_into_vec_as().map_err(unread)?;
        let best = logits.detach().argmax(1).reshape([m]);
        Ok((loss, nll, best.try_into_vec_as().map_err(unread)?))
    }

    /// The gradient of `loss` by the weights' names: how far a step of plain descent takes them,
    /// a step so long that rounding of the weights does not show.
    #[cfg(test)]
    pub fn gradient(&self, loss: &Tensor<1>) -> Vec<(String, Vec<f32>)> {
        const LONG: f64 = 65536.0;
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        let mut descent = burn::optim::SgdConfig::new().init();
        let stepped = descent.step(LONG, self.model.clone(), gradients).weights();
        let between = |(before, after): (f32, f32)| ((before - after) as f64 / LONG) as f32;
        let all = self.model.weights().into_iter().zip(stepped);
        all.map(|((name, before), (_, after))| {
            (name, before.iter().zip(after.iter()).map(between).collect())
        })
        .collect()
    }
}

impl Trainer for Autodiff {
    fn step(&mut self, batch: &Batch, rate: f64) -> Result<Found> {
        let targets = Targets::choose(batch);
        let (loss, nll, best) = self.loss(batch, &targets)?;
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        self.model = self.optimizer.step(rate, self.model.clone(), gradients);
        Ok(Found::of(&targets, &nll, &best))
    }

    fn weights(&self) -> Vec<(String, TensorData)> {
        self.model.valid().weights()
    }
}

fn unread(e: burn::tensor::TensorReadError) -> Error {
    Error::bug("a tensor cannot be read").got(format!("{e:?}"))
}

/// 0 where a query sees a key, -∞ (nearly) where not: `[1, 1, group * n, n]`, the heads that share
/// a key/value head below one another.
fn causal_mask(group: usize, n: usize, device: &Device) -> Tensor<4> {
    let row = |i: usize| (0..n).map(move |j| if j <= i % n { 0f32 } else { -1e9 });
    let values: Vec<f32> = (0..group * n).flat_map(row).collect();
    Tensor::from_data(TensorData::new(values, [1, 1, group * n, n]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use headprof::model::cpu::rowwise;

    /// headprof's own norm of rows has no gradient: a tensor that one is asked of is left to burn.
    #[test]
    fn what_a_gradient_is_asked_of_is_left_to_burn() {
        let device = Device::flex();
        let weight = Tensor::<1>::ones([2], &device);
        let norm = |x| rowwise::rms_norm(&x, &weight, 1e-5);
        assert!(norm(Tensor::<2>::ones([2, 2], &device)).is_some());
        assert!(norm(Tensor::<2>::ones([2, 2], &device.autodiff())).is_none());
    }
}
