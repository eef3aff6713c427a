//! Attention of prompts as a kernel of our own: causal, many queries at once, over a cache that
//! lies where it is.
//!
//! As in FlashAttention (Dao et al., 2022) a cube has some queries and goes over the keys block by
//! block; of the scores no more than a block exists at any time. The softmax is corrected as larger
//! scores turn up:
//!
//! ```text
//! m' = max(m, max sⱼ),  l' = l·exp(m − m') + Σ exp(sⱼ − m'),  a' = a·exp(m − m') + Σ exp(sⱼ − m')·vⱼ
//! output = a / l
//! ```
//!
//! Query heads read the keys and values that they share, `h / (H / G)`, without a copy for each.
//! Products and sums are in f32 whatever the store's type; on tensor cores the weights are rounded
//! to it before they meet the values.
//!
//! Two forms compute the same: [`tiles`] on tensor cores where the device has the instruction that
//! it takes, [`plain`] everywhere else, and for f32, whose products tensor cores would round.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::prelude::*;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::features::MmaConfig;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::{CubeCount, CubeDim};

use super::{addresses, beside, element, tile, with_dense_rows};

mod plain;
mod tiles;

#[cfg(test)]
mod tests;

/// Output, `[1, H, n, D]`, of the `n` newest queries `query`, `[1, H, n, D]`, over the first
/// `tokens` of a cache, `keys` and `values`, `[1, G, capacity, D]`, of which the last `n` are the
/// queries' own. Causal; each query sees at most the last `window` keys.
///
/// Also the logarithm of each query's sum of exponentials, `[H, n]` in f32: its weights are `exp(s
/// - that)`.
///
/// The caller has made sure that the tokens exist and that a window has one key at least. All
/// tensors are on a device of CubeCL; of others the dispatch panics.
pub(in crate::model) fn attend(
    query: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    tokens: usize,
    window: Option<usize>,
) -> (Tensor<4>, Tensor<2>) {
    attend_by(query, keys, values, tokens, window, false)
}

/// The same; if `plain`, without tensor cores even where there are some.
fn attend_by(
    query: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    tokens: usize,
    window: Option<usize>,
    plain: bool,
) -> (Tensor<4>, Tensor<2>) {
    assert!(tokens <= keys.dims()[2] && query.dims()[2] <= tokens, "{tokens} tokens");
    let [_, heads, queries, dim] = query.dims();
    let window = window.unwrap_or(tokens).min(tokens);
    let (output, totals) = Dispatch::prompt_attention(
        query.into_dispatch(),
        keys.into_dispatch(),
        values.into_dispatch(),
        tokens,
        window,
        plain,
    );
    let output = Tensor::<3>::from_dispatch(output);
    let output = output.reshape([1, queries, heads, dim]).swap_dims(1, 2);
    (output, Tensor::from_dispatch(totals))
}

/// The operation, for tensors of the device library's own; [`attend`] is the way in.
///
/// The macro makes it a deferred operation of the library's fused streams as well.
#[backend_extension(Cube, Fusion)]
pub trait PromptAttention: Backend {
    /// As [`attend`], with the output as `[n, H, D]`; if `plain`, without tensor cores.
    #[fusion(meta = described)]
    fn prompt_attention(
        query: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        tokens: usize,
        window: usize,
        plain: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Output and totals before they are computed.
fn described(
    query: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &usize,
    _: &usize,
    _: &bool,
) -> (TensorSpec, TensorSpec) {
    let output = TensorSpec::new(output_shape(&query.shape), query.dtype);
    (output, TensorSpec::new(totals_shape(&query.shape), DType::F32))
}

/// `[1, H, n, D]` to `[n, H, D]`.
fn output_shape(query: &Shape) -> Shape {
    let [_, heads, queries, dim] = query.dims();
    Shape::new([queries, heads, dim])
}

/// `[1, H, n, D]` to `[H, n]`.
fn totals_shape(query: &Shape) -> Shape {
    let [_, heads, queries, _] = query.dims();
    Shape::new([heads, queries])
}

impl PromptAttention for CubeBackend {
    fn prompt_attention(
        query: CubeTensor,
        keys: CubeTensor,
        values: CubeTensor,
        tokens: usize,
        window: usize,
        plain: bool,
    ) -> (CubeTensor, CubeTensor) {
        let [query, keys, values] = [query, keys, values].map(with_dense_rows);
        let form = if plain { Form::Plain } else { Form::of([&query, &keys, &values]) };
        launched(form, query, keys, values, tokens, window)
    }
}

/// How it is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// On tensor cores.
    Tiles,
    /// By multiplications and additions.
    Plain,
}

impl Form {
    /// The fastest for tensors like these, whose rows are dense.
    fn of([query, keys, values]: [&CubeTensor; 3]) -> Self {
        let (features, hardware) = (query.client.features(), &query.client.properties().hardware);
        let element = element(query);
        let product = MmaConfig {
            a_type: element,
            b_type: element,
            cd_type: ElemType::Float(FloatKind::F32),
            m: tiles::M as u32,
            n: tiles::N as u32,
            k: tiles::K as u32,
        };
        let [_, _, _, dim] = query.shape().dims();
        let whole = |strides: &[usize]| strides[..3].iter().all(|stride| stride % tiles::ROW == 0);
        let there = query.dtype.size() == 2
            && dim % tiles::K == 0
            && [query, keys, values].into_iter().all(|x| whole(x.meta.strides()))
            && tiles::shared_bytes(dim) <= hardware.max_shared_memory_size
            && (hardware.plane_size_min, hardware.plane_size_max)
                == (tiles::LANES as u32, tiles::LANES as u32)
            && features.matmul.mma.contains(&product)
            && features.matmul.ldmatrix.contains(&element);
        if there { Self::Tiles } else { Self::Plain }
    }
}

fn launched(
    form: Form,
    query: CubeTensor,
    keys: CubeTensor,
    values: CubeTensor,
    tokens: usize,
    window: usize,
) -> (CubeTensor, CubeTensor) {
    let ([_, heads, queries, dim], [_, kv_heads, _, _]) =
        (query.shape().dims::<4>(), keys.shape().dims::<4>());
    let (client, element) = (query.client.clone(), element(&query));
    let output = beside(&query, output_shape(&query.shape()), query.dtype());
    let totals = beside(&query, totals_shape(&query.shape()), DType::F32);
    let addresses = addresses([&query, &keys, &values, &output]);
    let (scale, group) = (1.0 / (dim as f32).sqrt(), heads / kv_heads);
    let (tokens, window) = (tokens as u32, window as u32);
    let cubes = |of: usize| CubeCount::Static(queries.div_ceil(of) as u32, heads as u32, 1);
    // SAFETY: the tokens lie in the cache and are no fewer than the queries (see `attend`); what is
    // behind them is neither read nor written.
    unsafe {
        match form {
            Form::Plain => plain::attend::launch_unchecked(
                &client,
                cubes(tile::QUERIES),
                CubeDim::new_1d(tile::UNITS as u32),
                addresses,
                query.into_tensor_arg(),
                keys.into_tensor_arg(),
                values.into_tensor_arg(),
                output.clone().into_tensor_arg(),
                totals.clone().into_tensor_arg(),
                scale,
                tokens,
                window,
                dim,
                group,
                element,
            ),
            Form::Tiles => tiles::attend::launch_unchecked(
                &client,
                cubes(tiles::QUERIES),
                CubeDim::new_2d(tiles::LANES as u32, tiles::PLANES as u32),
                addresses,
                tiles::ROW,
                query.into_tensor_arg(),
                keys.into_tensor_arg(),
                values.into_tensor_arg(),
                output.clone().into_tensor_arg(),
                totals.clone().into_tensor_arg(),
                scale,
                tokens,
                window,
                dim,
                group,
                tiles::block(dim),
                element,
            ),
        }
    }
    (output, totals)
}
