//! `--device cpu|cuda[:N]|vulkan|auto`, or several: what to compute on, found out before anything
//! can panic.

use std::fmt;
use std::str::FromStr;

use burn::prelude::*;
use burn::tensor::DType;

use super::{ops, read_back};
use crate::error::{Error, Result};
use crate::system::panics::caught;

mod cuda;
mod vulkan;

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(usize),
    /// The device that Vulkan prefers: a discrete GPU before others, or at last one in software.
    Vulkan,
    /// The first GPU if this build and machine have one, else the processor.
    Auto,
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage("this device is not known").at("--device").got(text).expected(
                "cpu, cuda, cuda:N (N = 0, 1, ...), several GPUs with commas, vulkan, or auto",
            )
        };
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            None if text == "vulkan" => Ok(Self::Vulkan),
            None if text == "auto" => Ok(Self::Auto),
            Some(("cuda", n)) => n.parse().map(Self::Cuda).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

/// What the user asked for: one device, or several that share the layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices(Vec<DeviceChoice>);

impl From<DeviceChoice> for Devices {
    fn from(one: DeviceChoice) -> Self {
        Self(vec![one])
    }
}

impl Devices {
    /// Whether any device will do.
    pub(crate) fn is_auto(&self) -> bool {
        self.0.contains(&DeviceChoice::Auto)
    }

    /// Whether it is the processor, and nothing else can come of it.
    pub fn is_cpu(&self) -> bool {
        self.0.iter().all(|one| *one == DeviceChoice::Cpu)
    }
}

impl FromStr for Devices {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = text.split(',').map(|one| one.trim().parse()).collect::<Result<Vec<_>>>()?;
        let wrong = |what: &str, expected: &str| {
            Err(Error::usage(what).at("--device").got(text).expected(expected))
        };
        let gpu = |one: &DeviceChoice| matches!(one, DeviceChoice::Cuda(_));
        if all.len() > 1 && !all.iter().all(gpu) && !all.iter().all(|d| *d == DeviceChoice::Cpu) {
            return wrong(
                "these devices cannot share a model",
                "GPUs of CUDA alone, as in cuda:0,cuda:1",
            );
        }
        if let Some(i) = (1..all.len()).find(|&i| gpu(&all[i]) && all[..i].contains(&all[i])) {
            return wrong("a GPU is named twice", &format!("{} once", all[i]));
        }
        Ok(Self(all))
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(DeviceChoice::to_string).collect::<Vec<_>>();
        f.write_str(&names.join(","))
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
            Self::Vulkan => f.write_str("vulkan"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

/// A device that is there, or several that share the layers of a model.
#[derive(Debug, Clone)]
pub struct Compute {
    /// The tensor library's device; the first, with the embedding, if there are several.
    pub device: Device,
    /// Those after the first.
    pub(crate) further: Vec<Device>,
    /// Its name as in `--device`: `cpu`, `vulkan` or `cuda:N`, or several with commas.
    pub name: String,
    /// Type of cache and activations, and of weights but for [`Compute::held`].
    pub dtype: DType,
    /// Type of the matrices of weights on the processor, if not as saved.
    pub(crate) weights: Option<DType>,
    /// What the user should know: why this is not the device that was asked for, or that its first
    /// run takes longer.
    pub note: Option<String>,
    /// Passes of a multiple of this many queries are fastest.
    pub(crate) query_block: usize,
    /// Whether tensors lie in host memory.
    pub(crate) on_host: bool,
    /// Most bytes to take of the memory that is free, of each device; `None` for all.
    pub(crate) memory_limit: Option<u64>,
    /// What the maker calls it, if it says: GPUs of one name and number may differ in it.
    pub(crate) make: Option<String>,
}

impl Compute {
    /// The processor, in f32.
    pub fn cpu() -> Self {
        Self {
            device: Device::flex(),
            further: vec![],
            name: "cpu".into(),
            dtype: DType::F32,
            note: None,
            query_block: 1,
            on_host: true,
            weights: None,
            memory_limit: None,
            make: None,
        }
    }

    /// What decides about rounding: the processor's instruction sets, or the make of the GPU,
    /// whichever number it has.
    pub fn hardware(&self) -> String {
        match (self.on_host, &self.make) {
            (true, _) => format!("{}, {}", self.name, instruction_set()),
            (false, Some(make)) => make.clone(),
            (false, None) => self.name.clone(),
        }
    }

    /// Looks the chosen devices up; layers are shared evenly among them, in order.
    ///
    /// # Errors
    /// [`Error::Usage`] if this build cannot use GPUs, [`Error::Resources`] if the machine has
    /// none, or not that one, or if it does not compute. [`DeviceChoice::Auto`] never fails: the
    /// processor then has the reason as its [note](Compute::note).
    pub fn open(choice: &Devices) -> Result<Self> {
        let all = choice.0.iter().map(|one| Self::open_one(*one)).collect::<Result<Vec<_>>>()?;
        let name = all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(",");
        let make = match &all[..] {
            [one] => one.make.clone(),
            several => {
                let makes: Option<Vec<&str>> =
                    several.iter().map(|one| one.make.as_deref()).collect();
                makes.map(|makes| makes.join(", "))
            }
        };
        let mut all = all.into_iter();
        let first = all.next().ok_or_else(|| Error::bug("no device was chosen"))?;
        Ok(Self { further: all.map(|one| one.device).collect(), name, make, ..first })
    }

    fn open_one(choice: DeviceChoice) -> Result<Self> {
        match choice {
            DeviceChoice::Cpu => Ok(Self::cpu()),
            DeviceChoice::Cuda(n) => cuda::open(n),
            DeviceChoice::Vulkan => vulkan::open(),
            DeviceChoice::Auto => Ok(cuda::open(0).unwrap_or_else(|e| Self::instead_of_gpu(&e))),
        }
    }

    /// The type in which matrices are held that were saved in `saved`. The processor computes with
    /// them as they were saved, of which f32 holds all numbers, or in the type that is asked for;
    /// GPUs in their own type.
    pub fn held(&self, saved: DType) -> DType {
        if let Some(asked) = self.weights.filter(|_| self.on_host) {
            return asked;
        }
        match saved {
            DType::F16 | DType::BF16 if self.on_host && self.dtype == DType::F32 => saved,
            _ => self.dtype,
        }
    }

    /// All devices, in order.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        std::iter::once(&self.device).chain(&self.further)
    }

    /// Where `layer` of a model of `layers` layers is.
    pub fn layer_device(&self, layer: usize, layers: usize) -> &Device {
        match self.layer_device_index(layer, layers) {
            0 => &self.device,
            n => self.further.get(n - 1).unwrap_or(self.last_device()),
        }
    }

    /// The place of that device among [`Compute::devices`].
    fn layer_device_index(&self, layer: usize, layers: usize) -> usize {
        layer * (1 + self.further.len()) / layers.max(1)
    }

    /// Where the last norm and an output layer of its own are.
    pub fn last_device(&self) -> &Device {
        self.further.last().unwrap_or(&self.device)
    }

    /// Multiplies two small matrices in the run's own type, on each GPU, as layers do: what is
    /// missing for that shows before a model is loaded. The first product on a GPU also measures
    /// it, for which it takes 2 GiB.
    ///
    /// # Errors
    /// [`Error::Resources`] if that fails.
    pub fn check_products(&self) -> Result<()> {
        const SIDE: usize = 64;
        if self.on_host {
            return Ok(());
        }
        for (device, name) in self.devices().zip(self.name.split(',')) {
            let product = || {
                let ones = || Tensor::<2>::ones([SIDE, SIDE], (device, self.dtype));
                let product = ops::matmul(ones(), ones());
                product.try_into_vec_as::<f32>().map_err(|e| read_back::reason(&e))
            };
            let wrong = |reason: String| {
                Error::resources("products of matrices do not work on this GPU")
                    .at(format!("--device {name} --dtype {}", self.dtype.name()))
                    .got(reason)
                    .advice("use --dtype f32 or --device cpu; with CUDA see docs/gpu.md")
            };
            let numbers = caught(product).and_then(|product| product).map_err(wrong)?;
            if let Some(number) = numbers.iter().find(|number| **number != SIDE as f32) {
                return Err(wrong(format!("ones times ones gave {number}")));
            }
        }
        Ok(())
    }

    /// Free memory of each device, in bytes, where it is known, or as much of it as may be taken;
    /// of the machine's own, where tensors lie in that.
    pub fn free_memory(&self) -> Vec<Option<u64>> {
        let free: Vec<Option<u64>> = match self.on_host {
            true => vec![crate::system::machine::available_memory_bytes()],
            false => self.name.split(',').map(cuda::free_memory).collect(),
        };
        let limited = |free: Option<u64>| free.into_iter().chain(self.memory_limit).min();
        free.into_iter().map(limited).collect()
    }

    /// The processor, because of `e`.
    pub(crate) fn instead_of_gpu(e: &Error) -> Self {
        let text = e.to_string();
        let reason = text.lines().next().unwrap_or_default();
        let note = format!("computing on the CPU: {reason} (in f32; --device cuda says more)");
        Self { note: Some(note), ..Self::cpu() }
    }
}

/// The largest of the processor's instruction sets that kernels make a difference for.
fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if crate::model::cpu::amx::is_there() {
            return "AMX";
        }
        if is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if is_x86_feature_detected!("avx2") {
            return "AVX2";
        }
    }
    std::env::consts::ARCH
}

/// Compiles a kernel, runs it and reads its result.
#[cfg(any(feature = "kernels", test))]
fn probe(device: &Device) -> std::result::Result<(), String> {
    let sum = Tensor::<1>::ones([4], (device, DType::F32)).mul_scalar(2.0).sum();
    match sum.try_into_vec_as::<f32>() {
        Ok(values) if values == [8.0] => Ok(()),
        Ok(values) => Err(format!("4 times 2 gave {values:?}")),
        Err(e) => Err(read_back::reason(&e)),
    }
}

#[cfg(test)]
impl Compute {
    /// For tests: the processor and, in builds with the kernels, a device that has them.
    pub(crate) fn every_device() -> Vec<Self> {
        let devices = vec![Self::cpu()];
        #[cfg(feature = "kernels")]
        let devices = devices.into_iter().chain(Self::of_kernels()).collect();
        devices
    }
}

/// For tests of the kernels: a Vulkan device, which may be one in software, in builds with that
/// feature, and a GPU in others.
#[cfg(all(test, feature = "kernels"))]
impl Compute {
    /// The device of the kernels that this build has, in f32; else none, and the test prints that
    /// it was skipped. With `HEADPROF_REQUIRE_CUDA=1` or `HEADPROF_REQUIRE_VULKAN=1` it fails
    /// instead.
    pub(crate) fn of_kernels() -> Option<Self> {
        let (required, opened) = Self::open_for_kernels();
        let skipped = |missing: String| {
            let required = std::env::var_os(required).is_some_and(|v| v == "1");
            assert!(!required, "the kernels cannot be tested: {missing}");
            eprintln!("skipped: {missing}");
        };
        opened.map_err(skipped).ok()
    }

    /// The variable that asks for the device, and the device or why there is none. In builds with
    /// both kinds Vulkan, unless CUDA is asked for.
    fn open_for_kernels() -> (&'static str, std::result::Result<Self, String>) {
        const CUDA: &str = "HEADPROF_REQUIRE_CUDA";
        let cuda = || {
            let opened = cuda::open(0).map(|gpu| Self { dtype: DType::F32, ..gpu });
            (CUDA, opened.map_err(|e| e.to_string()))
        };
        #[cfg(feature = "vulkan")]
        if std::env::var_os(CUDA).is_none() {
            return ("HEADPROF_REQUIRE_VULKAN", vulkan::open().map_err(|e| e.to_string()));
        }
        cuda()
    }
}

#[cfg(test)]
mod tests;
