//! Where the library ONNX Runtime is looked for, and what is said where it is not found.
//!
//! It is loaded when the program runs, and only for `--gate semantic`: its 30 MB are no part of
//! headprof. A library that the user names is taken or refused; another one is never taken in its
//! place.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The oldest version whose interface is the one that is used.
pub const OLDEST_VERSION: &str = "1.24";

/// The names of the library: what packages for developers have, then what others have.
pub const LIBRARY_NAMES: &[&str] = if cfg!(windows) {
    &["onnxruntime.dll"]
} else if cfg!(target_vendor = "apple") {
    &["libonnxruntime.dylib", "libonnxruntime.1.dylib"]
} else {
    &["libonnxruntime.so", "libonnxruntime.so.1"]
};

/// What Python's package has in `onnxruntime/capi`.
const IN_PYTHONS_PACKAGE: &str = if cfg!(windows) {
    "onnxruntime.dll"
} else if cfg!(target_vendor = "apple") {
    "libonnxruntime.*.dylib"
} else {
    "libonnxruntime.so.*"
};

/// Where the library may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimePlaces {
    /// `--onnxruntime`.
    pub option: Option<PathBuf>,
    /// `ORT_DYLIB_PATH`.
    pub variable: Option<PathBuf>,
    /// The folder of the program.
    pub program_dir: Option<PathBuf>,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// A file; or a name without a folder, which the system looks for in the folders of libraries.
    pub path: PathBuf,
    /// Why it is looked for there.
    pub from: &'static str,
}

impl RuntimePlaces {
    /// Reads the environment through `variable`; `program` is the path of the program, if known.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>, program: Option<PathBuf>) -> Self {
        Self {
            option: None,
            variable: variable("ORT_DYLIB_PATH").filter(|v| !v.is_empty()).map(PathBuf::from),
            program_dir: program.and_then(|path| path.parent().map(Path::to_owned)),
        }
    }

    /// The places in order: the named one alone, or else beside the program and the system's.
    pub fn candidates(&self) -> Vec<Candidate> {
        let named = [(&self.option, "--onnxruntime"), (&self.variable, "ORT_DYLIB_PATH")];
        if let Some((path, from)) =
            named.into_iter().find_map(|(p, from)| Some((p.as_ref()?, from)))
        {
            return vec![Candidate { path: located(path), from }];
        }
        let beside = self.program_dir.iter().flat_map(|dir| {
            LIBRARY_NAMES
                .iter()
                .map(|name| Candidate { path: dir.join(name), from: "beside headprof" })
        });
        let system = LIBRARY_NAMES
            .iter()
            .map(|name| Candidate { path: PathBuf::from(name), from: "the system's libraries" });
        beside.chain(system).collect()
    }

    /// The first place whose library `open` takes, and what it makes of it.
    ///
    /// # Errors
    /// [`Error::Model`] with every place, why each was not taken, and how to get the library.
    pub fn find<T>(
        &self,
        mut open: impl FnMut(&Path) -> std::result::Result<T, String>,
    ) -> Result<(PathBuf, T)> {
        let mut tried = Vec::new();
        for Candidate { path, from } in self.candidates() {
            let opened = match is_bare(&path) || path.exists() {
                true => open(&path),
                false => Err("no such file".to_owned()),
            };
            match opened {
                Ok(opened) => return Ok((path, opened)),
                Err(reason) => tried.push(format!("{} ({from}): {reason}", path.display())),
            }
        }
        Err(Error::model("the library ONNX Runtime, which --gate semantic needs, cannot be loaded")
            .got(tried.join("\n"))
            .expected(format!("ONNX Runtime {OLDEST_VERSION} or later"))
            .advice(format!(
                "`pip install onnxruntime`, and name the file onnxruntime/capi/{IN_PYTHONS_PACKAGE} \
                 of that package with --onnxruntime or ORT_DYLIB_PATH; or --gate rouge, which needs \
                 no library but is another gate"
            )))
    }
}

/// Whether `path` is a name without a folder.
fn is_bare(path: &Path) -> bool {
    path.parent().is_some_and(|dir| dir.as_os_str().is_empty())
}

/// `path` from the current folder, unless it is a bare name that is not there.
fn located(path: &Path) -> PathBuf {
    match is_bare(path) && !path.exists() {
        true => path.to_owned(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(_: &Path) -> std::result::Result<(), String> {
        Err("not this one".to_owned())
    }

    #[test]
    fn a_named_library_is_the_only_candidate_and_the_option_goes_first() {
        let variable = |name: &str| (name == "ORT_DYLIB_PATH").then(|| "/b/ort".into());
        let mut places = RuntimePlaces::read(variable, Some("/bin/headprof".into()));
        assert_eq!(
            places.candidates(),
            [Candidate { path: "/b/ort".into(), from: "ORT_DYLIB_PATH" }]
        );
        places.option = Some("/a/ort".into());
        assert_eq!(
            places.candidates(),
            [Candidate { path: "/a/ort".into(), from: "--onnxruntime" }]
        );
        // Refused, though the variable names another.
        let e = places.find(refuse).unwrap_err();
        assert_eq!(e.exit_code(), 4);
        assert!(e.to_string().contains("/a/ort (--onnxruntime): no such file"), "{e}");
        assert!(!e.to_string().contains("/b/ort"), "{e}");
    }

    #[test]
    fn else_it_is_looked_for_beside_the_program_and_then_by_the_system() {
        let empty = |_: &str| Some(OsString::new());
        let dir = tempfile::tempdir().unwrap();
        let places = RuntimePlaces::read(empty, Some(dir.path().join("headprof")));
        let paths: Vec<PathBuf> = places.candidates().into_iter().map(|c| c.path).collect();
        let beside: Vec<PathBuf> = LIBRARY_NAMES.iter().map(|n| dir.path().join(n)).collect();
        let system: Vec<PathBuf> = LIBRARY_NAMES.iter().map(PathBuf::from).collect();
        assert_eq!(paths, [&beside[..], &system].concat());

        // The last of the two that are beside the program is there, and is taken.
        let last = beside.last().unwrap();
        std::fs::write(last, "").unwrap();
        let mut opened = Vec::new();
        let found = places.find(|path| {
            opened.push(path.to_owned());
            Ok(7)
        });
        assert_eq!(found, Ok((last.clone(), 7)));
        assert_eq!(opened, std::slice::from_ref(last));
    }

    #[test]
    fn the_message_has_every_place_with_its_reason_and_what_to_do() {
        let places = RuntimePlaces { program_dir: Some("/no/such".into()), ..Default::default() };
        let text = places.find(refuse).unwrap_err().to_string();
        let beside = Path::new("/no/such").join(LIBRARY_NAMES[0]);
        for part in [
            format!("{} (beside headprof): no such file", beside.display()),
            format!("{} (the system's libraries): not this one", LIBRARY_NAMES[0]),
            format!("ONNX Runtime {OLDEST_VERSION} or later"),
            "pip install onnxruntime".to_owned(),
            format!("onnxruntime/capi/{IN_PYTHONS_PACKAGE}"),
            "--onnxruntime or ORT_DYLIB_PATH".to_owned(),
            "--gate rouge".to_owned(),
        ] {
            assert!(text.contains(&part), "no {part:?} in {text}");
        }
    }

    #[test]
    fn paths_are_seen_from_the_current_folder_and_bare_names_are_the_systems() {
        assert_eq!(located(Path::new("no-such-ort.so")), Path::new("no-such-ort.so"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(located(Path::new("a/ort.so")), here.join("a/ort.so"));
        // The package's folder is the current one of tests, and has this file.
        assert_eq!(located(Path::new("Cargo.toml")), here.join("Cargo.toml"));
    }
}
