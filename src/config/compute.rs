//! `--device`, `--gpu`, `--dtype`, `--threads` and `--memory`: what to compute on.

use burn::tensor::DType;

use super::at_least_one;
use crate::cli::{ComputeArgs, DtypeArg};
use crate::error::{Error, Result};
use crate::model::{Compute, DeviceChoice, Devices};

/// Of each thread: as much as the main thread of a process has.
const STACK_BYTES: usize = 8 << 20;

/// A device, or several, and how to use it.
#[derive(Debug, Clone, PartialEq)]
pub struct ComputeConfig {
    /// What to compute on.
    pub device: Devices,
    /// Number type on a GPU; `None` for the one that is usual there.
    pub gpu_dtype: Option<DType>,
    /// Type of the weights' matrices on the processor; `None` for that in which they were saved.
    pub weights: Option<DType>,
    /// Threads of the CPU; `None` = one per core.
    pub threads: Option<usize>,
    /// Most bytes to take of the memory that is free; `None` for all.
    pub memory: Option<u64>,
}

impl ComputeConfig {
    /// Validates `args`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &ComputeArgs) -> Result<Self> {
        let device: Devices = match (&args.device, args.gpu) {
            (Some(text), _) => text.parse()?,
            (None, Some(n)) => DeviceChoice::Cuda(n).into(),
            (None, None) => DeviceChoice::Cpu.into(),
        };
        let [gpu_dtype, weights] = [args.dtype, args.weights].map(|arg| match arg? {
            DtypeArg::Bf16 => Some(DType::BF16),
            DtypeArg::F16 => Some(DType::F16),
            DtypeArg::F32 => Some(DType::F32),
        });
        if let Some(dtype) = gpu_dtype.filter(|dtype| device.is_cpu() && *dtype != DType::F32) {
            return Err(Error::usage("the CPU computes in f32")
                .at("--dtype")
                .got(dtype.name())
                .expected("f32 with --device cpu")
                .advice("leave --dtype out, or add --device cuda"));
        }
        if weights.is_some() && !device.is_cpu() {
            return Err(Error::usage("on a GPU weights are in the type that it computes in")
                .at("--weights")
                .got(format!("--weights with --device {device}"))
                .expected("--device cpu")
                .advice("--dtype"));
        }
        let threads = at_least_one("--threads", args.threads)?;
        Ok(Self { device, gpu_dtype, weights, threads, memory: None })
    }

    /// Opens the device, in the number type asked for.
    ///
    /// # Errors
    /// As [`Compute::open`], and [`Error::Usage`] for a number type that the device does not have.
    pub fn open(&self) -> Result<Compute> {
        let mut compute = Compute::open(&self.device)?;
        compute.memory_limit = self.memory;
        compute.weights = self.weights;
        if let Some(dtype) = self.gpu_dtype.filter(|_| !compute.on_host) {
            if !compute.devices().all(|device| device.supports_dtype(dtype)) {
                return Err(Error::usage("this device does not compute in that type")
                    .at(format!("--device {} --dtype", compute.name))
                    .got(dtype.name())
                    .advice("use --dtype f32"));
            }
            compute.dtype = dtype;
        }
        Ok(compute)
    }

    /// `compute`, which [`ComputeConfig::open`] has found, if layers work there; where any device
    /// was asked for, else the processor.
    ///
    /// # Errors
    /// As [`Compute::check_products`].
    pub fn checked(&self, compute: Compute) -> Result<Compute> {
        match compute.check_products() {
            Ok(()) => Ok(compute),
            Err(e) if self.device.is_auto() => {
                Ok(Compute { memory_limit: self.memory, ..Compute::instead_of_gpu(&e) })
            }
            Err(e) => Err(e),
        }
    }

    /// Starts as many threads as asked for and runs `body` on one of them. Once in a process,
    /// before anything is computed.
    ///
    /// Not on the main thread: that one would hand over every piece of work and sleep until others
    /// have done it, which takes longer than most pieces of a step of answers.
    ///
    /// # Errors
    /// [`Error::Resources`] if they cannot be started, and those of `body`.
    pub fn on_threads<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        // 0: as many as there are processors, or as RAYON_NUM_THREADS says.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads.unwrap_or(0));
        let pool = pool.stack_size(STACK_BYTES).build_global();
        pool.map_err(|e| Error::resources("threads cannot be started").got(e))?;
        rayon::scope(|_| body())
    }
}

/// The bytes that `--memory` says.
pub(super) fn bytes(text: &str) -> Result<u64> {
    let wrong = || {
        Error::usage("this is not a size")
            .at("--memory")
            .got(text)
            .expected("a number with KiB, MiB or GiB behind it, such as 8GiB")
    };
    let digits =
        text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let power = match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(wrong()),
    };
    match number * f64::from(1u32 << power) {
        bytes if bytes >= 1.0 => Ok(bytes as u64),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        let mib = 1 << 20;
        for (text, size) in [("512MiB", 512 * mib), ("1.5g", 1536 * mib), ("64 KB", 64 << 10)] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "8", "GiB", "-1GiB", "1TiB", "0MiB", "1.2.3G", "8 G iB"] {
            let e = bytes(text).unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains("--memory"), "{text}");
        }
    }
}
