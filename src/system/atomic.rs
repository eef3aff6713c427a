//! The one way in which headprof writes a whole file: complete under its name, or not at all.

use crate::error::{Error, Result};
use std::io::{self, Write};
use std::path::Path;

/// Writes `bytes` to `path`: a temporary file in the same folder, fsync, rename, fsync of the
/// folder. Whoever reads `path`, also after a crash, sees the old file or the new one.
///
/// # Errors
/// [`Error::Resources`] naming `path` if the folder is missing or not writable, or the disk full.
/// `path` is then as it was, and no temporary file is left.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).map_err(|e| {
        Error::resources("a file could not be written")
            .at(path.display())
            .got(&e)
            .expected(format!("{} bytes in a folder that can be written to", bytes.len()))
            .advice(match e.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some disk space, or write to another disk"
                }
                io::ErrorKind::NotFound => "create the folder first",
                _ => "check the permissions of the folder, or choose another output folder",
            })
    })
}

/// Creates `folder` where it is missing and tries it by writing to it.
///
/// # Errors
/// [`Error::Usage`] naming the folder that cannot be used.
pub fn usable_folder(folder: &Path) -> Result<()> {
    let tried = std::fs::create_dir_all(folder).and_then(|()| {
        tempfile::Builder::new().prefix(".headprof-").suffix(".tmp").tempfile_in(folder)
    });
    tried.map(drop).map_err(|e| {
        Error::usage("the output folder cannot be written to")
            .at(folder.display())
            .got(if folder.is_file() { "a file".to_owned() } else { e.to_string() })
            .expected("a folder with the right to write, or a place to create it")
            .advice("choose another folder with --out")
    })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"));
    }
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".headprof-").suffix(".tmp");
    // A temporary file is private by default; a result should be as readable as any new file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    // The rename itself is only durable once the folder is; other systems cannot open folders.
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
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
