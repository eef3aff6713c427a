//! `headprof bench`: how fast prompts and answers are, as a share of what the device can do.
//!
//! ```text
//! BenchConfig ─► Rates (measured) ┬► for each length: prefill T tokens, decode some more ─► LengthSpeed
//!                model ───────────┘                                                          ─► Bench
//! ```
//!
//! A prefill is bound by products of matrices, an answer by reading the weights and the cache once
//! per token. Both limits are measured in the same run, so that the shares mean the same on every
//! machine.

mod report;

use std::time::Instant;

use burn::tensor::DType;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use crate::cli::BenchArgs;
use crate::config::{ComputeConfig, ModelChoice, Surroundings, at_least_one, default_chunk_tokens};
use crate::error::{Error, Result};
use crate::job;
use crate::model::NoRows;
use crate::model::speed::{Rates, layer_weights, prompt_attention_flops, prompt_weights};
use crate::model::{Llama, ModelConfig};
use crate::plan::parse_lengths;
use crate::system::Reporter;
use crate::system::interrupt::Interrupt;
use crate::system::machine;

/// What to measure, without contradictions.
#[derive(Debug, Clone)]
pub struct BenchConfig {
    /// The model.
    pub model: ModelChoice,
    /// What to compute on.
    pub compute: ComputeConfig,
    /// Lengths of the prompts, in tokens, ascending.
    pub lengths: Vec<usize>,
    /// Tokens decoded after each prompt, at least 1.
    pub steps: usize,
    /// How often each is timed, at least 1; the best counts.
    pub tries: usize,
    /// Prompt tokens per pass.
    pub chunk: Option<usize>,
    /// Whom to tell.
    pub reporter: Reporter,
}

impl BenchConfig {
    /// Validates `args`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &BenchArgs, surroundings: &Surroundings) -> Result<Self> {
        let counted = |option, n| Ok::<usize, Error>(at_least_one(option, Some(n))?.unwrap_or(1));
        Ok(Self {
            model: ModelChoice::of(&args.model, surroundings)?,
            compute: ComputeConfig::new(&args.model.compute)?,
            lengths: parse_lengths(&args.lengths)?.values,
            steps: counted("--steps", args.steps)?,
            tries: counted("--tries", args.tries)?,
            chunk: at_least_one("--chunk", args.chunk)?,
            reporter: Reporter { quiet: args.quiet, json: args.json },
        })
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bench {
    /// The model's name.
    pub model: String,
    /// Number of weights.
    pub parameters: u64,
    /// Where it ran.
    pub device: String,
    /// Type of cache and activations.
    pub dtype: String,
    /// Type that matrices of weights are held in.
    pub weights_dtype: String,
    /// Threads of the processor.
    pub threads: usize,
    /// Prompt tokens per pass.
    pub chunk_tokens: usize,
    /// Operations per second of a large product of matrices, measured.
    pub matmul_flops_per_sec: f64,
    /// Bytes per second of a large copy, reads and writes, measured.
    pub copy_bytes_per_sec: f64,
    /// Seconds to load the weights.
    pub load_secs: f64,
    /// One per length.
    pub lengths: Vec<LengthSpeed>,
    /// Largest resident memory of the process; `None` where the system does not say.
    pub peak_rss_bytes: Option<u64>,
}

/// The speed at one length; of several tries the best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LengthSpeed {
    /// Tokens of the prompt, `T`.
    pub tokens: usize,
    /// Seconds to the first token of the answer.
    pub prefill_secs: f64,
    /// Prompt tokens per second.
    pub prefill_tokens_per_sec: f64,
    /// Operations per second of the prefill, of those of a large product of matrices.
    pub prefill_share: f64,
    /// Seconds per token of the answer.
    pub decode_secs: f64,
    /// Tokens of the answer per second.
    pub decode_tokens_per_sec: f64,
    /// Bytes of weights, keys and values read per second, of those of a large copy.
    pub decode_share: f64,
}

/// Measures.
///
/// # Errors
/// [`Error::Usage`] for a length that the model does not have, and the errors of model and device.
pub fn run(config: &BenchConfig, interrupt: &Interrupt) -> Result<Bench> {
    let session = job::open(&config.compute, &[], &config.reporter)?;
    let compute = &session.compute;
    let files = session.model(&config.model)?;
    let shape = &files.config;
    check_lengths(config, shape)?;
    let loading = Instant::now();
    let model = session.load(&files)?;
    let load_secs = loading.elapsed().as_secs_f64();
    let held = compute.held(shape.saved);
    let rates = Rates::measure(compute, held)?;
    let chunk = config.chunk.unwrap_or_else(|| default_chunk_tokens(compute));
    let mut lengths = Vec::with_capacity(config.lengths.len());
    for &tokens in &config.lengths {
        interrupt.check()?;
        config.reporter.progress(&format!("{tokens} tokens ..."));
        let (prefill_secs, decode_secs) = time(&model, tokens, chunk, config)?;
        let bytes = decode_bytes(shape, [held, compute.dtype], tokens + config.steps / 2);
        lengths.push(LengthSpeed::new(shape, &rates, tokens, bytes, prefill_secs, decode_secs));
    }
    Ok(Bench {
        model: files.name.clone(),
        parameters: shape.parameters(),
        device: compute.name.clone(),
        dtype: compute.dtype.name().to_owned(),
        weights_dtype: held.name().to_owned(),
        threads: rayon::current_num_threads(),
        chunk_tokens: chunk,
        matmul_flops_per_sec: rates.matmul_flops,
        copy_bytes_per_sec: rates.copy_bytes,
        load_secs,
        lengths,
        peak_rss_bytes: machine::peak_rss_bytes(),
    })
}

fn check_lengths(config: &BenchConfig, shape: &ModelConfig) -> Result<()> {
    let most = shape.max_positions.saturating_sub(config.steps);
    match config.lengths.iter().find(|&&length| length > most) {
        None => Ok(()),
        Some(length) => Err(Error::usage("the context is longer than the model is made for")
            .at("--lengths")
            .got(format!("{length} tokens and {} of an answer", config.steps))
            .expected(format!("at most max_position_embeddings = {}", shape.max_positions))
            .advice(format!("--lengths {most}"))),
    }
}

/// Seconds of the best prefill of `tokens` tokens and of the best step after it.
fn time(model: &Llama, tokens: usize, chunk: usize, config: &BenchConfig) -> Result<(f64, f64)> {
    let mut rng = StdRng::seed_from_u64(0);
    let ids: Vec<u32> =
        (0..tokens).map(|_| rng.random_range(0..model.config().vocab as u32)).collect();
    let mut cache = model.new_cache(tokens + config.steps);
    let (mut prefill, mut decode) = (f64::MAX, f64::MAX);
    for _ in 0..config.tries {
        cache.rewind(0);
        let start = Instant::now();
        model.run(&ids, &mut cache, chunk, 0, &mut NoRows)?;
        prefill = prefill.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        for id in ids.iter().cycle().take(config.steps) {
            model.run(&[*id], &mut cache, 1, 1, &mut NoRows)?;
        }
        decode = decode.min(start.elapsed().as_secs_f64() / config.steps as f64);
    }
    Ok((prefill, decode))
}

/// Bytes that a step reads after `tokens` tokens: weights and a cache of these types.
fn decode_bytes(shape: &ModelConfig, [weights, cache]: [DType; 2], tokens: usize) -> f64 {
    let (layers, head) = (shape.layers as f64, (shape.vocab * shape.hidden) as f64);
    let kept = layers * (2 * shape.kv_heads * shape.head_dim * tokens) as f64;
    let read = layers * layer_weights(shape) + head;
    read * weights.size() as f64 + kept * cache.size() as f64
}

impl LengthSpeed {
    /// From the seconds of a prefill of `tokens` tokens, and of a step after it that reads so many
    /// bytes.
    fn new(
        shape: &ModelConfig,
        rates: &Rates,
        tokens: usize,
        bytes: f64,
        prefill_secs: f64,
        decode_secs: f64,
    ) -> Self {
        let head = (shape.vocab * shape.hidden) as f64;
        // What is computed: the last layer's of the last token alone.
        let met = prompt_weights(shape) * tokens as f64 + layer_weights(shape) + head;
        let flops = 2.0 * met + prompt_attention_flops(shape, tokens);
        Self {
            tokens,
            prefill_secs,
            prefill_tokens_per_sec: tokens as f64 / prefill_secs,
            prefill_share: flops / prefill_secs / rates.matmul_flops,
            decode_secs,
            decode_tokens_per_sec: 1.0 / decode_secs,
            decode_share: bytes / decode_secs / rates.copy_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::embedded::needle_llama_config;

    /// 100 tokens of needle-llama by hand: 688,128 weights in each of 6 layers, of which those for
    /// keys and values are 256 x 256, and 2048 x 256 of the output; 5050 pairs of tokens, 4 x 8 x
    /// 32 operations each. In the last layer the last token alone meets all.
    #[test]
    fn shares_by_hand() {
        let shape = needle_llama_config().unwrap();
        let rates = Rates { matmul_flops: 1e9, copy_bytes: 1e8 };
        let bytes = decode_bytes(&shape, [DType::F16, DType::F32], 104);
        let speed = LengthSpeed::new(&shape, &rates, 100, bytes, 2.0, 0.5);
        let weights = 6.0 * 688_128.0;
        let met = (5.0 * 688_128.0 + 65_536.0) * 100.0 + 688_128.0 + 2048.0 * 256.0;
        let flops = 2.0 * met + 5.0 * 1024.0 * 5050.0;
        assert!((speed.prefill_share - flops / 2.0 / 1e9).abs() < 1e-9);
        // Weights in f16; keys and values of 104 tokens in f32: 2 x 6 x 4 x 32 numbers each.
        let bytes = 2.0 * (weights + 2048.0 * 256.0) + 4.0 * 104.0 * 1536.0;
        assert!((speed.decode_share - bytes / 0.5 / 1e8).abs() < 1e-9);
        assert_eq!((speed.prefill_tokens_per_sec, speed.decode_tokens_per_sec), (50.0, 2.0));
    }
}
