//! Kernels for every device of CubeCL: of our own, and for products of several rows in f32 one of
//! the library's, called by name.
//!
//! ```text
//! rows of the residual stream   norm, vector (one row), product (several rows, f32)
//! heads of the new tokens       rotation, append
//! attention                     prompt (many queries), ragged (one query per head)
//! about attention               weights (rows, and sums of rows per key), statistics (of a row)
//! ```

pub(super) mod append;
pub(super) mod norm;
pub(crate) mod product;
pub(super) mod prompt;
pub(super) mod ragged;
pub(super) mod rotation;
pub(super) mod statistics;
mod tile;
pub(super) mod vector;
pub(super) mod weights;

use burn::backend::TensorMetadata;
use burn::prelude::Device;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::AddressType;

use crate::error::{Error, Result};

/// Below every score. Not the infinity, which not every shader language can write.
const LOWEST: f32 = -3.0e38;

/// Whether they run on `device`: one of CubeCL, without gradients, which they have none for.
pub(super) fn run_on(device: &Device) -> bool {
    *device != Device::flex() && !device.is_autodiff()
}

/// Most dimensions of a head: registers and shared memory are enough for these.
const MOST_DIMENSIONS: usize = 256;

/// Whether they have room for heads of `dim` dimensions.
///
/// # Errors
/// [`Error::Model`] if not.
pub(super) fn check_heads(dim: usize) -> Result<()> {
    if dim <= MOST_DIMENSIONS && dim.is_multiple_of(2) {
        return Ok(());
    }
    Err(Error::model("heads of this size do not run on a GPU")
        .at("head_dim")
        .got(dim)
        .expected(format!("an even number up to {MOST_DIMENSIONS}"))
        .advice("use --device cpu"))
}

/// A tensor beside `other`, not yet written.
fn beside(other: &CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    let handle = other.client.empty(shape.num_elements() * dtype.size());
    CubeTensor::new_contiguous(other.client.clone(), other.device.clone(), shape, handle, dtype)
}

/// A tensor to write to: `tensor`, unless somebody else looks at it, or it is not dense.
fn writable(tensor: CubeTensor) -> CubeTensor {
    match tensor.can_mut() && tensor.is_contiguous() {
        true => tensor,
        // What is not dense becomes a new one here.
        false if tensor.is_contiguous() => tensor.copy(),
        false => into_contiguous(tensor),
    }
}

/// A tensor whose innermost rows are dense; there may be room between them, as some devices leave.
fn with_dense_rows(tensor: CubeTensor) -> CubeTensor {
    match tensor.meta.strides().last() {
        Some(1) => tensor,
        _ => into_contiguous(tensor),
    }
}

/// The type of indices that reaches every number of `tensors`.
fn addresses<const N: usize>(tensors: [&CubeTensor; N]) -> AddressType {
    tensors.map(CubeTensor::required_address_type).into_iter().max().unwrap_or_default()
}

/// The numbers of a tensor as kernels know them.
fn element(tensor: &CubeTensor) -> cubecl::ir::ElemType {
    burn::backend::cubecl::dtype_to_storage_type(tensor.dtype())
}
