//! Which files of a repository are downloaded: what a model is loaded from, and nothing else.

use std::collections::BTreeMap;

use super::announced::Announced;
use super::contents::{Contents, EMBEDDING_FILES, ONNX};
use super::id::HubId;
use crate::error::{Error, Result};
use crate::gguf::siblings;

/// The model's shape.
pub const CONFIG: &str = "config.json";
/// The tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// Weights in one file.
pub const WEIGHTS: &str = "model.safetensors";
/// The index of weights in several files.
pub const INDEX: &str = "model.safetensors.index.json";

/// Files that change how a model is used, where the repository has them.
pub const OPTIONAL: [&str; 5] = [
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// Endings of weights in other formats, for messages.
const OTHER_WEIGHTS: [&str; 8] =
    [".bin", ".pth", ".pt", ".gguf", ".h5", ".msgpack", ".onnx", ".safetensors"];

/// Most files that a message lists.
const LISTED: usize = 6;

/// The files in the folder of a commit, without those in folders of theirs.
pub type Listing = BTreeMap<String, Announced>;

/// What to download first: everything but the shards, which the index names.
#[derive(Debug, PartialEq, Eq)]
pub struct FirstFiles {
    /// Small files that are there.
    pub small: Vec<&'static str>,
    /// Optional files that are not.
    pub absent: Vec<&'static str>,
    /// [`WEIGHTS`], [`INDEX`] or [`ONNX`].
    pub weights: &'static str,
}

impl Contents {
    /// Small files without which there is no model.
    pub fn required(self) -> &'static [&'static str] {
        match self {
            Self::Checkpoint => &[CONFIG, TOKENIZER],
            Self::Embedding => &EMBEDDING_FILES,
        }
    }

    /// Files that change how a model is used, where the repository has them.
    pub fn optional(self) -> &'static [&'static str] {
        match self {
            Self::Checkpoint => &OPTIONAL,
            Self::Embedding => &[],
        }
    }

    /// The file with all weights.
    pub fn weights(self) -> &'static str {
        match self {
            Self::Checkpoint => WEIGHTS,
            Self::Embedding => ONNX,
        }
    }

    /// All that is needed, in words.
    pub fn files(self) -> String {
        let weights = match self {
            Self::Checkpoint => "weights as safetensors",
            Self::Embedding => ONNX,
        };
        format!("{} and {weights}", self.required().join(", "))
    }

    /// What to do where a required file is missing.
    fn advice(self, name: &str) -> &'static str {
        match (self, name) {
            (Self::Checkpoint, TOKENIZER) => {
                "make one with transformers (AutoTokenizer.from_pretrained(..., use_fast=True)\
                 .save_pretrained) and give the folder"
            }
            (Self::Checkpoint, _) => "an id of a model in the format of transformers",
            (Self::Embedding, _) => {
                "an id of an embedding model whose files are not in folders, such as \
                 Qdrant/all-MiniLM-L6-v2-onnx; or put the five files into a folder and give that"
            }
        }
    }
}

impl FirstFiles {
    /// Chooses from the files of `id` at `commit`. Where there are weights in one file and in
    /// several, the one file is taken, as when a folder is loaded; ONNX is in one file always.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file that is missing and what there is instead.
    pub fn of(listing: &Listing, id: &HubId, commit: &str, contents: Contents) -> Result<Self> {
        let here = |name: &str| listing.contains_key(name);
        let single = match contents {
            Contents::Checkpoint => None,
            Contents::Embedding => Some(ONNX),
        };
        for name in contents.required().iter().copied().chain(single) {
            if !here(name) {
                let gguf = listing.keys().find(|name| name.ends_with(".gguf"));
                let gguf = gguf.filter(|_| contents == Contents::Checkpoint);
                let advice = match gguf {
                    Some(file) => format!("one of its GGUF files, as {}:{file}", id),
                    None => contents.advice(name).to_owned(),
                };
                return Err(Error::model(format!("{} has no {name}", id.repository()))
                    .at(format!("{id}, commit {commit}"))
                    .got(some(listing.keys().map(String::as_str).collect()))
                    .expected(contents.files())
                    .advice(advice));
            }
        }
        let weights = [contents.weights(), INDEX].into_iter().find(|name| here(name));
        let weights = weights.ok_or_else(|| {
            let others = listing.keys().map(String::as_str);
            let others: Vec<&str> =
                others.filter(|name| OTHER_WEIGHTS.iter().any(|end| name.ends_with(end))).collect();
            Error::model(format!("{} has no weights as safetensors", id.repository()))
                .at(format!("{id}, commit {commit}"))
                .got(if others.is_empty() { "no weights".to_owned() } else { some(others) })
                .expected(format!("{WEIGHTS} or {INDEX}"))
                .advice(
                    "convert them with transformers (save_pretrained(..., safe_serialization=True)) \
                     and give the folder; or look for a pull request that adds safetensors and \
                     take it as ORG/NAME@refs/pr/N",
                )
        })?;
        let (present, absent): (Vec<&str>, Vec<&str>) =
            contents.optional().iter().partition(|name| here(name));
        let small = [contents.required(), &present[..]].concat();
        Ok(Self { small, absent, weights })
    }
}

/// The names of the GGUF file `file` of `id` and of those that belong to it.
///
/// # Errors
/// [`Error::Model`] naming the file that is missing and those that there are.
pub fn gguf_files(listing: &Listing, id: &HubId, commit: &str, file: &str) -> Result<Vec<String>> {
    let names = siblings(file);
    match names.iter().find(|name| !listing.contains_key(*name)) {
        None => Ok(names),
        Some(missing) => {
            let others = listing.keys().map(String::as_str);
            let others: Vec<&str> = others.filter(|name| name.ends_with(".gguf")).collect();
            let got = if others.is_empty() { "no GGUF file".to_owned() } else { some(others) };
            Err(Error::model(format!("{} has no {missing}", id.repository()))
                .at(format!("{id}, commit {commit}"))
                .got(got)
                .expected("the name of a GGUF file that is in no folder of the repository")
                .advice("one of these names; or download the file and give its path"))
        }
    }
}

/// The shards of an index that a listing lacks are told.
///
/// # Errors
/// [`Error::Model`] naming the first.
pub fn check_shards(shards: &[String], listing: &Listing, id: &HubId, commit: &str) -> Result<()> {
    match shards.iter().find(|shard| !listing.contains_key(*shard)) {
        None => Ok(()),
        Some(shard) => {
            Err(Error::model(format!("{} lacks a shard of its weights", id.repository()))
                .at(format!("{id}, commit {commit}: {INDEX}"))
                .got(format!("{shard}, which the repository does not have"))
                .expected(format!("all {} shards", shards.len()))
                .advice(
                    "another revision (ORG/NAME@REVISION), or tell the owner of the repository",
                ))
        }
    }
}

fn some(names: Vec<&str>) -> String {
    match names.len() {
        0 => "no files".to_owned(),
        n if n <= LISTED => names.join(", "),
        n => format!("{} and {} more", names[..LISTED].join(", "), n - LISTED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Listing {
        let file = Announced { size: 1, oid: "0".repeat(40), lfs: false };
        names.iter().map(|name| ((*name).to_owned(), file.clone())).collect()
    }

    fn wanted(names: &[&str]) -> Result<FirstFiles> {
        wanted_of(Contents::Checkpoint, names)
    }

    fn wanted_of(contents: Contents, names: &[&str]) -> Result<FirstFiles> {
        FirstFiles::of(&listing(names), &HubId::parse("acme/tiny").unwrap(), "c0ffee", contents)
    }

    #[test]
    fn only_what_a_model_is_loaded_from() {
        let all = [
            "README.md",
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin",
            "consolidated.00.pth",
        ];
        let one = wanted(&all).unwrap();
        assert_eq!(one.small, [CONFIG, TOKENIZER, "tokenizer_config.json"]);
        assert_eq!(
            one.absent,
            [
                "generation_config.json",
                "special_tokens_map.json",
                "chat_template.jinja",
                "chat_template.json"
            ]
        );
        assert_eq!(one.weights, WEIGHTS);
        let several = all.into_iter().filter(|name| *name != WEIGHTS).collect::<Vec<_>>();
        assert_eq!(wanted(&several).unwrap().weights, INDEX);
    }

    #[test]
    fn an_embedding_model_is_five_files() {
        let all = [
            "README.md",
            "config.json",
            "model.onnx",
            "model.safetensors",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        ];
        let five = wanted_of(Contents::Embedding, &all).unwrap();
        assert_eq!((&five.small[..], five.weights), (&EMBEDDING_FILES[..], ONNX));
        assert!(five.absent.is_empty());
        for missing in EMBEDDING_FILES.into_iter().chain([ONNX]) {
            let others: Vec<&str> = all.into_iter().filter(|name| *name != missing).collect();
            let e = wanted_of(Contents::Embedding, &others).unwrap_err();
            assert_eq!(e.exit_code(), 4);
            let said = format!("acme/tiny has no {missing}");
            assert!(e.to_string().contains(&said) && e.to_string().contains("Qdrant/"), "{e}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_what_there_is_instead() {
        let says = |names: &[&str], parts: &[&str]| {
            let e = wanted(names).unwrap_err();
            assert_eq!(e.exit_code(), 4);
            parts.iter().for_each(|part| assert!(e.to_string().contains(part), "{part}: {e}"));
        };
        says(&["a.gguf"], &["acme/tiny has no config.json", "a.gguf"]);
        says(&["config.json", "tokenizer.model"], &["no tokenizer.json", "tokenizer.model"]);
        let other = ["config.json", "tokenizer.json", "pytorch_model.bin", "consolidated.00.pth"];
        says(&other, &["no weights as safetensors", "pytorch_model.bin", "consolidated.00.pth"]);
        says(&["config.json", "tokenizer.json"], &["no weights"]);
        let shards = ["1.st".to_owned(), "2.st".to_owned()];
        let id = HubId::parse("acme/tiny").unwrap();
        let e = check_shards(&shards, &listing(&["1.st"]), &id, "c0ffee").unwrap_err();
        assert!(e.exit_code() == 4 && e.to_string().contains("2.st"), "{e}");
    }
}
