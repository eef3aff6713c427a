//! Models in several files, `NAME-00001-of-00003.gguf`, as `llama-gguf-split` cuts them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anamnesis::GgufMetadataValue;

use super::metadata::whole;
use crate::error::{Error, Result};

/// Digits of the number and of the count.
const DIGITS: usize = 5;

/// The stem of the name of one file of several, its number from 1, and how many they are.
pub(super) fn stem(name: &str) -> Option<(&str, usize, usize)> {
    let (rest, count) = name.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(number) || !digits(count) {
        return None;
    }
    let (number, count) = (number.parse().ok()?, count.parse().ok()?);
    (1..=count).contains(&number).then_some((stem, number, count))
}

/// The names of all files that `name`, with its `.gguf`, is one of.
pub(crate) fn siblings(name: &str) -> Vec<String> {
    match name.strip_suffix(".gguf").and_then(stem) {
        Some((stem, _, count)) => {
            (1..=count).map(|i| format!("{stem}-{i:05}-of-{count:05}.gguf")).collect()
        }
        None => vec![name.to_owned()],
    }
}

/// The files of the model that `path` is a file of, in order.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = siblings(&name);
    if names.len() == 1 {
        return Ok(vec![path.to_owned()]);
    }
    let files: Vec<PathBuf> = names.iter().map(|name| path.with_file_name(name)).collect();
    match files.iter().find(|file| !file.is_file()) {
        None => Ok(files),
        Some(missing) => Err(Error::model("a part of the model is missing")
            .at(missing.display())
            .got("no such file")
            .expected(format!("{} files beside one another", files.len()))
            .advice("download all parts into one folder")),
    }
}

/// Checks that `file` is the part number `i`, from 0, of `count`.
pub(super) fn check(
    metadata: &HashMap<String, GgufMetadataValue>,
    i: usize,
    count: usize,
    file: &Path,
) -> Result<()> {
    let number = |key: &str| metadata.get(key).and_then(whole);
    let got = (number("split.no"), number("split.count"));
    match got == (Some(i as u64), Some(count as u64)) {
        true => Ok(()),
        false => Err(Error::model("a part of the model is not the one that its name says")
            .at(file.display())
            .got(format!("split.no {:?}, split.count {:?}", got.0, got.1))
            .expected(format!("split.no {i} of {count}"))
            .advice("download the parts again, and keep their names")),
    }
}

/// Checks that all tensors are there that the first part says there are.
pub(super) fn check_count(
    metadata: &HashMap<String, GgufMetadataValue>,
    tensors: usize,
    path: &Path,
) -> Result<()> {
    let count = metadata.get("split.count").and_then(whole).unwrap_or(1);
    let all = metadata.get("split.tensors.count").and_then(whole);
    match all.filter(|all| *all != tensors as u64) {
        None => Ok(()),
        Some(all) => Err(Error::model("the model file holds a part of its tensors")
            .at(path.display())
            .got(format!("{tensors} tensors"))
            .expected(format!("{all}, in {count} files"))
            .advice("keep the parts' names, -00001-of-000NN.gguf, and name the first")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts() {
        assert_eq!(stem("a-b-00002-of-00003"), Some(("a-b", 2, 3)));
        for name in ["a", "a-2-of-3", "a-00004-of-00003", "a-00000-of-00003", "a-0000x-of-00003"] {
            assert_eq!(stem(name), None, "{name}");
        }
        assert_eq!(
            siblings("m-00002-of-00002.gguf"),
            ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
        );
        assert_eq!(siblings("m.gguf"), ["m.gguf"]);
    }
}
