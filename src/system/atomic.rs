//! The one way in which headprof writes a whole file: complete under its name, or not at all.

use crate::error::{Error, Result};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path`: a temporary file in the same folder, fsync, rename, fsync of the
/// folder. Whoever reads `path`, also after a crash, sees the old file or the new one.
///
/// # Errors
/// [`Error::Resources`] naming `path` if the folder is missing or not writable, or the disk full.
/// `path` is then as it was, and no temporary file is left.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).map_err(|e| not_written(path, bytes, &e))
}

/// The same where nothing is at `path` yet; whether it was written. Of several that try at the same
/// time one does.
///
/// # Errors
/// As [`write()`].
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<bool> {
    let written = temporary(path, bytes).and_then(|file| match file.persist_noclobber(path) {
        Ok(_) => durable(path).map(|()| true),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e.error),
    });
    written.map_err(|e| not_written(path, bytes, &e))
}

/// Folders that were made for a run. When this is dropped, those go away again that are empty.
#[derive(Debug, Default)]
#[must_use]
pub struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Them, the innermost first.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.0.iter().rev().cloned()
    }

    /// Makes `folder` and what is missing above it.
    fn make(folder: &Path) -> io::Result<Self> {
        let above = folder.ancestors().filter(|p| !p.as_os_str().is_empty());
        let mut missing: Vec<PathBuf> =
            above.take_while(|p| !p.exists()).map(Path::to_owned).collect();
        std::fs::create_dir_all(folder)?;
        missing.iter().try_for_each(|made| durable(made))?;
        missing.reverse();
        Ok(Self(missing))
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        // Those that hold something stay.
        self.0.iter().rev().for_each(|folder| drop(std::fs::remove_dir(folder)));
    }
}

/// Creates `folders` where they are missing and tries each by writing to it.
///
/// # Errors
/// As [`usable_folder()`].
pub fn usable_folders<const N: usize>(folders: [&Path; N]) -> Result<MadeFolders> {
    let mut all = MadeFolders::default();
    for folder in folders {
        all.0.append(&mut usable_folder(folder)?.0);
    }
    Ok(all)
}

/// Creates `folder` where it is missing and tries it by writing to it.
///
/// # Errors
/// [`Error::Usage`] naming the folder that cannot be used.
pub fn usable_folder(folder: &Path) -> Result<MadeFolders> {
    let tried = MadeFolders::make(folder).and_then(|made| {
        let mut file = tempfile::Builder::new();
        file.prefix(".headprof-").suffix(".tmp").tempfile_in(folder).map(|_| made)
    });
    tried.map_err(|e| {
        Error::usage("the output folder cannot be written to")
            .at(folder.display())
            .got(if folder.is_file() { "a file".to_owned() } else { e.to_string() })
            .expected("a folder with the right to write, or a place to create it")
            .advice("choose another folder with --out")
    })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    temporary(path, bytes)?.persist(path).map_err(|e| e.error)?;
    durable(path)
}

/// A file with all of `bytes` on disk in the folder that `path` is in.
fn temporary(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    if path.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".headprof-").suffix(".tmp");
    // A temporary file is private by default; a result should be as readable as any new file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Waits until the name `path` is on disk: a new one is only once its folder is. Other systems
/// cannot open folders.
///
/// # Errors
/// Of the file system.
pub fn durable(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    std::fs::File::open(folder_of(path))?.sync_all()?;
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn not_written(path: &Path, bytes: &[u8], e: &io::Error) -> Error {
    Error::resources("a file could not be written")
        .at(path.display())
        .got(e)
        .expected(format!("{} bytes in a folder that can be written to", bytes.len()))
        .advice(match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some disk space, or write to another disk"
            }
            io::ErrorKind::NotFound => "create the folder first",
            _ => "check the permissions of the folder, or choose another output folder",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn writes_and_replaces_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write(&path, b"one, which is longer").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    #[test]
    fn what_is_there_is_not_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        assert_eq!(write_new(&path, b"one"), Ok(true));
        assert_eq!(write_new(&path, b"two"), Ok(false));
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(names(dir.path()), ["plan.json"]);
        let e = write_new(&dir.path().join("no/plan.json"), b"x").unwrap_err();
        assert_eq!(e.exit_code(), 5);
    }

    #[test]
    fn folders_that_stay_empty_go_away_again() {
        let dir = tempfile::tempdir().unwrap();
        let (out, deep) = (dir.path().join("out"), dir.path().join("out/a/b"));
        drop(usable_folder(&deep).unwrap());
        assert!(!out.exists());
        let made = usable_folder(&deep).unwrap();
        std::fs::write(out.join("a/result"), b"x").unwrap();
        drop(made);
        assert_eq!(names(&out.join("a")), ["result"]);
        // What was there before stays, also if it is empty.
        std::fs::remove_file(out.join("a/result")).unwrap();
        drop(usable_folder(&out.join("a")).unwrap());
        assert!(out.join("a").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_result_has_the_permissions_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plain"), b"").unwrap();
        write(&dir.path().join("ours"), b"").unwrap();
        let mode = |n: &str| dir.path().join(n).metadata().unwrap().permissions().mode();
        assert_eq!(mode("ours"), mode("plain"));
    }

    #[test]
    fn a_missing_folder_is_named_and_costs_exit_code_5() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nowhere").join("a.json");
        let e = write(&path, b"x").unwrap_err();
        assert_eq!(e.exit_code(), 5);
        assert!(e.to_string().contains("a.json"), "{e}");
        assert!(e.to_string().contains("create the folder first"), "{e}");
    }

    #[test]
    fn a_failed_rename_leaves_the_target_and_no_temporary_file() {
        // A folder that is not empty cannot be replaced by a file: the last step fails.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("kept"), b"k").unwrap();
        assert_eq!(write(&path, b"x").unwrap_err().exit_code(), 5);
        assert_eq!(names(dir.path()), ["taken"]);
        assert_eq!(names(&path), ["kept"]);
    }

    #[test]
    fn a_path_without_a_file_name_is_an_error() {
        assert_eq!(write(Path::new("/"), b"x").unwrap_err().exit_code(), 5);
    }
}
