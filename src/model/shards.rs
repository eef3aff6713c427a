//! Which files a checkpoint consists of, by `model.safetensors.index.json` where there is one, and
//! which it may not.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use burn::tensor::DType;

use super::weights_file::{Encoding, WeightsFile};
use crate::error::{Error, Result};
use crate::system::text::without_bom;

/// The files of weights in `dir`, with their headers.
pub(super) fn opened(dir: &Path) -> Result<Vec<WeightsFile>> {
    let single = dir.join("model.safetensors");
    let index = dir.join("model.safetensors.index.json");
    let files = if single.exists() {
        vec![single]
    } else if index.exists() {
        shard_files(dir, &index)?
    } else {
        return Err(Error::model("the folder holds no weights")
            .at(dir.display())
            .expected("model.safetensors or model.safetensors.index.json")
            .advice("convert other formats with transformers: save_pretrained(..., safe_serialization=True)"));
    };
    files.iter().map(|file| WeightsFile::open(file)).collect()
}

/// The widest type that a matrix in `dir` was saved in; `None` where there are none, or damaged
/// ones: whoever loads them will say so.
pub(super) fn saved_type(dir: &Path) -> Option<DType> {
    widest(&opened(dir).ok()?)
}

/// The widest type that a matrix of `files` is read in.
pub(super) fn widest(files: &[WeightsFile]) -> Option<DType> {
    let matrices = files.iter().flat_map(|file| file.tensors.values());
    let types =
        matrices.filter(|stored| stored.shape.len() == 2).map(|stored| match stored.encoding {
            Encoding::F16 => DType::F16,
            Encoding::Bf16 => DType::BF16,
            _ => DType::F32,
        });
    types.max_by_key(|dtype| dtype.size())
}

/// The shard files that an index names, each once, all inside the folder.
fn shard_files(dir: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let place = index.display().to_string();
    let text = std::fs::read(index)
        .map_err(|e| Error::model("the index cannot be read").at(&place).got(e))?;
    shard_names(&text, &place)?.iter().map(|name| shard_path(dir, name, &place)).collect()
}

/// The names of the shards in the text of an index, each once, ascending. One that leads out of the
/// folder is refused.
///
/// # Errors
/// [`Error::Model`] at `place`.
pub(crate) fn shard_names(text: &[u8], place: &str) -> Result<Vec<String>> {
    let wrong = |what: &str| Error::model(what.to_owned()).at(place);
    let json: serde_json::Value = serde_json::from_slice(without_bom(text))
        .map_err(|e| wrong("the index is not JSON").got(e))?;
    let map = json.get("weight_map").and_then(|m| m.as_object());
    let map = map.ok_or_else(|| wrong("the index has no weight_map").expected("an object"))?;
    let mut names = BTreeSet::new();
    for (tensor, file) in map {
        let name = file.as_str().ok_or_else(|| {
            wrong("a shard has no file name").at(format!("{place}: weight_map.{tensor}")).got(file)
        })?;
        names.insert(name.trim_start_matches("./"));
    }
    if names.is_empty() {
        return Err(wrong("the index names no file").expected("at least one shard"));
    }
    match names.iter().find(|name| !is_plain(name)) {
        Some(name) => Err(outside(name, place)),
        None => Ok(names.into_iter().map(str::to_owned).collect()),
    }
}

/// Whether `name` is that of a file in a folder, and no path.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let one = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    one && !name.contains(['/', '\\'])
}

fn outside(got: &str, place: &str) -> Error {
    Error::model("a shard lies outside the checkpoint's folder")
        .at(place)
        .got(got)
        .expected("the name of a file beside the index")
}

/// The path of one shard. Links may lead to the `blobs` beside `snapshots`, as in the cache of the
/// Hugging Face hub.
fn shard_path(dir: &Path, name: &str, place: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    let missing = |e: std::io::Error| {
        Error::model("a shard that the index names is missing")
            .at(path.display())
            .got(e)
            .advice("download the whole checkpoint")
    };
    let root = dir.canonicalize().map_err(missing)?;
    let real = path.canonicalize().map_err(missing)?;
    let blobs = root
        .parent()
        .filter(|parent| parent.file_name().is_some_and(|n| n == "snapshots"))
        .and_then(Path::parent)
        .map(|model| model.join("blobs"));
    let inside = real.starts_with(&root) || blobs.is_some_and(|blobs| real.starts_with(blobs));
    if inside { Ok(path) } else { Err(outside(&real.display().to_string(), place)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_shards_outside_the_folder() {
        for name in ["../x.safetensors", "/etc/hostname", "a/b.safetensors", "..", "", "a\\b"] {
            let index = serde_json::json!({"weight_map": {"t": name, "u": "good"}}).to_string();
            let e = shard_names(index.as_bytes(), "index.json").unwrap_err();
            assert_eq!(e.exit_code(), 4);
            assert!(e.to_string().contains("outside"), "{name}: {e}");
        }
    }

    #[test]
    fn every_shard_is_named_once() {
        let index = br#"{"weight_map": {"a": "2.safetensors", "b": "./1.safetensors", "c": "./2.safetensors"}}"#;
        assert_eq!(shard_names(index, "i").unwrap(), ["1.safetensors", "2.safetensors"]);
    }
}
