//! GGUF: the model files of llama.cpp, Ollama and LM Studio, quantised or not.
//!
//! ```text
//!                           ┌► config     what config.json says of such a model
//! FILE.gguf ─► header ─► Gguf ─► tokenizer  what tokenizer.json and the chat template say
//!                           └► tensors    their names and shapes as on the Hugging Face hub
//! ```
//!
//! Headers are parsed, and blocks of numbers widened, by the crate anamnesis; what keys and tensors
//! mean is here. Sources: the GGUF specification (ggml, `docs/gguf.md`) and what llama.cpp's
//! `convert_hf_to_gguf.py` writes.

mod config;
mod metadata;
mod split;
mod tensors;
mod tokenizer;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "../../tests/common/gguf.rs"]
pub(crate) mod writer;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anamnesis::{
    AnamnesisError, GgufFrontMatter, GgufMetadataValue, ParseLimits,
    parse_gguf_front_matter_from_reader_with_limits,
};

use crate::error::{Error, Result};

#[cfg(feature = "hub")]
pub(crate) use split::siblings;
pub(crate) use tensors::ROPE_FACTORS;
pub use tensors::{BlockTensor, BlockType, unpaired, widen};
pub use tokenizer::FileTemplate;

/// What a file begins with.
const MAGIC: &[u8; 4] = b"GGUF";

/// Most bytes of metadata: the largest vocabularies take some MiB.
const MOST_METADATA: u64 = 256 << 20;

/// The architecture whose query and key weights are in the order of Meta's files.
const PAIRED: &str = "llama";

/// Most tensors, and most keys.
const MOST_ITEMS: u64 = 1 << 17;

/// Where a checkpoint is.
#[derive(Debug, Clone)]
pub enum Place {
    /// A folder in the layout of the Hugging Face hub.
    Folder(PathBuf),
    /// GGUF.
    Gguf(Arc<Gguf>),
}

impl Place {
    /// The checkpoint at `path`: GGUF if that is a file.
    ///
    /// # Errors
    /// As [`Gguf::open`].
    pub fn open(path: &Path) -> Result<Self> {
        match path.is_file() {
            true => Gguf::open(path).map(|gguf| Self::Gguf(Arc::new(gguf))),
            false => Ok(Self::Folder(path.to_owned())),
        }
    }

    /// The folder, or the file; the first of several.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(dir) => dir,
            Self::Gguf(gguf) => gguf.path(),
        }
    }
}

/// A model in GGUF: all that its files say, without the numbers of its tensors.
#[derive(Debug)]
pub struct Gguf {
    /// One, or the parts in their order.
    files: Vec<PathBuf>,
    metadata: HashMap<String, GgufMetadataValue>,
    tensors: BTreeMap<String, BlockTensor>,
    /// What kind of model it says it is.
    architecture: String,
}

impl Gguf {
    /// Reads the header of the file at `path`; if that is one of several (`-00001-of-00003.gguf`),
    /// of all of them.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file, and the key or the tensor: for what is no GGUF, a file
    /// that is cut off, tensors that overlap, a part that is missing.
    pub fn open(path: &Path) -> Result<Self> {
        let files = split::files(path)?;
        let mut metadata = HashMap::new();
        let mut tensors = BTreeMap::new();
        for (i, file) in files.iter().enumerate() {
            let (front, len) = front_matter(file)?;
            tensors::add(&mut tensors, &front, i, file, len)?;
            if files.len() > 1 {
                split::check(&front.metadata, i, files.len(), file)?;
            }
            if i == 0 {
                metadata = front.metadata;
            }
        }
        split::check_count(&metadata, tensors.len(), path)?;
        let gguf = Self { files, metadata, tensors, architecture: String::new() };
        let architecture = gguf.text("general.architecture")?.to_owned();
        let mut gguf = Self { architecture, ..gguf };
        if gguf.architecture == PAIRED {
            let (heads, kv_heads) = gguf.heads()?;
            tensors::pair(&mut gguf.tensors, heads as usize, kv_heads as usize);
        }
        Ok(gguf)
    }

    /// The file, or the first of several.
    pub fn path(&self) -> &Path {
        &self.files[0]
    }

    /// All of them, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The model's name in names of files: that of the file ([`name_of_file`]); of one without the
    /// ending, such as Ollama's, what the model calls itself.
    pub fn name(&self) -> String {
        let name = self.path().file_name().unwrap_or_default().to_string_lossy();
        match name_of_file(&name) {
            Some(stem) => stem.to_owned(),
            None => match self.get("general.name").and_then(GgufMetadataValue::as_string) {
                Some(own) => own.replace(' ', "-"),
                None => name.into_owned(),
            },
        }
    }

    /// The tensors, by their names on the Hugging Face hub where they have one.
    pub fn tensors(&self) -> &BTreeMap<String, BlockTensor> {
        &self.tensors
    }

    /// How many tensors there are of each type, by the names of ggml: `Q4_1`.
    pub fn types(&self) -> BTreeMap<String, usize> {
        let mut types = BTreeMap::new();
        for tensor in self.tensors.values() {
            *types.entry(tensor.kind.to_string()).or_insert(0) += 1;
        }
        types
    }

    fn place(&self, key: &str) -> String {
        format!("{}: {key}", self.path().display())
    }
}

/// The name of the model in the file called `name`: without `.gguf`, and without the file's number
/// among several. `None` for other endings.
pub fn name_of_file(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(".gguf").or(name.strip_suffix(".GGUF"))?;
    Some(split::stem(stem).map_or(stem, |(stem, ..)| stem))
}

/// The header of `path`, and how long the file is.
fn front_matter(path: &Path) -> Result<(GgufFrontMatter, u64)> {
    let failed = |e| Error::model("the model file cannot be read").at(path.display()).got(e);
    let mut file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let mut magic = [0; 4];
    let begins = file.read_exact(&mut magic).is_ok() && &magic == MAGIC;
    if !begins {
        return Err(Error::model("this file is no GGUF")
            .at(path.display())
            .got(match len {
                0 => "0 bytes".to_owned(),
                _ => format!("{len} bytes that begin with {:?}", String::from_utf8_lossy(&magic)),
            })
            .expected("a file that begins with \"GGUF\", or a folder with config.json")
            .advice("name the folder of the checkpoint, or download the file again"));
    }
    let limits =
        ParseLimits::default().with_max_total_bytes(MOST_METADATA).with_max_item_count(MOST_ITEMS);
    file.rewind().map_err(failed)?;
    let front = parse_gguf_front_matter_from_reader_with_limits(file, &limits);
    Ok((front.map_err(|e| header_error(&e).at(path.display()))?, len))
}

fn header_error(e: &AnamnesisError) -> Error {
    const AGAIN: &str = "download the file again; compare its size with the hub's";
    match e {
        AnamnesisError::Unsupported { .. } => Error::model("this GGUF cannot be read")
            .got(e)
            .expected("version 2 or 3, little-endian, and types of numbers of ggml"),
        AnamnesisError::LimitExceeded { .. } => {
            Error::model("a value in the model file's header is beyond its limit")
                .got(e)
                .advice(AGAIN)
        }
        e => Error::model("the model file's header is damaged or cut off").got(e).advice(AGAIN),
    }
}
