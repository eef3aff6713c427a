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
mod tests {
    use super::samples::{self, byte_level, llama2};
    use super::*;

    #[test]
    fn the_byte_level_sample_round_trips_any_text() {
        let t = byte_level();
        for text in ["The boats, 4817.\n\nHé 🦀 <|bos|> \t end", "", " a", "\n"] {
            let e = t.encode_with_offsets(text).unwrap();
            assert_eq!(t.decode(&e.ids).unwrap(), text);
            assert_eq!(e.ids.len(), e.offsets.len());
        }
    }

    #[test]
    fn bos_is_what_the_tokenizer_puts_in_front() {
        assert_eq!(byte_level().bos(), byte_level().token_id("<|bos|>"));
        assert!(byte_level().bos().is_some());
        assert_eq!(llama2().bos(), Some(1));
        // No post-processor: no BOS (Qwen2).
        let mut json = samples::byte_level_json();
        json["post_processor"] = serde_json::Value::Null;
        assert_eq!(samples::load(&json).unwrap().bos(), None);
        // EOS behind the text only (no BOS) is not a BOS.
        let mut json = samples::byte_level_json();
        let single = json["post_processor"]["single"].as_array_mut().unwrap();
        single.reverse();
        assert_eq!(samples::load(&json).unwrap().bos(), None);
        // Two in front: refused.
        let mut json = samples::byte_level_json();
        let single = json["post_processor"]["single"].as_array_mut().unwrap();
        single.insert(0, single[0].clone());
        let e = samples::load(&json).unwrap_err();
        assert_eq!(e.exit_code(), 4);
        assert!(e.to_string().contains("2 tokens in front"), "{e}");
    }

    #[test]
    fn no_special_token_comes_out_of_text() {
        for (t, spelled) in [(byte_level(), "a <|bos|> b"), (llama2(), "a <s> b")] {
            let ids = t.encode(spelled).unwrap();
            assert!(!ids.is_empty() && !ids.contains(&t.bos().unwrap()), "{ids:?}");
            // What the tokenizer's own BOS decodes to is nothing.
            assert_eq!(t.decode(&[t.bos().unwrap()]).unwrap(), "");
        }
    }

    #[test]
    fn truncation_and_padding_of_the_file_are_ignored() {
        let mut json = samples::byte_level_json();
        json["truncation"] = serde_json::json!({"direction": "Right", "max_length": 4,
            "strategy": "LongestFirst", "stride": 0});
        json["padding"] = serde_json::json!({"strategy": {"Fixed": 64}, "direction": "Right",
            "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<|bos|>"});
        let text = "The boats lie along the wall.";
        let (plain, set) = (byte_level(), samples::load(&json).unwrap());
        assert!(plain.encode(text).unwrap().len() > 4);
        assert_eq!(set.encode(text).unwrap(), plain.encode(text).unwrap());
        assert_eq!(set.bos(), plain.bos());
    }

    #[test]
    fn offsets_are_bytes_and_keep_the_leading_space() {
        // "é" is two bytes: " wall" begins at byte 3, with its space.
        let e = byte_level().encode_with_offsets("hé wall").unwrap();
        assert!(e.offsets.iter().any(|o| o.0 == 3), "{:?}", e.offsets);
        assert_eq!(e.offsets.last().unwrap().1, 8);
        // ByteLevel's trim_offsets would hide the space.
        let mut json = samples::byte_level_json();
        json["post_processor"] = serde_json::json!({"type": "ByteLevel",
            "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        let trimmed = samples::load(&json).unwrap().encode_with_offsets("hé wall").unwrap();
        assert_eq!(trimmed, e);
    }

    #[test]
    fn encode_after_drops_the_prefix_of_sentencepiece() {
        let t = llama2();
        let id = |s: &str| t.token_id(s).unwrap();
        // Alone: the normaliser's "▁" in front. After a line break: none.
        assert_eq!(t.encode("The").unwrap(), [id("▁The")]);
        assert_eq!(t.encode_after("\n", "The").unwrap().ids, [id("T"), id("h"), id("e")]);
        // The space of the text is the "▁", once.
        let e = t.encode_after(".", " The wall").unwrap();
        assert_eq!(e.ids, [id("▁The"), id("▁wall")]);
        assert_eq!(e.offsets, [(0, 4), (4, 9)]);
        // A line break after a full stop is the byte alone.
        assert_eq!(t.encode_after(".", "\n").unwrap().ids, [id("<0x0A>")]);
        assert_eq!(t.encode_after("", "The").unwrap().ids, [id("▁The")]);
    }

    #[test]
    fn encode_after_falls_back_where_a_token_straddles() {
        let t = byte_level();
        // Letters merge across the border: "boat" + "s" is one token in this vocabulary.
        let word = samples::a_word_that_is_one_token(t);
        let (head, tail) = word.split_at(word.len() - 1);
        assert_eq!(t.encode(&word).unwrap().len(), 1);
        assert_eq!(t.encode_after(head, tail).unwrap(), t.encode_with_offsets(tail).unwrap());
        // No merge across a space: the same as alone, offsets in the text itself.
        assert_eq!(
            t.encode_after(".", " The boats").unwrap(),
            t.encode_with_offsets(" The boats").unwrap()
        );
    }

    #[test]
    fn newline_ids_of_both_kinds() {
        let t = byte_level();
        let ids = t.newline_ids();
        assert!(ids.contains(&t.token_id("Ċ").unwrap()));
        for id in 0..t.vocab_size() as u32 {
            let text = t.inner.decode(&[id], false).unwrap();
            assert_eq!(ids.contains(&id), text.contains('\n'), "{id} {text:?}");
        }
        let t = llama2();
        assert_eq!(t.newline_ids().iter().copied().collect::<Vec<_>>(), [3 + 10]);
    }

    #[test]
    fn not_a_tokenizer_names_the_place() {
        for bytes in [&b""[..], b"{}", b"[1,2", b"\xff\xfe", b"{\"model\":null}"] {
            let e = Tokenizer::from_bytes(bytes, "m/tokenizer.json").unwrap_err();
            assert_eq!(e.exit_code(), 4);
            assert!(e.to_string().contains("m/tokenizer.json"), "{e}");
        }
        let e = Tokenizer::from_file(Path::new("no/such/tokenizer.json")).unwrap_err();
        assert_eq!(e.exit_code(), 4);
        assert!(e.to_string().contains("no/such/tokenizer.json"), "{e}");
    }

    /// A decoder that takes a character off the end of an empty text, at which the library panics.
    #[test]
    fn a_decoder_that_fails_is_an_error() {
        let mut json = samples::llama2_json();
        json["decoder"] = serde_json::json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": ""},
            {"type": "Strip", "content": " ", "start": 0, "stop": 1}]});
        let tokenizer = samples::load(&json).unwrap();
        let space = tokenizer.token_id("▁").unwrap();
        let e = tokenizer.decode(&[space]).unwrap_err();
        assert_eq!(e.exit_code(), 4, "{e}");
        assert!(e.to_string().contains(&format!("[{space}]")), "{e}");
    }

    /// A vocabulary without the word that stands before a template's end: it has no tokens.
    #[test]
    fn a_vocabulary_may_lack_a_letter() {
        let mut json = samples::llama2_json();
        json["normalizer"] = serde_json::Value::Null;
        json["model"]["unk_token"] = serde_json::Value::Null;
        json["model"]["byte_fallback"] = false.into();
        json["model"]["vocab"].as_object_mut().unwrap().remove("A").unwrap();
        let tokenizer = samples::load(&json).unwrap();
        let ids = |text| tokenizer.encode(text).unwrap();
        assert_eq!(ids("Ay"), ids("y"));
        let message = tokenizer.encode_between("b", "c<s>", "y").unwrap();
        assert_eq!((message.before, message.after), (ids("b"), ids("y")));
    }

    #[test]
    fn offsets_are_of_whole_characters() {
        // a: 0, é: 1 and 2, 🦀: 3 to 6, 7 the end.
        let text = "aé🦀";
        for (given, whole) in [
            ((0, 1), (0, 1)),
            ((1, 2), (1, 3)),
            ((2, 3), (1, 3)),
            ((2, 4), (1, 7)),
            ((4, 4), (3, 7)),
            ((3, 9), (3, 7)),
            ((9, 9), (7, 7)),
            ((3, 1), (1, 1)),
        ] {
            assert_eq!(whole_characters(text, given), whole, "{given:?}");
        }
    }

    /// To the largest of all ids the library adds 1.
    #[test]
    fn the_largest_id_of_all_is_refused() {
        for (id, taken) in [(u32::MAX, false), (u32::MAX - 1, true)] {
            let mut json = samples::llama2_json();
            json["model"]["vocab"]["~"] = id.into();
            for token in json["added_tokens"].as_array_mut().unwrap() {
                token["special"] = false.into();
            }
            match samples::load(&json) {
                Ok(tokenizer) => assert!(taken && tokenizer.vocab_size() == u32::MAX as usize),
                Err(e) => assert!(!taken && e.to_string().contains("impossible id"), "{e}"),
            }
        }
    }

    /// A template that names a special token which it does not describe, on which the library
    /// panics.
    #[test]
    fn a_template_with_an_unknown_special_token_is_refused() {
        let mut json = samples::llama2_json();
        json["post_processor"]["special_tokens"] = serde_json::json!({});
        let e = samples::load(&json).unwrap_err();
        assert_eq!(e.exit_code(), 4, "{e}");
        let mut json = samples::llama2_json();
        json["post_processor"]["single"][0]["SpecialToken"]["id"] = "<bos>".into();
        assert_eq!(samples::load(&json).unwrap_err().exit_code(), 4);
    }

    /// Cut off or garbled within the decoder, on which the library panics.
    #[test]
    fn a_tokenizer_that_ends_anywhere_is_refused() {
        let text = samples::llama2_json().to_string();
        let decoder = text.find("\"decoder\"").unwrap();
        let model = text.find("\"model\"").unwrap();
        for end in (decoder..model).chain((0..text.len()).step_by(997)) {
            let Some(cut) = text.get(..end) else { continue };
            let e = Tokenizer::from_bytes(cut.as_bytes(), "m/tokenizer.json").unwrap_err();
            assert_eq!(e.exit_code(), 4, "{e}");
            assert!(e.to_string().contains("m/tokenizer.json"), "{e}");
        }
        let garbled = text.replacen("\"ByteFallback\"", "\"ByteFallback\"\"x\"", 1);
        assert_ne!(garbled, text);
        assert_eq!(Tokenizer::from_bytes(garbled.as_bytes(), "t").unwrap_err().exit_code(), 4);
    }

    #[test]
    fn sha256_is_of_the_file() {
        let bytes = serde_json::to_vec(&samples::byte_level_json()).unwrap();
        let t = Tokenizer::from_bytes(&bytes, "t").unwrap();
        assert_eq!(t.sha256().len(), 64);
        assert_eq!(t.sha256(), sha256(&bytes));
    }
}
