//! Trains needle-llama, the small Llama that is embedded in headprof, from scratch.
//!
//! ```text
//! alias train='cargo run --release -p headprof-tools --bin train_needle_llama --'
//!
//! train                  # train (CPU, two hours)
//! train tokenizer        # models/needle-llama/tokenizer.json
//! train needles FILE     # held-out needles for an evaluation
//! train show             # three training samples
//! ```
//!
//! What it reads, essays, needles and tokenizer, it reads in the repository that it was built in.

mod autodiff;
mod babi;
mod circuit;
mod corpus;
mod families;
mod fast;
mod held_out;
mod host;
mod shape;
mod targets;
mod tokenizer;
mod train;
mod words;

use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::prelude::*;
use burn::tensor::DType;
use clap::{Parser, Subcommand};
use headprof::model::checkpoint::Checkpoint;
use headprof::model::decoder::Decoder;
use headprof::model::export::{self, Precision};
use headprof::model::{Compute, DeviceChoice};
use rand::SeedableRng;
use rand::rngs::StdRng;

use train::Trainer;

const MODEL: &str = "models/needle-llama";

/// A file or folder of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[derive(Parser)]
#[command(about = "Trains needle-llama from scratch")]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    train: TrainArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Trains the tokenizer on essays 01 to 11 and generated facts.
    Tokenizer,
    /// Prints three training samples with the answers marked.
    Show,
    /// Writes needles that training never sees, in the format of `headprof --needles`.
    Needles {
        /// The .jsonl file to write.
        file: PathBuf,
        /// Needles of each family.
        #[arg(long, default_value_t = 2)]
        per_family: usize,
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
}

#[derive(clap::Args)]
struct TrainArgs {
    /// Wall-clock minutes; the learning rate follows the clock.
    #[arg(long, default_value_t = 120.0)]
    minutes: f64,
    /// Stage to begin with: 0 repeated random tokens, 1 short questions, 2 all lengths.
    #[arg(long, default_value_t = 0)]
    stage: usize,
    /// Peak learning rate.
    #[arg(long, default_value_t = 1.5e-3)]
    rate: f64,
    /// Tokens per step.
    #[arg(long, default_value_t = 3584)]
    tokens: usize,
    /// Share of the last stage's steps that ask about stories only, 0 to 1.
    #[arg(long, default_value_t = 0.3)]
    stories: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Continue from the checkpoint in this folder.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Train with burn's autodiff on --device instead of the written-out gradient on the processor.
    #[arg(long)]
    autodiff: bool,
    /// Device for --autodiff: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu", requires = "autodiff")]
    device: DeviceChoice,
    /// Folder for the checkpoint.
    #[arg(long, default_value = "training/needle-llama")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.command {
        None => train(&args.train),
        Some(Command::Tokenizer) => {
            Ok(tokenizer::save(&tokenizer::train(&training_essays()?, 1)?, &repository(MODEL))?)
        }
        Some(Command::Show) => show(),
        Some(Command::Needles { file, per_family, seed }) => {
            let held_out = held_out::HeldOut::load(&repository("needles"))?;
            let mut rng = StdRng::seed_from_u64(seed);
            let facts = families::held_out_facts(&mut rng, &held_out, per_family);
            Ok(families::write_needles(&facts, &file)?)
        }
    }
}

/// Trains and writes an f32 checkpoint to continue from and the f16 one to embed.
fn train(args: &TrainArgs) -> anyhow::Result<()> {
    let mut compute = Compute::open(&args.device.into())?;
    compute.dtype = DType::F32;
    if args.autodiff {
        compute.device = compute.device.autodiff();
    }
    let device = compute.device.clone();
    device.seed(args.seed);
    let config = shape::config()?;
    let decoder = match &args.from {
        None => {
            let mut weights = shape::Initialiser::new(&device, config.layers, args.seed);
            Decoder::new(&config, &mut weights)?
        }
        Some(folder) => {
            let checkpoint = Checkpoint::open(folder, &compute)?;
            Decoder::new(&config, &mut checkpoint.in_one_type())?
        }
    };
    let schedule = train::Schedule {
        minutes: args.minutes,
        stage: args.stage.min(train::LAST_STAGE),
        learning_rate: args.rate,
        tokens: args.tokens,
        stories: args.stories.clamp(0.0, 1.0),
        seed: args.seed,
    };
    let (_, corpus) = corpus()?;
    let f32_folder = args.out.join("f32");
    std::fs::create_dir_all(&f32_folder)?;
    for folder in [&args.out, &f32_folder] {
        std::fs::write(folder.join("config.json"), shape::config_json())?;
    }
    let mut save = |weights: Vec<(String, TensorData)>| {
        export::save(weights.clone(), Precision::F32, &f32_folder.join("model.safetensors"))?;
        export::save(weights, Precision::F16, &args.out.join("model.safetensors"))
    };
    let mut trainer: Box<dyn Trainer> = match args.autodiff {
        true => Box::new(autodiff::Autodiff::new(decoder, &config, &device)),
        false => Box::new(host::Host::new(&config, decoder.weights())?),
    };
    let vocab = config.vocab as u32;
    Ok(train::train(trainer.as_mut(), corpus, &schedule, vocab, &mut save)?)
}

fn corpus() -> anyhow::Result<(tokenizers::Tokenizer, corpus::Corpus)> {
    let json = repository(MODEL).join("tokenizer.json");
    let tokenizer = tokenizers::Tokenizer::from_file(json).map_err(anyhow::Error::from_boxed)?;
    let held_out = held_out::HeldOut::load(&repository("needles"))?;
    Ok((tokenizer.clone(), corpus::Corpus::new(tokenizer, training_essays()?, held_out)?))
}

/// The essays that training may see: 01 to 11.
fn training_essays() -> anyhow::Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(repository("haystack")).context("the folder haystack")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('0') || name.starts_with("10-") || name.starts_with("11-") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .iter()
        .map(|p| std::fs::read_to_string(p).with_context(|| p.display().to_string()))
        .collect()
}

/// Prints three samples, answers marked.
fn show() -> anyhow::Result<()> {
    let (tokenizer, corpus) = corpus()?;
    let mut rng = StdRng::seed_from_u64(1);
    for pairs in 1..=3 {
        let sample = corpus.sample(&mut rng, 256 * pairs, 2 * pairs, &corpus::Mix::default())?;
        let mut text = String::new();
        let tokens: Vec<_> = sample.ids.iter().zip(&sample.weights).collect();
        for part in tokens.chunk_by(|a, b| a.1 == b.1) {
            let ids: Vec<u32> = part.iter().map(|(id, _)| **id).collect();
            let decoded = tokenizer.decode(&ids, false).map_err(anyhow::Error::from_boxed)?;
            match *part[0].1 == corpus::ANSWER_WEIGHT {
                true => text += &format!("[[{decoded}]]"),
                false => text += &decoded,
            }
        }
        println!("{text}\n{}", "-".repeat(80));
    }
    Ok(())
}
