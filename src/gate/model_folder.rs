//! [`ModelFolder`]: the files of an embedding model.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::hub::contents::{EMBEDDING_FILES, ONNX};

/// An embedding model, read.
pub struct ModelFolder {
    /// Where it is.
    pub dir: PathBuf,
    /// The graph with its weights.
    pub onnx: Vec<u8>,
    /// What is in [`EMBEDDING_FILES`], in their order.
    pub tokenizer: [Vec<u8>; EMBEDDING_FILES.len()],
}

impl ModelFolder {
    /// Reads all files.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file.
    pub fn read(dir: &Path) -> Result<Self> {
        Self::check(dir, true)?;
        let mut tokenizer: [Vec<u8>; EMBEDDING_FILES.len()] = Default::default();
        for (content, name) in tokenizer.iter_mut().zip(EMBEDDING_FILES) {
            *content = read(&dir.join(name))?;
        }
        Ok(Self { dir: dir.to_owned(), onnx: read(&dir.join(ONNX))?, tokenizer })
    }

    /// Checks that the files are there, the graph only if `weights`.
    ///
    /// # Errors
    /// [`Error::Model`] naming what is missing.
    pub fn check(dir: &Path, weights: bool) -> Result<()> {
        if !dir.is_dir() {
            return Err(Error::model("there is no such folder of an embedding model")
                .at(format!("--gate-model {}", dir.display()))
                .got(if dir.exists() { "a file" } else { "nothing" })
                .expected(format!("a folder with {}", all()))
                .advice(
                    "check the path; or an id of the Hugging Face hub, ORG/NAME or \
                     ORG/NAME@REVISION",
                ));
        }
        let wanted = EMBEDDING_FILES.into_iter().chain(weights.then_some(ONNX));
        let missing: Vec<&str> = wanted.filter(|name| !dir.join(name).is_file()).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Error::model("the folder of the embedding model is not complete")
                .at(dir.display())
                .got(format!("no {}", missing.join(", no ")))
                .expected(all())
                .advice(
                    "`hf download Qdrant/all-MiniLM-L6-v2-onnx --local-dir DIR` makes such a folder",
                )),
        }
    }
}

fn all() -> String {
    format!("{} and {ONNX}", EMBEDDING_FILES.join(", "))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| {
        Error::model("a file of the embedding model cannot be read").at(path.display()).got(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let says = |result: Result<()>, parts: &[&str]| {
            let e = result.unwrap_err();
            assert_eq!(e.exit_code(), 4);
            parts.iter().for_each(|part| assert!(e.to_string().contains(part), "{part}: {e}"));
        };
        says(
            ModelFolder::check(Path::new("/no/such"), true),
            &["--gate-model /no/such", "nothing"],
        );
        for name in EMBEDDING_FILES {
            fs::write(dir.path().join(name), name).unwrap();
        }
        // Enough for who does not want the weights.
        ModelFolder::check(dir.path(), false).unwrap();
        says(ModelFolder::check(dir.path(), true), &["no model.onnx", "hf download"]);
        fs::write(dir.path().join(ONNX), "onnx").unwrap();
        let read = ModelFolder::read(dir.path()).unwrap();
        assert_eq!(read.onnx, b"onnx");
        assert_eq!(read.tokenizer.map(|c| String::from_utf8(c).unwrap()), EMBEDDING_FILES);
        for name in ["tokenizer.json", "special_tokens_map.json"] {
            fs::remove_file(dir.path().join(name)).unwrap();
        }
        let names = ["no tokenizer.json, no special_tokens_map.json"];
        says(ModelFolder::check(dir.path(), false), &names);
        let file = dir.path().join(ONNX);
        says(ModelFolder::read(&file).map(drop), &["a file"]);
    }
}
