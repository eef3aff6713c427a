//! [`Rates`]: what a device can do at best, measured: products of matrices, copies. For how near a
//! model comes to that (`bench`).

use std::time::Instant;

use burn::prelude::*;
use burn::tensor::{DType, Distribution};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::model::Compute;
use crate::model::ops::products;
use crate::model::read_back;

/// Rows and columns of the matrices, on a processor and on a GPU.
const SIDE: [usize; 2] = [2048, 8192];
/// Bytes that are copied: far more than any cache holds.
const COPIED: usize = 256 << 20;
/// The best of this many counts: the others were disturbed.
const TRIES: usize = 3;
/// Bytes per parallel task of a copy on the host.
const PIECE: usize = 1 << 20;

/// The limits of a device, per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Operations of a product of large square matrices, as the decoder computes it: the second in
    /// the type that weights are held in.
    pub matmul_flops: f64,
    /// Bytes read and written by a copy of a large array.
    pub copy_bytes: f64,
}

impl Rates {
    /// Measures `compute`'s first device, with weights of type `weights`.
    ///
    /// # Errors
    /// [`Error::Resources`] if the device fails.
    pub fn measure(compute: &Compute, weights: DType) -> Result<Self> {
        let side = SIDE[usize::from(!compute.on_host)];
        let copy = match compute.on_host {
            true => copy_on_host(),
            false => copy_on_device(compute)?,
        };
        Ok(Self {
            matmul_flops: 2.0 * (side as f64).powi(3) / product(compute, weights, side)?,
            copy_bytes: copy,
        })
    }
}

/// Seconds of the best product of two `[side, side]` matrices, the second of type `weights`.
fn product(compute: &Compute, weights: DType, side: usize) -> Result<f64> {
    let even = Distribution::Uniform(-1.0, 1.0);
    let random = || Tensor::<2>::random([side, side], even, &compute.device);
    let (a, b) = (random().cast(compute.dtype), random().cast(weights));
    let run = || {
        let [product] = products(&a, [&b]);
        read(product, compute)
    };
    // The first compiles kernels.
    run()?;
    best(run)
}

/// Bytes per second of a copy in host memory, by all threads.
fn copy_on_host() -> f64 {
    let from = vec![1u8; COPIED];
    let mut to = vec![0u8; COPIED];
    let mut secs = f64::MAX;
    for _ in 0..=TRIES {
        let start = Instant::now();
        to.par_chunks_mut(PIECE).zip(from.par_chunks(PIECE)).for_each(|(to, from)| {
            to.copy_from_slice(from);
        });
        secs = secs.min(start.elapsed().as_secs_f64());
    }
    std::hint::black_box(&to);
    2.0 * COPIED as f64 / secs
}

/// Bytes per second of doubling an array where it lies: one read and one write of each number.
fn copy_on_device(compute: &Compute) -> Result<f64> {
    let numbers = COPIED / compute.dtype.size();
    let from = Tensor::<1>::ones([numbers], (&compute.device, compute.dtype));
    let twice = || from.clone().mul_scalar(2.0);
    let last = |x: Tensor<1>| read(x.narrow(0, numbers - 1, 1).reshape([1, 1]), compute);
    last(twice())?;
    Ok(2.0 * COPIED as f64 / best(|| last(twice()))?)
}

/// Waits for `x` by reading one of its numbers.
fn read(x: Tensor<2>, compute: &Compute) -> Result<()> {
    let one = x.slice([0..1, 0..1]).cast(DType::F32).try_into_vec_as::<f32>();
    one.map(drop).map_err(|e| {
        Error::resources("the device failed while its speed was measured")
            .at(&compute.name)
            .got(read_back::reason(&e))
    })
}

fn best(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut secs = f64::MAX;
    for _ in 0..TRIES {
        let start = Instant::now();
        run()?;
        secs = secs.min(start.elapsed().as_secs_f64());
    }
    Ok(secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_a_computer() {
        let compute = Compute::cpu();
        let secs = product(&compute, DType::BF16, 128).unwrap();
        assert!(secs > 0.0 && secs < 60.0, "{secs}");
        let gpu = Compute { on_host: false, ..Compute::cpu() };
        for bytes in [copy_on_host(), copy_on_device(&gpu).unwrap()] {
            assert!((1e6..1e14).contains(&bytes), "{bytes}");
        }
    }
}
