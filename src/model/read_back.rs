//! Numbers from the device to the host.

use burn::prelude::*;

use crate::error::{Error, Result};

/// The entries of `tensor` in row-major order, in f32; `what` they are, for the error.
///
/// # Errors
/// [`Error::Resources`] if the device fails.
pub(super) fn floats<const D: usize>(tensor: Tensor<D>, what: &str) -> Result<Vec<f32>> {
    tensor.try_into_vec_as().map_err(|e| {
        Error::resources(format!("the device failed while reading {what}"))
            .got(format!("{e:?}"))
            .advice("use shorter contexts or --device cpu")
    })
}
