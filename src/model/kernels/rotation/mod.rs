//! Rotary position embedding of queries and keys, and the norms of their heads where the family has
//! them, in one launch.
//!
//! A head's dimension `i` pairs with `i + D / 2`, as in Hugging Face checkpoints. All is in f32
//! whatever the type, and rounded to it once.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::prelude::*;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::{CubeCount, CubeDim};

use super::{addresses, beside, element, with_dense_rows};

mod cubes;

/// Heads to rotate.
pub(in crate::model) struct Heads {
    /// `[n, heads, D]`.
    pub x: Tensor<3>,
    /// Cosines and sines, `[1, 1, n, D / 2]` in f32.
    pub angles: (Tensor<4>, Tensor<4>),
    /// The norm's weight, `[D]`, and its epsilon, if each head is normalised first.
    pub norm: Option<(Tensor<1>, f64)>,
}

/// Queries and keys, rotated, of the same shapes.
///
/// All are on a device of CubeCL; of others the dispatch panics. Both have a norm or neither.
pub(in crate::model) fn rotated(queries: Heads, keys: Heads) -> (Tensor<3>, Tensor<3>) {
    debug_assert_eq!(queries.norm.is_some(), keys.norm.is_some());
    let (normed, eps) = (queries.norm.is_some(), queries.norm.as_ref().map_or(0.0, |n| n.1));
    // Any tensor of the type will do where no norm is read.
    let weight = |heads: &Heads| match &heads.norm {
        Some((weight, _)) => weight.clone().into_dispatch(),
        None => heads.x.clone().into_dispatch(),
    };
    let (query_norm, key_norm) = (weight(&queries), weight(&keys));
    let (q, k) = Dispatch::heads_rotated(
        queries.x.into_dispatch(),
        keys.x.into_dispatch(),
        queries.angles.0.into_dispatch(),
        queries.angles.1.into_dispatch(),
        keys.angles.0.into_dispatch(),
        keys.angles.1.into_dispatch(),
        query_norm,
        key_norm,
        eps as f32,
        normed,
    );
    (Tensor::from_dispatch(q), Tensor::from_dispatch(k))
}

/// The operation, for tensors of the device library's own; [`rotated`] is the way in.
#[backend_extension(Cube, Fusion)]
#[allow(clippy::too_many_arguments, reason = "tensors are passed one by one")]
pub trait Rotation: Backend {
    /// As [`rotated`].
    #[fusion(meta = described)]
    fn heads_rotated(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        query_cos: FloatTensor<Self>,
        query_sin: FloatTensor<Self>,
        key_cos: FloatTensor<Self>,
        key_sin: FloatTensor<Self>,
        query_norm: FloatTensor<Self>,
        key_norm: FloatTensor<Self>,
        eps: f32,
        normed: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

#[allow(clippy::too_many_arguments, reason = "as the operation")]
fn described(
    queries: &TensorSpec,
    keys: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &f32,
    _: &bool,
) -> (TensorSpec, TensorSpec) {
    (queries.clone(), keys.clone())
}

impl Rotation for CubeBackend {
    fn heads_rotated(
        queries: CubeTensor,
        keys: CubeTensor,
        query_cos: CubeTensor,
        query_sin: CubeTensor,
        key_cos: CubeTensor,
        key_sin: CubeTensor,
        query_norm: CubeTensor,
        key_norm: CubeTensor,
        eps: f32,
        normed: bool,
    ) -> (CubeTensor, CubeTensor) {
        let [queries, keys, query_norm, key_norm] =
            [queries, keys, query_norm, key_norm].map(into_contiguous);
        let [query_cos, query_sin, key_cos, key_sin] =
            [query_cos, query_sin, key_cos, key_sin].map(with_dense_rows);
        let [n, heads, dim] = queries.shape().dims();
        let [tokens, kv_heads, _] = keys.shape().dims();
        let rotated = [&queries, &keys].map(|x| beside(x, x.shape(), x.dtype()));
        let (client, element) = (queries.client.clone(), element(&queries));
        let addresses = addresses([&queries, &keys, &query_cos, &key_cos]);
        // SAFETY: a cube has a head of a token, and its angles; cubes without one end at once.
        unsafe {
            cubes::rotate::launch_unchecked(
                &client,
                CubeCount::Static(n.max(tokens) as u32, (heads + kv_heads) as u32, 1),
                CubeDim::new_1d((dim / 2) as u32),
                addresses,
                queries.into_tensor_arg(),
                keys.into_tensor_arg(),
                query_cos.into_tensor_arg(),
                query_sin.into_tensor_arg(),
                key_cos.into_tensor_arg(),
                key_sin.into_tensor_arg(),
                query_norm.into_tensor_arg(),
                key_norm.into_tensor_arg(),
                rotated[0].clone().into_tensor_arg(),
                rotated[1].clone().into_tensor_arg(),
                eps,
                heads,
                dim / 2,
                normed,
                element,
            );
        }
        rotated.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Compute;
    use burn::tensor::DType;

    fn number(i: usize) -> f32 {
        ((i * 29 + 7) % 31) as f32 / 16.0 - 0.9375
    }

    /// Queries of fewer tokens than keys, as in a last layer; with and without norms; numbers are
    /// exact in all types, and angles in f32.
    #[test]
    fn kernel_rotations_equal_the_formula() {
        let Some(compute) = Compute::of_kernels() else { return };
        let types = [(DType::F32, 1e-5), (DType::F16, 4e-3), (DType::BF16, 3e-2)];
        for (dtype, within) in types.into_iter().filter(|(t, _)| compute.device.supports_dtype(*t))
        {
            for (dim, eps) in [(2, None), (16, Some(1e-5)), (66, None), (128, Some(1e-6))] {
                check(&compute, dtype, within, dim, eps);
            }
        }
    }

    fn check(compute: &Compute, dtype: DType, within: f64, dim: usize, eps: Option<f64>) {
        let norm: Vec<f32> = (0..dim).map(|i| number(i * 3) + 1.5).collect();
        let (mut all, mut wanted) = (Vec::new(), Vec::new());
        for (tokens, heads) in [(2, 5), (7, 3)] {
            let x: Vec<f32> = (0..tokens * heads * dim).map(|i| number(i + tokens)).collect();
            let angle = |i: usize| (i as f32 * 0.7).sin_cos();
            let (sin, cos): (Vec<f32>, Vec<f32>) =
                (0..tokens * dim / 2).map(|i| angle(i + tokens)).unzip();
            let mut want = Vec::new();
            for (i, x) in x.chunks(dim).enumerate() {
                let mut x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
                if let Some(eps) = eps {
                    let squares: f64 = x.iter().map(|x| x * x).sum();
                    let root = (squares / dim as f64 + eps).sqrt();
                    x.iter_mut().zip(&norm).for_each(|(x, w)| *x *= f64::from(*w) / root);
                }
                let half = dim / 2;
                let at = |d: usize| i / heads * half + d % half;
                want.extend((0..dim).map(|d| {
                    let (c, s) = (f64::from(cos[at(d)]), f64::from(sin[at(d)]));
                    let other = if d < half { -x[d + half] } else { x[d - half] };
                    x[d] * c + other * s
                }));
            }
            let angles = [cos, sin].map(|x| {
                let data = TensorData::new(x, [1, 1, tokens, dim / 2]);
                Tensor::from_data(data, (&compute.device, DType::F32))
            });
            let data = TensorData::new(x, [tokens, heads, dim]);
            let x = Tensor::from_data(data, (&compute.device, dtype));
            let norm = eps.map(|eps| {
                let data = TensorData::new(norm.clone(), [dim]);
                (Tensor::from_data(data, (&compute.device, dtype)), eps)
            });
            all.push(Heads { x, angles: angles.into(), norm });
            wanted.push(want);
        }
        let keys = all.pop().unwrap();
        let (q, k) = rotated(all.pop().unwrap(), keys);
        for (got, want) in [q, k].into_iter().zip(&wanted) {
            let got: Vec<f32> = got.cast(DType::F32).try_into_vec_as().unwrap();
            assert_eq!(got.len(), want.len());
            for (got, want) in got.iter().zip(want) {
                let off = (f64::from(*got) - want).abs();
                assert!(off <= within, "{dtype:?}, {dim}: {got} {want}");
            }
        }
    }
}
