//! [`Family`]: the kinds of decoders, and what each takes a key of `config.json` to be that is not
//! there.

/// Families of decoders that [`crate::model::Llama`] computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Llama 1, 2, 3, 3.1, 3.2 and what shares their `model_type`.
    Llama,
    /// Mistral: sliding-window attention.
    Mistral,
    /// Qwen2 and Qwen2.5: biases on query, key and value.
    Qwen2,
    /// Qwen3: RMS norm on each query and key head.
    Qwen3,
}

impl Family {
    pub(super) const SUPPORTED: &str = "llama, mistral, qwen2, qwen3";

    pub(super) fn parse(model_type: &str) -> Option<Self> {
        Some(match model_type {
            "llama" => Self::Llama,
            "mistral" => Self::Mistral,
            "qwen2" => Self::Qwen2,
            "qwen3" => Self::Qwen3,
            _ => return None,
        })
    }

    /// The `model_type` of `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// What its configuration class in transformers (5.24.0) has where a key is absent.
    pub(super) fn defaults(self) -> Defaults {
        // All four have these three and, but for Qwen3, the head dimension `hidden / heads`.
        let common = Defaults {
            vocab: 32_000,
            hidden: 4096,
            intermediate: 11_008,
            layers: 32,
            heads: 32,
            kv_heads: None,
            head_dim: None,
            max_positions: 2048,
            eos: Some(2),
        };
        let qwen = Defaults {
            vocab: 151_936,
            intermediate: 22_016,
            kv_heads: Some(32),
            max_positions: 32_768,
            eos: None,
            ..common
        };
        match self {
            Self::Llama => common,
            Self::Mistral => Defaults {
                intermediate: 14_336,
                kv_heads: Some(8),
                max_positions: 131_072,
                ..common
            },
            Self::Qwen2 => qwen,
            Self::Qwen3 => Defaults { head_dim: Some(128), ..qwen },
        }
    }
}

/// Values of absent keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    pub vocab: usize,
    pub hidden: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    /// `None`: as many as query heads.
    pub kv_heads: Option<usize>,
    /// `None`: `hidden / heads`.
    pub head_dim: Option<usize>,
    pub max_positions: usize,
    pub eos: Option<u32>,
}
