//! [`Contents`]: what kind of model a repository is asked for.

/// A model as ONNX, in one file.
pub const ONNX: &str = "model.onnx";

/// What an embedding model has besides its [`ONNX`] file.
pub const EMBEDDING_FILES: [&str; 4] =
    ["config.json", "tokenizer.json", "special_tokens_map.json", "tokenizer_config.json"];

/// What is downloaded of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// A language model: configuration, tokenizer, weights as safetensors.
    Checkpoint,
    /// A model of sentence embeddings: [`EMBEDDING_FILES`] and [`ONNX`].
    Embedding,
}

impl Contents {
    /// The option that names such a model.
    pub fn option(self) -> &'static str {
        match self {
            Self::Checkpoint => "--model",
            Self::Embedding => "--gate-model",
        }
    }
}
