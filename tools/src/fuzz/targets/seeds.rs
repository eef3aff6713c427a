//! Small files that several targets begin from.

use headprof::model::{ModelConfig, layout};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

/// Two layers, 4 query heads of 4 over 2 key/value heads, hidden 8, 10 ids.
pub fn config() -> Value {
    json!({
        "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8, "head_dim": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 12,
        "vocab_size": 10, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "max_position_embeddings": 64, "tie_word_embeddings": false, "eos_token_id": 1,
    })
}

/// The same, read.
pub fn parsed_config() -> ModelConfig {
    match ModelConfig::parse(&bytes(&config()), None, "config.json") {
        Ok(config) => config,
        Err(e) => panic!("the fuzzer's own config: {e}"),
    }
}

/// Weights of that model in the type `dtype`, as a safetensors file.
pub fn weights(dtype: Dtype) -> Vec<u8> {
    let config = parsed_config();
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = layout::tensors(&config)
        .into_iter()
        .map(|(name, sizes)| {
            let shape: Vec<usize> = sizes.iter().map(|size| size.of(&config)).collect();
            // Values between 1/4 and 1/2, different from one another.
            let value = |i: usize| 0.25 + (i * 37 % 64) as f32 / 256.0;
            let values = (0..shape.iter().product()).map(value);
            let data = match dtype {
                Dtype::F32 => values.flat_map(f32::to_le_bytes).collect(),
                _ => values.flat_map(|v| half::bf16::from_f32(v).to_le_bytes()).collect(),
            };
            (name, shape, data)
        })
        .collect();
    let view = |(name, shape, data)| Some((name, TensorView::new(dtype, shape, data).ok()?));
    let views = tensors.iter().filter_map(|(n, s, d)| view((n.as_str(), s.clone(), d.as_slice())));
    match safetensors::serialize(views, None) {
        Ok(bytes) => bytes,
        Err(e) => panic!("the fuzzer's own weights: {e}"),
    }
}

/// A tokenizer of letters and bytes, as Llama 2's is: a space is put in front.
pub fn tokenizer() -> Value {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    tokens.extend((0..=255u8).map(|b| format!("<0x{b:02X}>")));
    tokens.extend(["▁", "t", "h", "e", "▁t", "▁th", "▁the"].map(str::to_owned));
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
            "byte_fallback": true, "ignore_merges": false, "vocab": vocab,
            "merges": [["▁", "t"], ["▁t", "h"], ["▁th", "e"]]},
    })
}

/// The text of a value.
pub fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Files of several lines, one value each.
pub fn lines(values: &[Value]) -> Vec<u8> {
    let lines: Vec<String> = values.iter().map(Value::to_string).collect();
    lines.join("\n").into_bytes()
}
