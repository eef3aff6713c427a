//! `tokenizer.json`, and what decides how it is read.

use headprof::tokenizer::Tokenizer;
use headprof::{Error, Result};
use serde_json::{Value, json};

use super::seeds::{bytes, config, tokenizer};
use crate::fuzz::Target;
use crate::fuzz::target::alone;

/// What every tokenizer that was accepted is given.
const TEXT: &str = "the hé 🦀 <s> \u{202e}end\n\nthe";

/// `tokenizer.json`: what is accepted takes a text and gives it back.
pub static TOKENIZER: Target = Target {
    name: "tokenizer",
    reads: "tokenizer.json",
    seeds: || {
        let mut byte_level = tokenizer();
        byte_level["normalizer"] = Value::Null;
        byte_level["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+|."},
             "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
             "use_regex": false}]});
        byte_level["decoder"] = json!({"type": "ByteLevel", "add_prefix_space": true,
            "trim_offsets": true, "use_regex": true});
        let mut words = tokenizer();
        words["model"] = json!({"type": "WordLevel", "unk_token": "<unk>",
            "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "the": 3}});
        words["normalizer"] = json!({"type": "Lowercase"});
        words["pre_tokenizer"] = json!({"type": "Whitespace"});
        let mut unigram = tokenizer();
        unigram["model"] = json!({"type": "Unigram", "unk_id": 0, "byte_fallback": false,
            "vocab": [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0], ["▁the", -1.5], ["e", -2.0]]});
        let all = [tokenizer(), byte_level, words, unigram];
        all.iter().map(bytes).collect()
    },
    beside: alone,
    read: |_, input| used(&Tokenizer::from_bytes(input, "tokenizer.json")?),
};

/// `tokenizer_config.json` beside a tokenizer of Llama's class.
pub static TOKENIZER_CLASS: Target = Target {
    name: "tokenizer-class",
    reads: "tokenizer_config.json",
    seeds: || {
        let class = json!({"tokenizer_class": "LlamaTokenizerFast", "legacy": false,
            "add_prefix_space": true, "added_tokens_decoder": {}});
        vec![bytes(&class)]
    },
    beside: || vec![("tokenizer.json", bytes(&tokenizer())), ("config.json", bytes(&config()))],
    read: |folder, input| {
        folder.put("tokenizer_config.json", input);
        used(&Tokenizer::from_file(&folder.path().join("tokenizer.json"))?)
    },
};

/// Encodes and decodes: no panic, and offsets that lie in the text.
pub(super) fn used(tokenizer: &Tokenizer) -> Result<()> {
    let _ = (tokenizer.newline_ids(), tokenizer.vocab_size());
    // A vocabulary without the text's characters is refused when it is used.
    let of = |ended: Result<()>| match ended {
        Err(Error::Model(_)) => Ok(()),
        ended => ended,
    };
    of(tokenizer.encode_markup(TEXT).map(drop))?;
    of(tokenizer.encode_between("<s>", TEXT, "</s>").map(drop))?;
    of(tokenizer.encode_after(".", TEXT).and_then(|encoded| {
        let inside = |o: &(usize, usize)| o.0 <= o.1 && TEXT.get(o.0..o.1).is_some();
        if let Some(offset) = encoded.offsets.iter().find(|o| !inside(o)) {
            return Err(Error::bug("a token outside the text").got(format!("{offset:?}")));
        }
        tokenizer.decode(&encoded.ids).map(drop)
    }))
}
