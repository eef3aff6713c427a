//! Operations on tensors that several parts of the model share.

use std::ops::Range;

use burn::prelude::*;
#[cfg(feature = "kernels")]
use burn::tensor::DType;

use super::cpu::{amx, gemv, stored, wide};
#[cfg(feature = "kernels")]
use super::kernels;

/// `x`, `[n, in]`, `· w`, `[in, out]`, for each of `weights`, the fastest way there is.
pub(super) fn products<const N: usize>(x: &Tensor<2>, weights: [&Tensor<2>; N]) -> [Tensor<2>; N] {
    let by_library = |w: &_| matmul(x.clone(), stored::widened(w, x.dtype()));
    let one = |w: &Tensor<2>| {
        let ours = gemv::product(x, w).or_else(|| wide::product(x, w));
        ours.unwrap_or_else(|| by_library(w))
    };
    amx::products(x, weights).unwrap_or_else(|| weights.map(one))
}

/// `x`, `[n, in]`, `· w`, `[in, out]`; in f32 where both are, also on tensor cores.
pub(super) fn matmul(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if kernels::run_on(&x.device()) && x.dtype() == DType::F32 {
        return kernels::product::exact(x, w);
    }
    x.matmul(w)
}

/// `ranges` of one dimension, one behind the other.
pub(super) fn picked<const D: usize>(
    x: Tensor<D>,
    dim: usize,
    ranges: &[Range<usize>],
) -> Tensor<D> {
    let mut parts: Vec<Tensor<D>> =
        ranges.iter().map(|r| x.clone().narrow(dim, r.start, r.len())).collect();
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => Tensor::cat(parts, dim),
    }
}
