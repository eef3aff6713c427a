//! Compiled kernels, and which of them are fastest here, kept from one run to the next.
//!
//! A first run on a GPU compiles every kernel and times the candidates for each size of product; both are known
//! to later runs.

use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

/// Keeps both in the user's cache folder (`$XDG_CACHE_HOME/cubecl`), or where a `cubecl.toml` in this folder or
/// one above it says. What cannot be kept there, is found out anew.
///
/// Has no effect once a device has been used, or asked for.
pub(super) fn keep() {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    // That of the library would be the build folder of any Rust project a run happens to stand in.
    if matches!(config.environment.path, CacheConfig::Target) {
        config.environment.path = CacheConfig::Global;
    }
    // Kernels are kept by the identity of the program. Without one, those of another version would be taken.
    config.compilation.cache = buildid::build_id().is_some();
    CubeClRuntimeConfig::try_set(config);
}

#[cfg(test)]
mod tests {
    use cubecl::environment::{Namespace, Store, StoreOptions};

    use crate::model::Compute;

    #[test]
    fn what_kernel_devices_find_out_is_kept_outside_the_project() {
        if Compute::of_kernels().is_none() {
            return;
        }
        let namespace = "headprof/test";
        let options = StoreOptions::new().storage(Namespace::new(namespace));
        Store::<u8, u8>::new(options).insert(3, 9).unwrap();
        let kept = cubecl::environment::namespaces();
        assert!(kept.iter().any(|space| space.namespace.ends_with(namespace)), "{kept:?}");
        let file = cubecl::environment::path();
        assert!(file.is_file(), "{}", file.display());
        assert!(!file.starts_with(env!("CARGO_MANIFEST_DIR")), "{}", file.display());
    }
}
