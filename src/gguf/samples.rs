//! Small GGUF files for tests.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Gguf;
use super::writer::GgufWriter;
use crate::error::Result;
use crate::tokenizer::samples;

pub(super) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn fixtures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join("tests/fixtures/models")).unwrap();
    let mut all: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    all.retain(|dir| dir.join("golden.json").exists());
    all.sort();
    assert_eq!(all.len(), 12);
    all
}

/// A small model, with a tokenizer of SentencePiece's kind.
pub(super) fn sample() -> GgufWriter {
    let mut file = GgufWriter::of_checkpoint(&repository().join("tests/fixtures/models/llama-mha"));
    add_pieces(&mut file, &samples::llama2_json());
    file
}

/// Opens what `file` is on disk.
pub(super) fn opened(file: &GgufWriter) -> Result<Gguf> {
    opened_bytes(&file.bytes())
}

pub(super) fn opened_bytes(bytes: &[u8]) -> Result<Gguf> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    Gguf::open(&path)
}

pub(super) fn vocabulary(json: &Value) -> Vec<String> {
    let vocab = json["model"]["vocab"].as_object().unwrap();
    let mut tokens: Vec<(u64, &String)> =
        vocab.iter().map(|(token, id)| (id.as_u64().unwrap(), token)).collect();
    tokens.sort();
    assert!(tokens.iter().enumerate().all(|(i, (id, _))| i as u64 == *id));
    tokens.into_iter().map(|(_, token)| token.clone()).collect()
}

/// The tokenizer `json`, of SentencePiece's kind, as a file has it: merges as scores.
pub(super) fn add_pieces(file: &mut GgufWriter, json: &Value) {
    let tokens = vocabulary(json);
    let pairs = json["model"]["merges"].as_array().unwrap().iter();
    let merges: Vec<String> = pairs
        .map(|pair| format!("{}{}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect();
    let score =
        |token: &String| merges.iter().position(|m| m == token).map_or(-1e4, |i| -(i as f32));
    let kind = |id: usize, token: &str| match id {
        0 => 2,
        1 | 2 => 3,
        _ if token.starts_with("<0x") => 6,
        _ => 1,
    };
    let kinds: Vec<i32> = tokens.iter().enumerate().map(|(id, token)| kind(id, token)).collect();
    let scores: Vec<f32> = tokens.iter().map(score).collect();
    file.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", &tokens);
    file.floats("tokenizer.ggml.scores", &scores).numbers("tokenizer.ggml.token_type", &kinds);
    file.number("tokenizer.ggml.bos_token_id", 1).number("tokenizer.ggml.eos_token_id", 2);
    file.number("tokenizer.ggml.unknown_token_id", 0);
}

/// The same of BPE of bytes, by the rule for words that is called `pre`.
pub(super) fn add_bytes(file: &mut GgufWriter, json: &Value, pre: &str) {
    let tokens = vocabulary(json);
    let pairs = json["model"]["merges"].as_array().unwrap().iter();
    let merges: Vec<String> = pairs
        .map(|pair| format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect();
    let kinds: Vec<i32> = (0..tokens.len()).map(|id| if id == 0 { 3 } else { 1 }).collect();
    file.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", pre);
    file.texts("tokenizer.ggml.tokens", &tokens).texts("tokenizer.ggml.merges", &merges);
    file.numbers("tokenizer.ggml.token_type", &kinds);
    file.number("tokenizer.ggml.bos_token_id", 0).number("tokenizer.ggml.eos_token_id", 0);
}

/// A file that stays as long as the process: configurations read from it.
pub(super) fn on_disk(file: &GgufWriter) -> Gguf {
    let path = tempfile::tempdir().unwrap().keep().join("model.gguf");
    std::fs::write(&path, file.bytes()).unwrap();
    Gguf::open(&path).unwrap()
}
