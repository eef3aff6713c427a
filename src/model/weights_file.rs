//! [`WeightsFile`]: one file of weights, its header checked, its tensors read when wanted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Element;
use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, Metadata, SafeTensors};
use sha2::{Digest, Sha256};

use super::safetensors_error::header_error;
use crate::error::{Error, Result};
use crate::gguf::{BlockTensor, BlockType, Gguf, unpaired, widen};

/// Numbers that are read at a time, per thread; a multiple of every block's.
const LANE: usize = 1 << 16;
/// Bytes that are hashed at a time.
const HASHED: usize = 1 << 20;

/// Where the bytes are.
enum Bytes {
    /// On disk. Read piece by piece rather than mapped: what was read of a map counts as this
    /// process's memory, and a file that another process shortens would end this one.
    File(File),
    Embedded(&'static [u8]),
    Owned(Vec<u8>),
}

impl Bytes {
    /// The bytes from `offset` on, as many as `buffer` has; through `buffer` if they are not in
    /// memory.
    fn read<'a>(&'a self, offset: usize, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let within = |bytes: &'a [u8]| {
            bytes.get(offset..offset + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof.into())
        };
        match self {
            Self::Embedded(bytes) => within(bytes),
            Self::Owned(bytes) => within(bytes),
            Self::File(file) => {
                read_exact_at(file, buffer, offset as u64)?;
                Ok(buffer)
            }
        }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;

    while !buffer.is_empty() {
        match file.seek_read(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => (buffer, offset) = (&mut buffer[n..], offset + n as u64),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The numbers of a tensor, in the type that they were saved in.
#[derive(Debug, PartialEq)]
pub(super) enum Values {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

/// How the numbers of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    F32,
    F16,
    Bf16,
    /// In blocks of ggml, which are widened to f32.
    Blocks(BlockType),
    /// In a type of safetensors that weights are not read from.
    Unsupported(Dtype),
}

impl Encoding {
    fn of_safetensors(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::Bf16,
            other => Self::Unsupported(other),
        }
    }

    fn of_blocks(kind: BlockType) -> Self {
        match kind {
            BlockType::F32 => Self::F32,
            BlockType::F16 => Self::F16,
            BlockType::BF16 => Self::Bf16,
            kind => Self::Blocks(kind),
        }
    }
}

/// A tensor of a file.
#[derive(Debug, Clone)]
pub(super) struct StoredTensor {
    /// Rows first.
    pub shape: Vec<usize>,
    pub encoding: Encoding,
    /// Where in the file.
    at: Range<usize>,
    /// [`BlockTensor::paired_heads`].
    paired_heads: Option<usize>,
}

/// One file with its parsed header.
pub(super) struct WeightsFile {
    /// How errors call it.
    pub place: String,
    /// By name.
    pub tensors: BTreeMap<String, StoredTensor>,
    bytes: Bytes,
    len: usize,
}

impl WeightsFile {
    /// Opens the safetensors file at `path`. Its length must be what its header says.
    pub fn open(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let failed = |e| unreadable(&place, e);
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() == 0 {
            return Err(Error::model("the weights file is empty")
                .at(&place)
                .got("0 bytes")
                .expected("a safetensors file of at least 8 bytes")
                .advice("download the file again"));
        }
        // SAFETY: the map is read-only, lives for the header's sake in this function alone, and is
        // not shared with anything here that writes. No system keeps other processes from writing
        // to the file meanwhile: one that shortens it to less than its header ends this one by a
        // signal, and that nobody changes the header in these milliseconds has to be assumed.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        let (tensors, len) = (parse(&map, &place)?, map.len());
        Ok(Self { place, tensors, bytes: Bytes::File(file), len })
    }

    /// A safetensors file that is part of the program.
    pub fn embedded(bytes: &'static [u8], place: String) -> Result<Self> {
        let tensors = parse(bytes, &place)?;
        Ok(Self { place, tensors, bytes: Bytes::Embedded(bytes), len: bytes.len() })
    }

    /// A safetensors file in memory.
    pub fn in_memory(bytes: Vec<u8>, place: String) -> Result<Self> {
        let (tensors, len) = (parse(&bytes, &place)?, bytes.len());
        Ok(Self { place, tensors, bytes: Bytes::Owned(bytes), len })
    }

    /// The files of `gguf`, whose header has been checked.
    pub fn of_gguf(gguf: &Gguf) -> Result<Vec<Self>> {
        let open = |(i, path): (usize, &PathBuf)| {
            let place = path.display().to_string();
            let file = File::open(path).map_err(|e| unreadable(&place, e))?;
            let len = file.metadata().map_err(|e| unreadable(&place, e))?.len() as usize;
            let own = gguf.tensors().iter().filter(|(_, tensor)| tensor.file == i);
            let tensors =
                own.map(|(name, tensor)| (name.clone(), StoredTensor::of_blocks(tensor))).collect();
            Ok(Self { place, tensors, bytes: Bytes::File(file), len })
        };
        gguf.files().iter().enumerate().map(open).collect()
    }

    /// The values of the tensor `name`, which `stored` describes.
    pub fn values(&self, name: &str, stored: &StoredTensor) -> Result<Values> {
        let values = match stored.encoding {
            Encoding::F32 => Values::F32(self.numbers(stored, f32::from_le_bytes)?),
            Encoding::Bf16 => Values::Bf16(self.numbers(stored, bf16::from_le_bytes)?),
            Encoding::F16 => Values::F16(self.numbers(stored, f16::from_le_bytes)?),
            Encoding::Blocks(kind) => Values::F32(self.widened(name, stored, kind)?),
            Encoding::Unsupported(other) => {
                return Err(Error::model(format!("tensor {name} has an unsupported type"))
                    .at(&self.place)
                    .got(format!("{other:?}"))
                    .expected("F32, BF16 or F16"));
            }
        };
        let Some(heads) = stored.paired_heads else { return Ok(values) };
        let (rows, width) = (stored.shape[0], stored.shape[1..].iter().product());
        if heads == 0 || rows % (2 * heads) != 0 {
            return Err(Error::model(format!(
                "tensor {name} has rows of no whole number of heads"
            ))
            .at(&self.place)
            .got(format!("{rows} rows, {heads} heads"))
            .expected("an even number of rows for each head"));
        }
        Ok(match values {
            Values::F32(values) => Values::F32(unpaired(&values, heads, width)),
            Values::F16(values) => Values::F16(unpaired(&values, heads, width)),
            Values::Bf16(values) => Values::Bf16(unpaired(&values, heads, width)),
        })
    }

    /// The numbers of blocks of `kind`.
    fn widened(&self, name: &str, stored: &StoredTensor, kind: BlockType) -> Result<Vec<f32>> {
        let Some((numbers, bytes)) = BlockTensor::block(kind) else {
            return Err(Error::model(format!("tensor {name} has an unsupported type"))
                .at(&self.place)
                .got(kind)
                .expected("floats, or blocks of a quantised type"));
        };
        let len = stored.at.len() / bytes * numbers;
        let mut out = vec![0f32; len];
        let blocks = |n: usize| n / numbers * bytes;
        let read = |buffer: &mut Vec<u8>, (lane, out): (usize, &mut [f32])| {
            let offset = stored.at.start + lane * blocks(LANE);
            let raw = self.bytes.read(offset, &mut buffer[..blocks(out.len())]);
            widen(kind, raw.map_err(|e| unreadable(&self.place, e))?, out)
        };
        let lanes = out.par_chunks_mut(LANE).enumerate();
        lanes.try_for_each_init(|| vec![0u8; blocks(LANE)], read)?;
        Ok(out)
    }

    fn numbers<T: Element, const N: usize>(
        &self,
        stored: &StoredTensor,
        of_bytes: impl Fn([u8; N]) -> T + Sync,
    ) -> Result<Vec<T>> {
        let len = stored.at.len() / N;
        let mut out = Vec::with_capacity(len);
        let read = |buffer: &mut Vec<u8>, lane: usize, out: &mut [MaybeUninit<T>]| {
            let offset = stored.at.start + lane * LANE * N;
            let raw = self.bytes.read(offset, &mut buffer[..out.len() * N])?.as_chunks::<N>().0;
            assert_eq!(raw.len(), out.len());
            for (value, bytes) in out.iter_mut().zip(raw) {
                value.write(of_bytes(*bytes));
            }
            Ok(())
        };
        // Written by the threads alone: setting it to zero before would take as long.
        let lanes = out.spare_capacity_mut()[..len].par_chunks_mut(LANE).enumerate();
        lanes
            .try_for_each_init(
                || vec![0u8; LANE * N],
                |buffer, (lane, out)| read(buffer, lane, out),
            )
            .map_err(|e| unreadable(&self.place, e))?;
        // SAFETY: lanes are all of the first `len` numbers, for which there is room, and each was
        // written to its end: what could not be read has returned above.
        unsafe { out.set_len(len) };
        Ok(out)
    }

    /// Feeds the bytes of the file to `hash`; all of them, unless `stop` becomes true.
    pub fn hash_into(&self, hash: &mut Sha256, stop: &AtomicBool) -> Result<()> {
        let mut buffer = vec![0u8; HASHED.min(self.len)];
        for offset in (0..self.len).step_by(HASHED) {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let n = HASHED.min(self.len - offset);
            let part = self.bytes.read(offset, &mut buffer[..n]);
            hash.update(part.map_err(|e| unreadable(&self.place, e))?);
        }
        Ok(())
    }
}

impl StoredTensor {
    fn of_blocks(tensor: &BlockTensor) -> Self {
        Self {
            shape: tensor.shape.clone(),
            encoding: Encoding::of_blocks(tensor.kind),
            at: tensor.at.start as usize..tensor.at.end as usize,
            paired_heads: tensor.paired_heads,
        }
    }
}

/// The tensors of the safetensors file `bytes`.
fn parse(bytes: &[u8], place: &str) -> Result<BTreeMap<String, StoredTensor>> {
    let read = SafeTensors::read_metadata(bytes);
    let (header, metadata): (usize, Metadata) =
        read.map_err(|e| header_error(&e, bytes).at(place))?;
    let start = 8 + header;
    let stored = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let (from, to) = info.data_offsets;
        let encoding = Encoding::of_safetensors(info.dtype);
        let (shape, at) = (info.shape.clone(), start + from..start + to);
        (name, StoredTensor { shape, encoding, at, paired_heads: None })
    };
    Ok(metadata.tensors().into_iter().map(stored).collect())
}

fn unreadable(place: &str, e: io::Error) -> Error {
    Error::model("the weights cannot be read").at(place).got(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor longer than a lane, in a file and in memory: the same numbers, the same hash as the
    /// whole; a file that became shorter is an error.
    #[test]
    fn files_are_read_as_if_they_were_in_memory() {
        let values: Vec<f32> = (0..LANE + 70).map(|i| i as f32 * 0.5 - 9.0).collect();
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![values.len()], &raw);
        let bytes = safetensors::serialize([("t", view.unwrap())], None).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        std::fs::write(&path, &bytes).unwrap();
        let on_disk = WeightsFile::open(&path).unwrap();
        let in_memory = WeightsFile::in_memory(bytes.clone(), "x".into()).unwrap();
        let want = Values::F32(values);
        for file in [&on_disk, &in_memory] {
            assert_eq!(file.values("t", &file.tensors["t"]).unwrap(), want);
            let mut hash = Sha256::new();
            file.hash_into(&mut hash, &AtomicBool::new(false)).unwrap();
            assert_eq!(hash.finalize(), Sha256::digest(&bytes));
        }
        File::options().write(true).open(&path).unwrap().set_len(bytes.len() as u64 - 4).unwrap();
        let e = on_disk.values("t", &on_disk.tensors["t"]).unwrap_err();
        assert_eq!(e.exit_code(), 4);
        assert!(e.to_string().contains("x.safetensors"), "{e}");
        let (go, stop) = (AtomicBool::new(false), AtomicBool::new(true));
        assert!(on_disk.hash_into(&mut Sha256::new(), &go).is_err());
        assert!(on_disk.hash_into(&mut Sha256::new(), &stop).is_ok());
    }
}
