//! [`HeadStats`] of a layer's attention rows in one launch, from the scores before the softmax.
//!
//! A cube has one row. The k-th largest weight is found digit by digit (radix select): how many
//! weights have each value of the next eight bits is counted in shared memory, and the digit at
//! which `k` is reached is that of the k-th largest. Weights are not negative, so that their bits
//! are in their order. Ties are broken as in the definition, by the lower position, which follows
//! the bits as three more digits where there are more ties than are wanted.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::prelude::*;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::{CubeCount, CubeDim};

use super::{addresses, writable};
use crate::model::attention::Scores;
use crate::score::{HeadStats, NeedleMask};

mod cubes;

#[cfg(test)]
mod tests;

/// Numbers of a head.
pub(in crate::model) const FIELDS: usize = 6;

/// Most keys of a row: what 24 bits number, and f32 counts.
pub(in crate::model) const MOST_KEYS: usize = 1 << 24;

/// The needle on a device, from its first position to its last.
pub(in crate::model) struct Needle {
    /// 1 inside, 0 between spans, `[end - start]`.
    inside: Tensor<1>,
    start: usize,
    tokens: usize,
}

impl Needle {
    /// Uploads `needle`.
    pub fn new(needle: &NeedleMask, device: &Device) -> Self {
        let start = needle.spans().first().map_or(0, |span| span.start);
        let inside: Vec<f32> =
            (start..needle.end()).map(|i| f32::from(u8::from(needle.contains(i)))).collect();
        let shape = [inside.len()];
        let inside = Tensor::from_data(TensorData::new(inside, shape), (device, DType::F32));
        Self { inside, start, tokens: needle.tokens() }
    }
}

/// `numbers`, `[L, H, FIELDS]` in f32, with those of the rows that `scores` are the scores of at
/// `layer`; see [`unpack`].
///
/// The rows cover the needle and have at most [`MOST_KEYS`] keys; `top_k` is at least 1. All
/// tensors are on a device of CubeCL; of others the dispatch panics.
pub(in crate::model) fn set(
    numbers: Tensor<3>,
    layer: usize,
    scores: Scores,
    needle: &Needle,
    top_k: usize,
) -> Tensor<3> {
    let keys = scores.keys();
    assert!(keys <= MOST_KEYS && needle.start + needle.inside.dims()[0] <= keys);
    let Scores { seen, hidden } = scores;
    Tensor::from_dispatch(Dispatch::row_statistics(
        numbers.into_dispatch(),
        seen.into_dispatch(),
        needle.inside.clone().into_dispatch(),
        layer,
        hidden,
        needle.start,
        top_k.min(keys),
        needle.tokens.min(keys),
    ))
}

/// One head's statistics from its numbers.
pub(in crate::model) fn unpack(numbers: &[f32; FIELDS]) -> HeadStats {
    HeadStats {
        argmax: numbers[0] as u32,
        top_k_in_needle: numbers[1] as u32,
        top_k_mass: numbers[2],
        top_k_needle_mass: numbers[3],
        top_n_needle_mass: numbers[4],
        needle_mass: numbers[5],
    }
}

/// The operation, for tensors of the device library's own; [`set`] is the way in.
#[backend_extension(Cube, Fusion)]
#[allow(clippy::too_many_arguments, reason = "numbers are passed one by one")]
pub trait RowStatistics: Backend {
    /// As [`set`]: `scores`, `[H, seen]`, behind `hidden` keys that nobody sees, and the needle
    /// from `start` on.
    #[fusion(meta = described)]
    fn row_statistics(
        numbers: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        inside: FloatTensor<Self>,
        layer: usize,
        hidden: usize,
        start: usize,
        top_k: usize,
        top_n: usize,
    ) -> FloatTensor<Self>;
}

#[allow(clippy::too_many_arguments, reason = "as the operation")]
fn described(
    numbers: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &usize,
    _: &usize,
    _: &usize,
    _: &usize,
    _: &usize,
) -> TensorSpec {
    numbers.clone()
}

impl RowStatistics for CubeBackend {
    fn row_statistics(
        numbers: CubeTensor,
        scores: CubeTensor,
        inside: CubeTensor,
        layer: usize,
        hidden: usize,
        start: usize,
        top_k: usize,
        top_n: usize,
    ) -> CubeTensor {
        // Weights take the place of the scores.
        let [numbers, scores] = [numbers, scores].map(writable);
        let inside = into_contiguous(inside);
        let [heads, _] = scores.shape().dims();
        let client = numbers.client.clone();
        let units = units(client.properties().hardware.max_units_per_cube as usize);
        let addresses = addresses([&scores, &numbers]);
        // SAFETY: a cube has a row; the needle lies within it (see `set`).
        unsafe {
            cubes::statistics::launch_unchecked(
                &client,
                CubeCount::Static(heads as u32, 1, 1),
                CubeDim::new_1d(units as u32),
                addresses,
                scores.into_tensor_arg(),
                inside.into_tensor_arg(),
                numbers.clone().into_tensor_arg(),
                (layer * heads) as u32,
                hidden as u32,
                start as u32,
                top_k as u32,
                top_n as u32,
                units,
            );
        }
        numbers
    }
}

/// Units of a cube: as many as the device has for one, as a row is long, but a power of two.
fn units(most: usize) -> usize {
    let most = most.clamp(cubes::DIGITS, 1024);
    1 << most.ilog2()
}
