//! `config.json` that is damaged, impossible or of a model that is not supported.

use headprof::model::ModelConfig;
use serde_json::{Value, json};

use super::tiny::Tiny;
use super::{load, refused};

/// The error for the tiny checkpoint with changed keys (`null` removes one).
fn error_with(changes: &[(&str, Value)], named: &[&str]) -> String {
    let mut tiny = Tiny::default();
    for (key, value) in changes {
        let map = tiny.config.as_object_mut().unwrap();
        match value {
            Value::Null => map.remove(*key),
            value => map.insert((*key).to_owned(), value.clone()),
        };
    }
    let text = refused(load(tiny.folder().path()), named);
    assert!(text.contains("config.json"), "{text}");
    text
}

#[test]
fn text_that_is_no_json_object_is_refused() {
    let dir = Tiny::default().folder();
    let path = dir.path().join("config.json");
    let nested = "[".repeat(100_000);
    for text in ["", "{", "[]", "null", "3", "{\"model_type\": NaN}", "\u{0}", &nested] {
        std::fs::write(&path, text).unwrap();
        refused(load(dir.path()), &["config.json", "not"]);
    }
    std::fs::write(&path, b"{\"model_type\": \"\xff\"}").unwrap();
    refused(load(dir.path()), &["config.json is not JSON"]);
    std::fs::remove_file(&path).unwrap();
    refused(load(dir.path()), &["cannot be read", "config.json"]);
    refused(load(&dir.path().join("nowhere")), &["cannot be read", "nowhere"]);
}

#[test]
fn every_missing_key_is_named() {
    error_with(&[("model_type", Value::Null)], &["config.json: model_type", "lacks a key"]);
    // Of the others transformers has defaults, which do not suit these weights.
    for (key, assumed) in [
        ("num_hidden_layers", "num_hidden_layers = 32"),
        ("hidden_size", "hidden_size = 4096"),
        ("num_attention_heads", "num_attention_heads = 32"),
        ("intermediate_size", "intermediate_size = 11008"),
        ("vocab_size", "vocab_size = 32000"),
    ] {
        error_with(&[(key, Value::Null)], &[assumed, "which transformers assumes"]);
    }
}

/// What transformers 5.24.0 has in `LlamaConfig()`, `MistralConfig()` and so on; there is nothing in
/// the file but the family.
#[test]
fn absent_keys_are_what_transformers_takes_them_to_be() {
    for (family, kv_heads, head_dim, ffn, vocab, positions, eos) in [
        ("llama", 32, 128, 11_008, 32_000, 2048, vec![2]),
        ("mistral", 8, 128, 14_336, 32_000, 131_072, vec![2]),
        ("qwen2", 32, 128, 22_016, 151_936, 32_768, vec![]),
        ("qwen3", 32, 128, 22_016, 151_936, 32_768, vec![]),
    ] {
        let config = json!({"model_type": family}).to_string();
        let c = ModelConfig::parse(config.as_bytes(), None, "config.json").unwrap();
        let sizes = (c.kv_heads, c.head_dim, c.intermediate, c.vocab, c.max_positions);
        assert_eq!(sizes, (kv_heads, head_dim, ffn, vocab, positions), "{family}");
        assert_eq!((c.layers, c.hidden, c.heads, c.rms_eps), (32, 4096, 32, 1e-6), "{family}");
        assert_eq!((c.eos, c.tied, c.rope.theta), (eos, false, 10_000.0), "{family}");
        assert!(c.assumed.contains(&format!("vocab_size = {vocab}")), "{:?}", c.assumed);
        // A head dimension of its own has the last family alone.
        let wide = json!({"model_type": family, "hidden_size": 2048}).to_string();
        let c = ModelConfig::parse(wide.as_bytes(), None, "config.json").unwrap();
        assert_eq!(c.head_dim, if family == "qwen3" { 128 } else { 64 }, "{family}");
        // null is not absent.
        let null = json!({"model_type": family, "num_key_value_heads": null, "eos_token_id": null});
        let c = ModelConfig::parse(null.to_string().as_bytes(), None, "config.json").unwrap();
        assert_eq!((c.kv_heads, c.eos), (32, vec![]), "{family}");
    }
}

/// Their classes have no such biases, whatever the file says.
#[test]
fn keys_that_a_family_does_not_read_change_nothing() {
    for (family, attention, mlp) in
        [("llama", true, true), ("mistral", false, false), ("qwen3", true, false)]
    {
        let config = json!({"model_type": family, "attention_bias": true, "mlp_bias": true});
        let c = ModelConfig::parse(config.to_string().as_bytes(), None, "config.json").unwrap();
        assert_eq!(
            (c.qkv_bias, c.output_bias, c.mlp_bias),
            (attention, attention, mlp),
            "{family}"
        );
    }
}

#[test]
fn rope_that_is_said_twice_alike_is_read_once() {
    let theta = json!({"rope_type": "default", "rope_theta": 500_000.0});
    let scaled = json!({"rope_type": "linear", "factor": 2.0});
    for (new, old) in [
        (theta.clone(), theta.clone()),
        (json!({"rope_type": "default"}), json!({"type": "default"})),
        (json!({"rope_type": "linear", "factor": 2, "rope_theta": 10_000}), scaled.clone()),
    ] {
        let config = json!({"model_type": "llama", "rope_parameters": new, "rope_scaling": old});
        ModelConfig::parse(config.to_string().as_bytes(), None, "config.json").unwrap();
    }
    // transformers 5 takes θ from beside `rope_scaling`, where it is 10000.
    let named = ["rope_scaling", "twice", "rope_theta 10000", "500000"];
    error_with(
        &[("rope_parameters", theta), ("rope_scaling", json!({"rope_type": "default"}))],
        &named,
    );
}

#[test]
fn impossible_sizes_are_refused_before_anything_is_allocated() {
    let size = "a whole number from 1 to";
    for key in [
        "num_hidden_layers",
        "hidden_size",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "intermediate_size",
        "vocab_size",
        "max_position_embeddings",
    ] {
        for value in [json!(0), json!(-1), json!(1.5), json!("8"), json!([8]), json!(1u64 << 60)] {
            error_with(&[(key, value)], &[&format!("config.json: {key}"), size]);
        }
    }
    let named = ["config.json: num_hidden_layers", "1000000000", "1 to 4096"];
    error_with(&[("num_hidden_layers", json!(1_000_000_000))], &named);
    error_with(&[("num_hidden_layers", json!(1e9))], &["num_hidden_layers"]);
    // The largest sizes that pass end as other shapes than the weights', unallocated.
    let large = json!(1 << 24);
    let all = ["hidden_size", "intermediate_size", "vocab_size"].map(|key| (key, large.clone()));
    error_with(&all, &["another shape", "16777216"]);
    let named = ["lacks 36846 tensors", "model.layers.2.", "and 36836 more"];
    error_with(&[("num_hidden_layers", json!(4096))], &named);
}

#[test]
fn heads_that_cannot_be_shared_are_refused() {
    let named = ["config.json: num_key_value_heads", "3", "divisor of num_attention_heads = 4"];
    error_with(&[("num_key_value_heads", json!(3))], &named);
    error_with(&[("num_key_value_heads", json!(8))], &["num_key_value_heads", "8"]);
    let named = ["hidden_size 8, num_attention_heads 3", "head_dim"];
    error_with(
        &[
            ("num_attention_heads", json!(3)),
            ("num_key_value_heads", json!(3)),
            ("head_dim", Value::Null),
        ],
        &named,
    );
    error_with(&[("head_dim", json!(5))], &["config.json: head_dim", "even", "5"]);
}

#[test]
fn models_that_are_not_supported_are_refused_with_what_is() {
    for kind in [json!("gpt2"), json!("gemma2"), json!("Llama"), json!(""), json!(3)] {
        let named = ["config.json: model_type", "llama, mistral, qwen2, qwen3"];
        error_with(&[("model_type", kind)], &named);
    }
    let quantised = json!({"quant_method": "gptq", "bits": 4});
    error_with(&[("quantization_config", quantised)], &["quantization_config", "f32, bf16 or f16"]);
    error_with(&[("hidden_act", json!("gelu"))], &["hidden_act", "gelu", "silu"]);
    error_with(&[("partial_rotary_factor", json!(0.5))], &["partial_rotary_factor", "0.5"]);
    error_with(&[("attention_bias", json!("yes"))], &["attention_bias", "true or false"]);
    error_with(&[("rms_norm_eps", json!(-1.0))], &["rms_norm_eps", "-1"]);
    error_with(&[("eos_token_id", json!("</s>"))], &["eos_token_id", "</s>"]);
}

#[test]
fn rope_scalings_that_are_not_supported_are_refused_with_what_is() {
    let supported = "default, linear or llama3";
    for kind in ["yarn", "dynamic", "longrope", "su", "mrope", "", "LLAMA3"] {
        for (key, kind_key) in [
            ("rope_scaling", "rope_type"),
            ("rope_scaling", "type"),
            ("rope_parameters", "rope_type"),
        ] {
            let value = json!({kind_key: kind, "factor": 4.0, "rope_theta": 10000.0});
            error_with(&[(key, value)], &[&format!("config.json: {key}"), kind, supported]);
        }
    }
    let llama3 = |key: &str, value: Value| {
        let mut scaling = json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        });
        scaling[key] = value;
        scaling
    };
    let absent = Value::Null;
    for (scaling, named) in [
        (json!("linear"), "rope_scaling"),
        (json!({"factor": 2.0}), "rope_type"),
        (json!({"type": 3, "factor": 2.0}), supported),
        (json!({"type": "linear"}), "factor"),
        (json!({"type": "linear", "factor": 0.0}), "factor"),
        (json!({"type": "linear", "factor": "2"}), "factor"),
        (json!({"type": "linear", "factor": 2.0, "partial_rotary_factor": 0.5}), "partial_rotary"),
        (llama3("factor", absent.clone()), "factor"),
        (llama3("low_freq_factor", absent.clone()), "low_freq_factor"),
        (llama3("high_freq_factor", json!(1.0)), "high_freq_factor"),
        (llama3("original_max_position_embeddings", absent), "original_max_position_embeddings"),
        (llama3("rope_theta", json!(-5.0)), "rope_theta"),
    ] {
        error_with(&[("rope_scaling", scaling)], &["config.json: rope_scaling", named]);
    }
    error_with(&[("rope_theta", json!(0))], &["config.json: rope_theta", "above 0"]);
    let linear = |factor: f64| json!({"rope_type": "linear", "factor": factor});
    error_with(
        &[("rope_scaling", linear(2.0)), ("rope_parameters", linear(4.0))],
        &["rope_scaling", "twice", "rope_parameters"],
    );
}

#[test]
fn windows_that_make_no_sense_are_refused() {
    let qwen = [("model_type", json!("qwen2")), ("use_sliding_window", json!(true))];
    for (key, value) in [
        ("sliding_window", json!(0)),
        ("sliding_window", json!("4096")),
        ("layer_types", json!(["full_attention"])),
        ("layer_types", json!(["full_attention", "chunked_attention"])),
        ("max_window_layers", json!("all")),
        ("max_window_layers", json!(-1)),
    ] {
        let changes = [&qwen[..], &[(key, value)]].concat();
        error_with(&changes, &[&format!("config.json: {key}")]);
    }
    // A mistral has its window in every layer.
    let kinds = json!(["full_attention", "sliding_attention"]);
    error_with(
        &[("model_type", json!("mistral")), ("layer_types", kinds)],
        &["config.json: layer_types", "every layer of a mistral"],
    );
}

#[test]
fn a_damaged_generation_config_is_refused() {
    let dir = Tiny::default().folder();
    let path = dir.path().join("generation_config.json");
    for text in ["", "[]", "{\"eos_token_id\": \"x\"}", "{\"eos_token_id\": [1, -1]}"] {
        std::fs::write(&path, text).unwrap();
        refused(load(dir.path()), &["generation_config.json"]);
    }
    std::fs::write(&path, "{\"eos_token_id\": [1, 7]}").unwrap();
    assert_eq!(load(dir.path()).unwrap().config().eos, [1, 7]);
}
