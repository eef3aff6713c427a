//! Compiled kernels, and which of them are fastest here, kept from one run to the next.
//!
//! A first run with CUDA compiles every kernel and times the candidates for each size of product;
//! both are known to later runs. By way of Vulkan the driver compiles kernels, and nothing is kept.

use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

/// Keeps both in the user's cache folder (`$XDG_CACHE_HOME/cubecl`), or where a `cubecl.toml` in
/// this folder or one above it says. What cannot be kept there, is found out anew. `gpu` is the
/// device's name: what is fast on one is not on another.
///
/// Has no effect once a device has been used, or asked for.
pub(super) fn keep(gpu: Option<String>) {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    // That of the library would be the build folder of any Rust project a run happens to stand in.
    if matches!(config.environment.path, CacheConfig::Target) {
        config.environment.path = CacheConfig::Global;
    }
    if config.environment.name == cubecl::environment::DEFAULT {
        config.environment.name = gpu.unwrap_or(config.environment.name);
    }
    // Kernels are kept by the identity of the program. Without one, those of another version would
    // be taken.
    config.compilation.cache = buildid::build_id().is_some();
    CubeClRuntimeConfig::try_set(config);
}

/// The file in which they are kept; [`keep`] has been called.
#[cfg(feature = "cuda")]
pub(super) fn path() -> std::path::PathBuf {
    cubecl::environment::path()
}

/// Whether nothing has been kept there yet.
#[cfg(feature = "cuda")]
pub(super) fn is_empty() -> bool {
    !path().exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Compute;

    #[test]
    fn what_kernel_devices_find_out_is_kept_outside_the_project() {
        let Some(compute) = Compute::of_kernels() else { return };
        let config = CubeClRuntimeConfig::get();
        assert!(!matches!(config.environment.path, CacheConfig::Target));
        assert_eq!(config.compilation.cache, buildid::build_id().is_some());
        assert!(!cubecl::environment::path().starts_with(env!("CARGO_MANIFEST_DIR")));
        // Opening the device has run a kernel.
        let kept = cubecl::environment::namespaces();
        let any = kept.iter().any(|space| space.entries > 0);
        assert!(any || !compute.name.starts_with("cuda"), "{kept:?}");
    }
}
