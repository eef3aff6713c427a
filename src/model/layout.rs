//! The tensors that a decoder needs: Hugging Face name, shape, and the configuration keys that the
//! shape comes from. Known before any weight is read, so that one error lists all that is missing.

use super::config::ModelConfig;

/// One dimension of a weight, by what decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Rows of the embedding, `V`.
    Vocab,
    /// Width of the residual stream.
    Hidden,
    /// Width of the feed-forward layer.
    Intermediate,
    /// All query heads, `H · D`.
    Queries,
    /// All key or value heads, `G · D`.
    KeyValues,
    /// One head, `D`.
    HeadDim,
}

impl Size {
    /// The number of a model of shape `c`.
    pub fn of(self, c: &ModelConfig) -> usize {
        match self {
            Self::Vocab => c.vocab,
            Self::Hidden => c.hidden,
            Self::Intermediate => c.intermediate,
            Self::Queries => c.heads * c.head_dim,
            Self::KeyValues => c.kv_heads * c.head_dim,
            Self::HeadDim => c.head_dim,
        }
    }

    /// The keys of `config.json` that decide it, with their values.
    pub fn source(self, c: &ModelConfig) -> String {
        match self {
            Self::Vocab => format!("vocab_size={}", c.vocab),
            Self::Hidden => format!("hidden_size={}", c.hidden),
            Self::Intermediate => format!("intermediate_size={}", c.intermediate),
            Self::Queries => format!("num_attention_heads={} * head_dim={}", c.heads, c.head_dim),
            Self::KeyValues => {
                format!("num_key_value_heads={} * head_dim={}", c.kv_heads, c.head_dim)
            }
            Self::HeadDim => format!("head_dim={}", c.head_dim),
        }
    }
}

/// Every tensor of a model of shape `c`, matrices as `[out, in]`.
pub fn tensors(c: &ModelConfig) -> Vec<(String, Vec<Size>)> {
    use Size::{HeadDim, Hidden, Intermediate, KeyValues, Queries, Vocab};
    let mut all = vec![
        ("model.embed_tokens.weight".to_owned(), vec![Vocab, Hidden]),
        ("model.norm.weight".to_owned(), vec![Hidden]),
    ];
    if !c.tied {
        all.push(("lm_head.weight".to_owned(), vec![Vocab, Hidden]));
    }
    let linears = [
        ("self_attn.q_proj", Queries, Hidden, c.qkv_bias),
        ("self_attn.k_proj", KeyValues, Hidden, c.qkv_bias),
        ("self_attn.v_proj", KeyValues, Hidden, c.qkv_bias),
        ("self_attn.o_proj", Hidden, Queries, c.output_bias),
        ("mlp.gate_proj", Intermediate, Hidden, c.mlp_bias),
        ("mlp.up_proj", Intermediate, Hidden, c.mlp_bias),
        ("mlp.down_proj", Hidden, Intermediate, c.mlp_bias),
    ];
    let norms = [
        ("input_layernorm", Hidden, true),
        ("post_attention_layernorm", Hidden, true),
        ("self_attn.q_norm", HeadDim, c.qk_norm),
        ("self_attn.k_norm", HeadDim, c.qk_norm),
    ];
    for layer in 0..c.layers {
        let name = |part: &str, kind: &str| format!("model.layers.{layer}.{part}.{kind}");
        for (part, out, input, bias) in linears {
            all.push((name(part, "weight"), vec![out, input]));
            if bias {
                all.push((name(part, "bias"), vec![out]));
            }
        }
        for (part, size, present) in norms {
            if present {
                all.push((name(part, "weight"), vec![size]));
            }
        }
    }
    all
}
