//! Decode attention over ragged lists as a kernel of our own.
//!
//! One query per head attends to the tokens of its list, and of no other: nothing is padded, and
//! the work follows the tokens held. As in flash-decoding (Dao et al., 2023) a list is cut into
//! chunks, so that one long list occupies the whole device:
//!
//! ```text
//! list 0  |==== chunk 0 ====|==== chunk 1 ====|= 2 =|     a cube each: scores, softmax within the
//! list 1  |== 0 ==|                                       chunk, weighted sum of values
//! list 2  |==== chunk 0 ====|== 1 ==|
//!            m₀, l₀, a₀        m₁, l₁, a₁     …           m: largest score, l = Σ exp(s − m),
//!                                                         a = Σ exp(s − m)·v
//! output = Σ exp(mᵢ − M)·aᵢ / Σ exp(mᵢ − M)·lᵢ,  M = max mᵢ           a cube for each query head
//! ```
//!
//! Keys and values are read once for all query heads that share a list. Sums are in f32 whatever
//! the store's dtype.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::prelude::*;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::{CubeCount, CubeDim};

use super::{addresses, with_dense_rows};

mod cubes;

#[cfg(test)]
mod tests;

use cubes::{CHUNK, LIST, PARTS, attend_to_chunk, merge_chunks};

/// Units of a cube at least. More where a head has more dimensions.
const UNITS: usize = 256;
/// Query heads that one cube serves at most: their scores share its memory.
const READERS: usize = 8;

/// The tokens of a list that a query sees: consecutive slots, one at least.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) struct Seen {
    /// The first slot.
    pub first: usize,
    /// Number of slots.
    pub tokens: usize,
}

/// Attention of queries, `[H, D]`, to `S` lists, of which `H / S` query heads in a row share one.
/// `keys` and `values` are a layer's store, `[slots, D]`.
///
/// Returns the output, `[H, D]`, and, if `scored`, every list's scaled scores before the softmax,
/// `[H / S, tokens]` in f32, one list behind the other; else nothing of use.
///
/// The caller has made sure that the slots exist. All tensors are on a device of CubeCL; of others
/// the dispatch panics.
pub(in crate::model) fn attend(
    query: Tensor<2>,
    keys: Tensor<2>,
    values: Tensor<2>,
    lists: &[Seen],
    scored: bool,
) -> (Tensor<2>, Tensor<1>) {
    let (mut table, mut before) = (Vec::with_capacity(lists.len() * LIST), 0);
    for list in lists {
        assert!(list.tokens > 0 && list.first + list.tokens <= keys.dims()[0]);
        table.extend([list.first, list.tokens, before].map(|n| n as i32));
        before += list.tokens;
    }
    let longest = lists.iter().map(|list| list.tokens).max().unwrap_or(0);
    let table = TensorData::new(table, [lists.len() * LIST]);
    let table = Tensor::<1, Int>::from_data(table, (&query.device(), DType::I32));
    let scores = if scored { query.dims()[0] / lists.len() * before } else { 0 };
    let (output, scores) = Dispatch::ragged_attention(
        query.into_dispatch(),
        keys.into_dispatch(),
        values.into_dispatch(),
        table.into_dispatch(),
        longest,
        scores,
    );
    (Tensor::from_dispatch(output), Tensor::from_dispatch(scores))
}

/// The operation, for tensors of the device library's own; [`attend`] is the way in.
///
/// The macro makes it a deferred operation of the library's fused streams as well.
#[backend_extension(Cube, Fusion)]
pub trait RaggedAttention: Backend {
    /// As [`attend`], with `lists`, `[S * LIST]` in i32: of each its first slot, its tokens, and
    /// the tokens of the lists before it. `longest` of them has the most tokens; `scores` is how
    /// many are wanted.
    #[fusion(meta = described)]
    fn ragged_attention(
        query: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        lists: IntTensor<Self>,
        longest: usize,
        scores: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Output and scores before they are computed.
fn described(
    query: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &usize,
    scores: &usize,
) -> (TensorSpec, TensorSpec) {
    (query.clone(), TensorSpec::new(scores_shape(*scores), DType::F32))
}

/// No device has an empty buffer.
fn scores_shape(scores: usize) -> Shape {
    Shape::new([scores.max(1)])
}

impl RaggedAttention for CubeBackend {
    fn ragged_attention(
        query: CubeTensor,
        keys: CubeTensor,
        values: CubeTensor,
        lists: CubeTensor,
        longest: usize,
        scores: usize,
    ) -> (CubeTensor, CubeTensor) {
        let [query, keys, values] = [query, keys, values].map(with_dense_rows);
        let [heads, dim] = query.shape().dims();
        let list_count = lists.shape().num_elements() / LIST;
        let (group, chunks) = (heads / list_count, longest.div_ceil(CHUNK));
        let readers = readers_at_once(group);
        let units = UNITS.max(dim.next_multiple_of(PARTS));
        let (client, device, dtype) = (query.client.clone(), query.device.clone(), query.dtype);
        let empty = |shape: Shape, dtype: DType| {
            let handle = client.empty(shape.num_elements() * dtype.size());
            CubeTensor::new_contiguous(client.clone(), device.clone(), shape, handle, dtype)
        };
        let partial = empty(Shape::new([heads, chunks, dim + 2]), DType::F32);
        let output = empty(Shape::new([heads, dim]), dtype);
        let scored = scores > 0;
        let scores = empty(scores_shape(scores), DType::F32);
        let addresses = addresses([&query, &keys, &values, &partial, &scores]);
        let element = burn::backend::cubecl::dtype_to_storage_type(dtype);
        let cubes = [chunks, list_count, group / readers].map(|n| n as u32);
        // SAFETY: slots lie in the store (see `attend`), all else within the shapes just made.
        unsafe {
            attend_to_chunk::launch_unchecked(
                &client,
                CubeCount::Static(cubes[0], cubes[1], cubes[2]),
                CubeDim::new_1d(units as u32),
                addresses,
                query.into_tensor_arg(),
                keys.into_tensor_arg(),
                values.into_tensor_arg(),
                lists.clone().into_tensor_arg(),
                partial.clone().into_tensor_arg(),
                scores.clone().into_tensor_arg(),
                1.0 / (dim as f32).sqrt(),
                dim,
                group,
                readers,
                units,
                scored,
                element,
            );
            merge_chunks::launch_unchecked(
                &client,
                CubeCount::Static(heads as u32, 1, 1),
                CubeDim::new_1d(dim as u32),
                addresses,
                partial.into_tensor_arg(),
                lists.into_tensor_arg(),
                output.clone().into_tensor_arg(),
                dim,
                group,
                element,
            );
        }
        (output, scores)
    }
}

/// How many of `group` query heads a cube serves: as many as it can, in equal shares.
fn readers_at_once(group: usize) -> usize {
    (1..=READERS.min(group)).rev().find(|n| group.is_multiple_of(*n)).unwrap_or(1)
}
