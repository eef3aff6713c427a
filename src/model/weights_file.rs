//! [`WeightsFile`]: one safetensors file, its header checked, its tensors read when wanted.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Element;
use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};
use sha2::{Digest, Sha256};

use super::safetensors_error::header_error;
use crate::error::{Error, Result};

/// Numbers that are read at a time, per thread.
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

/// One safetensors file with its parsed header.
pub(super) struct WeightsFile {
    /// How errors call it.
    pub place: String,
    /// Names, types, shapes and places of the tensors.
    pub metadata: Metadata,
    bytes: Bytes,
    data_start: usize,
    len: usize,
}

impl WeightsFile {
    /// Opens the file at `path`. Its length must be what its header says.
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
        let (header, metadata) = parse(&map, &place)?;
        let (data_start, len) = (8 + header, map.len());
        Ok(Self { place, metadata, bytes: Bytes::File(file), data_start, len })
    }

    /// A file that is part of the program.
    pub fn embedded(bytes: &'static [u8], place: String) -> Result<Self> {
        let (header, metadata) = parse(bytes, &place)?;
        let (data_start, len) = (8 + header, bytes.len());
        Ok(Self { place, metadata, bytes: Bytes::Embedded(bytes), data_start, len })
    }

    /// A file in memory.
    pub fn in_memory(bytes: Vec<u8>, place: String) -> Result<Self> {
        let (header, metadata) = parse(&bytes, &place)?;
        let (data_start, len) = (8 + header, bytes.len());
        Ok(Self { place, metadata, bytes: Bytes::Owned(bytes), data_start, len })
    }

    /// The values of the tensor `name`, which `info` describes.
    pub fn values(&self, name: &str, info: &TensorInfo) -> Result<Values> {
        match info.dtype {
            Dtype::F32 => self.numbers(info, f32::from_le_bytes).map(Values::F32),
            Dtype::BF16 => self.numbers(info, bf16::from_le_bytes).map(Values::Bf16),
            Dtype::F16 => self.numbers(info, f16::from_le_bytes).map(Values::F16),
            other => Err(Error::model(format!("tensor {name} has an unsupported type"))
                .at(&self.place)
                .got(format!("{other:?}"))
                .expected("F32, BF16 or F16")),
        }
    }

    fn numbers<T: Element, const N: usize>(
        &self,
        info: &TensorInfo,
        of_bytes: impl Fn([u8; N]) -> T + Sync,
    ) -> Result<Vec<T>> {
        let (from, to) = info.data_offsets;
        let len = (to - from) / N;
        let mut out = Vec::with_capacity(len);
        let read = |buffer: &mut Vec<u8>, lane: usize, out: &mut [MaybeUninit<T>]| {
            let offset = self.data_start + from + lane * LANE * N;
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

fn parse(bytes: &[u8], place: &str) -> Result<(usize, Metadata)> {
    SafeTensors::read_metadata(bytes).map_err(|e| header_error(&e, bytes).at(place))
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
            assert_eq!(file.values("t", file.metadata.info("t").unwrap()).unwrap(), want);
            let mut hash = Sha256::new();
            file.hash_into(&mut hash, &AtomicBool::new(false)).unwrap();
            assert_eq!(hash.finalize(), Sha256::digest(&bytes));
        }
        File::options().write(true).open(&path).unwrap().set_len(bytes.len() as u64 - 4).unwrap();
        let e = on_disk.values("t", on_disk.metadata.info("t").unwrap()).unwrap_err();
        assert_eq!(e.exit_code(), 4);
        assert!(e.to_string().contains("x.safetensors"), "{e}");
        let (go, stop) = (AtomicBool::new(false), AtomicBool::new(true));
        assert!(on_disk.hash_into(&mut Sha256::new(), &go).is_err());
        assert!(on_disk.hash_into(&mut Sha256::new(), &stop).is_ok());
    }
}
