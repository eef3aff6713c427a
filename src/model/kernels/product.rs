//! Products by kernels of the library that are called by name, by multiplications and additions.
//!
//! Asked for a product in f32, the library takes tensor cores where there are some, in TF32: of
//! each factor 11 of 24 bits, without a word. In 16 bits it tries several kernels and takes the
//! fastest; one that panics while it is tried ends the try, and what asked for it. These kernels
//! take its place then ([`call_by_name`]).

use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::prelude::*;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems};
use cubek::matmul::launch::launch_ref;
use cubek::matmul::multi_level::Strategy;
use cubek::matmul::routine::BlueprintStrategy;
use cubek::std::InputBinding;

/// Whether products in 16 bits are by name, too: of the process, as the library's choices are.
static BY_NAME: AtomicBool = AtomicBool::new(false);

/// Whether a product in `dtype` is computed here.
pub(crate) fn is_by_name(dtype: DType) -> bool {
    dtype == DType::F32 || BY_NAME.load(Ordering::Relaxed)
}

/// From now on, or with `false` no longer, all products are computed here; says whether that is
/// something new.
pub(crate) fn call_by_name(by_name: bool) -> bool {
    BY_NAME.swap(by_name, Ordering::Relaxed) != by_name
}

/// `x`, `[n, in]`, `· w`, `[in, out]` of the same type: `[n, out]`, with sums in f32.
///
/// Both are on a device of CubeCL; of others the dispatch panics.
pub(crate) fn exact(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    debug_assert!(x.dtype() == w.dtype());
    Tensor::from_dispatch(Dispatch::exact_product(x.into_dispatch(), w.into_dispatch()))
}

/// The operation, for tensors of the device library's own; [`exact`] is the way in.
#[backend_extension(Cube, Fusion)]
pub trait ExactProduct: Backend {
    /// As [`exact`].
    #[fusion(meta = described)]
    fn exact_product(x: FloatTensor<Self>, w: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The product before it is computed.
fn described(x: &TensorSpec, w: &TensorSpec) -> TensorSpec {
    TensorSpec::new(shape(&x.shape, &w.shape), x.dtype)
}

fn shape(x: &Shape, w: &Shape) -> Shape {
    let ([rows, _], [_, columns]) = (x.dims(), w.dims());
    Shape::new([rows, columns])
}

impl ExactProduct for CubeBackend {
    fn exact_product(x: CubeTensor, w: CubeTensor) -> CubeTensor {
        let (client, device) = (x.client.clone(), x.device.clone());
        // The library's kernels do not look.
        assert_eq!(x.shape()[1], w.shape()[0], "these matrices cannot be multiplied");
        let shape = shape(&x.shape(), &w.shape());
        let [rows, _] = shape.dims();
        let dtype = x.dtype();
        let handle = client.empty(shape.num_elements() * dtype.size());
        let output = CubeTensor::new_contiguous(client.clone(), device, shape, handle, dtype);
        let element = burn::backend::cubecl::dtype_to_storage_type(dtype);
        let launched = |strategy: Strategy| {
            let elements = MatmulGlobalElems { lhs: element, rhs: element, out: element };
            let [x, w] = [&x, &w].map(|x| InputBinding::new(x.clone().binding(), element));
            let mut elements = MatmulElems::from_globals(&elements);
            let strategy = cubek::matmul::strategy::Strategy::MultiLevel(strategy);
            launch_ref(&strategy, &client, x, w, output.clone().binding(), &mut elements)
        };
        let fast = match rows {
            1 => Strategy::GemvUnitPerpendicular(BlueprintStrategy::Inferred(Default::default())),
            _ => Strategy::DoubleUnit(BlueprintStrategy::Inferred(Default::default())),
        };
        // What the fast ones have no plan for the last one has, whatever the shape.
        if launched(fast).is_err()
            && let Err(e) = launched(Strategy::Naive)
        {
            panic!("no kernel multiplies these matrices: {e:?}");
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Compute;

    /// Factors of 24 bits: with 11 of them, as tensor cores would take, a product is off by 2⁻¹¹.
    /// One row and several, shapes that are multiples of nothing.
    #[test]
    fn kernel_products_in_f32_round_no_factor() {
        let Some(compute) = Compute::of_kernels() else { return };
        for [rows, input, out] in
            [[1, 64, 64], [1, 37, 51], [2, 64, 128], [16, 64, 64], [33, 300, 70], [130, 128, 256]]
        {
            let number = |i: usize| 1.0 + ((i * 7919 + 13) % 8191) as f32 * f32::EPSILON;
            let numbers = |n: usize, from: usize| -> Vec<f32> {
                (0..n).map(|i| number(i + from) * [1.0, -1.0][i % 3 / 2]).collect()
            };
            let (x, w) = (numbers(rows * input, 0), numbers(input * out, 999));
            let there = |x: &[f32], shape: [usize; 2]| {
                Tensor::<2>::from_data(TensorData::new(x.to_vec(), shape), &compute.device)
            };
            // Also where the second factor is a view of a transposed matrix, as with tied weights.
            let transposed: Vec<f32> =
                (0..input * out).map(|i| w[i % input * out + i / input]).collect();
            let views = [there(&w, [input, out]), there(&transposed, [out, input]).transpose()];
            for w_there in views {
                let got = exact(there(&x, [rows, input]), w_there);
                let got: Vec<f32> = got.try_into_vec_as().unwrap();
                assert_eq!(got.len(), rows * out);
                for (i, got) in got.iter().enumerate() {
                    let (row, column) = (i / out, i % out);
                    let product =
                        |k: usize| f64::from(x[row * input + k]) * f64::from(w[k * out + column]);
                    let want: f64 = (0..input).map(product).sum();
                    let off = (f64::from(*got) - want).abs();
                    assert!(off <= 1e-6 * input as f64, "{rows} x {input} x {out}: {got} {want}");
                }
            }
        }
    }
}
