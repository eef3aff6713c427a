//! Shapes of published models, as their `config.json` gives them.

use serde_json::{Map, Value, json};

/// One model: name, `model_type`, then `[hidden, feed-forward, layers, heads, key/value heads,
/// vocabulary, positions]`, base of the rotary frequencies, whether the embedding is the output
/// layer, and what else its `config.json` says.
struct Shape(&'static str, &'static str, [usize; 7], f64, bool, fn() -> Value);

const SHAPES: [Shape; 14] = [
    Shape("smollm2-135m", "llama", [576, 1536, 30, 9, 3, 49152, 8192], 1e5, true, none),
    Shape("tinyllama-1.1b", "llama", [2048, 5632, 22, 32, 4, 32000, 2048], 1e4, false, none),
    Shape("llama-2-7b", "llama", [4096, 11008, 32, 32, 32, 32000, 4096], 1e4, false, none),
    Shape("yi-6b", "llama", [4096, 11008, 32, 32, 4, 64000, 4096], 5e6, false, none),
    Shape("llama-3-8b", "llama", [4096, 14336, 32, 32, 8, 128256, 8192], 5e5, false, none),
    Shape("llama-3.1-8b", "llama", [4096, 14336, 32, 32, 8, 128256, 131072], 5e5, false, || {
        scaled(8.0, 128)
    }),
    Shape("llama-3.2-1b", "llama", [2048, 8192, 16, 32, 8, 128256, 131072], 5e5, true, || {
        scaled(32.0, 64)
    }),
    Shape("llama-3.2-3b", "llama", [3072, 8192, 28, 24, 8, 128256, 131072], 5e5, true, || {
        scaled(32.0, 128)
    }),
    Shape(
        "mistral-7b-v0.1",
        "mistral",
        [4096, 14336, 32, 32, 8, 32000, 32768],
        1e4,
        false,
        || json!({"sliding_window": 4096}),
    ),
    Shape(
        "mistral-7b-v0.3",
        "mistral",
        [4096, 14336, 32, 32, 8, 32768, 32768],
        1e6,
        false,
        || json!({"sliding_window": null}),
    ),
    Shape("qwen2.5-0.5b", "qwen2", [896, 4864, 24, 14, 2, 151936, 32768], 1e6, true, qwen2),
    Shape("qwen2.5-7b", "qwen2", [3584, 18944, 28, 28, 4, 152064, 131072], 1e6, false, qwen2),
    Shape("qwen3-0.6b", "qwen3", [1024, 3072, 28, 16, 8, 151936, 40960], 1e6, true, qwen3),
    Shape("qwen3-8b", "qwen3", [4096, 12288, 36, 32, 8, 151936, 40960], 1e6, false, qwen3),
];

/// Their names.
pub fn names() -> Vec<&'static str> {
    SHAPES.iter().map(|shape| shape.0).collect()
}

/// The `config.json` of `name`; null if there is none of that name.
pub fn config(name: &str) -> Value {
    let Some(Shape(_, family, sizes, theta, tied, more)) = SHAPES.iter().find(|s| s.0 == name)
    else {
        return Value::Null;
    };
    let [hidden, intermediate, layers, heads, kv_heads, vocab, positions] = sizes;
    let class = match *family {
        "mistral" => "MistralForCausalLM",
        "qwen2" => "Qwen2ForCausalLM",
        "qwen3" => "Qwen3ForCausalLM",
        _ => "LlamaForCausalLM",
    };
    let eps = if family.starts_with("qwen") { 1e-6 } else { 1e-5 };
    let mut config: Map<String, Value> = [
        ("architectures", json!([class])),
        ("model_type", json!(family)),
        ("hidden_size", json!(hidden)),
        ("intermediate_size", json!(intermediate)),
        ("num_hidden_layers", json!(layers)),
        ("num_attention_heads", json!(heads)),
        ("num_key_value_heads", json!(kv_heads)),
        ("vocab_size", json!(vocab)),
        ("max_position_embeddings", json!(positions)),
        ("rope_theta", json!(theta)),
        ("rms_norm_eps", json!(eps)),
        ("hidden_act", json!("silu")),
        ("tie_word_embeddings", json!(tied)),
        // Those of the tokenizer beside it.
        ("bos_token_id", json!(0)),
        ("eos_token_id", json!(1)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into_iter()
    .collect();
    if let Value::Object(more) = more() {
        config.extend(more);
    }
    Value::Object(config)
}

fn none() -> Value {
    json!({})
}

/// Llama 3.1's scaling of rotary frequencies, and the width of a head, which its files give.
fn scaled(factor: f64, head_dim: usize) -> Value {
    json!({
        "head_dim": head_dim,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    })
}

fn qwen2() -> Value {
    json!({"use_sliding_window": false, "sliding_window": 131072, "max_window_layers": 28})
}

fn qwen3() -> Value {
    json!({"head_dim": 128, "attention_bias": false, "use_sliding_window": false})
}
