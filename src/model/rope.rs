//! Rotary position embedding (RoFormer, arXiv 2104.09864) with the scalings of Llama.
//!
//! Frequencies and angles are computed in f32, as transformers does: at large positions the
//! rounding of the angle is part of what a checkpoint was trained with.

use std::ops::Range;

use burn::prelude::*;

use super::config::{RopeConfig, RopeScaling};
use super::ops::picked;
use crate::model::cpu::rowwise;

/// Inverse frequencies of one model, `[D / 2]`.
#[derive(Debug, Clone)]
pub struct Rope {
    inv_freq: Vec<f32>,
}

/// Cosines and sines of some positions, each `[n, D / 2]` flattened into `[1, 1, n, D / 2]` (or
/// `[B, 1, n, D / 2]` where every sequence of a batch has its own positions), once on every device.
#[derive(Debug, Clone)]
pub struct Angles {
    copies: Vec<(Tensor<4>, Tensor<4>)>,
}

impl Rope {
    /// Frequencies for heads of dimension `head_dim`.
    pub fn new(config: &RopeConfig, head_dim: usize) -> Self {
        let inv_freq = (0..head_dim / 2).map(|i| {
            let exponent = (2 * i) as f32 / head_dim as f32;
            scale(&config.scaling, i, 1.0 / (config.theta as f32).powf(exponent))
        });
        Self { inv_freq: inv_freq.collect() }
    }

    /// Angles of `batch` sequences with `positions`, `[batch * n]` row-major, on each of `devices`.
    pub fn angles<'a>(
        &self,
        positions: &[f32],
        batch: usize,
        devices: impl IntoIterator<Item = &'a Device>,
    ) -> Angles {
        let (n, half) = (positions.len() / batch, self.inv_freq.len());
        let mut cos = Vec::with_capacity(positions.len() * half);
        let mut sin = Vec::with_capacity(positions.len() * half);
        for position in positions {
            for freq in &self.inv_freq {
                let (s, c) = (position * freq).sin_cos();
                cos.push(c);
                sin.push(s);
            }
        }
        let [cos, sin] = [cos, sin].map(|values| TensorData::new(values, [batch, 1, n, half]));
        let copy = |device| {
            let tensor = |data: &TensorData| Tensor::<4>::from_data(data.clone(), device);
            (tensor(&cos), tensor(&sin))
        };
        Angles { copies: devices.into_iter().map(copy).collect() }
    }
}

/// Stretches the inverse frequency number `i`.
fn scale(scaling: &RopeScaling, i: usize, freq: f32) -> f32 {
    match *scaling {
        RopeScaling::Default => freq,
        // There is one for each: checked where they are read.
        RopeScaling::Factors(ref factors) => freq / factors[i],
        RopeScaling::Linear { factor } => freq / factor as f32,
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_positions,
        } => {
            let (factor, low, high) =
                (factor as f32, low_freq_factor as f32, high_freq_factor as f32);
            let context = original_max_positions as f32;
            let wavelength = 2.0 * std::f32::consts::PI / freq;
            if wavelength > context / low {
                freq / factor
            } else if wavelength < context / high {
                freq
            } else {
                let smooth = (context / wavelength - low) / (high - low);
                (1.0 - smooth) * freq / factor + smooth * freq
            }
        }
    }
}

impl Angles {
    /// Those of some of the positions.
    pub(super) fn of(&self, ranges: &[Range<usize>]) -> Self {
        let pick = |x: &Tensor<4>| picked(x.clone(), 2, ranges);
        Self { copies: self.copies.iter().map(|(cos, sin)| (pick(cos), pick(sin))).collect() }
    }

    /// Cosines and sines on `device`.
    pub(super) fn on(&self, device: &Device) -> (Tensor<4>, Tensor<4>) {
        let here = self.copies.iter().find(|(cos, _)| cos.device() == *device);
        here.unwrap_or(&self.copies[0]).clone()
    }

    /// Those that turn back what these turn.
    pub(super) fn reversed(&self) -> Self {
        let back = |(cos, sin): &(Tensor<4>, Tensor<4>)| (cos.clone(), sin.clone().neg());
        Self { copies: self.copies.iter().map(back).collect() }
    }

    /// Rotates `x`, `[B, heads, n, D]`, in the layout of Hugging Face checkpoints: dimension `i`
    /// pairs with `i + D / 2`.
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let (cos, sin) = self.on(&x.device());
        if let Some(rotated) = rowwise::rotated(&x, &cos, &sin) {
            return rotated;
        }
        let (cos, sin) = (cos.cast(x.dtype()), sin.cast(x.dtype()));
        let a = x.clone().narrow(3, 0, half);
        let b = x.narrow(3, half, half);
        let first = a.clone() * cos.clone() - b.clone() * sin.clone();
        let second = b * cos + a * sin;
        Tensor::cat(vec![first, second], 3)
    }
}
