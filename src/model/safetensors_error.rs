//! Says in a sentence what is wrong with a safetensors header: which tensor, which sizes.

use safetensors::tensor::{Dtype, SafeTensorError};
use serde_json::Value;

use crate::error::Error;

const ADVICE: &str = "download the file again; compare its size with the hub's";

/// The error for the file `bytes`, whose header gave `error`.
pub(super) fn header_error(error: &SafeTensorError, bytes: &[u8]) -> Error {
    let model = |what: &str| Error::model(what.to_owned()).advice(ADVICE);
    let header_bytes = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    match error {
        SafeTensorError::HeaderTooSmall => model("the weights file is cut off")
            .got(format!("{} bytes", bytes.len()))
            .expected("at least 8 bytes, which hold the header's length"),
        SafeTensorError::HeaderTooLarge => model("the weights file's header is too large")
            .got(format!("{header_bytes} bytes of header"))
            .expected("at most 100000000 bytes"),
        SafeTensorError::InvalidHeaderLength => model("the weights file is cut off in its header")
            .got(format!("{} bytes", bytes.len()))
            .expected(format!("8 + {header_bytes} bytes of header, then the tensors")),
        SafeTensorError::MetadataIncompleteBuffer => length_error(bytes, header_bytes),
        SafeTensorError::InvalidOffset(name) => offset_error(bytes, name),
        SafeTensorError::TensorInvalidInfo
        | SafeTensorError::ValidationOverflow
        | SafeTensorError::MisalignedSlice => shape_error(bytes),
        other => model("the weights file is not a safetensors file").got(other),
    }
}

/// One header entry, as far as it can be read.
struct Entry {
    name: String,
    shape: Vec<u64>,
    dtype: Option<Dtype>,
    begin: u64,
    end: u64,
}

impl Entry {
    /// Bytes that shape and type ask for; `None` if that overflows.
    fn bytes(&self) -> Option<u64> {
        let elements = self.shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d))?;
        let bits = u64::try_from(self.dtype?.bitsize()).ok()?;
        elements.checked_mul(bits)?.checked_div(8)
    }
}

/// The header's entries in the order of their data.
fn entries(bytes: &[u8]) -> Vec<Entry> {
    let json = bytes.first_chunk().and_then(|first| {
        let header = usize::try_from(u64::from_le_bytes(*first)).ok()?;
        bytes.get(8..header.checked_add(8)?)
    });
    let Some(Ok(Value::Object(map))) = json.map(serde_json::from_slice::<Value>) else {
        return Vec::new();
    };
    let entry = |(name, info): (String, Value)| {
        let numbers = |key: &str| -> Option<Vec<u64>> {
            info.get(key)?.as_array()?.iter().map(Value::as_u64).collect()
        };
        let offsets = numbers("data_offsets")?;
        let dtype = info.get("dtype").cloned();
        Some(Entry {
            shape: numbers("shape")?,
            dtype: dtype.and_then(|d| serde_json::from_value(d).ok()),
            begin: *offsets.first()?,
            end: *offsets.get(1)?,
            name,
        })
    };
    let mut all: Vec<Entry> = map.into_iter().filter_map(entry).collect();
    all.sort_by_key(|e| (e.begin, e.end));
    all
}

/// The file is shorter or longer than its header says.
fn length_error(bytes: &[u8], header_bytes: u64) -> Error {
    let entries = entries(bytes);
    let start = header_bytes.saturating_add(8);
    let length = bytes.len() as u64;
    let declared = entries.last().map_or(0, |e| e.end).saturating_add(start);
    let what = if length < declared {
        let lost = entries.iter().find(|e| start.saturating_add(e.end) > length);
        let lost = lost.map_or("its end", |e| &e.name);
        format!("the weights file is cut off in tensor {lost}")
    } else {
        let last = entries.last().map_or("its header", |e| &e.name);
        format!("the weights file goes on after its last tensor, {last}")
    };
    Error::model(what)
        .got(format!("{length} bytes"))
        .expected(format!("{declared} bytes, as the header declares"))
        .advice(ADVICE)
}

/// A tensor does not begin where the one before it ends.
fn offset_error(bytes: &[u8], name: &str) -> Error {
    let entries = entries(bytes);
    let error = Error::model(format!("tensor {name} overlaps another or leaves a hole"));
    let error = match entries.iter().position(|e| e.name == name) {
        None => error.expected("data offsets that follow one another"),
        Some(i) => {
            let before = i.checked_sub(1).map_or(0, |i| entries[i].end);
            error
                .got(format!("data_offsets [{}, {}]", entries[i].begin, entries[i].end))
                .expected(format!("data that begins at {before} and does not end before that"))
        }
    };
    error.advice(ADVICE)
}

/// A tensor's shape does not fit its bytes, or any memory.
fn shape_error(bytes: &[u8]) -> Error {
    let entries = entries(bytes);
    let wrong = entries.iter().find(|e| e.bytes() != e.end.checked_sub(e.begin));
    let Some(entry) = wrong else {
        return Error::model("a tensor's shape does not match its number of bytes").advice(ADVICE);
    };
    let name = &entry.name;
    let dtype = entry.dtype.map_or_else(|| "unknown type".to_owned(), |d| d.to_string());
    let shape = format!("shape {:?} of {dtype}", entry.shape);
    let error = match entry.bytes() {
        None => Error::model(format!("tensor {name} has a shape larger than any memory"))
            .got(shape)
            .expected("fewer than 2^64 bits"),
        Some(n) => Error::model(format!("tensor {name} has a shape that does not match its bytes"))
            .got(format!("{} bytes", entry.end.saturating_sub(entry.begin)))
            .expected(format!("{n} bytes for {shape}")),
    };
    error.advice(ADVICE)
}
