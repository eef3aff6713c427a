//! Products of one row and matrices (GEMV): what a token costs, as every weight is read once.
//!
//! A matrix, `[in, out]`, lies row by row. A cube has [`LANES`] loads of 16 bytes next to each other
//! in every row, and its units share the rows; the sums meet in shared memory. All is in f32 but
//! for the numbers read and the result.
//!
//! ```text
//! separate      x · A, x · B, x · C      queries, keys and values: one launch, one weight or three
//! gated         silu(x · A) ⊙ (x · B)    of SwiGLU (Shazeer 2020, arXiv 2002.05202)
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

/// Loads next to each other in a row.
const LANES: usize = 4;
/// Units that share the rows.
const SPLITS: usize = 64;
const UNITS: usize = LANES * SPLITS;
/// Rows that a unit has asked for before the first has come.
const DEPTH: usize = 4;
/// Bytes of a load.
const LOAD: usize = 16;

/// Whether products of `x`, `[n, in]`, and `weights`, `[in, out]`, are computed here.
pub(in crate::model) fn suits<const N: usize>(x: &Tensor<2>, weights: [&Tensor<2>; N]) -> bool {
    let wide = LOAD / x.dtype().size();
    let one = |w: &Tensor<2>| w.dtype() == x.dtype() && w.dims()[1].is_multiple_of(wide);
    x.dims()[0] == 1 && super::run_on(&x.device()) && weights.into_iter().all(one)
}

/// `x · a + add`, `[1, out]`; `x`, `[1, in]`, `a`, `[in, out]`.
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
}

fn described(x: &TensorSpec, a: &TensorSpec, _: &TensorSpec, _: &bool) -> TensorSpec {
    TensorSpec::new(shape(&a.shape), x.dtype)
}

fn three_described(
    x: &TensorSpec,
    a: &TensorSpec,
    b: &TensorSpec,
    c: &TensorSpec,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    let of = |w: &TensorSpec| TensorSpec::new(shape(&w.shape), x.dtype);
    (of(a), of(b), of(c))
}

fn gated_described(x: &TensorSpec, a: &TensorSpec, _: &TensorSpec) -> TensorSpec {
    TensorSpec::new(shape(&a.shape), x.dtype)
}

/// Of a product with a weight of this shape.
fn shape(weight: &Shape) -> Shape {
    let [_, out] = weight.dims();
    Shape::new([1, out])
}

impl RowProducts for CubeBackend {
    fn row_product(x: CubeTensor, a: CubeTensor, add: CubeTensor, adds: bool) -> CubeTensor {
        let [x, a, add] = [x, a, add].map(into_contiguous);
        let y = beside(&x, shape(&a.shape()), x.dtype());
        let (client, element) = (x.client.clone(), element(&x));
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
        let weights = [a, b, c].map(into_contiguous);
        let y = weights.each_ref().map(|w| beside(&x, shape(&w.shape()), x.dtype()));
        let (client, element) = (x.client.clone(), element(&x));
        let [a, b, c] = &weights;
        let count = CubeCount::Static(cube_count([a, b, c]), 3, 1);
        let addresses = addresses([a, b, c]);
        let [a, b, c] = weights;
        let [a_y, b_y, c_y] = &y;
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
                element,
            );
        }
        y.into()
    }

    fn row_gated(x: CubeTensor, a: CubeTensor, b: CubeTensor) -> CubeTensor {
        let [x, a, b] = [x, a, b].map(into_contiguous);
        let y = beside(&x, shape(&a.shape()), x.dtype());
        let (client, element) = (x.client.clone(), element(&x));
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
                element,
            );
        }
        y
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Compute;
    use burn::tensor::DType;

    fn number(i: usize) -> f32 {
        ((i * 29 + 7) % 31) as f32 / 16.0 - 0.9375
    }

    /// `x · w` in f64.
    fn by_hand(x: &[f32], w: &[f32], out: usize) -> Vec<f64> {
        let entry = |o: usize| {
            x.iter().enumerate().map(|(i, x)| f64::from(*x) * f64::from(w[i * out + o])).sum()
        };
        (0..out).map(entry).collect()
    }

    fn check(got: Tensor<2>, want: &[f64], within: f64, about: &str) {
        let got: Vec<f32> = got.cast(DType::F32).try_into_vec_as().unwrap();
        assert_eq!(got.len(), want.len(), "{about}");
        for (got, want) in got.iter().zip(want) {
            let off = (f64::from(*got) - want).abs();
            assert!(off <= within * want.abs().max(1.0), "{about}: {got} {want}");
        }
    }

    /// Fewer rows than units share and more, fewer columns than a cube has and more; numbers are
    /// exact in all types.
    #[test]
    fn kernel_products_of_a_row_equal_the_formula() {
        let Some(compute) = Compute::of_kernels() else { return };
        let types = [(DType::F32, 1e-5), (DType::F16, 1e-3), (DType::BF16, 8e-3)];
        for (dtype, within) in types.into_iter().filter(|(t, _)| compute.device.supports_dtype(*t))
        {
            for (input, outs) in
                [(1, [8, 16, 8]), (30, [40, 8, 24]), (64, [32, 32, 32]), (777, [136, 64, 72])]
            {
                let about = format!("{dtype:?}, {input} to {outs:?}");
                let x: Vec<f32> = (0..input).map(number).collect();
                let weight = |out: usize| -> Vec<f32> {
                    (0..input * out).map(|i| number(i * 3 + out)).collect()
                };
                let there = |numbers: &[f32], shape: [usize; 2]| {
                    let data = TensorData::new(numbers.to_vec(), shape);
                    Tensor::<2>::from_data(data, (&compute.device, dtype))
                };
                let row = there(&x, [1, input]);
                let weights = outs.map(weight);
                let tensors: [Tensor<2>; 3] =
                    std::array::from_fn(|i| there(&weights[i], [input, outs[i]]));
                assert!(suits(&row, tensors.each_ref()));
                let wanted: [Vec<f64>; 3] =
                    std::array::from_fn(|i| by_hand(&x, &weights[i], outs[i]));
                let three = products(row.clone(), tensors.clone());
                for (got, want) in three.into_iter().zip(&wanted) {
                    check(got, want, within, &about);
                }
                let [a, _, _] = &tensors;
                check(product(row.clone(), a.clone(), None), &wanted[0], within, &about);
                let add: Vec<f32> = (0..outs[0]).map(|i| number(i * 5)).collect();
                let sum: Vec<f64> =
                    wanted[0].iter().zip(&add).map(|(y, add)| y + f64::from(*add)).collect();
                let added = product(row.clone(), a.clone(), Some(there(&add, [1, outs[0]])));
                check(added, &sum, within, &about);
                let up = weight(outs[0] + 1).into_iter().take(input * outs[0]).collect::<Vec<_>>();
                let up = (there(&up, [input, outs[0]]), by_hand(&x, &up, outs[0]));
                let silu = |gate: f64| gate / (1.0 + (-gate).exp());
                let want: Vec<f64> =
                    wanted[0].iter().zip(&up.1).map(|(gate, up)| silu(*gate) * up).collect();
                check(gated(row, a.clone(), up.0), &want, within, &about);
            }
        }
    }

    #[test]
    fn kernel_products_take_no_weight_whose_rows_are_no_whole_loads() {
        let Some(compute) = Compute::of_kernels() else { return };
        let zeros = |shape: [usize; 2]| Tensor::<2>::zeros(shape, (&compute.device, DType::F32));
        assert!(suits(&zeros([1, 3]), [&zeros([3, 4])]));
        assert!(!suits(&zeros([1, 3]), [&zeros([3, 6])]));
        assert!(!suits(&zeros([2, 3]), [&zeros([3, 4])]));
        assert!(!suits(&Tensor::zeros([1, 3], &Device::flex()), [&zeros([3, 4])]));
    }
}
