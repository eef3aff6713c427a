//! [`Tokenizer`]: a Hugging Face `tokenizer.json`, with one policy for BOS and special tokens.
//!
//! Prompts are assembled from token ids, so this module never adds special tokens on its own, and
//! text that merely looks like a special token (`<s>` in a haystack) is encoded as ordinary text.
//! Spans come from the byte offsets of one encoding; token sequences are never searched for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use tokenizers::PostProcessorWrapper;

use crate::error::{Error, Result};
use crate::gguf::Place;
use crate::system::digest::sha256;
use crate::system::panics::caught;
use crate::system::text::without_bom;

mod llama_class;
mod message;
#[cfg(test)]
pub(crate) mod samples;
mod special;

pub(crate) use message::before_word;
pub use message::{Lead, Message};

/// Tokens over which a character is spread, at most: one for each of its bytes.
const LONGEST_CHARACTER: usize = 4;

/// Token ids with the bytes of the text that each stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, `[n]`.
    pub ids: Vec<u32>,
    /// Per token, `(begin, end)` in bytes of the encoded text, `[n]`. Tokens that are parts of one
    /// character all have that character's bytes.
    pub offsets: Vec<(usize, usize)>,
}

/// A tokenizer as `tokenizer.json` describes it, without truncation and padding.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: Option<u32>,
    max_id: u32,
    sha256: String,
    /// Special tokens: id → text.
    special: BTreeMap<u32, String>,
    newline_ids: OnceLock<BTreeSet<u32>>,
    /// The same, with special tokens read from text.
    markup: OnceLock<tokenizers::Tokenizer>,
    /// Where spaces go, if that is not as the file has it.
    spaces: Option<&'static str>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` from a file. Where `tokenizer_config.json` and `config.json` beside
    /// it say so, spaces go where transformers' `LlamaTokenizer` puts them.
    ///
    /// # Errors
    /// [`Error::Model`] if the file cannot be read or is not a tokenizer.
    pub fn from_file(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| {
            Error::model("the tokenizer cannot be read")
                .at(path.display())
                .got(e)
                .expected("a tokenizer.json in Hugging Face's format")
        })?;
        let tokenizer = Self::from_bytes(&bytes, &path.display().to_string())?;
        tokenizer.in_its_class(path)
    }

    /// Reads the tokenizer of the checkpoint at `place`.
    ///
    /// # Errors
    /// As [`Tokenizer::from_file`].
    pub fn at(place: &Place) -> Result<Self> {
        match place {
            Place::Folder(dir) => Self::from_file(&dir.join("tokenizer.json")),
            Place::Gguf(gguf) => {
                let json = serde_json::to_vec(&gguf.tokenizer()?)
                    .map_err(|e| Error::bug("a tokenizer cannot be written").got(e))?;
                let place = format!("{}, read as tokenizer.json", gguf.path().display());
                let advice = "download the file again, or give the folder of the checkpoint";
                Self::from_bytes(&json, &place).map_err(|e| e.advice(advice))
            }
        }
    }

    /// Reads the bytes of a `tokenizer.json`; `place` names them in errors.
    ///
    /// # Errors
    /// [`Error::Model`] if they are not a tokenizer, if it has no tokens, or if it puts more than
    /// one token in front of a text.
    pub fn from_bytes(bytes: &[u8], place: &str) -> Result<Self> {
        let bad = |what: &str, got: String| {
            Error::model(what)
                .at(place)
                .got(got)
                .expected("a tokenizer.json in Hugging Face's format")
                .advice("save it again with `AutoTokenizer.save_pretrained`")
        };
        // The library panics at some of what is not JSON, and at some ids.
        let mut inner = caught(|| tokenizers::Tokenizer::from_bytes(without_bom(bytes)))
            .and_then(|read| read.map_err(|e| e.to_string()))
            .map_err(|e| bad("this is not a tokenizer", e))?;
        // Left by some training runs; a silently truncated haystack would not be noticed.
        inner
            .with_truncation(None)
            .map_err(|e| bad("the truncation cannot be switched off", e.to_string()))?;
        inner.with_padding(None);
        inner.set_encode_special_tokens(true);

        let vocab = inner.get_vocab(true);
        let max_id = vocab
            .values()
            .copied()
            .max()
            .ok_or_else(|| bad("the tokenizer is empty", "no tokens".to_owned()))?;
        // To the largest id of added tokens the library adds 1.
        let added = inner.get_added_tokens_decoder();
        if let Some(id) = added.into_keys().chain([max_id]).find(|id| *id == u32::MAX) {
            return Err(bad("the tokenizer has a token with an impossible id", id.to_string()));
        }
        let bos = leading_token(&inner).map_err(|got| {
            bad("the tokenizer's own special tokens are not understood", got)
                .expected("at most one token in front of a text")
        })?;
        // It has said what it puts in front of a text. What else it does is to trim the
        // whitespace from the offsets, and sentence borders are found from these.
        inner.with_post_processor(None::<PostProcessorWrapper>);

        let sha256 = sha256(bytes);
        let (newline_ids, markup) = (OnceLock::new(), OnceLock::new());
        let special = BTreeMap::new();
        let mut tokenizer =
            Self { inner, bos, max_id, sha256, special, newline_ids, markup, spaces: None };
        // A file that does not call its own BOS special calls nothing so.
        let added = tokenizer.inner.get_added_tokens_decoder();
        let flagged = bos.and_then(|bos| added.get(&bos)).is_none_or(|token| token.special);
        let unflagged = added.keys().copied().filter(|_| !flagged).collect::<Vec<_>>();
        tokenizer.keep_from_text(&unflagged).map_err(|e| e.at(place))?;
        Ok(tokenizer)
    }

    /// The token ids of `text`, without special tokens.
    ///
    /// # Errors
    /// [`Error::Model`] if the tokenizer has no token for a part of the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encode_with_offsets(text)?.ids)
    }

    /// The token ids of `text`, without special tokens, and the bytes that each stands for.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_offsets(&self, text: &str) -> Result<Encoded> {
        self.spelled_out(text, encoded(&self.inner, text)?)
    }

    /// The tokens that `text` has where it follows `anchor` in running text, offsets in `text`.
    ///
    /// SentencePiece tokenizers put a space in front of whatever they encode, so a sentence
    /// encoded alone is not the sentence as it stands in the middle of a page. Where a token lies
    /// across the border, the border cannot be kept, and `text` is encoded alone.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_after(&self, anchor: &str, text: &str) -> Result<Encoded> {
        after(anchor, text, |text| self.encode_with_offsets(text))
    }

    /// The text of `ids`; special tokens are left out.
    ///
    /// # Errors
    /// [`Error::Model`] if the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.decoded(ids, true).map_err(|e| {
            Error::model("the tokenizer cannot decode an answer").got(e).at(format!("{ids:?}"))
        })
    }

    /// The text that each of `ids` adds to those before it, special tokens with theirs. A character
    /// that is spread over several tokens belongs to the last of them; the others have none of it.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn pieces(&self, ids: &[u32]) -> Result<Vec<String>> {
        let failed = |e| Error::model("the tokenizer cannot decode a token").got(e);
        let mut pieces = Vec::with_capacity(ids.len());
        // The run that is decoded: one token whose text is whole, and those that begin a character.
        let (mut first, mut said) = (0, String::new());
        for (i, _) in ids.iter().enumerate() {
            let text = self.decoded(&ids[first..=i], false).map_err(failed)?;
            if text.ends_with('\u{fffd}') && i - first <= LONGEST_CHARACTER {
                pieces.push(String::new());
                continue;
            }
            let alone = self.decoded(&ids[i..=i], false).map_err(failed)?;
            // Some decoders take the space away that a text begins with: the token before keeps it.
            pieces.push(text.strip_prefix(&said).map_or_else(|| alone.clone(), str::to_owned));
            (first, said) = (i, alone);
        }
        Ok(pieces)
    }

    /// The text of `ids`, or what is wrong: some decoders panic at a token without a text.
    fn decoded(
        &self,
        ids: &[u32],
        skip_special_tokens: bool,
    ) -> std::result::Result<String, String> {
        caught(|| self.inner.decode(ids, skip_special_tokens))?.map_err(|e| e.to_string())
    }

    /// The same with special tokens.
    #[cfg(test)]
    pub(crate) fn decode_with_special(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, false).expect("tokens decode")
    }

    /// The token that the tokenizer itself puts in front of every text.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The id of a token by its name in the vocabulary, such as `<|eot_id|>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Largest id + 1, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.max_id as usize + 1
    }

    /// The ids of all tokens whose text has a line break in it (`Ċ` in byte-level vocabularies,
    /// `<0x0A>` where bytes are a fallback). Computed at the first call.
    pub fn newline_ids(&self) -> &BTreeSet<u32> {
        self.newline_ids.get_or_init(|| {
            self.inner
                .get_vocab(true)
                .into_iter()
                // The three spellings of a line break; decoding decides what each really is.
                .filter(|(t, _)| t.contains(['\n', '\u{10a}']) || t == "<0x0A>")
                .map(|(_, id)| id)
                .filter(|&id| self.decoded(&[id], false).is_ok_and(|t| t.contains('\n')))
                .collect()
        })
    }

    /// SHA-256 of `tokenizer.json`, in hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("bos", &self.bos)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

/// What `encode` makes of `text` behind `anchor`.
fn after(anchor: &str, text: &str, encode: impl Fn(&str) -> Result<Encoded>) -> Result<Encoded> {
    if anchor.is_empty() {
        return encode(text);
    }
    let both = encode(&format!("{anchor}{text}"))?;
    let border = anchor.len();
    let first = both.offsets.iter().take_while(|o| o.1 <= border).count();
    if both.offsets[first..].iter().any(|o| o.0 < border) {
        return encode(text);
    }
    Ok(Encoded {
        ids: both.ids[first..].to_vec(),
        offsets: both.offsets[first..].iter().map(|o| (o.0 - border, o.1 - border)).collect(),
    })
}

fn encoded(tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<Encoded> {
    let encoding = tokenizer.encode(text, false).map_err(|e| {
        let head: String = text.chars().take(40).collect();
        Error::model("the tokenizer cannot encode a text").at(format!("{head:?}")).got(e)
    })?;
    let offsets = encoding.get_offsets().iter().map(|o| whole_characters(text, *o)).collect();
    Ok(Encoded { ids: encoding.get_ids().to_vec(), offsets })
}

/// The bytes of all characters of `text` that `begin..end` has a part of: texts are cut there, and
/// a file may describe a tokenizer whose tokens begin anywhere.
fn whole_characters(text: &str, (begin, end): (usize, usize)) -> (usize, usize) {
    let end = text.ceil_char_boundary(end);
    (text.floor_char_boundary(begin).min(end), end)
}

/// What the post-processor puts in front of a text. The text has a letter in it, so that an EOS
/// behind it is not taken for a BOS.
fn leading_token(inner: &tokenizers::Tokenizer) -> std::result::Result<Option<u32>, String> {
    // The library panics at a special token that its template names and does not describe.
    let encoding = caught(|| inner.encode("a", true))?.map_err(|e| e.to_string())?;
    let special = encoding.get_special_tokens_mask();
    if special.iter().all(|&m| m == 1) {
        return Err("special tokens only for the text \"a\"".to_owned());
    }
    let leading = special.iter().take_while(|&&m| m == 1).count();
    match leading {
        0 => Ok(None),
        1 => Ok(Some(encoding.get_ids()[0])),
        n => Err(format!("{n} tokens in front of a text")),
    }
}

#[cfg(test)]
mod tests;
