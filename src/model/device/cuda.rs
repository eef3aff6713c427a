//! `--device cuda`: an NVIDIA GPU, in builds with the feature `cuda`.

#[cfg(feature = "cuda")]
use std::path::{Path, PathBuf};

#[cfg(any(feature = "cuda", test))]
use burn::prelude::*;
#[cfg(any(feature = "cuda", test))]
use burn::tensor::DType;

#[cfg(any(feature = "cuda", test))]
use super::probe;
use crate::error::{Error, Result};
use crate::model::Compute;
#[cfg(any(feature = "cuda", test))]
use crate::system::panics::caught;

/// Free memory of the GPU `name`, in bytes.
#[cfg(feature = "cuda")]
pub(super) fn free_memory(name: &str) -> Option<u64> {
    let n = name.strip_prefix("cuda:")?.parse().ok()?;
    let ask = || cudarc::driver::CudaContext::new(n)?.mem_get_info();
    caught(ask).ok()?.ok().map(|(free, _)| free as u64)
}

#[cfg(not(feature = "cuda"))]
pub(super) fn free_memory(_: &str) -> Option<u64> {
    None
}

#[cfg(not(feature = "cuda"))]
pub(super) fn open(n: usize) -> Result<Compute> {
    Err(Error::usage("this headprof was built without CUDA")
        .at(format!("--device cuda:{n}"))
        .advice("use --device cpu, or build with `cargo build --release --features cuda`"))
}

#[cfg(feature = "cuda")]
pub(super) fn open(n: usize) -> Result<Compute> {
    use burn::tensor::DeviceType;

    use crate::model::kernel_cache;

    // SAFETY: both only try to load a shared library and say whether it is there; what a library
    // does while it is loaded is NVIDIA's, and is done by the calls after it in any case. Asked
    // first because these panic on another thread where a library is missing.
    let (driver, compiler) = unsafe {
        (cudarc::driver::sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present())
    };
    if !driver {
        return Err(unusable(
            n,
            "no CUDA driver on this machine (libcuda)",
            "install the NVIDIA driver",
        ));
    }
    if !compiler {
        return Err(unusable(
            n,
            "the CUDA run-time compiler is missing (libnvrtc)",
            "install the CUDA toolkit 12 or 13 and add its lib folder to LD_LIBRARY_PATH",
        ));
    }
    let name = || cudarc::driver::CudaContext::new(n).ok()?.name().ok();
    let make = caught(name).ok().flatten();
    kernel_cache::keep(make.clone());
    let note = kernel_cache::is_empty().then(|| {
        format!(
            "the first run on this GPU compiles kernels and chooses among them, which takes minutes; \
             they are kept in {}",
            kernel_cache::path().display()
        )
    });
    let missing = |reason| {
        unusable(
            n,
            "headers of the CUDA toolkit are missing, which kernels are compiled with",
            "install the CUDA toolkit 12 or 13 that suits the driver (of single packages: the \
             runtime, crt and cccl) and set CUDA_PATH to its folder, with include/ in it",
        )
        .got(reason)
    };
    // Compiling takes a second: where kernels have been kept, the files are enough.
    let found =
        || include_folder().and_then(|f| if note.is_some() { compiled(&f) } else { Ok(()) });
    caught(found).and_then(|found| found).map_err(missing)?;
    let found = gpu(n, || Device::enumerate(DeviceType::Cuda).into_iter().collect())?;
    Ok(Compute { make, note, ..found })
}

/// The folder of the headers, where the library looks for it, if all that kernels include is there;
/// else what is missing.
///
/// The library's own first kernels include less: it would find out in the middle of a run, hundreds
/// of times.
#[cfg(feature = "cuda")]
fn include_folder() -> std::result::Result<PathBuf, String> {
    const HEADERS: [&str; 7] = [
        "cuda_fp16.h",
        "cuda_bf16.h",
        "mma.h",
        "crt/mma.h",
        "cooperative_groups.h",
        "cooperative_groups/memcpy_async.h",
        "cuda/barrier",
    ];
    let toolkit = cubecl::cuda::install::cuda_path().ok_or_else(|| {
        "CUDA_PATH is not set, and neither /usr/local/cuda nor /opt/cuda is there".to_owned()
    })?;
    let folder = toolkit.join("include");
    let there =
        |header: &&str| folder.join(header).exists() || folder.join("cccl").join(header).exists();
    match HEADERS.iter().find(|header| !there(header)) {
        None => Ok(folder),
        Some(header) => Err(format!("no {header} in {}", folder.display())),
    }
}

/// Compiles a kernel of nothing but what kernels include.
#[cfg(feature = "cuda")]
fn compiled(include: &Path) -> std::result::Result<(), String> {
    use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};

    const SOURCE: &str = "#include <cuda_fp16.h>\n#include <cuda_bf16.h>\n#include <mma.h>\n\
        #include <cooperative_groups.h>\n#include <cooperative_groups/memcpy_async.h>\n\
        #include <cuda/barrier>\nextern \"C\" __global__ void probe() {}\n";
    let folders = [include.to_owned(), include.join("cccl")];
    let options = CompileOptions {
        include_paths: folders.iter().map(|path| path.display().to_string()).collect(),
        // The oldest that knows all of them.
        options: vec!["--gpu-architecture=compute_80".into()],
        ..Default::default()
    };
    match compile_ptx_with_opts(SOURCE, options) {
        Ok(_) => Ok(()),
        Err(CompileError::CompileError { log, .. }) => {
            let log = log.to_string_lossy();
            let first = log.lines().find(|line| line.contains("error")).unwrap_or(&log);
            Err(format!("{} (in {})", first.trim(), include.display()))
        }
        Err(e) => Err(e.to_string()),
    }
}

/// The `n`-th of the GPUs that `find` finds, if it computes.
///
/// Also where all libraries are there, finding devices and the first kernel can panic, as with a
/// driver that is too old.
#[cfg(any(feature = "cuda", test))]
pub(super) fn gpu(n: usize, find: impl FnOnce() -> Vec<Device>) -> Result<Compute> {
    let broken = |reason: String| {
        unusable(
            n,
            "CUDA does not work here: the driver and the CUDA toolkit may not match",
            "install the CUDA toolkit 12 or 13 that suits the driver and set CUDA_PATH to its \
             folder (with include/ in it)",
        )
        .got(reason)
    };
    let devices = caught(find).map_err(broken)?;
    let found = devices.len();
    let device = devices.into_iter().nth(n).ok_or_else(|| match found {
        0 => unusable(
            n,
            "no GPU was found (driver mismatch?)",
            "check that `nvidia-smi` lists a GPU",
        ),
        _ => unusable(n, "there is no such GPU", "choose another number")
            .got(format!("{found} GPUs")),
    })?;
    caught(|| probe(&device)).and_then(|probed| probed).map_err(broken)?;
    Ok(Compute {
        device,
        further: vec![],
        name: format!("cuda:{n}"),
        dtype: DType::BF16,
        note: None,
        query_block: 128,
        on_host: false,
        weights: None,
        memory_limit: None,
        make: None,
    })
}

/// The error for a GPU that cannot be used.
#[cfg(any(feature = "cuda", test))]
fn unusable(n: usize, what: &str, advice: &str) -> Error {
    Error::resources(what)
        .at(format!("--device cuda:{n}"))
        .advice(format!("{advice}, or use --device cpu"))
}
