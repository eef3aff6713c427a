//! Operations on tensors that several parts of the model share.

use std::ops::Range;

use burn::prelude::*;
use burn::tensor::activation::silu;

use super::cpu::{amx, gemv, rowwise, stored, wide};
#[cfg(feature = "kernels")]
use super::kernels::{self, vector};

/// `x`, `[n, in]`, `· w`, `[in, out]`, for each of `weights`, the fastest way there is.
pub(super) fn products<const N: usize>(x: &Tensor<2>, weights: [&Tensor<2>; N]) -> [Tensor<2>; N] {
    #[cfg(feature = "kernels")]
    if vector::suits(x, weights) {
        return vector_products(x, weights);
    }
    let by_library = |w: &_| matmul(x.clone(), stored::widened(w, x.dtype()));
    let one = |w: &Tensor<2>| {
        let ours = gemv::product(x, w).or_else(|| wide::product(x, w));
        ours.unwrap_or_else(|| by_library(w))
    };
    amx::products(x, weights).unwrap_or_else(|| weights.map(one))
}

/// The same where [`vector`] suits; three at once, as of queries, keys and values.
#[cfg(feature = "kernels")]
fn vector_products<const N: usize>(x: &Tensor<2>, weights: [&Tensor<2>; N]) -> [Tensor<2>; N] {
    match weights[..] {
        [a, b, c] => {
            let three = vector::products(x.clone(), [a, b, c].map(Tensor::clone));
            // `N` is three.
            std::array::from_fn(|i| three[i].clone())
        }
        _ => weights.map(|w| vector::product(x.clone(), w.clone(), None)),
    }
}

/// `x · w + add`, `[n, out]`.
pub(super) fn product_added(x: Tensor<2>, w: &Tensor<2>, add: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if vector::suits(&x, [w]) {
        return vector::product(x, w.clone(), Some(add));
    }
    let [y] = products(&x, [w]);
    add + y
}

/// `silu(x · gate) ⊙ (x · up)`, SwiGLU (Shazeer 2020, arXiv 2002.05202).
pub(super) fn gated(x: &Tensor<2>, gate: &Tensor<2>, up: &Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if vector::suits(x, [gate, up]) {
        return vector::gated(x.clone(), gate.clone(), up.clone());
    }
    let [gate, up] = products(x, [gate, up]);
    silu_product(gate, up)
}

/// `silu(gate) ⊙ up`.
pub(super) fn silu_product(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    rowwise::gated(&gate, &up).unwrap_or_else(|| silu(gate) * up)
}

/// `x`, `[n, in]`, `· eᵀ`, `e` being `[out, in]`: logits where the embedding serves as output.
pub(super) fn product_transposed(x: Tensor<2>, e: &Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if vector::suits_transposed(&x, e) {
        return vector::transposed(x, e.clone());
    }
    let by_library = || matmul(x.clone(), stored::widened(e, x.dtype()).transpose());
    gemv::transposed(&x, e).unwrap_or_else(by_library)
}

/// `x`, `[n, in]`, `· w`, `[in, out]`; in f32 where both are, also on tensor cores.
pub(crate) fn matmul(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if kernels::run_on(&x.device()) && kernels::product::is_by_name(x.dtype()) {
        return kernels::product::exact(x, w);
    }
    x.matmul(w)
}

#[cfg(feature = "kernels")]
pub(crate) use kernels::product::call_by_name;

/// Without kernels no product has a name: nothing changes.
#[cfg(not(feature = "kernels"))]
pub(crate) fn call_by_name(_: bool) -> bool {
    false
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
