//! Root-mean-square norm, up and down.
//!
//! ```text
//! y = u ⊙ w,  u = x · r,  r = 1 / sqrt(mean(x²) + ε)
//! dx = r · (g - u · mean(g ⊙ u)),  g = dy ⊙ w
//! ```

use burn::prelude::*;
use burn::tensor::DType;

use crate::model::decoder::RmsNorm;

/// What the way down needs of a norm's way up; nothing where the model does without it.
pub(super) struct NormRun<const D: usize>(Option<Ran<D>>);

struct Ran<const D: usize> {
    /// `w`, in the shape of a row.
    weight: Tensor<D>,
    /// `u`.
    unit: Tensor<D>,
    /// `r`, 1 in the last dimension.
    inverse: Tensor<D>,
}

impl<const D: usize> NormRun<D> {
    /// `x` in f32, normalised along the last dimension.
    pub fn new(norm: Option<&RmsNorm>, x: Tensor<D>) -> (Tensor<D>, Self) {
        let Some(norm) = norm else { return (x, Self(None)) };
        let mean = x.clone().square().mean_dim(D - 1);
        let inverse = mean.add_scalar(norm.eps).sqrt().recip();
        let unit = x * inverse.clone();
        let weight: Tensor<D> = norm.weight.val().cast(DType::F32).unsqueeze();
        (unit.clone() * weight.clone(), Self(Some(Ran { weight, unit, inverse })))
    }

    /// The gradient to `x` from that to what became of it.
    pub fn back(&self, gradient: Tensor<D>) -> Tensor<D> {
        let Some(Ran { weight, unit, inverse }) = &self.0 else { return gradient };
        let gradient = gradient * weight.clone();
        let along = (gradient.clone() * unit.clone()).mean_dim(D - 1);
        (gradient - unit.clone() * along) * inverse.clone()
    }
}
