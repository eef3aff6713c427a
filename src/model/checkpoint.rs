//! `model.safetensors`, or shards with an index, from a folder or from memory.
//!
//! The file's length is checked against its header before any tensor is touched; files are mapped,
//! so that only the tensor being converted needs memory of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Component, Path, PathBuf};

use burn::prelude::*;
use burn::tensor::DType;
use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, SafeTensors, TensorInfo};
use sha2::{Digest, Sha256};

use super::decoder::WeightSource;
use crate::error::{Error, Result};

/// The bytes of one safetensors file.
enum Bytes {
    Mapped(Mmap),
    Embedded(&'static [u8]),
    Owned(Vec<u8>),
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Embedded(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// One safetensors file with its parsed header.
struct Shard {
    place: String,
    bytes: Bytes,
    data_start: usize,
    metadata: Metadata,
}

/// All tensors of a checkpoint, read one at a time.
pub struct Checkpoint {
    shards: Vec<Shard>,
    /// Tensor name → shard.
    index: BTreeMap<String, usize>,
    used: BTreeSet<String>,
    device: Device,
    dtype: DType,
    /// What tensor shapes are checked against, for messages.
    config_place: String,
}

impl Checkpoint {
    /// Opens the checkpoint in `dir`; tensors will be made on `device` in `dtype`.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file, and the tensor where there is one.
    pub fn open(dir: &Path, device: &Device, dtype: DType) -> Result<Self> {
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
        let shards = files.iter().map(|file| Shard::map(file)).collect::<Result<Vec<_>>>()?;
        Self::new(shards, device, dtype, dir.join("config.json").display().to_string())
    }

    /// A checkpoint that is part of the program.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn embedded(
        bytes: &'static [u8],
        name: &str,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        let shard = Shard::parse(Bytes::Embedded(bytes), format!("{name}/model.safetensors"))?;
        Self::new(vec![shard], device, dtype, format!("{name}/config.json"))
    }

    /// A checkpoint in memory, for models that are set by construction.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn in_memory(bytes: Vec<u8>, name: &str, device: &Device, dtype: DType) -> Result<Self> {
        let shard = Shard::parse(Bytes::Owned(bytes), format!("{name}/model.safetensors"))?;
        Self::new(vec![shard], device, dtype, format!("{name}/config.json"))
    }

    fn new(shards: Vec<Shard>, device: &Device, dtype: DType, config_place: String) -> Result<Self> {
        let mut index = BTreeMap::new();
        for (i, shard) in shards.iter().enumerate() {
            for name in shard.metadata.tensors().into_keys() {
                if let Some(other) = index.insert(name.clone(), i) {
                    return Err(Error::model(format!("tensor {name} is stored twice"))
                        .at(format!("{} and {}", shards[other].place, shard.place)));
                }
            }
        }
        let used = BTreeSet::new();
        Ok(Self { shards, index, used, device: device.clone(), dtype, config_place })
    }

    /// SHA-256 over all files in order, hexadecimal.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        self.shards.iter().for_each(|shard| hash.update(shard.bytes.as_ref()));
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Size of the weights on disk, in bytes.
    pub fn file_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.bytes.as_ref().len()).sum()
    }

    /// Names of the tensors that no layer asked for.
    pub fn unused(&self) -> Vec<&str> {
        let old = |name: &str| name.ends_with("rotary_emb.inv_freq");
        let names = self.index.keys().map(String::as_str);
        names.filter(|name| !self.used.contains(*name) && !old(name)).collect()
    }

    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        transpose: bool,
    ) -> Result<TensorData> {
        let Some(&shard) = self.index.get(name) else {
            return Err(Error::model(format!("the checkpoint lacks tensor {name}"))
                .at(self.place())
                .got(format!("{} other tensors, among them {}", self.index.len(), self.some_names()))
                .expected(format!("{name} of shape {shape:?}, from {}", self.config_place)));
        };
        let shard = &self.shards[shard];
        let Some(info) = shard.metadata.info(name) else {
            return Err(Error::bug(format!("tensor {name} has no header entry")));
        };
        if info.shape != shape {
            return Err(Error::model(format!("tensor {name} has another shape than the configuration"))
                .at(&shard.place)
                .got(format!("{:?}", info.shape))
                .expected(format!("{shape:?} from {}", self.config_place))
                .advice("take config.json and the weights from the same download"));
        }
        self.used.insert(name.to_owned());
        let (from, to) = info.data_offsets;
        let raw = &shard.bytes.as_ref()[shard.data_start + from..shard.data_start + to];
        let convert = |values: Vec<f32>| -> Vec<f32> {
            match transpose && D == 2 {
                true => transposed(&values, shape[0], shape[1]),
                false => values,
            }
        };
        let values = convert(to_f32(raw, info, name, &shard.place)?);
        let shape: Vec<usize> = match transpose && D == 2 {
            true => vec![shape[1], shape[0]],
            false => shape.to_vec(),
        };
        Ok(TensorData::new(values, shape))
    }

    fn make<const D: usize>(&self, data: TensorData) -> Tensor<D> {
        let options = (&self.device, self.dtype);
        Tensor::from_data(data.convert_dtype(self.dtype), options)
    }

    fn place(&self) -> String {
        match self.shards.len() {
            1 => self.shards[0].place.clone(),
            n => format!("{n} shards beside {}", self.config_place),
        }
    }

    fn some_names(&self) -> String {
        self.index.keys().take(3).cloned().collect::<Vec<_>>().join(", ")
    }
}

impl WeightSource for Checkpoint {
    fn matrix(&mut self, name: &str, shape: [usize; 2], transpose: bool) -> Result<Tensor<2>> {
        let data = self.tensor(name, shape, transpose)?;
        Ok(self.make(data))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Tensor<1>> {
        let data = self.tensor(name, [len], false)?;
        Ok(self.make(data))
    }
}

impl Shard {
    fn map(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let failed = |e: std::io::Error| {
            Error::model("the weights cannot be read").at(&place).got(e)
        };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() == 0 {
            return Err(Error::model("the weights file is empty").at(&place).got("0 bytes"));
        }
        // SAFETY: the map is read-only. If another process shortens the file meanwhile, reading
        // beyond its new end ends this process, as for every memory-mapped checkpoint loader.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Self::parse(Bytes::Mapped(map), place)
    }

    fn parse(bytes: Bytes, place: String) -> Result<Self> {
        let (header, metadata) = SafeTensors::read_metadata(bytes.as_ref())
            .map_err(|e| header_error(&e, bytes.as_ref()).at(&place))?;
        Ok(Self { data_start: 8 + header, place, bytes, metadata })
    }
}

/// A sentence for what is wrong with a header; sizes where they tell something.
fn header_error(error: &SafeTensorError, bytes: &[u8]) -> Error {
    let advice = "download the file again; compare its size with the hub's";
    let model = |what: &str| Error::model(what.to_owned()).advice(advice);
    let header_bytes = bytes.first_chunk().map(|first| u64::from_le_bytes(*first));
    match error {
        SafeTensorError::HeaderTooSmall => model("the weights file is cut off")
            .got(format!("{} bytes", bytes.len()))
            .expected("at least 8 bytes of header length"),
        SafeTensorError::HeaderTooLarge => model("the weights file's header is too large")
            .got(format!("{} bytes of header", header_bytes.unwrap_or(0)))
            .expected("at most 100000000 bytes"),
        SafeTensorError::InvalidHeaderLength => model("the weights file is cut off in its header")
            .got(format!("{} bytes", bytes.len()))
            .expected(format!("8 + {} bytes of header", header_bytes.unwrap_or(0))),
        SafeTensorError::MetadataIncompleteBuffer => {
            let (end, start) = declared_end(bytes).unwrap_or((0, 0));
            model("the weights file's length does not match its header")
                .got(format!("{} bytes", bytes.len()))
                .expected(format!("{} bytes", end.saturating_add(start)))
        }
        SafeTensorError::InvalidOffset(name) => {
            model(&format!("tensor {name} overlaps another or leaves a hole"))
                .expected("data offsets that follow one another")
        }
        SafeTensorError::TensorInvalidInfo => {
            model("a tensor's shape does not match its number of bytes")
        }
        SafeTensorError::ValidationOverflow => {
            model("a tensor's shape is larger than any memory")
        }
        other => model("the weights file is not a safetensors file").got(other),
    }
}

/// Largest data offset that the header declares, and where data starts.
fn declared_end(bytes: &[u8]) -> Option<(u64, u64)> {
    let header = u64::from_le_bytes(*bytes.first_chunk()?);
    let json = bytes.get(8..usize::try_from(header).ok()?.checked_add(8)?)?;
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).ok()?;
    let end = map.values().filter_map(|t| t.get("data_offsets")?.get(1)?.as_u64()).max()?;
    Some((end, header.checked_add(8)?))
}

/// The shard files that an index names, each once, all inside the folder.
fn shard_files(dir: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let place = index.display().to_string();
    let wrong = |what: &str| Error::model(what.to_owned()).at(&place);
    let text = std::fs::read(index).map_err(|e| wrong("the index cannot be read").got(e))?;
    let json: serde_json::Value =
        serde_json::from_slice(&text).map_err(|e| wrong("the index is not JSON").got(e))?;
    let map = json.get("weight_map").and_then(|m| m.as_object());
    let map = map.ok_or_else(|| wrong("the index has no weight_map").expected("an object"))?;
    let mut names = BTreeSet::new();
    for (tensor, file) in map {
        let name = file.as_str().ok_or_else(|| {
            wrong("a shard has no file name").at(format!("{place}: weight_map.{tensor}")).got(file)
        })?;
        names.insert(name);
    }
    if names.is_empty() {
        return Err(wrong("the index names no file").expected("at least one shard"));
    }
    names.into_iter().map(|name| shard_path(dir, name, &place)).collect()
}

/// The path of one shard. A name that leads out of the folder is refused unopened; links may lead
/// to the `blobs` beside `snapshots`, as in the cache of the Hugging Face hub.
fn shard_path(dir: &Path, name: &str, place: &str) -> Result<PathBuf> {
    let refused = |got: String| {
        Error::model("a shard lies outside the checkpoint's folder")
            .at(place)
            .got(got)
            .expected(format!("a file in {}", dir.display()))
    };
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    if !plain || name.contains(['/', '\\']) {
        return Err(refused(name.to_owned()));
    }
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
    if inside { Ok(path) } else { Err(refused(real.display().to_string())) }
}

/// The values of a tensor as f32.
fn to_f32(raw: &[u8], info: &TensorInfo, name: &str, place: &str) -> Result<Vec<f32>> {
    const LANE: usize = 1 << 16;
    fn map<const N: usize>(raw: &[u8], f: impl Fn([u8; N]) -> f32 + Sync) -> Vec<f32> {
        let mut out = vec![0f32; raw.len() / N];
        let chunks = out.par_chunks_mut(LANE).zip(raw.par_chunks(LANE * N));
        chunks.for_each(|(out, raw)| {
            for (value, bytes) in out.iter_mut().zip(raw.as_chunks::<N>().0) {
                *value = f(*bytes);
            }
        });
        out
    }
    match info.dtype {
        Dtype::F32 => Ok(map::<4>(raw, f32::from_le_bytes)),
        Dtype::BF16 => Ok(map::<2>(raw, |b| bf16::from_le_bytes(b).to_f32())),
        Dtype::F16 => Ok(map::<2>(raw, |b| f16::from_le_bytes(b).to_f32())),
        other => Err(Error::model(format!("tensor {name} has an unsupported type"))
            .at(place)
            .got(format!("{other:?}"))
            .expected("F32, BF16 or F16")),
    }
}

/// `[rows, columns]` → `[columns, rows]`, tile by tile so that both sides stay in the cache.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    const TILE: usize = 32;
    let mut out = vec![0f32; values.len()];
    out.par_chunks_mut(TILE * rows).enumerate().for_each(|(block, out)| {
        let first = block * TILE;
        let width = TILE.min(columns - first);
        for row_block in (0..rows).step_by(TILE) {
            for row in row_block..(row_block + TILE).min(rows) {
                let line = &values[row * columns + first..][..width];
                for (i, value) in line.iter().enumerate() {
                    out[i * rows + row] = *value;
                }
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposes_shapes_that_are_no_multiple_of_the_tile() {
        let (rows, columns) = (37, 70);
        let values: Vec<f32> = (0..rows * columns).map(|v| v as f32).collect();
        let out = transposed(&values, rows, columns);
        for r in 0..rows {
            for c in 0..columns {
                assert_eq!(out[c * rows + r], values[r * columns + c]);
            }
        }
    }

    #[test]
    fn refuses_shards_outside_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../x.safetensors", "/etc/hostname", "a/b.safetensors", "..", ""] {
            let e = shard_path(dir.path(), name, "index.json").unwrap_err();
            assert_eq!(e.exit_code(), 4);
            assert!(e.to_string().contains("outside"), "{name}: {e}");
        }
    }
}
