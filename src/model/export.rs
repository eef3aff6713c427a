//! Writes weights as `model.safetensors` in the Hugging Face layout.

use std::path::Path;

use burn::prelude::*;
use half::f16;
use safetensors::tensor::{Dtype, TensorView};

use crate::error::{Error, Result};

/// Precision of the written weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
}

/// The bytes of a safetensors file that holds `weights`, sorted by name.
///
/// # Errors
/// [`Error::Bug`] if a weight is not f32 or the file cannot be built.
pub fn to_safetensors(weights: Vec<(String, TensorData)>, precision: Precision) -> Result<Vec<u8>> {
    let bug = |e: String| Error::bug("weights cannot be written").got(e);
    let mut buffers = Vec::with_capacity(weights.len());
    for (name, data) in weights {
        let shape: Vec<usize> = data.shape().to_vec();
        let values: Vec<f32> = data.try_into_vec().map_err(|e| bug(format!("{name}: {e:?}")))?;
        let bytes: Vec<u8> = match precision {
            Precision::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Precision::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
        };
        buffers.push((name, shape, bytes));
    }
    buffers.sort_by(|a, b| a.0.cmp(&b.0));
    let dtype = match precision {
        Precision::F32 => Dtype::F32,
        Precision::F16 => Dtype::F16,
    };
    let views = buffers.iter().map(|(name, shape, bytes)| {
        TensorView::new(dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    let views =
        views.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| bug(e.to_string()))?;
    safetensors::serialize(views, None).map_err(|e| bug(e.to_string()))
}

/// Writes [`to_safetensors`] to `path`, whole or not at all.
///
/// # Errors
/// As [`to_safetensors`], and [`Error::Resources`] if the file cannot be written.
pub fn save(weights: Vec<(String, TensorData)>, precision: Precision, path: &Path) -> Result<()> {
    crate::system::atomic::write(path, &to_safetensors(weights, precision)?)
}
