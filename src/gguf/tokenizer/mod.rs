//! What `tokenizer.json` and the chat template would say of the model in a [`Gguf`].
//!
//! A file holds the vocabulary, what kind each token is, and for BPE the merges; how text is cut
//! into words is a name (`tokenizer.ggml.pre`), whose rules are in [`pre`]. SentencePiece's merges
//! follow from the tokens' scores ([`merges`]).

mod merges;
mod pre;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::Gguf;
use crate::error::{Error, Result};

/// Kinds of tokens, `tokenizer.ggml.token_type`.
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;

/// The special tokens that chat templates are told, and the keys of their ids.
const SPECIAL: [(&str, &str); 5] = [
    ("bos_token", "bos_token_id"),
    ("eos_token", "eos_token_id"),
    ("unk_token", "unknown_token_id"),
    ("sep_token", "seperator_token_id"),
    ("pad_token", "padding_token_id"),
];

/// A file's chat template, and the special tokens that it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTemplate {
    /// In Jinja.
    pub text: String,
    /// Names of templates, such as `bos_token`, and the tokens.
    pub special: Vec<(&'static str, String)>,
}

impl Gguf {
    /// A `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Model`] naming the key: for another kind of tokenizer or of words, for lists that
    /// do not fit one another, for a token that two ids have.
    pub fn tokenizer(&self) -> Result<Value> {
        let tokens = self.tokens()?;
        let mut vocab = Map::with_capacity(tokens.len());
        for (id, token) in tokens.iter().enumerate() {
            if let Some(other) = vocab.insert(token.clone(), id.into()) {
                return Err(Error::model("two ids have the same token")
                    .at(self.place("tokenizer.ggml.tokens"))
                    .got(format!("{token:?}, of {other} and {id}")));
            }
        }
        let kind = "tokenizer.ggml.model";
        let (mut json, begins) = match self.text(kind)? {
            "gpt2" => self.of_bytes(vocab)?,
            "llama" => self.of_pieces(vocab)?,
            _ => return Err(self.wrong(kind, "gpt2 (BPE of bytes) or llama (SentencePiece)")),
        };
        json["version"] = "1.0".into();
        json["added_tokens"] = self.added()?;
        let begins = self.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(begins);
        if begins {
            json["post_processor"] = self.bos_in_front()?;
        }
        Ok(json)
    }

    /// The vocabulary, by id.
    pub(super) fn tokens(&self) -> Result<&[String]> {
        let key = "tokenizer.ggml.tokens";
        match self.texts(key)? {
            [] => Err(self.wrong(key, "at least one token")),
            tokens => Ok(tokens),
        }
    }

    /// Which tokens steer the model and are no text, by id.
    pub(super) fn control_tokens(&self) -> Result<Vec<bool>> {
        Ok(self.kinds()?.iter().map(|kind| *kind == CONTROL).collect())
    }

    /// The kind of each token; without the list they are all text.
    fn kinds(&self) -> Result<Vec<i32>> {
        let n = self.get("tokenizer.ggml.tokens").and_then(|t| t.as_array()).map_or(0, |t| t.len());
        let kinds = self.ints("tokenizer.ggml.token_type", n)?;
        Ok(kinds.map_or_else(|| vec![1; n], <[i32]>::to_vec))
    }

    /// Tokens that are found in a text before it is cut into words.
    fn added(&self) -> Result<Value> {
        let (tokens, kinds) = (self.tokens()?, self.kinds()?);
        let added = tokens.iter().zip(&kinds).enumerate();
        let added = added.filter(|(_, (_, kind))| [UNKNOWN, CONTROL, USER_DEFINED].contains(kind));
        Ok(added
            .map(|(id, (token, kind))| {
                json!({
                    "id": id, "content": token, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": *kind != USER_DEFINED,
                })
            })
            .collect())
    }

    /// BPE of bytes, as of GPT-2, and whether texts begin with BOS.
    fn of_bytes(&self, vocab: Map<String, Value>) -> Result<(Value, bool)> {
        let key = "tokenizer.ggml.pre";
        let Some(words) = pre::of(self.text(key)?) else {
            return Err(self.wrong(key, format!("one of {}", pre::names())));
        };
        let merges = self.texts("tokenizer.ggml.merges")?;
        let pairs: Option<Vec<[&str; 2]>> = merges
            .iter()
            .map(|merge| {
                // A token may be a space.
                let second = merge.char_indices().nth(1)?.0;
                let border = second + merge[second..].find(' ')?;
                Some([&merge[..border], &merge[border + 1..]])
            })
            .collect();
        let pairs = pairs.ok_or_else(|| {
            self.wrong("tokenizer.ggml.merges", "two tokens with a space between them, each")
        })?;
        let mut split = words.cuts();
        split.push(json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": words.gpt2,
        }));
        let json = json!({
            "normalizer": words.nfc.then(|| json!({"type": "NFC"})),
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": split},
            "decoder": {
                "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": false,
            },
            "model": {
                "type": "BPE", "vocab": vocab, "merges": pairs, "byte_fallback": false,
                "fuse_unk": false, "ignore_merges": words.whole_words,
            },
        });
        Ok((json, words.begins))
    }

    /// SentencePiece's BPE with bytes as a fallback, as of Llama 2; texts begin with BOS.
    fn of_pieces(&self, vocab: Map<String, Value>) -> Result<(Value, bool)> {
        let (tokens, kinds) = (self.tokens()?, self.kinds()?);
        let scores = self.floats("tokenizer.ggml.scores", tokens.len())?;
        let added: HashSet<usize> =
            (0..tokens.len()).filter(|id| [UNKNOWN, CONTROL].contains(&kinds[*id])).collect();
        let merges = merges::of_scores(tokens, scores, &added).map_err(|got| {
            self.wrong("tokenizer.ggml.tokens", "the pieces of a vocabulary").got(got)
        })?;
        let unknown = self.whole("tokenizer.ggml.unknown_token_id")?.unwrap_or(0);
        let unknown = usize::try_from(unknown).ok().and_then(|id| tokens.get(id));
        let unknown = unknown.ok_or_else(|| {
            self.wrong("tokenizer.ggml.unknown_token_id", format!("below {}", tokens.len()))
        })?;
        let in_front = self.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
        let mut spaces =
            vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
        let mut text = vec![
            json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if in_front {
            spaces.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
            text.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        let json = json!({
            "normalizer": {"type": "Sequence", "normalizers": spaces},
            "decoder": {"type": "Sequence", "decoders": text},
            "model": {
                "type": "BPE", "vocab": vocab, "merges": merges, "byte_fallback": true,
                "fuse_unk": true, "unk_token": unknown, "ignore_merges": false,
            },
        });
        Ok((json, true))
    }

    /// What puts BOS in front of a text.
    fn bos_in_front(&self) -> Result<Value> {
        let key = "tokenizer.ggml.bos_token_id";
        let tokens = self.tokens()?;
        let (id, bos) = match self.token(key)? {
            Some(named) => named,
            // SentencePiece's own, where a file does not say.
            None if tokens.len() > 1 && self.get("tokenizer.ggml.scores").is_some() => {
                (1, tokens[1].as_str())
            }
            None => return Err(self.wrong(key, "the id of the token that texts begin with")),
        };
        let (own, text) = (json!({"SpecialToken": {"id": bos, "type_id": 0}}), "Sequence");
        Ok(json!({
            "type": "TemplateProcessing",
            "single": [own, {text: {"id": "A", "type_id": 0}}],
            "pair": [own, {text: {"id": "A", "type_id": 0}}, {text: {"id": "B", "type_id": 0}}],
            "special_tokens": {bos: {"id": bos, "ids": [id], "tokens": [bos]}},
        }))
    }

    /// The id at `key` and its token, if the file names one.
    fn token(&self, key: &str) -> Result<Option<(u64, &str)>> {
        let Some(id) = self.whole(key)? else { return Ok(None) };
        let tokens = self.tokens()?;
        match usize::try_from(id).ok().and_then(|id| tokens.get(id)) {
            Some(token) => Ok(Some((id, token))),
            None => Err(self.wrong(key, format!("an id below {}", tokens.len()))),
        }
    }

    /// The chat template, if there is one.
    ///
    /// # Errors
    /// [`Error::Model`] naming the key.
    pub fn template(&self) -> Result<Option<FileTemplate>> {
        let Some(text) = self.text_or_none("tokenizer.chat_template")? else { return Ok(None) };
        let mut special = Vec::new();
        for (name, key) in SPECIAL {
            // An id that is none is as good as no id, as for llama.cpp.
            if let Ok(Some((_, token))) = self.token(&format!("tokenizer.ggml.{key}")) {
                special.push((name, token.to_owned()));
            }
        }
        Ok(Some(FileTemplate { text: text.to_owned(), special }))
    }
}
