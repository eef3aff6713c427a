//! Which files a folder of data has.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Folders within folders that are looked into.
const DEEPEST: usize = 4;

/// What the files of a folder are called.
const EXTENSION: &str = "jsonl";

/// `path` itself if it is a file; of a folder all `.jsonl` files in it and below it, by their
/// paths. At least one.
///
/// # Errors
/// [`Error::Data`] naming the folder, if it cannot be read or has no such file.
pub fn data_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let files = files_below(path, &|file| file.extension().is_some_and(|e| e == EXTENSION))?;
    match files.is_empty() {
        false => Ok(files),
        true => Err(Error::data("the folder has no data in it")
            .at(path.display())
            .got("no .jsonl file")
            .expected("JSON lines as they are distributed, in files that end with .jsonl")
            .advice("name a file in another form, such as .json or .arrow, itself")),
    }
}

/// The files in a folder and below it that are wanted, by their paths.
///
/// # Errors
/// [`Error::Data`] naming the folder that cannot be read.
pub fn files_below(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(folder, DEEPEST, wanted, &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(
    folder: &Path,
    depth: usize,
    wanted: &dyn Fn(&Path) -> bool,
    files: &mut Vec<PathBuf>,
) -> Result<()> {
    let unreadable = |e: std::io::Error| {
        Error::data("the folder cannot be read").at(folder.display()).got(e).expected("data files")
    };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, wanted, files)?;
            }
        } else if wanted(&path) {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_a_folder_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let e = data_files(root).unwrap_err();
        assert_eq!(e.exit_code(), 3);
        assert!(e.to_string().contains("no .jsonl file"), "{e}");
        std::fs::create_dir(root.join("4096")).unwrap();
        for name in ["b.jsonl", "4096/a.jsonl", "readme.md"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        assert_eq!(data_files(root).unwrap(), [root.join("4096/a.jsonl"), root.join("b.jsonl")]);
        assert_eq!(data_files(&root.join("readme.md")).unwrap(), [root.join("readme.md")]);
    }
}
