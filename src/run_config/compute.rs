//! `--device`, `--gpu`, `--dtype` and `--threads`: what to compute on.

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
    /// Number type on a GPU.
    pub gpu_dtype: DType,
    /// Threads of the CPU; `None` = one per core.
    pub threads: Option<usize>,
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
        let gpu_dtype = match args.dtype {
            None | Some(DtypeArg::Bf16) => DType::BF16,
            Some(DtypeArg::F16) => DType::F16,
            Some(DtypeArg::F32) => DType::F32,
        };
        if device.is_cpu() && args.dtype.is_some() && gpu_dtype != DType::F32 {
            return Err(Error::usage("the CPU computes in f32")
                .at("--dtype")
                .got(format!("{gpu_dtype:?}").to_lowercase())
                .expected("f32 with --device cpu")
                .advice("leave --dtype out, or add --device cuda"));
        }
        Ok(Self { device, gpu_dtype, threads: at_least_one("--threads", args.threads)? })
    }

    /// Opens the device, in the number type asked for.
    ///
    /// # Errors
    /// As [`Compute::open`].
    pub fn open(&self) -> Result<Compute> {
        let mut compute = Compute::open(&self.device)?;
        if !compute.on_host {
            compute.dtype = self.gpu_dtype;
        }
        Ok(compute)
    }

    /// The same; tells the `notes` of a command and what is to be said of the device.
    ///
    /// # Errors
    /// As [`Compute::open`].
    pub fn open_telling(&self, notes: &[String], tell: &dyn Fn(&str)) -> Result<Compute> {
        notes.iter().for_each(|text| tell(&format!("note: {text}")));
        let compute = self.open()?;
        compute.note.iter().for_each(|text| tell(&format!("note: {text}")));
        Ok(compute)
    }

    /// Starts as many threads as asked for and runs `body` on one of them. Once in a process, before
    /// anything is computed.
    ///
    /// Not on the main thread: that one would hand over every piece of work and sleep until others have
    /// done it, which takes longer than most pieces of a step of answers.
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
