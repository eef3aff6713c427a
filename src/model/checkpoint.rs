//! `model.safetensors`, or shards with an index, from a folder or from memory.
//!
//! The file's length is checked against its header before any tensor is touched; files are mapped,
//! so that only the tensor being converted needs memory of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use burn::prelude::*;
use burn::tensor::DType;
use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};
use sha2::{Digest, Sha256};

use super::config::ModelConfig;
use super::decoder::WeightSource;
use super::layout;
use super::safetensors_error::header_error;
use super::shards::shard_files;
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
    /// Values are read, and those that are not finite refused, when a tensor is asked for.
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

    fn new(
        shards: Vec<Shard>,
        device: &Device,
        dtype: DType,
        config_place: String,
    ) -> Result<Self> {
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

    /// Checks names and shapes of all tensors against `config` before any is read.
    ///
    /// # Errors
    /// [`Error::Model`] that lists what is missing, or names the first tensor of another shape and
    /// the keys of `config.json` that its shape should come from.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        const LISTED: usize = 10;
        let expected = layout::tensors(config);
        let missing: Vec<&str> = expected
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !self.index.contains_key(*name))
            .collect();
        if !missing.is_empty() {
            let more = match missing.len().saturating_sub(LISTED) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            let listed = missing[..missing.len().min(LISTED)].join(", ");
            let present = match self.index.len() {
                0 => "no tensors".to_owned(),
                n => format!("{n} tensors, among them {}", self.some_names()),
            };
            return Err(Error::model(format!("the checkpoint lacks {} tensors", missing.len()))
                .at(self.place())
                .got(present)
                .expected(format!("also {listed}{more}, from {}", self.config_place))
                .advice("take config.json and all weights from the same download"));
        }
        for (name, sizes) in expected {
            let Some((place, info)) = self.index.get(&name).and_then(|shard| {
                let shard = &self.shards[*shard];
                Some((&shard.place, shard.metadata.info(&name)?))
            }) else {
                continue;
            };
            let shape: Vec<usize> = sizes.iter().map(|size| size.of(config)).collect();
            if info.shape != shape {
                let sources: Vec<String> = sizes.iter().map(|size| size.source(config)).collect();
                return Err(Error::model(format!("tensor {name} has another shape"))
                    .at(place)
                    .got(format!("{:?}", info.shape))
                    .expected(format!(
                        "{shape:?} from {}: {}",
                        self.config_place,
                        sources.join(", ")
                    ))
                    .advice("take config.json and the weights from the same download"));
            }
        }
        Ok(())
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
            return Err(
                Error::model(format!("the checkpoint lacks tensor {name}")).at(self.place())
            );
        };
        let shard = &self.shards[shard];
        let Some(info) = shard.metadata.info(name) else {
            return Err(Error::bug(format!("tensor {name} has no header entry")));
        };
        if info.shape != shape {
            return Err(Error::model(format!("tensor {name} has another shape"))
                .at(&shard.place)
                .got(format!("{:?}", info.shape))
                .expected(format!("{shape:?}")));
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
        let values = to_f32(raw, info, name, &shard.place)?;
        // Attention over a chunk may drop a score that is NaN instead of handing it on, so damage
        // in queries and keys need not reach the logits: it has to be found here.
        if let Some(at) = values.par_iter().position_first(|v| !v.is_finite()) {
            return Err(Error::model(format!("tensor {name} holds a number that is not finite"))
                .at(&shard.place)
                .got(format!("{} at element {at} of {}", values[at], values.len()))
                .expected("finite numbers")
                .advice("the weights are damaged; download them again"));
        }
        let values = convert(values);
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
        let failed =
            |e: std::io::Error| Error::model("the weights cannot be read").at(&place).got(e);
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() == 0 {
            return Err(Error::model("the weights file is empty")
                .at(&place)
                .got("0 bytes")
                .expected("a safetensors file of at least 8 bytes")
                .advice("download the file again"));
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
}
