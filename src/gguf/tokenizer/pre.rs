//! How text is cut into words before BPE: rules by the names that GGUF files give them.
//!
//! The patterns are those of the models' own `tokenizer.json`; names beside the first are those for
//! which llama.cpp (`llama-vocab.cpp`) has the same rules.

use serde_json::{Value, json};

/// Rules for words.
pub(super) struct Words {
    names: &'static [&'static str],
    /// Whether texts are brought into Unicode's form NFC before.
    pub nfc: bool,
    /// What is cut first.
    cut: Cut,
    /// Whether GPT-2's own pattern cuts last.
    pub gpt2: bool,
    /// Whether a word that is a token is that, whatever the merges make of it.
    pub whole_words: bool,
    /// Whether texts begin with BOS where a file does not say.
    pub begins: bool,
}

enum Cut {
    /// Nothing.
    Nowhere,
    /// Digits, one by one.
    Digits,
    /// By a pattern.
    Pattern(&'static str),
}

const ALL: [Words; 5] = [
    Words {
        names: &["llama-bpe", "llama3", "llama-v3"],
        nfc: false,
        cut: Cut::Pattern(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        gpt2: false,
        whole_words: true,
        begins: true,
    },
    Words {
        names: &["qwen2", "deepseek-r1-qwen"],
        nfc: true,
        cut: Cut::Pattern(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        gpt2: false,
        whole_words: false,
        begins: false,
    },
    Words {
        names: &["smollm", "starcoder", "refact", "command-r"],
        nfc: false,
        cut: Cut::Digits,
        gpt2: true,
        whole_words: false,
        begins: false,
    },
    Words {
        names: &["gpt-2", "phi-2"],
        nfc: false,
        cut: Cut::Nowhere,
        gpt2: true,
        whole_words: false,
        begins: false,
    },
    Words {
        names: &["tekken"],
        nfc: false,
        cut: Cut::Pattern(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        gpt2: false,
        whole_words: true,
        begins: true,
    },
];

/// The rules that are called `name`.
pub(super) fn of(name: &str) -> Option<&'static Words> {
    ALL.iter().find(|words| words.names.contains(&name))
}

/// All names.
pub(super) fn names() -> String {
    ALL.iter().flat_map(|words| words.names).copied().collect::<Vec<_>>().join(", ")
}

impl Words {
    /// What cuts texts before they become bytes.
    pub fn cuts(&self) -> Vec<Value> {
        match self.cut {
            Cut::Nowhere => vec![],
            Cut::Digits => vec![json!({"type": "Digits", "individual_digits": true})],
            Cut::Pattern(regex) => vec![json!({
                "type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated",
                "invert": false,
            })],
        }
    }
}
