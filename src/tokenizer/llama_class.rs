//! The class `LlamaTokenizer` of transformers, which does not read from `tokenizer.json` where
//! spaces go: it has a rule of its own for the one that SentencePiece puts in front of a text.
//!
//! ```text
//! tokenizer.json: before every piece between special tokens      <s>▁[INST] …
//! LlamaTokenizer: before the text, `legacy` or not               <s>[INST] …
//! ```

use std::path::Path;

use serde_json::Value;
use tokenizers::models::ModelWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

use super::Tokenizer;
use crate::error::{Error, Result};
use crate::system::text::without_bom;

impl Tokenizer {
    /// The same with the class's rule for spaces, where `tokenizer_config.json` and `config.json`
    /// beside `path` say that transformers reads it by the class.
    ///
    /// # Errors
    /// As [`Tokenizer::of_llama_class`].
    pub(super) fn in_its_class(self, path: &Path) -> Result<Self> {
        let beside = |file: &str| -> Value {
            // What cannot be read is told where it is needed: by chat template and model.
            let bytes = std::fs::read(path.with_file_name(file)).ok();
            let json = bytes.and_then(|b| serde_json::from_slice(without_bom(&b)).ok());
            json.unwrap_or_default()
        };
        match scheme(&beside("tokenizer_config.json"), &beside("config.json")) {
            Some(scheme) => self.of_llama_class(scheme),
            None => Ok(self),
        }
    }

    /// The same, if it is of SentencePiece's kind, with the class's rule for spaces.
    ///
    /// # Errors
    /// [`Error::Model`] with what the library has against it.
    pub(super) fn of_llama_class(mut self, scheme: PrependScheme) -> Result<Self> {
        let applied = apply(&mut self.inner, scheme);
        if applied.map_err(|e| Error::model("the tokenizer cannot be set up").got(e))? {
            self.spaces = Some(name(scheme));
        }
        Ok(self)
    }

    /// Where spaces go, if that is not as `tokenizer.json` has it.
    pub fn spaces(&self) -> Option<&'static str> {
        self.spaces
    }
}

/// The class's rule in a word, for the record.
fn name(scheme: PrependScheme) -> &'static str {
    match scheme {
        PrependScheme::First => "before the text",
        PrependScheme::Always => "before every piece",
        PrependScheme::Never => "nowhere",
    }
}

/// Where the class puts a space, if a checkpoint with these `tokenizer_config.json` and
/// `config.json` is read by it.
fn scheme(tokenizer: &Value, model: &Value) -> Option<PrependScheme> {
    let class = tokenizer["tokenizer_class"].as_str().or(model["tokenizer_class"].as_str())?;
    // For models of other types transformers does not take the class at its word.
    let taken = model["model_type"] == "llama" || model["model_type"] == "qwen3";
    if !matches!(class, "LlamaTokenizer" | "LlamaTokenizerFast") || !taken {
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
fn apply(inner: &mut tokenizers::Tokenizer, scheme: PrependScheme) -> tokenizers::Result<bool> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples;
    use super::*;

    /// Which files make a tokenizer one of the class, and which rule it has then.
    #[test]
    fn the_class_is_found_in_its_class_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        let write = |file: &str, json: &Value| {
            std::fs::write(dir.path().join(file), json.to_string()).unwrap();
        };
        write("tokenizer.json", &samples::llama2_json());
        assert_eq!(Tokenizer::from_file(&path).unwrap().spaces(), None);
        for (class, model, more, rule) in [
            ("LlamaTokenizer", "llama", json!({}), Some("before the text")),
            ("LlamaTokenizerFast", "llama", json!({"legacy": false}), Some("before the text")),
            ("LlamaTokenizer", "llama", json!({"legacy": true}), Some("before every piece")),
            ("LlamaTokenizer", "llama", json!({"add_prefix_space": false}), Some("nowhere")),
            ("LlamaTokenizer", "mistral", json!({}), None),
            ("PreTrainedTokenizerFast", "llama", json!({}), None),
        ] {
            let mut config = more;
            config["tokenizer_class"] = json!(class);
            write("tokenizer_config.json", &config);
            write("config.json", &json!({"model_type": model}));
            let t = Tokenizer::from_file(&path).unwrap();
            assert_eq!(t.spaces(), rule, "{class} {model}");
        }
        // The model's file names the class where the tokenizer's does not; a BOM is no matter.
        write("tokenizer_config.json", &json!({}));
        let model = json!({"model_type": "llama", "tokenizer_class": "LlamaTokenizer"});
        std::fs::write(dir.path().join("config.json"), format!("\u{feff}{model}")).unwrap();
        assert_eq!(Tokenizer::from_file(&path).unwrap().spaces(), Some("before the text"));
        // One of bytes is read from its file.
        write("tokenizer.json", &samples::byte_level_json());
        write("tokenizer_config.json", &json!({"tokenizer_class": "LlamaTokenizer"}));
        write("config.json", &json!({"model_type": "llama"}));
        assert_eq!(Tokenizer::from_file(&path).unwrap().spaces(), None);
    }

    /// By hand, as transformers 5 has it: a space before the text, and none behind `<s>`.
    #[test]
    fn spaces_go_before_the_text_alone() {
        let (of_class, of_file) = (samples::llama2_of_its_class(), samples::llama2());
        let tokens = |t: &Tokenizer, text: &str| -> Vec<String> {
            let ids = t.encode_markup(text).unwrap();
            ids.iter().map(|&id| t.inner.id_to_token(id).unwrap()).collect()
        };
        assert_eq!(tokens(&of_class, "<s>The wall"), ["<s>", "T", "h", "e", "▁wall"]);
        assert_eq!(tokens(of_file, "<s>The wall"), ["<s>", "▁The", "▁wall"]);
        assert_eq!(tokens(&of_class, "The wall"), ["▁The", "▁wall"]);
        assert_eq!(tokens(&of_class, " The"), ["▁The"]);
        assert_eq!(tokens(of_file, " The"), ["▁", "▁The"]);
    }
}
