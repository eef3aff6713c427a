//! Files of a checkpoint.

use headprof::commands::verify::golden::Golden;
use headprof::model::checkpoint::Checkpoint;
use headprof::model::{Compute, Llama, ModelConfig, NoRows};
use headprof::{Error, Result};
use safetensors::tensor::Dtype;
use serde_json::json;

use super::seeds::{bytes, config, parsed_config, weights};
use crate::fuzz::Target;
use crate::fuzz::target::alone;

/// `model.safetensors`: what is accepted is run.
pub static CHECKPOINT: Target = Target {
    name: "checkpoint",
    reads: "model.safetensors",
    seeds: || vec![weights(Dtype::F32), weights(Dtype::BF16)],
    beside: alone,
    read: |_, input| {
        let compute = Compute::cpu();
        let checkpoint = Checkpoint::in_memory(input.to_vec(), "fuzz", &compute)?;
        runs(parsed_config(), checkpoint, &compute)
    },
};

/// `model.safetensors.index.json`, with two shards beside it.
pub static SHARD_INDEX: Target = Target {
    name: "shard-index",
    reads: "model.safetensors.index.json",
    seeds: || {
        let index = |name: &str| {
            let names = headprof::model::layout::tensors(&parsed_config());
            let map: serde_json::Map<_, _> =
                names.into_iter().map(|(tensor, _)| (tensor, json!(name))).collect();
            bytes(&json!({"metadata": {"total_size": 5000}, "weight_map": map}))
        };
        vec![index("a.safetensors"), index("b.safetensors")]
    },
    beside: || {
        vec![
            ("config.json", bytes(&config())),
            ("a.safetensors", weights(Dtype::F32)),
            ("b.safetensors", weights(Dtype::BF16)),
        ]
    },
    read: |folder, input| {
        folder.put("model.safetensors.index.json", input);
        Checkpoint::open(folder.path(), &Compute::cpu()).map(drop)
    },
};

/// `config.json`: what is accepted is compared with weights, and run if they fit.
pub static CONFIG: Target = Target {
    name: "config",
    reads: "config.json",
    seeds: || {
        let mut scaled = config();
        scaled["rope_scaling"] = json!({"rope_type": "llama3", "factor": 8.0,
            "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32});
        let mut newer = config();
        newer["rope_parameters"] = json!({"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4});
        let mut qwen = config();
        for (key, value) in [
            ("model_type", json!("qwen2")),
            ("use_sliding_window", json!(true)),
            ("sliding_window", json!(16)),
            ("max_window_layers", json!(1)),
            ("layer_types", json!(["full_attention", "sliding_attention"])),
            ("torch_dtype", json!("bfloat16")),
            ("eos_token_id", json!([1, 2])),
        ] {
            qwen[key] = value;
        }
        [config(), scaled, newer, qwen].iter().map(bytes).collect()
    },
    beside: alone,
    read: |_, input| {
        let config = ModelConfig::parse(input, None, "config.json")?;
        let _ = config.parameters();
        let compute = Compute::cpu();
        let checkpoint = Checkpoint::in_memory(weights(Dtype::F32), "fuzz", &compute)?;
        // Another shape than that of the weights is not the config's fault.
        match runs(config, checkpoint, &compute) {
            Err(Error::Model(_)) => Ok(()),
            ended => ended,
        }
    },
};

/// `generation_config.json`, beside a good `config.json`.
pub static GENERATION_CONFIG: Target = Target {
    name: "generation-config",
    reads: "generation_config.json",
    seeds: || {
        let one = json!({"bos_token_id": 0, "eos_token_id": 1, "do_sample": true,
            "temperature": 0.6, "top_p": 0.9});
        let several = json!({"eos_token_id": [1, 2, 9], "transformers_version": "5.0.0"});
        vec![bytes(&one), bytes(&several)]
    },
    beside: alone,
    read: |_, input| ModelConfig::parse(&bytes(&config()), Some(input), "config.json").map(drop),
};

/// `golden.json`, which `verify` compares with.
pub static GOLDEN: Target = Target {
    name: "golden",
    reads: "golden.json",
    seeds: || {
        let logits: Vec<f32> = (0..10).map(|i| i as f32 / 8.0).collect();
        let attention = |keys: usize| {
            let head = vec![1.0 / keys as f32; keys];
            vec![vec![head; 4]; 2]
        };
        vec![bytes(&json!({
            "transformers": "5.24.0", "input_ids": [1, 2, 3], "generated": [4, 5],
            "logits_last": [logits, logits], "attention": [attention(3), attention(4)],
            "logits_all_argmax": [2, 3, 4],
            "score_size": vec![vec![vec![0.5; 4]; 2]; 2],
            "torch_f32": {"logits": 1e-6, "attention": [1e-7, 1e-7]},
        }))]
    },
    beside: alone,
    read: |_, input| Golden::parse(input, &parsed_config(), "golden.json").map(drop),
};

/// Whatever was accepted can be run: to logits, or to a refusal.
pub(super) fn runs(config: ModelConfig, checkpoint: Checkpoint, compute: &Compute) -> Result<()> {
    let model = Llama::new(config, checkpoint, compute)?;
    model.run(&[1, 2, 3], &mut model.new_cache(3), 2, 1, &mut NoRows).map(drop)
}
