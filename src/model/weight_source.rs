//! [`WeightSource`]: where a decoder's weights come from.

use burn::prelude::*;

use crate::error::Result;

/// Where weights come from: a checkpoint, a construction, an initialiser.
pub trait WeightSource {
    /// A matrix that Hugging Face stores as `shape` = `[out, in]`; with `transpose` as `[in, out]`.
    /// In any type of floats: it is multiplied in that of the vectors.
    ///
    /// # Errors
    /// If there is none of that name and shape.
    fn matrix(&mut self, name: &str, shape: [usize; 2], transpose: bool) -> Result<Tensor<2>>;

    /// A vector of `len` numbers, in the type that the model computes in.
    ///
    /// # Errors
    /// If there is none of that name and length.
    fn vector(&mut self, name: &str, len: usize) -> Result<Tensor<1>>;
}
