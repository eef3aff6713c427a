//! Numbers from the device to the host.

use burn::prelude::*;
use burn::tensor::DataError;

use crate::error::{Error, Result};

/// The entries of `tensor` in row-major order, in f32; `what` they are, for the error.
///
/// # Errors
/// [`Error::Resources`] if the device fails.
pub(super) fn floats<const D: usize>(tensor: Tensor<D>, what: &str) -> Result<Vec<f32>> {
    tensor.try_into_vec_as().map_err(|e| failed(what, &format!("{e:?}")))
}

/// The same for many numbers, which stay where they are if that is in host memory: see [`slice`]
/// and [`slice_mut`]. `tensor` is in f32.
///
/// # Errors
/// [`Error::Resources`] if the device fails.
pub(super) fn data<const D: usize>(tensor: Tensor<D>, what: &str) -> Result<TensorData> {
    tensor.try_into_data().map_err(|e| failed(what, &format!("{e:?}")))
}

/// The numbers of f32 `data`.
pub(super) fn slice(data: &TensorData) -> Result<&[f32]> {
    data.as_slice().map_err(not_f32)
}

/// The numbers of f32 `data`, to write to.
pub(super) fn slice_mut(data: &mut TensorData) -> Result<&mut [f32]> {
    data.as_mut_slice().map_err(not_f32)
}

fn failed(what: &str, reason: &str) -> Error {
    Error::resources(format!("the device failed while reading {what}"))
        .got(reason)
        .advice("use shorter contexts or --device cpu")
}

fn not_f32(e: DataError) -> Error {
    Error::bug("numbers from the device are not f32").got(format!("{e:?}"))
}
