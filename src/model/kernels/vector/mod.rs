//! Products of a few rows and matrices (GEMV): what a token costs, or one of each of some answers,
//! as every weight is read once for all rows.
//!
//! A matrix, `[in, out]`, lies row by row. A cube has [`LANES`] loads of 16 bytes next to each
//! other in every row, and its units share the rows; the sums meet in shared memory. All is in f32
//! but for the numbers read and the result.
//!
//! ```text
//! separate      x · A, x · B, x · C      queries, keys and values: one launch, one weight or three
//! gated         silu(x · A) ⊙ (x · B)    of SwiGLU (Shazeer 2020, arXiv 2002.05202)
//! transposed    x · Eᵀ                   logits from an embedding, a plane's lanes to each row of E
//! ```

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::prelude::*;
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::{CubeCount, CubeDim};

use super::{addresses, beside, element};

mod cubes;

#[cfg(test)]
mod tests;

/// Loads next to each other in a row.
const LANES: usize = 4;
/// Units that share the rows.
const SPLITS: usize = 64;
const UNITS: usize = LANES * SPLITS;
/// Rows that a unit has asked for before the first has come.
const DEPTH: usize = 4;
/// Rows of a transposed matrix that a cube has, and units for each.
const ROWS: usize = 8;
const OF_ROW: usize = UNITS / ROWS;
/// Most rows: the sums of each take registers.
const FEW: usize = 8;
/// Bytes of a load.
const LOAD: usize = 16;

/// Whether products of `x`, `[n, in]`, and `weights`, `[in, out]`, are computed here.
pub(in crate::model) fn suits<const N: usize>(x: &Tensor<2>, weights: [&Tensor<2>; N]) -> bool {
    let wide = LOAD / x.dtype().size();
    let one = |w: &Tensor<2>| w.dtype() == x.dtype() && w.dims()[1].is_multiple_of(wide);
    x.dims()[0] <= FEW && super::run_on(&x.device()) && weights.into_iter().all(one)
}

/// `x · a + add`, `[n, out]`; `x`, `[n, in]`, `a`, `[in, out]`.
///
/// This and its siblings take what [`suits`]; of other devices the dispatch panics.
pub(in crate::model) fn product(x: Tensor<2>, a: Tensor<2>, add: Option<Tensor<2>>) -> Tensor<2> {
    let adds = add.is_some();
    // Any tensor will do where none is added.
    let add = add.unwrap_or_else(|| x.clone()).into_dispatch();
    Tensor::from_dispatch(Dispatch::row_product(x.into_dispatch(), a.into_dispatch(), add, adds))
}

/// `x · a`, `x · b` and `x · c`.
pub(in crate::model) fn products(x: Tensor<2>, weights: [Tensor<2>; 3]) -> [Tensor<2>; 3] {
    let [a, b, c] = weights.map(Tensor::into_dispatch);
    let (a, b, c) = Dispatch::row_products(x.into_dispatch(), a, b, c);
    [a, b, c].map(Tensor::from_dispatch)
}

/// `silu(x · a) ⊙ (x · b)`.
pub(in crate::model) fn gated(x: Tensor<2>, a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let gated = Dispatch::row_gated(x.into_dispatch(), a.into_dispatch(), b.into_dispatch());
    Tensor::from_dispatch(gated)
}

/// Whether products of `x`, `[n, in]`, and the rows of `e`, `[out, in]`, are computed here.
pub(in crate::model) fn suits_transposed(x: &Tensor<2>, e: &Tensor<2>) -> bool {
    let [rows, input] = x.dims();
    rows <= FEW
        && super::run_on(&x.device())
        && e.dtype() == x.dtype()
        && input.is_multiple_of(LOAD / x.dtype().size())
}

/// `x · eᵀ`, `[n, out]`, of what [`suits_transposed`].
pub(in crate::model) fn transposed(x: Tensor<2>, e: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::rows_transposed(x.into_dispatch(), e.into_dispatch()))
}

/// The operations, for tensors of the device library's own.
#[backend_extension(Cube, Fusion)]
pub trait RowProducts: Backend {
    /// As [`product`]; `add` is not looked at unless `adds`.
    #[fusion(meta = described)]
    fn row_product(
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        add: FloatTensor<Self>,
        adds: bool,
    ) -> FloatTensor<Self>;

    /// As [`products`].
    #[fusion(meta = three_described)]
    fn row_products(
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// As [`gated`].
    #[fusion(meta = gated_described)]
    fn row_gated(
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// As [`transposed`].
    #[fusion(meta = transposed_described)]
    fn rows_transposed(x: FloatTensor<Self>, e: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn described(x: &TensorSpec, a: &TensorSpec, _: &TensorSpec, _: &bool) -> TensorSpec {
    TensorSpec::new(shape(&x.shape, &a.shape), x.dtype)
}

fn three_described(
    x: &TensorSpec,
    a: &TensorSpec,
    b: &TensorSpec,
    c: &TensorSpec,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    let of = |w: &TensorSpec| TensorSpec::new(shape(&x.shape, &w.shape), x.dtype);
    (of(a), of(b), of(c))
}

fn gated_described(x: &TensorSpec, a: &TensorSpec, _: &TensorSpec) -> TensorSpec {
    TensorSpec::new(shape(&x.shape, &a.shape), x.dtype)
}

fn transposed_described(x: &TensorSpec, e: &TensorSpec) -> TensorSpec {
    TensorSpec::new(transposed_shape(&x.shape, &e.shape), x.dtype)
}

fn transposed_shape(x: &Shape, e: &Shape) -> Shape {
    let ([rows, _], [out, _]) = (x.dims(), e.dims());
    Shape::new([rows, out])
}

/// Of a product.
fn shape(x: &Shape, weight: &Shape) -> Shape {
    let ([rows, _], [_, out]) = (x.dims(), weight.dims());
    Shape::new([rows, out])
}

impl RowProducts for CubeBackend {
    fn row_product(x: CubeTensor, a: CubeTensor, add: CubeTensor, adds: bool) -> CubeTensor {
        let ([x, add], a) = ([x, add].map(into_contiguous), in_loads(a));
        let y = beside(&x, shape(&x.shape(), &a.shape()), x.dtype());
        let (client, element) = (x.client.clone(), element(&x));
        let [rows, _] = x.shape().dims();
        // SAFETY: cubes cover the weight's columns, which are whole loads (see `suits`).
        unsafe {
            cubes::one::launch_unchecked(
                &client,
                CubeCount::Static(cube_count([&a]), 1, 1),
                CubeDim::new_1d(UNITS as u32),
                addresses([&a]),
                LOAD / x.dtype().size(),
                x.into_tensor_arg(),
                a.into_tensor_arg(),
                add.into_tensor_arg(),
                y.clone().into_tensor_arg(),
                rows,
                adds,
                element,
            );
        }
        y
    }

    fn row_products(
        x: CubeTensor,
        a: CubeTensor,
        b: CubeTensor,
        c: CubeTensor,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        let x = into_contiguous(x);
        let weights = [a, b, c].map(in_loads);
        let y = weights.each_ref().map(|w| beside(&x, shape(&x.shape(), &w.shape()), x.dtype()));
        let (client, element) = (x.client.clone(), element(&x));
        let [a, b, c] = &weights;
        let count = CubeCount::Static(cube_count([a, b, c]), 3, 1);
        let addresses = addresses([a, b, c]);
        let [a, b, c] = weights;
        let [a_y, b_y, c_y] = &y;
        let [rows, _] = x.shape().dims();
        // SAFETY: as above; cubes behind a weight's last column end at once.
        unsafe {
            cubes::three::launch_unchecked(
                &client,
                count,
                CubeDim::new_1d(UNITS as u32),
                addresses,
                LOAD / x.dtype().size(),
                x.into_tensor_arg(),
                a.into_tensor_arg(),
                b.into_tensor_arg(),
                c.into_tensor_arg(),
                a_y.clone().into_tensor_arg(),
                b_y.clone().into_tensor_arg(),
                c_y.clone().into_tensor_arg(),
                rows,
                element,
            );
        }
        y.into()
    }

    fn row_gated(x: CubeTensor, a: CubeTensor, b: CubeTensor) -> CubeTensor {
        let (x, [a, b]) = (into_contiguous(x), [a, b].map(in_loads));
        let y = beside(&x, shape(&x.shape(), &a.shape()), x.dtype());
        let (client, element) = (x.client.clone(), element(&x));
        let [rows, _] = x.shape().dims();
        // SAFETY: as above; both weights have the same shape.
        unsafe {
            cubes::gate::launch_unchecked(
                &client,
                CubeCount::Static(cube_count([&a]), 1, 1),
                CubeDim::new_1d(UNITS as u32),
                addresses([&a]),
                LOAD / x.dtype().size(),
                x.into_tensor_arg(),
                a.into_tensor_arg(),
                b.into_tensor_arg(),
                y.clone().into_tensor_arg(),
                rows,
                element,
            );
        }
        y
    }

    fn rows_transposed(x: CubeTensor, e: CubeTensor) -> CubeTensor {
        let (x, e) = (into_contiguous(x), in_loads(e));
        let y = beside(&x, transposed_shape(&x.shape(), &e.shape()), x.dtype());
        let (client, element) = (x.client.clone(), element(&x));
        let [rows, out] = y.shape().dims();
        let cubes = out.div_ceil(ROWS) as u32;
        // SAFETY: cubes cover the rows of both, which are whole loads (see `suits_transposed`).
        unsafe {
            cubes::transposed::launch_unchecked(
                &client,
                CubeCount::Static(cubes, 1, 1),
                CubeDim::new_1d(UNITS as u32),
                addresses([&e]),
                LOAD / x.dtype().size(),
                x.into_tensor_arg(),
                e.into_tensor_arg(),
                y.clone().into_tensor_arg(),
                rows,
                element,
            );
        }
        y
    }
}

/// A matrix each of whose rows begins with a whole load and is dense; there may be room between
/// rows, as devices leave it behind those that are no multiple of 512 bytes.
fn in_loads(matrix: CubeTensor) -> CubeTensor {
    match matrix.meta.strides()[..] {
        [pitch, 1] if pitch.is_multiple_of(LOAD / matrix.dtype().size()) => matrix,
        _ => into_contiguous(matrix),
    }
}

/// Cubes for the columns of the widest of `weights`.
fn cube_count<const N: usize>(weights: [&CubeTensor; N]) -> u32 {
    let of = |w: &CubeTensor| {
        let [_, out] = w.shape().dims();
        out.div_ceil(LANES * LOAD / w.dtype().size())
    };
    weights.into_iter().map(of).max().unwrap_or(0) as u32
}
