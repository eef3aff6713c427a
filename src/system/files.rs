//! Files of a folder.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The files in `folder` whose names end with `end`, sorted; none where there is no such folder.
///
/// # Errors
/// [`Error::Data`] for a folder that cannot be read.
pub fn ending_with(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries,
    };
    let all = entries.and_then(|all| all.map(|entry| Ok(entry?.path())).collect());
    let mut all: Vec<PathBuf> = all.map_err(|e: std::io::Error| {
        Error::data("a folder of results cannot be read").at(folder.display()).got(e)
    })?;
    all.retain(|path| path.to_string_lossy().ends_with(end));
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_sorted_and_none_of_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.json", "a.json", "c.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = ending_with(dir.path(), ".json").unwrap();
        assert_eq!(found, ["a.json", "b.json"].map(|name| dir.path().join(name)));
        assert!(ending_with(&dir.path().join("nowhere"), "").unwrap().is_empty());
        assert_eq!(ending_with(&dir.path().join("c.txt"), "").unwrap_err().exit_code(), 3);
    }
}
