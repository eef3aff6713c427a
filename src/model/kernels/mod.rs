//! Kernels for every device of CubeCL. Our own: attention of prompts, and of single queries over
//! ragged lists. The library's, called by name: products of f32.

pub(super) mod product;
pub(super) mod prompt;
pub(super) mod ragged;

use burn::prelude::Device;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::AddressType;

/// Below every score. Not the infinity, which not every shader language can write.
const LOWEST: f32 = -3.0e38;

/// Whether `device` is one of CubeCL.
pub(super) fn run_on(device: &Device) -> bool {
    *device != Device::flex()
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
