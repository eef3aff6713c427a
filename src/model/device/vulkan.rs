//! `--device vulkan`: a GPU of any maker, or a device in software, in builds with the feature
//! `vulkan`.

use crate::error::{Error, Result};
use crate::model::Compute;

#[cfg(not(feature = "vulkan"))]
pub(super) fn open() -> Result<Compute> {
    Err(Error::usage("this headprof was built without Vulkan")
        .at("--device vulkan")
        .advice("use --device cpu, or build with `cargo build --release --features vulkan`"))
}

/// The device that Vulkan prefers, a discrete GPU before others, or the one that
/// `CUBECL_WGPU_DEFAULT_DEVICE` names, in f32.
///
/// # Errors
/// [`Error::Resources`] if there is none, or if it does not compute.
#[cfg(feature = "vulkan")]
pub(super) fn open() -> Result<Compute> {
    use std::sync::OnceLock;

    use burn::prelude::*;
    use burn::tensor::wgpu::WgpuBackend;

    use super::probe;
    use crate::model::kernel_cache;
    use crate::system::panics::caught;

    // It can be started once in a process.
    static OPENED: OnceLock<std::result::Result<Device, String>> = OnceLock::new();
    let start = || {
        kernel_cache::keep(None);
        let started = Device::wgpu_options().graphics_api(WgpuBackend::Vulkan).init();
        let device = started.map_err(|e| e.to_string())?;
        probe(&device).map(|()| device)
    };
    let opened = OPENED.get_or_init(|| caught(start).and_then(|opened| opened)).clone();
    let device = opened.map_err(|reason| {
        Error::resources("no device computes by way of Vulkan")
            .at("--device vulkan")
            .got(reason)
            .advice(
                "install the driver of the GPU, or mesa-vulkan-drivers and libvulkan1 for a device in \
                 software; if CUBECL_WGPU_DEFAULT_DEVICE is set, to Cpu or such as DiscreteGpu(0); or use \
                 --device cpu",
            )
    })?;
    Ok(Compute {
        device,
        name: "vulkan".into(),
        on_host: false,
        query_block: 128,
        ..Compute::cpu()
    })
}
