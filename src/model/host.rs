//! What the processor does itself, on the numbers of tensors where they lie in its memory.
//!
//! The tensor library's operations are one pass over memory each, on one thread and into memory of its
//! own; in a small model such passes take as long as the products of matrices. Here are those that a
//! decoder's layer needs: attention of many queries ([`attention`]) and of one ([`single`]), weights and their sums
//! ([`softmax`]), norm, gate and
//! rotation ([`rowwise`]), and products: with the few rows of a step of answers ([`few`]), and on the tile unit
//! with the many of a prompt ([`tiles`]). None gives other numbers with another number of threads.

pub mod attention;
#[cfg(test)]
mod cases;
mod dot;
mod exp;
pub mod few;
mod lanes;
pub mod rowwise;
pub mod single;
pub mod softmax;
#[cfg_attr(
    not(all(target_arch = "x86_64", target_pointer_width = "64", target_os = "linux")),
    path = "host/no_tiles.rs"
)]
pub mod tiles;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::prelude::*;
use burn::tensor::DType;

/// An f32 tensor whose numbers can be read where they lie, those of its last dimension side by side.
struct OnHost(FloatTensor<Flex>);

/// Some rows of numbers, `stride` apart.
#[derive(Clone, Copy)]
struct Rows<'a> {
    data: &'a [f32],
    stride: usize,
}

impl<'a> Rows<'a> {
    /// From the beginning of row `i` on.
    fn row(self, i: usize) -> &'a [f32] {
        &self.data[i * self.stride..]
    }

    /// Row `i` and those after it.
    fn from(self, i: usize) -> Self {
        Self { data: self.row(i), ..self }
    }
}

impl OnHost {
    /// None if the numbers are of another type, on another device, or watched for a gradient.
    fn new<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let held = Self::held(tensor)?;
        Some(if held.lies_in_rows() { held } else { Self(held.0.to_contiguous()) })
    }

    /// The same, but none where the numbers would have to be copied.
    fn in_rows<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        Self::held(tensor).filter(Self::lies_in_rows)
    }

    fn held<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let f32 = tensor.dtype() == DType::F32;
        f32.then(|| tensor.clone().try_into_primitive::<Flex>().ok().map(Self)).flatten()
    }

    fn lies_in_rows(&self) -> bool {
        let strides = self.0.layout().strides();
        // Strides of 0 repeat what is there once.
        strides.iter().all(|s| *s > 0) && strides.last() == Some(&1)
    }

    /// All numbers, in order; none if there are gaps between them.
    fn all(&self) -> Option<&[f32]> {
        self.0.as_slice()
    }

    /// The rows at `place` in the dimensions before the last two.
    fn rows(&self, place: &[usize]) -> Rows<'_> {
        let (layout, n) = (self.0.layout(), place.len());
        let stride = |dim: usize| layout.strides()[dim].unsigned_abs();
        let start: usize = place.iter().enumerate().map(|(dim, i)| i * stride(dim)).sum();
        let data = &self.0.storage::<f32>()[layout.start_offset() + start..];
        Rows { data, stride: stride(n) }
    }
}
