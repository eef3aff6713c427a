//! [`DryRun`]: what a profile would take, before any weight is read.

use std::fmt;

use serde::Serialize;

use super::inputs::Inputs;
use super::job::{Job, NeedleSpans};
use super::memory::MemoryEstimate;
use crate::error::{Error, Result};
use crate::machine;
use crate::model::calibrate::{Speed, attention_flops, layer_weights};
use crate::model::{Compute, KvCache, ModelConfig};
use crate::run_config::{ModelChoice, RunConfig};

/// The work and the memory of a profile, reckoned from the model's shape.
#[derive(Debug, Clone, Serialize)]
pub struct DryRun {
    /// The model's name.
    pub model: String,
    /// Number of weights.
    pub parameters: u64,
    /// Where it would run.
    pub device: String,
    /// Type of weights and cache.
    pub dtype: String,
    /// Probes.
    pub probes: usize,
    /// Context lengths that are run, ascending, in tokens.
    pub context_lengths: Vec<usize>,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Most tokens of an answer.
    pub longest_answer: usize,
    /// Floating-point operations of all prefills.
    pub prefill_flops: f64,
    /// How many of these are attention.
    pub attention_flops: f64,
    /// Of the weights on the device.
    pub weight_bytes: u64,
    /// Of keys and values of the longest prompt with its answer.
    pub kv_cache_bytes: u64,
    /// The most that the run holds at once.
    pub peak_bytes: u64,
    /// What is free; `None` where that is not known.
    pub available_bytes: Option<u64>,
    /// Whether it fits; `None` where it is not known.
    pub fits: Option<bool>,
    /// The longest context that fits; `None` where it is not known.
    pub longest_that_fits: Option<usize>,
    /// Seconds of all prefills.
    pub prefill_secs: f64,
    /// Seconds of all answers, if all are as long as they may be.
    pub decode_secs_at_most: f64,
    /// What the times are reckoned with.
    pub speed: SpeedMeta,
}

/// A [`Speed`], per second.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SpeedMeta {
    matmul_flops: f64,
    attention_flops: f64,
    decode_bytes: f64,
}

impl DryRun {
    /// Plans the profile of `config`, times one layer, and reckons.
    ///
    /// # Errors
    /// All that a profile refuses before it reads the weights, except for too little memory.
    pub fn of(config: &RunConfig) -> Result<Self> {
        let compute = config.probes.compute.open()?;
        let mut probes = config.probes.clone();
        if let ModelChoice::Hub(model) = &mut probes.model {
            model.weights = false;
        }
        if let Some(semantic) = &mut probes.gate.semantic {
            semantic.weights = false;
        }
        let inputs = Inputs::load(&probes)?;
        let job = Job::new(&probes, &inputs, NeedleSpans::Known)?;
        let speed = Speed::measure(&inputs.model.config, &compute)?;
        let chunk = config.probes.chunk_tokens(&compute);
        Ok(Self::reckon(&inputs, &job, &compute, chunk, speed))
    }

    fn reckon(inputs: &Inputs, job: &Job, compute: &Compute, chunk: usize, speed: Speed) -> Self {
        let shape = &inputs.model.config;
        let extent = job.extent();
        let tokens = extent.longest_prompt.saturating_add(extent.longest_answer);
        let memory = MemoryEstimate::new(shape, compute, chunk);
        let available = match compute.on_host {
            true => machine::available_memory_bytes(),
            false => None,
        };
        let (peak, size) = (memory.bytes(tokens), compute.dtype.size() as u64);
        let work = Work::of(job, shape, size);
        Self {
            model: inputs.model.name.clone(),
            parameters: shape.parameters(),
            device: compute.name.clone(),
            dtype: format!("{:?}", compute.dtype).to_lowercase(),
            probes: job.plan.probes.len(),
            context_lengths: job.context_lengths.clone(),
            prompt_tokens: job.prompt_tokens(),
            longest_answer: extent.longest_answer,
            prefill_flops: work.matmul_flops + work.attention_flops,
            attention_flops: work.attention_flops,
            weight_bytes: shape.parameters().saturating_mul(size),
            kv_cache_bytes: KvCache::bytes(shape, tokens, compute.dtype),
            peak_bytes: peak,
            available_bytes: available,
            fits: available.map(|available| peak <= available),
            longest_that_fits: available.map(|available| {
                memory.most_tokens(available).saturating_sub(extent.longest_answer)
            }),
            prefill_secs: work.matmul_flops / speed.matmul_flops
                + work.attention_flops / speed.attention_flops,
            decode_secs_at_most: work.decode_bytes / speed.decode_bytes,
            speed: SpeedMeta {
                matmul_flops: speed.matmul_flops,
                attention_flops: speed.attention_flops,
                decode_bytes: speed.decode_bytes,
            },
        }
    }

    /// # Errors
    /// [`Error::Resources`] if it does not fit.
    pub fn check(&self) -> Result<()> {
        let (Some(false), Some(available)) = (self.fits, self.available_bytes) else {
            return Ok(());
        };
        let most = self.longest_that_fits.unwrap_or(0);
        Err(Error::resources("there would not be enough memory")
            .got(format!("{} MiB available", available >> 20))
            .expected(format!("about {} MiB", self.peak_bytes >> 20))
            .advice(match most {
                0 => "a smaller model, or a machine with more memory".to_owned(),
                most => format!("lengths up to {most}"),
            }))
    }
}

/// Operations and bytes of all probes.
struct Work {
    matmul_flops: f64,
    attention_flops: f64,
    decode_bytes: f64,
}

impl Work {
    /// Of weights and caches of `size` bytes a number.
    fn of(job: &Job, shape: &ModelConfig, size: u64) -> Self {
        let (layers, size) = (shape.layers as f64, size as f64);
        let weights = layers * layer_weights(shape);
        // The logits of the last token alone.
        let head = (shape.vocab * shape.hidden) as f64;
        let mut work = Self { matmul_flops: 0.0, attention_flops: 0.0, decode_bytes: 0.0 };
        for probe in &job.plan.probes {
            let tokens = probe.context_length;
            work.matmul_flops += 2.0 * (weights * tokens as f64 + head);
            work.attention_flops += layers * attention_flops(shape, tokens);
            let kept = (2 * shape.kv_heads * shape.head_dim * tokens) as f64 * layers;
            work.decode_bytes += job.max_new_tokens(probe) as f64 * size * (weights + head + kept);
        }
        work
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, text: String| writeln!(f, "  {name:<18}{text}");
        line("model", format!("{}, {:.3e} weights", self.model, self.parameters as f64))?;
        line("device", format!("{}, {}", self.device, self.dtype))?;
        let lengths = self.context_lengths.iter().map(usize::to_string).collect::<Vec<_>>();
        line("probes", format!("{} at lengths {}", self.probes, lengths.join(", ")))?;
        line(
            "prompts",
            format!("{} tokens, answers of at most {}", self.prompt_tokens, self.longest_answer),
        )?;
        let share = 100.0 * self.attention_flops / self.prefill_flops.max(1.0);
        line(
            "operations",
            format!("{:.3} TFLOP in prefill, {share:.0} % attention", self.prefill_flops / 1e12),
        )?;
        line("weights", mib(self.weight_bytes))?;
        line("keys and values", format!("{} at the longest", mib(self.kv_cache_bytes)))?;
        let fits = match (self.fits, self.available_bytes, self.longest_that_fits) {
            (Some(true), Some(free), Some(most)) => {
                format!("of {} free: fits; up to length {most}", mib(free))
            }
            (Some(false), Some(free), Some(most)) => {
                format!("of {} free: does NOT fit; up to length {most}", mib(free))
            }
            _ => "free memory is not known".to_owned(),
        };
        line("peak memory", format!("about {}, {fits}", mib(self.peak_bytes)))?;
        line(
            "time",
            format!(
                "about {} for prompts, at most {} for answers",
                seconds(self.prefill_secs),
                seconds(self.decode_secs_at_most)
            ),
        )
    }
}

fn mib(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 10.0 { format!("{mib:.1} MiB") } else { format!("{mib:.0} MiB") }
}

fn seconds(secs: f64) -> String {
    match secs {
        s if s < 90.0 => format!("{s:.1} s"),
        s if s < 5400.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
