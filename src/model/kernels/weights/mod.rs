//! Attention weights of chosen queries, and their sums per key, for which no row is ever written.
//!
//! ```text
//! weight of key j for query i    exp(s_ij - T_i),  T_i = ln Σ exp(s_ij)    from attention itself
//! sum of key j                   Σ over queries i                          as H2O and SnapKV need
//! ```
//!
//! Scores are computed a second time, in f32 whatever the type of keys; memory is as much as the
//! result.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::prelude::*;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::{CubeCount, CubeDim};

use super::tile::{KEYS, QUERIES, UNITS};
use super::{addresses, beside, element, with_dense_rows, writable};

mod cubes;

#[cfg(test)]
mod tests;

/// The newest queries of a prompt, and what they see: as [`super::prompt::attend`] has them.
#[derive(Clone)]
pub(in crate::model) struct Queries {
    /// `[1, H, n, D]`.
    pub query: Tensor<4>,
    /// `[1, G, capacity, D]`.
    pub keys: Tensor<4>,
    /// `T_i`, `[H, n]` in f32.
    pub totals: Tensor<2>,
    /// Tokens that are there, the last `n` of them the queries' own.
    pub tokens: usize,
    /// How many of the last keys a query sees at most, one at least.
    pub window: Option<usize>,
}

impl Queries {
    fn window(&self) -> usize {
        self.window.unwrap_or(self.tokens).min(self.tokens)
    }

    /// Their weights, `[H, n, tokens]` in f32.
    ///
    /// All tensors are on a device of CubeCL; of others the dispatch panics.
    pub fn rows(self) -> Tensor<3> {
        let window = self.window();
        Tensor::from_dispatch(Dispatch::attention_weights(
            self.query.into_dispatch(),
            self.keys.into_dispatch(),
            self.totals.into_dispatch(),
            self.tokens,
            window,
        ))
    }

    /// `sums`, `[H, T]` in f32, `T >= tokens`, with the weights of all queries but the first `skip`
    /// added, where they lie if nobody else looks at them.
    pub fn added_to(self, sums: Tensor<2>, skip: usize) -> Tensor<2> {
        let window = self.window();
        assert!(skip < self.query.dims()[2] && self.tokens <= sums.dims()[1]);
        Tensor::from_dispatch(Dispatch::attention_summed(
            sums.into_dispatch(),
            self.query.into_dispatch(),
            self.keys.into_dispatch(),
            self.totals.into_dispatch(),
            self.tokens,
            window,
            skip,
        ))
    }
}

/// The operations, for tensors of the device library's own; [`Queries`] is the way in.
#[backend_extension(Cube, Fusion)]
pub trait AttentionWeights: Backend {
    /// As [`Queries::rows`].
    #[fusion(meta = rows_described)]
    fn attention_weights(
        query: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        totals: FloatTensor<Self>,
        tokens: usize,
        window: usize,
    ) -> FloatTensor<Self>;

    /// As [`Queries::added_to`].
    #[fusion(meta = sums_described)]
    fn attention_summed(
        sums: FloatTensor<Self>,
        query: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        totals: FloatTensor<Self>,
        tokens: usize,
        window: usize,
        skip: usize,
    ) -> FloatTensor<Self>;
}

fn rows_described(
    query: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    tokens: &usize,
    _: &usize,
) -> TensorSpec {
    TensorSpec::new(rows_shape(&query.shape, *tokens), DType::F32)
}

fn rows_shape(query: &Shape, tokens: usize) -> Shape {
    let [_, heads, queries, _] = query.dims();
    Shape::new([heads, queries, tokens])
}

fn sums_described(
    sums: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &usize,
    _: &usize,
    _: &usize,
) -> TensorSpec {
    sums.clone()
}

impl AttentionWeights for CubeBackend {
    fn attention_weights(
        query: CubeTensor,
        keys: CubeTensor,
        totals: CubeTensor,
        tokens: usize,
        window: usize,
    ) -> CubeTensor {
        let [query, keys, totals] = [query, keys, totals].map(with_dense_rows);
        let rows = beside(&query, rows_shape(&query.shape(), tokens), DType::F32);
        let ([_, heads, queries, dim], [_, kv_heads, ..]) =
            (query.shape().dims::<4>(), keys.shape().dims::<4>());
        let cubes = [tokens.div_ceil(KEYS), queries.div_ceil(QUERIES), heads].map(|n| n as u32);
        let (client, element) = (query.client.clone(), element(&query));
        let addresses = addresses([&query, &keys, &rows]);
        // SAFETY: the tokens lie in the cache and are no fewer than the queries.
        unsafe {
            cubes::rows::launch_unchecked(
                &client,
                CubeCount::Static(cubes[0], cubes[1], cubes[2]),
                CubeDim::new_1d(UNITS as u32),
                addresses,
                query.into_tensor_arg(),
                keys.into_tensor_arg(),
                totals.into_tensor_arg(),
                rows.clone().into_tensor_arg(),
                1.0 / (dim as f32).sqrt(),
                tokens as u32,
                window as u32,
                dim,
                heads / kv_heads,
                element,
            );
        }
        rows
    }

    fn attention_summed(
        sums: CubeTensor,
        query: CubeTensor,
        keys: CubeTensor,
        totals: CubeTensor,
        tokens: usize,
        window: usize,
        skip: usize,
    ) -> CubeTensor {
        let sums = writable(sums);
        let [query, keys, totals] = [query, keys, totals].map(with_dense_rows);
        let ([_, heads, queries, dim], [_, kv_heads, ..]) =
            (query.shape().dims::<4>(), keys.shape().dims::<4>());
        // Keys before the window of the first query that counts get nothing.
        let first = (tokens - queries + skip + 1).saturating_sub(window);
        let cubes = [(tokens - first).div_ceil(KEYS), heads].map(|n| n as u32);
        let (client, element) = (query.client.clone(), element(&query));
        let addresses = addresses([&query, &keys, &sums]);
        // SAFETY: as above, and there is a sum for every token.
        unsafe {
            cubes::sums::launch_unchecked(
                &client,
                CubeCount::Static(cubes[0], cubes[1], 1),
                CubeDim::new_1d(UNITS as u32),
                addresses,
                query.into_tensor_arg(),
                keys.into_tensor_arg(),
                totals.into_tensor_arg(),
                sums.clone().into_tensor_arg(),
                1.0 / (dim as f32).sqrt(),
                tokens as u32,
                window as u32,
                first as u32,
                skip as u32,
                dim,
                heads / kv_heads,
                element,
            );
        }
        sums
    }
}
