//! ONNX Runtime, loaded: once in a process, of which it can have one.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::LoadDynamicError;
use ort::environment::Environment;

use super::onnxruntime::{OLDEST_VERSION, RuntimePlaces};
use super::semantic::RuntimeIdentity;
use crate::error::Result;
use crate::system::panics::caught;

/// The library and what sessions need of it.
#[derive(Clone)]
pub(super) struct Runtime {
    /// For sessions.
    pub environment: Environment,
    /// For the record.
    pub identity: RuntimeIdentity,
}

static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

/// Loads the library from one of `places`. Once that has succeeded, it is the same for the rest of
/// the process, whatever `places` says: a process cannot have two.
///
/// # Errors
/// As [`RuntimePlaces::find`].
pub(super) fn load(places: &RuntimePlaces) -> Result<Runtime> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*loaded {
        return Ok(runtime.clone());
    }
    let (library, environment) = places.find(open)?;
    let runtime = Runtime { environment, identity: identity(library) };
    Ok(loaded.insert(runtime).clone())
}

/// An environment of the library at `path`. What it does when it is asked for its version is up to
/// the library, so panics are errors, too.
fn open(path: &Path) -> std::result::Result<Environment, String> {
    caught(|| {
        let builder = ort::init_from(path).map_err(|e| reason(&e))?;
        let environment = builder.with_name("headprof").with_telemetry(false).build();
        environment.map_err(|e| e.to_string())
    })
    .unwrap_or_else(Err)
}

/// Why a library is not taken, without its path.
fn reason(e: &LoadDynamicError) -> String {
    match e {
        LoadDynamicError::Dlopen { error, .. } => {
            error.source().map_or_else(|| error.to_string(), ToString::to_string)
        }
        LoadDynamicError::MissingApi { .. } => {
            "a library, but not ONNX Runtime: it has no OrtGetApiBase".to_owned()
        }
        LoadDynamicError::InvalidVersionString => "its version cannot be read".to_owned(),
        LoadDynamicError::BadVersion { version_str, .. } => {
            format!("its version is {version_str}, older than {OLDEST_VERSION}")
        }
    }
}

/// What is known of the library that was loaded. It tells the second part of its version and its
/// commit; the third part it keeps to itself.
fn identity(library: PathBuf) -> RuntimeIdentity {
    RuntimeIdentity {
        version: ort::util::probe(&library).map(|minor| format!("1.{minor}")),
        build: ort::info().trim_start_matches("ORT Build Info:").trim().to_owned(),
        library: library.display().to_string(),
    }
}
