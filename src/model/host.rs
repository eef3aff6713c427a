//! What the processor does itself, on the numbers of tensors where they lie in its memory.
//!
//! The tensor library's operations are one pass over memory each, on one thread and into memory of its
//! own; in a small model such passes take as long as the products of matrices. Here are those that a
//! decoder's layer needs: attention of many queries ([`attention`]), and norm, gate and rotation
//! ([`rowwise`]). Neither gives other numbers with another number of threads.

pub mod attention;
mod exp;
mod lanes;
pub mod rowwise;

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
}

impl OnHost {
    /// None if the numbers are of another type, on another device, or watched for a gradient.
    fn new<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        if tensor.dtype() != DType::F32 {
            return None;
        }
        let tensor = tensor.clone().try_into_primitive::<Flex>().ok()?;
        let strides = tensor.layout().strides();
        // Strides of 0 repeat what is there once.
        let in_rows = strides.iter().all(|s| *s > 0) && strides.last() == Some(&1);
        Some(Self(if in_rows { tensor } else { tensor.to_contiguous() }))
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
