//! [`Ablation`]: heads that are switched off in a pass, and how.
//!
//! ```text
//! queries ─► attention ─► heads' outputs, [H, n, D] ─► output projection
//!    │ uniform: 0 for the heads that are off     │ zero, mean: 0 or the head's usual output
//! ```
//!
//! [`traced`] runs a prompt once so that it can be run again with heads off, from the first of
//! their layers on.

pub mod traced;

mod usual;

#[cfg(test)]
mod tests;

use burn::prelude::*;
use burn::tensor::DType;
use serde::{Deserialize, Serialize};

use super::config::ModelConfig;
use super::device::Compute;
use crate::heads::HeadSet;

pub use usual::UsualOutputs;

/// What becomes of a head that is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Its output is zero: it adds nothing to the residual stream.
    Zero,
    /// Its output is its mean over tokens of prompts: it adds what it always adds.
    Mean,
    /// Its queries are zero, so that it looks at all tokens alike: what Retrieval_Head calls
    /// masking (Wu et al. 2024).
    Uniform,
}

impl How {
    /// As it is written in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Mean => "mean",
            Self::Uniform => "uniform",
        }
    }
}

/// Heads that are off, ready for passes on a device.
#[derive(Debug, Clone)]
pub struct Ablation {
    layers: Vec<Option<OffHeads>>,
    first: usize,
}

/// Those of one layer.
#[derive(Debug, Clone)]
struct OffHeads {
    /// 1 for a head that is on, 0 for one that is off, `[1, H, 1, 1]`.
    on: Tensor<4>,
    /// What is put in the place of outputs, `[1, H, 1, D]`; 0 for heads that are on.
    instead: Option<Tensor<4>>,
    /// Whether the queries are what is switched off.
    uniform: bool,
}

impl Ablation {
    /// `heads` of a model of shape `config` off in the way of `how`; outputs are set to those of
    /// `usual`, or to zero without them.
    pub fn new(
        heads: &HeadSet,
        how: How,
        usual: Option<&UsualOutputs>,
        config: &ModelConfig,
        compute: &Compute,
    ) -> Self {
        let layer = |layer: usize| {
            let off: Vec<usize> = heads.of_layer(layer).collect();
            if off.is_empty() {
                return None;
            }
            let device = compute.layer_device(layer, config.layers);
            let tensor = |values: Vec<f32>, width: usize| -> Tensor<4> {
                let data = TensorData::new(values, [1, config.heads, 1, width]);
                Tensor::<4>::from_data(data, (device, DType::F32)).cast(compute.dtype)
            };
            let on = (0..config.heads).map(|head| if off.contains(&head) { 0.0 } else { 1.0 });
            let instead = usual.filter(|_| how == How::Mean).map(|usual| {
                let of_head = |head: usize| match off.contains(&head) {
                    true => usual.of(layer, head).to_vec(),
                    false => vec![0.0; config.head_dim],
                };
                tensor((0..config.heads).flat_map(of_head).collect(), config.head_dim)
            });
            Some(OffHeads { on: tensor(on.collect(), 1), instead, uniform: how == How::Uniform })
        };
        Self {
            layers: (0..config.layers).map(layer).collect(),
            first: heads.first_layer().unwrap_or(config.layers),
        }
    }

    /// The outputs of `heads` times `factor`.
    #[cfg(test)]
    pub(super) fn scaled(
        heads: &HeadSet,
        factor: f32,
        config: &ModelConfig,
        compute: &Compute,
    ) -> Self {
        let mut all = Self::new(heads, How::Zero, None, config, compute);
        for off in all.layers.iter_mut().flatten() {
            // 1 where it is 1, the factor where it is 0.
            off.on = off.on.clone().mul_scalar(1.0 - factor).add_scalar(factor);
        }
        all
    }

    /// The lowest layer with a head that is off; the number of layers if there is none.
    pub fn first_layer(&self) -> usize {
        self.first
    }

    /// The queries of a layer, `[1, H, n, D]`, as attention gets them.
    pub(super) fn queries(&self, layer: usize, q: Tensor<4>) -> Tensor<4> {
        match &self.layers[layer] {
            Some(off) if off.uniform => q * off.on.clone(),
            _ => q,
        }
    }

    /// The heads' outputs of a layer, `[1, H, n, D]`, as the output projection gets them.
    pub(super) fn outputs(&self, layer: usize, outputs: Tensor<4>) -> Tensor<4> {
        match &self.layers[layer] {
            Some(off) if !off.uniform => {
                let left = outputs * off.on.clone();
                off.instead.iter().fold(left, |outputs, instead| outputs + instead.clone())
            }
            _ => outputs,
        }
    }
}
