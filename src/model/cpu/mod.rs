//! What the processor does itself, on the numbers of tensors where they lie in its memory.
//!
//! The tensor library's operations are one pass over memory each, on one thread and into memory of
//! its own; in a small model such passes take as long as the products of matrices. Here are those
//! that a decoder's layer needs: attention of many queries ([`attention`]) and of one ([`single`]),
//! weights and their sums ([`softmax`]), norm, gate and rotation ([`rowwise`]), and products: with
//! the few rows of a step of answers ([`gemv`]), and on the tile unit with the many of a prompt
//! ([`amx`]). Weights are read in the type that they were saved in ([`stored`], [`wide`]). None
//! gives other numbers with another number of threads.

#[cfg_attr(
    not(all(target_arch = "x86_64", target_pointer_width = "64", target_os = "linux")),
    path = "no_amx.rs"
)]
pub mod amx;
pub mod attention;
#[cfg(test)]
mod cases;
mod dot;
mod exp;
pub mod gemv;
mod lanes;
pub mod rowwise;
pub mod single;
pub mod softmax;
pub mod stored;
pub mod wide;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::prelude::*;
use burn::tensor::DType;

/// An f32 tensor whose numbers can be read where they lie, those of its last dimension side by
/// side.
struct OnHost(FloatTensor<Flex>);

/// Some rows of numbers, `stride` apart.
#[derive(Clone, Copy)]
struct RowsView<'a, T = f32> {
    data: &'a [T],
    stride: usize,
}

impl<'a, T: Copy> RowsView<'a, T> {
    /// From the beginning of row `i` on.
    fn row(self, i: usize) -> &'a [T] {
        &self.data[i * self.stride..]
    }

    /// The numbers from `k` on of each.
    fn columns_from(self, k: usize) -> Self {
        Self { data: &self.data[k..], ..self }
    }

    /// Row `i` and those after it.
    fn from(self, i: usize) -> Self {
        Self { data: self.row(i), ..self }
    }
}

/// Where a product goes, `[rows, columns]`: written by several threads, each in columns of its own.
struct Out {
    numbers: *mut f32,
    rows: usize,
    columns: usize,
}

// SAFETY: shared is no more than the address. Whoever writes through it says there why the places
// are in the buffer and the thread's own, and reads nothing but what it wrote.
unsafe impl Sync for Out {}

impl OnHost {
    /// None if the numbers are of another type, on another device, or watched for a gradient.
    fn new<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let held = (tensor.dtype() == DType::F32).then(|| held(tensor)).flatten()?;
        Some(Self(if lies_in_rows(&held) { held } else { held.to_contiguous() }))
    }

    /// All numbers, in order; none if there are gaps between them.
    fn all(&self) -> Option<&[f32]> {
        self.0.as_slice()
    }

    /// The rows at `place` in the dimensions before the last two.
    fn rows(&self, place: &[usize]) -> RowsView<'_> {
        rows(&self.0, self.0.storage(), place)
    }
}

/// `tensor`, if it is in host memory and not watched for a gradient.
fn held<const D: usize>(tensor: &Tensor<D>) -> Option<FloatTensor<Flex>> {
    tensor.clone().try_into_primitive::<Flex>().ok()
}

/// Whether the numbers of the last dimension lie side by side.
fn lies_in_rows(tensor: &FloatTensor<Flex>) -> bool {
    let strides = tensor.layout().strides();
    // Strides of 0 repeat what is there once.
    strides.iter().all(|s| *s > 0) && strides.last() == Some(&1)
}

/// The rows at `place` in the dimensions before the last two of `tensor`, which has its numbers in
/// `storage`.
fn rows<'a, T>(tensor: &FloatTensor<Flex>, storage: &'a [T], place: &[usize]) -> RowsView<'a, T> {
    let (layout, n) = (tensor.layout(), place.len());
    let stride = |dim: usize| layout.strides()[dim].unsigned_abs();
    let start: usize = place.iter().enumerate().map(|(dim, i)| i * stride(dim)).sum();
    RowsView { data: &storage[layout.start_offset() + start..], stride: stride(n) }
}
