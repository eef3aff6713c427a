//! `--device cpu|cuda[:N]|auto`: what to compute on, found out before anything can panic.

use std::fmt;
use std::str::FromStr;

use burn::prelude::*;
use burn::tensor::DType;

use crate::error::{Error, Result};

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(usize),
    /// The first GPU if this build and machine have one, else the processor.
    Auto,
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage("this device is not known")
                .at("--device")
                .got(text)
                .expected("cpu, cuda, cuda:N (N = 0, 1, ...) or auto")
        };
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            None if text == "auto" => Ok(Self::Auto),
            Some(("cuda", n)) => n.parse().map(Self::Cuda).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

/// A device that is there.
#[derive(Debug, Clone)]
pub struct Compute {
    /// The tensor library's device.
    pub device: Device,
    /// Its name as in `--device`: `cpu` or `cuda:N`.
    pub name: String,
    /// Type of weights, cache and activations.
    pub dtype: DType,
    /// Whether attention shares key/value heads without expanding them.
    pub(super) grouped_attention: bool,
    /// Whether tensors lie in host memory.
    pub(super) on_host: bool,
}

impl Compute {
    /// The processor, in f32.
    pub fn cpu() -> Self {
        Self {
            device: Device::flex(),
            name: "cpu".into(),
            dtype: DType::F32,
            grouped_attention: true,
            on_host: true,
        }
    }

    /// Looks the chosen device up.
    ///
    /// # Errors
    /// [`Error::Usage`] if this build cannot use GPUs, [`Error::Resources`] if the machine has
    /// none, or not that one.
    pub fn open(choice: DeviceChoice) -> Result<Self> {
        match choice {
            DeviceChoice::Cpu => Ok(Self::cpu()),
            DeviceChoice::Cuda(n) => cuda(n),
            DeviceChoice::Auto => Ok(cuda(0).unwrap_or_else(|_| Self::cpu())),
        }
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda(n: usize) -> Result<Compute> {
    Err(Error::usage("this headprof was built without CUDA")
        .at(format!("--device cuda:{n}"))
        .advice("use --device cpu, or build with `cargo build --release --features cuda`"))
}

#[cfg(feature = "cuda")]
fn cuda(n: usize) -> Result<Compute> {
    use burn::tensor::DeviceType;

    let place = format!("--device cuda:{n}");
    let none = |what: &str, advice: &str| {
        Error::resources(what.to_owned())
            .at(&place)
            .advice(format!("{advice}, or use --device cpu"))
    };
    // SAFETY: both only try to load a shared library and say whether it is there. Asked first
    // because the calls after it panic on another thread where a library is missing.
    let (driver, compiler) = unsafe {
        (cudarc::driver::sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present())
    };
    if !driver {
        return Err(none("no CUDA driver on this machine (libcuda)", "install the NVIDIA driver"));
    }
    if !compiler {
        return Err(none(
            "the CUDA run-time compiler is missing (libnvrtc)",
            "install the CUDA toolkit 12 or 13 and add its lib folder to LD_LIBRARY_PATH",
        ));
    }
    let devices: Vec<Device> = Device::enumerate(DeviceType::Cuda).into_iter().collect();
    let found = devices.len();
    let device = devices.into_iter().nth(n).ok_or_else(|| {
        none("there is no such GPU", "choose another number").got(format!("{found} GPUs"))
    })?;
    Ok(Compute {
        device,
        name: format!("cuda:{n}"),
        dtype: DType::BF16,
        grouped_attention: false,
        on_host: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_devices_and_refuses_others() {
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        assert_eq!("cuda:3".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(3));
        for wrong in ["gpu", "cuda:", "cuda:x", "cpu:0", ""] {
            assert_eq!(wrong.parse::<DeviceChoice>().unwrap_err().exit_code(), 2, "{wrong}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_without_the_feature_is_an_error_and_auto_falls_back() {
        let e = Compute::open(DeviceChoice::Cuda(0)).unwrap_err();
        assert_eq!(e.exit_code(), 2);
        assert!(e.to_string().contains("--features cuda"));
        assert_eq!(Compute::open(DeviceChoice::Auto).unwrap().name, "cpu");
    }
}
