//! New keys and values into a cache where it lies, both in one launch.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::prelude::*;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::{CubeCount, CubeDim};

use super::{addresses, element, with_dense_rows, writable};

mod cubes;

/// Units of a cube.
const UNITS: usize = 256;

/// The `stores` of keys and values, `[1, G, capacity, D]`, with `new` ones, `[1, G, n, D]`, from
/// token `at` on. What nobody else looks at is not copied.
///
/// The caller has made sure that there is room. All are on a device of CubeCL; of others the
/// dispatch panics.
pub(in crate::model) fn append(
    stores: (Tensor<4>, Tensor<4>),
    new: (Tensor<4>, Tensor<4>),
    at: usize,
) -> (Tensor<4>, Tensor<4>) {
    assert!(at + new.0.dims()[2] <= stores.0.dims()[2], "no room from {at} on");
    let (keys, values) = Dispatch::tokens_appended(
        stores.0.into_dispatch(),
        stores.1.into_dispatch(),
        new.0.into_dispatch(),
        new.1.into_dispatch(),
        at,
    );
    (Tensor::from_dispatch(keys), Tensor::from_dispatch(values))
}

/// The operation, for tensors of the device library's own; [`append`] is the way in.
#[backend_extension(Cube, Fusion)]
pub trait TokenAppend: Backend {
    /// As [`append`].
    #[fusion(meta = described)]
    fn tokens_appended(
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        new_keys: FloatTensor<Self>,
        new_values: FloatTensor<Self>,
        at: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

fn described(
    keys: &TensorSpec,
    values: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &usize,
) -> (TensorSpec, TensorSpec) {
    (keys.clone(), values.clone())
}

impl TokenAppend for CubeBackend {
    fn tokens_appended(
        keys: CubeTensor,
        values: CubeTensor,
        new_keys: CubeTensor,
        new_values: CubeTensor,
        at: usize,
    ) -> (CubeTensor, CubeTensor) {
        let [keys, values] = [keys, values].map(writable);
        let [new_keys, new_values] = [new_keys, new_values].map(with_dense_rows);
        let (client, element) = (keys.client.clone(), element(&keys));
        let [_, heads, n, dim] = new_keys.shape().dims();
        let cubes = (n * dim).div_ceil(UNITS) as u32;
        let addresses = addresses([&keys, &values, &new_keys, &new_values]);
        // SAFETY: there is room for the tokens (see `append`).
        unsafe {
            cubes::copy::launch_unchecked(
                &client,
                CubeCount::Static(cubes, heads as u32, 1),
                CubeDim::new_1d(UNITS as u32),
                addresses,
                new_keys.into_tensor_arg(),
                new_values.into_tensor_arg(),
                keys.clone().into_tensor_arg(),
                values.clone().into_tensor_arg(),
                at as u32,
                element,
            );
        }
        (keys, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Compute;
    use burn::tensor::DType;

    /// In every type; the new ones lie as a model has them, heads within tokens. A copy of the
    /// store that somebody else holds stays as it was.
    #[test]
    fn kernel_appends_write_the_new_tokens_and_nothing_else() {
        let Some(compute) = Compute::of_kernels() else { return };
        let (heads, capacity, dim) = (3, 50, 24);
        let types = [DType::F32, DType::F16, DType::BF16];
        for dtype in types.into_iter().filter(|t| compute.device.supports_dtype(*t)) {
            let tensor = |numbers: &[f32], shape: [usize; 4]| {
                let data = TensorData::new(numbers.to_vec(), shape);
                Tensor::<4>::from_data(data, (&compute.device, dtype))
            };
            for (n, at) in [(1, 0), (1, 49), (17, 5), (50, 0)] {
                // Each tensor has a range of its own, and all are below 256: exact in every type.
                let count = |which: usize, n: usize| -> Vec<f32> {
                    (0..n).map(|i| (which * 61 + i % 61) as f32).collect()
                };
                let old = [0, 1].map(|which| count(which, heads * capacity * dim));
                let new = [2, 3].map(|which| count(which, n * heads * dim));
                let [old_k, old_v] = old.each_ref().map(|x| tensor(x, [1, heads, capacity, dim]));
                let [new_k, new_v] =
                    new.each_ref().map(|x| tensor(x, [1, n, heads, dim]).swap_dims(1, 2));
                let shared = old_k.clone();
                let (k, v) = append((old_k, old_v), (new_k, new_v), at);
                for ((got, old), new) in [k, v].into_iter().zip(&old).zip(&new) {
                    let got: Vec<f32> = got.cast(DType::F32).try_into_vec_as().unwrap();
                    let want = (0..heads * capacity * dim).map(|i| {
                        let (h, t, d) = (i / dim / capacity, i / dim % capacity, i % dim);
                        let written = (at..at + n).contains(&t);
                        if written { new[((t - at) * heads + h) * dim + d] } else { old[i] }
                    });
                    assert!(got.into_iter().eq(want), "{dtype:?}: {n} tokens at {at}");
                }
                let kept: Vec<f32> = shared.cast(DType::F32).try_into_vec_as().unwrap();
                assert_eq!(kept, old[0]);
            }
        }
    }
}
