//! Damaged, mixed-up and malicious checkpoints: each ends in a sentence that names the thing, with
//! exit code 4, and never in a panic, an out-of-memory or a wrong number.

use std::path::Path;

use headprof::Error;
use headprof::generate::{Question, Settings, Stop, generate};
use headprof::model::NoRows;
use headprof::model::full_rows::FullRows;
use headprof::model::{Compute, Llama};

#[path = "hostile_checkpoint/config.rs"]
mod config;
#[path = "hostile_checkpoint/header.rs"]
mod header;
#[path = "hostile_checkpoint/shards.rs"]
mod shards;
#[path = "hostile_checkpoint/tiny.rs"]
mod tiny;

use tiny::{Tensor, Tiny};

/// The text of an error that must have exit code 4 and name all of `named`.
fn refused(result: Result<impl Sized, Error>, named: &[&str]) -> String {
    let e = result.err().unwrap_or_else(|| panic!("accepted; expected an error with {named:?}"));
    let text = e.to_string();
    assert_eq!(e.exit_code(), 4, "{text}");
    for name in named {
        assert!(text.contains(name), "no {name:?} in: {text}");
    }
    text
}

fn load(dir: &Path) -> Result<Llama, Error> {
    Llama::from_dir(dir, &Compute::cpu())
}

#[test]
fn the_tiny_checkpoint_itself_is_good() {
    let dir = Tiny::default().folder();
    let model = load(dir.path()).unwrap();
    assert!(model.warnings().is_empty(), "{:?}", model.warnings());
    let logits = model.run(&[1, 2, 3], &mut model.new_cache(3), 8, 1, &mut NoRows).unwrap();
    assert_eq!(logits.len(), 10);
    assert!(logits.iter().any(|l| *l != logits[0]), "the logits are degenerate: {logits:?}");
}

#[test]
fn all_missing_tensors_are_listed() {
    let mut tiny = Tiny::default();
    tiny.remove("model.layers.1.mlp.up_proj.weight");
    tiny.remove("model.norm.weight");
    let text = refused(
        load(tiny.folder().path()),
        &["lacks 2 tensors", "model.layers.1.mlp.up_proj.weight", "model.norm.weight"],
    );
    assert!(!text.contains("more"), "{text}");

    // 18 of layer 1 and 2 of others: 9 weights per layer, lm_head among the rest.
    let mut tiny = Tiny::default();
    tiny.tensors.retain(|t| !t.name.starts_with("model.layers.1."));
    tiny.remove("lm_head.weight");
    refused(load(tiny.folder().path()), &["lacks 10 tensors", "lm_head.weight", "post_attention"]);
    tiny.remove("model.norm.weight");
    refused(load(tiny.folder().path()), &["lacks 11 tensors", "and 1 more", "config.json"]);
    tiny.tensors.clear();
    refused(load(tiny.folder().path()), &["lacks 21 tensors", "no tensors", "and 11 more"]);
}

#[test]
fn unknown_tensors_are_one_warning() {
    let mut tiny = Tiny::default();
    for i in 0..6 {
        tiny.tensors.push(Tensor::new(&format!("extra.{i}"), &[2], 1));
    }
    // Llama 1 and 2 conversions carry these; they are computed, not read.
    tiny.tensors.push(Tensor::new("model.layers.0.self_attn.rotary_emb.inv_freq", &[2], 1));
    let model = load(tiny.folder().path()).unwrap();
    assert_eq!(model.warnings().len(), 1);
    let warning = &model.warnings()[0];
    assert!(warning.contains("6 tensors") && warning.contains("extra.0"), "{warning}");
}

/// As `AutoModel` saves a decoder: without the output layer, and without `model.` before names.
#[test]
fn names_without_their_prefix_are_the_same_tensors() {
    let logits = |tiny: &Tiny| {
        let model = load(tiny.folder().path()).unwrap();
        assert!(model.warnings().is_empty(), "{:?}", model.warnings());
        model.run(&[1, 2, 3], &mut model.new_cache(3), 8, 1, &mut NoRows).unwrap()
    };
    let bare = |tiny: &mut Tiny| {
        for tensor in &mut tiny.tensors {
            let name = tensor.name.strip_prefix("model.").unwrap_or(&tensor.name);
            tensor.name = name.to_owned();
        }
    };
    let mut tiny = Tiny::default();
    let expected = logits(&tiny);
    bare(&mut tiny);
    assert_eq!(logits(&tiny), expected);
    // Without an output layer that is the embedding's.
    let mut tied = Tiny::default();
    tied.remove("lm_head.weight");
    tied.config["tie_word_embeddings"] = true.into();
    let expected = logits(&tied);
    bare(&mut tied);
    assert_eq!(logits(&tied), expected);
    tied.config["tie_word_embeddings"] = false.into();
    refused(load(tied.folder().path()), &["lacks 1 tensors", "lm_head.weight"]);
    // An odd one is still told by the name that it has.
    tied.config["tie_word_embeddings"] = true.into();
    tied.tensors.push(Tensor::new("extra", &[2], 1));
    let model = load(tied.folder().path()).unwrap();
    assert!(model.warnings()[0].contains("extra") && !model.warnings()[0].contains("model.extra"));
}

/// What transformers 5 does where `tie_word_embeddings` is true: a second matrix that is equal is the
/// same; one that differs is used; one alone is both.
#[test]
fn an_output_layer_beside_a_tied_embedding_is_used_if_it_differs() {
    let run = |tiny: &Tiny| {
        let model = load(tiny.folder().path()).unwrap();
        let logits = model.run(&[1, 2, 3], &mut model.new_cache(3), 8, 1, &mut NoRows).unwrap();
        (logits, model.config().tied, model.warnings().to_vec())
    };
    let untied = Tiny::default();
    let mut differs = untied.clone();
    differs.config["tie_word_embeddings"] = true.into();
    let (logits, tied, warnings) = run(&differs);
    assert_eq!((logits, tied), (run(&untied).0, false));
    assert!(warnings[0].contains("tie_word_embeddings") && warnings.len() == 1, "{warnings:?}");

    let mut equal = differs.clone();
    equal.tensor("lm_head.weight").values =
        equal.tensor("model.embed_tokens.weight").values.clone();
    let mut alone = equal.clone();
    alone.remove("model.embed_tokens.weight");
    let mut usual = equal.clone();
    usual.remove("lm_head.weight");
    let expected = run(&usual);
    assert!(expected.1);
    assert_eq!((expected.2.len(), run(&equal), run(&alone)), (0, expected.clone(), expected));
}

#[test]
fn a_wrong_shape_names_the_keys_it_should_come_from() {
    for (tensor, shape, named) in [
        (
            "model.layers.1.self_attn.k_proj.weight",
            vec![4, 8],
            ["[4, 8]", "[8, 8]", "num_key_value_heads=2 * head_dim=4", "hidden_size=8"],
        ),
        (
            "model.layers.0.self_attn.q_proj.weight",
            vec![8, 16],
            ["[8, 16]", "[16, 8]", "num_attention_heads=4 * head_dim=4", "hidden_size=8"],
        ),
        (
            "model.embed_tokens.weight",
            vec![9, 8],
            ["[9, 8]", "[10, 8]", "vocab_size=10", "hidden_size=8"],
        ),
        (
            "model.layers.0.mlp.down_proj.weight",
            vec![8, 12, 1],
            ["[8, 12, 1]", "[8, 12]", "intermediate_size=12", "hidden_size=8"],
        ),
        ("model.norm.weight", vec![1, 8], ["[1, 8]", "[8]", "hidden_size=8", "config.json"]),
    ] {
        let mut tiny = Tiny::default();
        tiny.remove(tensor);
        tiny.tensors.push(Tensor::new(tensor, &shape, 1));
        let dir = tiny.folder();
        refused(load(dir.path()), &[&[tensor, "model.safetensors"], &named[..]].concat());
    }
}

#[test]
fn other_number_types_are_refused_by_name() {
    let mut tiny = Tiny::default();
    let tensor = tiny.tensor("model.layers.0.mlp.up_proj.weight");
    (tensor.dtype, tensor.width) = ("I32", 4);
    let named = ["model.layers.0.mlp.up_proj.weight", "I32", "F32, BF16 or F16"];
    refused(load(tiny.folder().path()), &named);
}

#[test]
fn a_weight_that_is_not_finite_is_found_at_load_in_every_tensor_and_type() {
    for name in Tiny::default().tensors.iter().map(|t| &t.name) {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut tiny = Tiny::default();
            tiny.tensor(name).values[3] = value;
            let named = [name.as_str(), "not finite", "element 3 of", "model.safetensors"];
            refused(load(tiny.folder().path()), &named);
        }
    }
    // NaN in the 16-bit types: all exponent bits and the highest of the fraction.
    for (dtype, bits) in [("BF16", 0x7FC0u16), ("F16", 0x7E00)] {
        let mut tiny = Tiny::default();
        let tensor = tiny.tensor("model.norm.weight");
        (tensor.dtype, tensor.width) = (dtype, 2);
        let (header, mut data) = tiny::parts(&tiny.tensors);
        let begin = header["model.norm.weight"]["data_offsets"][0].as_u64().unwrap() as usize;
        data[begin + 10..begin + 12].copy_from_slice(&bits.to_le_bytes());
        let dir = tiny.folder_without_weights();
        let bytes = tiny::assemble(&serde_json::Value::Object(header).to_string(), &data);
        std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        refused(load(dir.path()), &["model.norm.weight", "not finite", "element 5 of 8"]);
    }
}

/// Finite weights whose products are not: found at the first logits, the layer named.
#[test]
fn numbers_that_overflow_end_the_run_naming_the_layer() {
    for (tensor, place) in [
        ("model.layers.1.self_attn.v_proj.weight", "model.layers.1\n"),
        ("model.layers.0.post_attention_layernorm.weight", "model.layers.0\n"),
        ("model.norm.weight", "model.norm or lm_head\n"),
        ("lm_head.weight", "model.norm or lm_head\n"),
    ] {
        let mut tiny = Tiny::default();
        tiny.tensor(tensor).values.iter_mut().for_each(|v| *v = f32::MAX.copysign(*v));
        let dir = tiny.folder();
        let model = load(dir.path()).unwrap();
        for (chunk, captured) in [(1, 0), (2, 0), (8, 0), (8, 1), (8, 4)] {
            let mut cache = model.new_cache(8);
            let mut rows = FullRows::default();
            let result = model.run(&[1, 2, 3, 4], &mut cache, chunk, captured, &mut rows);
            refused(result, &[place, "not finite", "NaN or infinity", "overflow"]);
        }
    }
}

/// Also where a token meets it only after a good prefill: found on the cache as it was then.
#[test]
fn an_overflow_that_a_later_token_meets_is_found_at_that_token() {
    let mut tiny = Tiny::default();
    // Only id 7 has anything in dimension 0, and only values of layer 0 read it: MAX * sqrt(8).
    for (id, row) in tiny.tensor("model.embed_tokens.weight").values.chunks_mut(8).enumerate() {
        if id == 7 {
            row.fill(0.0);
        }
        row[0] = if id == 7 { 1.0 } else { 0.0 };
    }
    tiny.tensor("model.layers.0.input_layernorm.weight").values[0] = 1.0;
    let value = tiny.tensor("model.layers.0.self_attn.v_proj.weight");
    value.values.iter_mut().step_by(8).for_each(|v| *v = f32::MAX);
    let dir = tiny.folder();
    let model = load(dir.path()).unwrap();
    let mut cache = model.new_cache(8);
    model.run(&[1, 2, 3], &mut cache, 2, 1, &mut NoRows).unwrap();
    let result = model.run(&[4, 7, 5], &mut cache, 2, 1, &mut FullRows::default());
    refused(result, &["model.layers.0\n", "not finite"]);
}

/// Queries that overflow: the captured rows see it, and no score comes of it.
#[test]
fn queries_that_overflow_never_become_a_generation() {
    let mut tiny = Tiny::default();
    let query = tiny.tensor("model.layers.1.self_attn.q_proj.weight");
    query.values.iter_mut().for_each(|v| *v = f32::MAX.copysign(*v));
    let dir = tiny.folder();
    let model = load(dir.path()).unwrap();
    let settings = Settings { stop: Stop::default(), chunk: 4, top_k: 2 };
    let (prompt, needle) = (&[1, 2, 3, 4, 5], &[1..3]);
    let question = Question { prompt, shared: 0, fork: 0, needle, max_new_tokens: 3 };
    let result = generate(&model, &mut model.new_cache(8), question, &settings);
    refused(result, &["model.layers.1", "not finite"]);
}

#[test]
fn ids_beyond_the_embedding_are_refused() {
    let dir = Tiny::default().folder();
    let model = load(dir.path()).unwrap();
    let result = model.run(&[1, 10], &mut model.new_cache(2), 8, 0, &mut NoRows);
    refused(result, &["beyond the model's vocabulary", "10", "vocab_size = 10"]);
    let result = model.each_logits(&[u32::MAX], 8, &mut |_, _| Ok(()));
    refused(result, &["4294967295", "vocab_size = 10"]);
}
