//! Root-mean-square norm, one launch: `x / √(mean(x²) + ε) · w` of every row.
//!
//! In f32 whatever the type, and rounded to it once; transformers rounds a second time, before the
//! weight.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::prelude::*;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::{CubeCount, CubeDim};

use super::{addresses, beside, element};

mod cubes;

/// Units of a cube, which has one row.
const UNITS: usize = 256;

/// `x`, `[n, w]`, each row normalised and scaled by `weight`, `[w]`.
///
/// Both are on a device of CubeCL; of others the dispatch panics.
pub(in crate::model) fn normed(x: Tensor<2>, weight: Tensor<1>, eps: f64) -> Tensor<2> {
    debug_assert_eq!((x.dims()[1], x.dtype()), (weight.dims()[0], weight.dtype()));
    let normed = Dispatch::rows_normed(x.into_dispatch(), weight.into_dispatch(), eps as f32);
    Tensor::from_dispatch(normed)
}

/// The operation, for tensors of the device library's own; [`normed`] is the way in.
#[backend_extension(Cube, Fusion)]
pub trait RowNorm: Backend {
    /// As [`normed`].
    #[fusion(meta = described)]
    fn rows_normed(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;
}

fn described(x: &TensorSpec, _: &TensorSpec, _: &f32) -> TensorSpec {
    x.clone()
}

impl RowNorm for CubeBackend {
    fn rows_normed(x: CubeTensor, weight: CubeTensor, eps: f32) -> CubeTensor {
        let [x, weight] = [x, weight].map(into_contiguous);
        let output = beside(&x, x.shape(), x.dtype());
        let [rows, _] = x.shape().dims();
        let (client, element) = (x.client.clone(), element(&x));
        let addresses = addresses([&x, &output]);
        // SAFETY: a cube reads and writes one row, and the weight of its width.
        unsafe {
            cubes::norm::launch_unchecked(
                &client,
                CubeCount::Static(rows as u32, 1, 1),
                CubeDim::new_1d(UNITS as u32),
                addresses,
                x.into_tensor_arg(),
                weight.into_tensor_arg(),
                output.clone().into_tensor_arg(),
                eps,
                element,
            );
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Compute;
    use burn::tensor::DType;

    /// Rows shorter and longer than a cube, by the formula in f64; numbers are exact in all types.
    #[test]
    fn kernel_norms_equal_the_formula() {
        let Some(compute) = Compute::of_kernels() else { return };
        let types = [(DType::F32, 1e-5), (DType::F16, 4e-3), (DType::BF16, 3e-2)];
        for (dtype, within) in types.into_iter().filter(|(t, _)| compute.device.supports_dtype(*t))
        {
            for width in [1, 30, 256, 257, 1000] {
                let number = |i: usize| ((i * 37 + 11) % 97) as f32 / 16.0 - 3.0;
                let x: Vec<f32> = (0..3 * width).map(number).collect();
                let weight: Vec<f32> = (0..width).map(|i| number(i * 5) / 4.0).collect();
                let there = (&compute.device, dtype);
                let data = TensorData::new(x.clone(), [3, width]);
                let x_there = Tensor::<2>::from_data(data, there);
                let data = TensorData::new(weight.clone(), [width]);
                let got = normed(x_there, Tensor::from_data(data, there), 1e-5);
                let got: Vec<f32> = got.cast(DType::F32).try_into_vec_as().unwrap();
                assert_eq!(got.len(), 3 * width);
                for (row, got) in x.chunks(width).zip(got.chunks(width)) {
                    let squares: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
                    let root = (squares / width as f64 + 1e-5).sqrt();
                    for ((x, w), got) in row.iter().zip(&weight).zip(got) {
                        let want = f64::from(*x) / root * f64::from(*w);
                        let off = (f64::from(*got) - want).abs();
                        assert!(off <= within, "{dtype:?}, {width}: {got} {want}");
                    }
                }
            }
        }
    }
}
