//! The class `LlamaTokenizer` of transformers, which does not read from `tokenizer.json` where
//! spaces go: it has a rule of its own for the one that SentencePiece puts in front of a text.
//!
//! ```text
//! tokenizer.json: before every piece between special tokens      <s>▁[INST] …
//! LlamaTokenizer: before the text, `legacy` or not               <s>[INST] …
//! ```

use serde_json::Value;
use tokenizers::models::ModelWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

/// The class's rule in a word, for the record.
pub(super) fn name(scheme: PrependScheme) -> &'static str {
    match scheme {
        PrependScheme::First => "before the text",
        PrependScheme::Always => "before every piece",
        PrependScheme::Never => "nowhere",
    }
}

/// Where the class puts a space, if a checkpoint with these `tokenizer_config.json` and
/// `config.json` is read by it.
pub(super) fn scheme(tokenizer: &Value, model: &Value) -> Option<PrependScheme> {
    let class = tokenizer["tokenizer_class"].as_str()?;
    // For models of other types transformers does not take the class at its word.
    if !matches!(class, "LlamaTokenizer" | "LlamaTokenizerFast") || model["model_type"] != "llama" {
        return None;
    }
    Some(match (&tokenizer["add_prefix_space"], &tokenizer["legacy"]) {
        (Value::Bool(false), _) => PrependScheme::Never,
        (_, Value::Bool(true)) => PrependScheme::Always,
        _ => PrependScheme::First,
    })
}

/// Gives `inner` the class's rule, if it is a tokenizer of SentencePiece's kind: of one of bytes,
/// transformers reads the file.
///
/// # Errors
/// What the library has against it.
pub(super) fn apply(
    inner: &mut tokenizers::Tokenizer,
    scheme: PrependScheme,
) -> tokenizers::Result<bool> {
    let sentencepiece = match inner.get_model() {
        ModelWrapper::BPE(model) => model.byte_fallback,
        _ => false,
    };
    if sentencepiece {
        inner.with_normalizer(None::<NormalizerWrapper>)?;
        let metaspace = Metaspace::new('▁', scheme, false);
        inner.with_pre_tokenizer(Some(PreTokenizerWrapper::Metaspace(metaspace)));
    }
    Ok(sentencepiece)
}
