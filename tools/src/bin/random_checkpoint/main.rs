//! Writes a checkpoint of a known model's shape with random weights, to measure and compare with
//! where the real one is not at hand.
//!
//! ```text
//! cargo run --release -p headprof-tools --bin random_checkpoint -- --like llama-3.2-1b --out DIR
//!
//! DIR/config.json                      as published, or with fewer layers
//! DIR/model-00001-of-0000N.safetensors, ..., model.safetensors.index.json
//! DIR/tokenizer.json                   that of needle-llama: its ids exist in every vocabulary here
//! ```
//!
//! The weights are large enough that attention and logits are far from even, and the same on every
//! machine. What such a model answers means nothing.

mod shapes;
mod weights;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use headprof::model::{ModelConfig, layout};
use headprof::system::atomic;
use safetensors::tensor::Dtype;
use serde_json::{Map, Value, json};

use weights::Weight;

const TOKENIZER: &[u8] = include_bytes!("../../../../models/needle-llama/tokenizer.json");

/// Writes a checkpoint of a known shape with random weights.
#[derive(Parser)]
struct Args {
    /// The model whose shape it is
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(shapes::names()))]
    like: String,
    /// Folder to write to; made if it does not exist
    #[arg(long)]
    out: PathBuf,
    /// The first N layers only
    #[arg(long, value_name = "N")]
    layers: Option<usize>,
    /// Rows of the embedding, if not as published
    #[arg(long, value_name = "N")]
    vocab: Option<usize>,
    /// Number type of the weights
    #[arg(long, value_enum, default_value = "bf16")]
    dtype: Precision,
    /// MiB in a file, at most, if a tensor is not larger
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    shard: u64,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    F32,
    F16,
    Bf16,
}

impl Precision {
    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let Value::Object(mut config) = shapes::config(&args.like) else {
        bail!("{} has no shape", args.like);
    };
    let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
    set("torch_dtype", args.dtype.name().into());
    args.layers.map(|n| set("num_hidden_layers", n.into()));
    args.vocab.map(|n| set("vocab_size", n.into()));
    let text = format!("{:#}\n", Value::Object(config));
    let shape = ModelConfig::parse(text.as_bytes(), None, "config.json")?;

    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    atomic::write(&args.out.join("config.json"), text.as_bytes())?;
    atomic::write(&args.out.join("tokenizer.json"), TOKENIZER)?;
    let weights = layout::tensors(&shape).into_iter().map(|(name, sizes)| {
        let sizes = sizes.into_iter().map(|size| size.of(&shape)).collect();
        Weight::new(name, sizes, args.dtype.dtype(), shape.tied, args.seed)
    });
    let bytes = save(&args.out, in_shards(weights, args.shard << 20))?;
    println!("{}: {} weights, {} MiB", args.out.display(), shape.parameters(), bytes >> 20);
    Ok(())
}

/// The weights in their order, cut into files of at most `most` bytes where that is possible.
fn in_shards(weights: impl Iterator<Item = Weight>, most: u64) -> Vec<Vec<Weight>> {
    let mut shards = vec![Vec::new()];
    let mut filled = 0;
    for weight in weights {
        if filled > 0 && filled + weight.bytes() > most {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += weight.bytes();
        if let Some(shard) = shards.last_mut() {
            shard.push(weight);
        }
    }
    shards
}

/// Writes the shards, one tensor in memory at a time, and their index; returns the bytes of all.
fn save(dir: &Path, shards: Vec<Vec<Weight>>) -> Result<u64> {
    let (count, mut map, mut total) = (shards.len(), Map::new(), 0);
    for (i, shard) in shards.into_iter().enumerate() {
        let file = format!("model-{:05}-of-{count:05}.safetensors", i + 1);
        for weight in &shard {
            total += weight.bytes();
            map.insert(weight.name().to_owned(), file.clone().into());
        }
        let named = shard.into_iter().map(|weight| (weight.name().to_owned(), weight));
        safetensors::serialize_to_file(named, None, &dir.join(&file)).context(file)?;
    }
    let index = json!({ "metadata": { "total_size": total }, "weight_map": map });
    atomic::write(&dir.join("model.safetensors.index.json"), format!("{index:#}\n").as_bytes())?;
    Ok(total)
}
