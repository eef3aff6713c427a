//! Two small tokenizers for tests: byte-level BPE as Llama 3 and Qwen have it, and the
//! SentencePiece BPE of Llama 2 (a space is put in front, bytes are a fallback).

use std::sync::OnceLock;

use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::Tokenizer;
use crate::error::Result;

/// Llama 3's rule for words: letters with one character before them, up to three digits,
/// punctuation with the line breaks after it, line breaks, spaces.
const SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Text to learn merges from: a bundled essay.
const TEXT: &str = include_str!("../../haystack/01-harbour.txt");

pub(crate) fn load(json: &Value) -> Result<Tokenizer> {
    Tokenizer::from_bytes(&serde_json::to_vec(json).expect("a value serialises"), "sample")
}

/// Byte-level BPE of 600 tokens, `<|bos|>` = 0 in front.
pub(crate) fn byte_level() -> &'static Tokenizer {
    static SAMPLE: OnceLock<Tokenizer> = OnceLock::new();
    SAMPLE.get_or_init(|| load(&byte_level_json()).expect("the sample loads"))
}

pub(crate) fn byte_level_json() -> Value {
    static SAMPLE: OnceLock<Value> = OnceLock::new();
    SAMPLE.get_or_init(train_byte_level).clone()
}

fn train_byte_level() -> Value {
    let pre_tokenizer = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
    ]});
    let bos = "<|bos|>";
    let mut untrained = tokenizers::Tokenizer::new(ModelWrapper::BPE(BPE::default()));
    untrained.with_pre_tokenizer(Some(
        serde_json::from_value::<tokenizers::PreTokenizerWrapper>(pre_tokenizer)
            .expect("the pre-tokenizer loads"),
    ));
    let trainer = BpeTrainer::builder()
        .vocab_size(600)
        .show_progress(false)
        .special_tokens(vec![tokenizers::AddedToken::from(bos, true)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    // With this, ".\n\n" becomes one token, as in Llama 3.
    let paragraphs = "end.\n\n".repeat(60);
    untrained
        .train(&mut TrainerWrapper::BpeTrainer(trainer), [TEXT, paragraphs.as_str()].into_iter())
        .expect("training works");
    let json = untrained.to_string(false).expect("a tokenizer serialises");
    let mut json: Value = serde_json::from_str(&json).expect("and is JSON");
    json["decoder"] = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
        "use_regex": true});
    json["post_processor"] = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": bos, "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {bos: {"id": bos, "ids": [0], "tokens": [bos]}}});
    json
}

/// A word of the training text that the byte-level sample has as one token.
pub(crate) fn a_word_that_is_one_token(t: &Tokenizer) -> String {
    TEXT.split_whitespace()
        .filter(|w| w.len() >= 4 && w.bytes().all(|b| b.is_ascii_lowercase()))
        .find(|w| t.encode(w).is_ok_and(|ids| ids.len() == 1))
        .expect("600 tokens hold a whole word")
        .to_owned()
}

/// Llama 2's scheme by hand: `<unk> <s> </s>`, the 256 bytes, "▁", the printable ASCII letters,
/// and a few words with the merges that build them from left to right.
pub(crate) fn llama2() -> &'static Tokenizer {
    static SAMPLE: OnceLock<Tokenizer> = OnceLock::new();
    SAMPLE.get_or_init(|| load(&llama2_json()).expect("the sample loads"))
}

pub(crate) fn llama2_json() -> Value {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    tokens.extend((0..=255u8).map(|b| format!("<0x{b:02X}>")));
    tokens.push("▁".to_owned());
    tokens.extend((b'!'..=b'~').map(|b| char::from(b).to_string()));
    let mut merges = Vec::new();
    for word in ["▁The", "▁the", "▁wall", "▁of", "▁and", "▁boat", "ing"] {
        let mut built = String::new();
        for c in word.chars() {
            if !built.is_empty() {
                let merge = json!([built, c.to_string()]);
                if !merges.contains(&merge) {
                    merges.push(merge);
                    tokens.push(format!("{built}{c}"));
                }
            }
            built.push(c);
        }
    }
    let vocab: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, t)| (t.clone(), json!(id))).collect();
    let special = |id: usize| {
        json!({"id": id, "content": tokens[id], "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0), special(1), special(2)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false, "vocab": vocab, "merges": merges},
    })
}
