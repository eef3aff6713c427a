//! [`DryRun`]: what a profile or a comparison would take, before any weight is read.

use std::fmt;

use serde::Serialize;

use crate::chat::ChatOptions;
use crate::config::ProbeConfig;
use crate::error::{Error, Result};
use crate::job::{MemoryEstimate, ModelFiles, WorkPrompt, Workload, further_bytes};
use crate::model::speed::{
    Speed, attention_flops, layer_weights, prompt_attention_flops, prompt_weights,
};
use crate::model::{Compute, KvCache, ModelConfig};

/// Context lengths that are told one by one, at most.
const MOST_LENGTHS: usize = 12;

/// The work and the memory of a profile or a comparison, reckoned from the model's shape.
#[derive(Debug, Clone, Serialize)]
pub struct DryRun {
    /// The model's name.
    pub model: String,
    /// Number of weights.
    pub parameters: u64,
    /// Where it would run.
    pub device: String,
    /// Type of cache and activations.
    pub dtype: String,
    /// Type that matrices of weights are held in.
    pub weights_dtype: String,
    /// What the chat template is told besides the message, if there is anything.
    #[serde(skip_serializing_if = "ChatOptions::is_empty")]
    pub chat_options: ChatOptions,
    /// Probes, or prompts of a comparison.
    pub probes: usize,
    /// Answers to each of them.
    pub answers_per_probe: usize,
    /// How many probes are answered at the same time, each with a cache of its own.
    pub caches: usize,
    /// Context lengths that are run, ascending, in tokens.
    pub context_lengths: Vec<usize>,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// How many of them are run: what prompts begin alike with is run once.
    pub run_tokens: u64,
    /// Most tokens of an answer.
    pub longest_answer: usize,
    /// Floating-point operations of all prefills.
    pub prefill_flops: f64,
    /// How many of these are attention.
    pub attention_flops: f64,
    /// Of all weights.
    pub weight_bytes: u64,
    /// Of keys and values of the longest prompt with its answer.
    pub kv_cache_bytes: u64,
    /// The most that the run holds at once; if devices share the layers, on the one that has least
    /// to spare.
    pub peak_bytes: u64,
    /// What is free there; `None` where that is not known.
    pub available_bytes: Option<u64>,
    /// The same on each device, if several share the layers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceMemory>,
    /// How many devices with as much free memory would be enough, if it does not fit on GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices_needed: Option<usize>,
    /// Whether it fits; `None` where it is not known.
    pub fits: Option<bool>,
    /// The longest context that fits and, unless a longer one is asked for, that the model is made
    /// for; `None` where it is not known.
    pub longest_that_fits: Option<usize>,
    /// Seconds of all prefills.
    pub prefill_secs: f64,
    /// Seconds of all answers, if all are as long as they may be.
    pub decode_secs_at_most: f64,
    /// What the times are reckoned with.
    pub speed: SpeedMeta,
    /// Whether methods of a comparison add up attention, for which the time is not reckoned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub statistics: bool,
    /// What is to be said of the model's sliding windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
}

/// What one of several devices holds.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceMemory {
    /// Its name, as in `cuda:0`.
    pub device: String,
    /// Of the weights of its layers.
    pub weight_bytes: u64,
    /// The most that it holds at once.
    pub peak_bytes: u64,
    /// What is free; `None` where that is not known.
    pub available_bytes: Option<u64>,
}

/// A [`Speed`], per second.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SpeedMeta {
    matmul_flops: f64,
    attention_flops: f64,
    decode_bytes: f64,
}

impl DryRun {
    /// Times one layer of `model` on `compute` and reckons what `workload` takes.
    ///
    /// # Errors
    /// If the device fails. Too little memory is told, not an error.
    pub fn new(
        model: &ModelFiles,
        probes: &ProbeConfig,
        compute: &Compute,
        workload: &Workload,
    ) -> Result<Self> {
        let shape = &model.config;
        // Asked before anything is computed: what the clock below leaves behind is not in the way
        // of a run.
        let free = compute.free_memory();
        let speed = speed(shape, compute, workload.walks)?;
        let chunk = probes.chunk_tokens(compute);
        let longest =
            |f: fn(&WorkPrompt) -> usize| workload.prompts.iter().map(f).max().unwrap_or(0);
        let (longest_prompt, longest_answer) = (longest(|p| p.tokens), longest(|p| p.new_tokens));
        let tokens = longest_prompt.saturating_add(longest_answer);
        // Whoever runs more than the model is made for wants to know how much more there could be.
        let made_for = Some(shape.max_positions).filter(|most| tokens <= *most);
        let made_for = made_for.unwrap_or(usize::MAX);
        let extra = workload.extra_per_token_bytes;
        let caches = workload.batch * workload.walks;
        // Devices hold about as much of them each.
        let further = further_bytes(shape, compute, tokens).saturating_mul(caches as u64 - 1);
        let estimates = |extra| MemoryEstimate::shared(shape, compute, chunk, free.len(), extra);
        let mut each = estimates(extra);
        for estimate in &mut each {
            let passes = estimate.pass_bytes.saturating_mul(workload.walks as u64 - 1);
            let more = passes.saturating_add(further / free.len().max(1) as u64);
            estimate.fixed_bytes = estimate.fixed_bytes.saturating_add(more);
        }
        // The device that has room for fewest tokens; the fullest where that is not known.
        let tightest = (0..free.len()).min_by_key(|&i| {
            let room = free[i].map_or(usize::MAX, |free| each[i].most_tokens(free));
            (room, std::cmp::Reverse(each[i].bytes(tokens)))
        });
        let tightest = tightest.unwrap_or(0);
        let (memory, available) = (each[tightest], free[tightest]);
        let (peak, weights_dtype) = (memory.bytes(tokens), compute.held(shape.saved));
        let held = weights_dtype.size();
        let work = Work::of(workload, shape, [held, compute.dtype.size()]);
        let fits = match available.map(|available| peak <= available) {
            // The tightest of those that are known says nothing of the others.
            Some(true) if free.contains(&None) => None,
            fits => fits,
        };
        let several = || compute.name.split(',').zip(each.iter().zip(&free));
        let devices = several().map(|(name, (estimate, free))| DeviceMemory {
            device: name.to_owned(),
            weight_bytes: estimate.weight_bytes,
            peak_bytes: estimate.bytes(tokens),
            available_bytes: *free,
        });
        let mut context_lengths: Vec<usize> = workload.prompts.iter().map(|p| p.tokens).collect();
        context_lengths.sort_unstable();
        context_lengths.dedup();
        let sum = |f: fn(&WorkPrompt) -> usize| -> u64 {
            workload.prompts.iter().map(|prompt| f(prompt) as u64).sum()
        };
        Ok(Self {
            model: model.name.clone(),
            parameters: shape.parameters(),
            device: compute.name.clone(),
            dtype: compute.dtype.name().to_owned(),
            weights_dtype: weights_dtype.name().to_owned(),
            chat_options: model
                .chat(probes)?
                .map_or_else(ChatOptions::new, |chat| chat.template.options().clone()),
            probes: workload.prompts.len(),
            answers_per_probe: workload.answers,
            caches,
            context_lengths,
            prompt_tokens: sum(|p| p.tokens),
            run_tokens: sum(|p| p.tokens - p.reused),
            longest_answer,
            prefill_flops: work.matmul_flops + work.attention_flops,
            attention_flops: work.attention_flops,
            weight_bytes: shape.parameters().saturating_mul(held as u64),
            kv_cache_bytes: KvCache::bytes(shape, tokens, compute.dtype),
            peak_bytes: peak,
            available_bytes: available,
            devices: if free.len() > 1 { devices.collect() } else { vec![] },
            devices_needed: available.filter(|_| fits == Some(false) && !compute.on_host).and_then(
                |free| MemoryEstimate::devices_needed(shape, compute, chunk, tokens, free, extra),
            ),
            fits,
            // Longer ones are answered one by one.
            longest_that_fits: available.map(|available| {
                let most = estimates(extra)[tightest].most_tokens(available);
                most.min(made_for).saturating_sub(longest_answer)
            }),
            prefill_secs: work.matmul_flops / speed.matmul_flops
                + work.attention_flops / speed.attention_flops,
            decode_secs_at_most: work.decode_bytes / speed.decode_bytes,
            speed: SpeedMeta {
                matmul_flops: speed.matmul_flops,
                attention_flops: speed.attention_flops,
                decode_bytes: speed.decode_bytes,
            },
            statistics: workload.statistics,
            window: shape.window_note(longest_prompt),
        })
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
            .advice(match (most, self.devices_needed) {
                (_, needed @ Some(_)) => MemoryEstimate::more_devices(needed),
                (0, None) => "a smaller model, or a machine with more memory".to_owned(),
                (most, None) => format!("lengths up to {most}"),
            }))
    }
}

/// How fast prompts are run by so many threads with prompts of their own, or by one with the help
/// of all.
fn speed(shape: &ModelConfig, compute: &Compute, walks: usize) -> Result<Speed> {
    if walks == 1 {
        return Speed::measure(shape, compute);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|e| Error::resources("a thread cannot be started").got(e))?;
    let Speed { matmul_flops, attention_flops, decode_bytes } =
        pool.install(|| Speed::measure(shape, compute))?;
    let all = |one: f64| one * walks as f64;
    Ok(Speed {
        matmul_flops: all(matmul_flops),
        attention_flops: all(attention_flops),
        decode_bytes: all(decode_bytes),
    })
}

/// Operations and bytes of all probes.
struct Work {
    matmul_flops: f64,
    attention_flops: f64,
    decode_bytes: f64,
}

impl Work {
    /// Of weights and caches of so many bytes a number.
    fn of(workload: &Workload, shape: &ModelConfig, sizes: [usize; 2]) -> Self {
        let (layers, [of_weight, of_cache]) = (shape.layers as f64, sizes.map(|n| n as f64));
        let weights = layers * layer_weights(shape);
        let followed = workload.followed;
        let met = if followed { weights } else { prompt_weights(shape) };
        let attention = if followed { attention_flops } else { prompt_attention_flops };
        // The logits of the last token alone.
        let head = (shape.vocab * shape.hidden) as f64;
        let mut work = Self { matmul_flops: 0.0, attention_flops: 0.0, decode_bytes: 0.0 };
        let answers = workload.answers as f64;
        for &WorkPrompt { tokens, reused, new_tokens } in &workload.prompts {
            work.matmul_flops += 2.0 * (met * (tokens - reused) as f64 + head);
            work.attention_flops += attention(shape, tokens) - attention(shape, reused);
            let kept = (2 * shape.kv_heads * shape.head_dim * tokens) as f64 * layers;
            // Those that are answered together read the weights once.
            let read = of_weight * (weights + head) / workload.batch as f64 + of_cache * kept;
            work.decode_bytes += answers * new_tokens as f64 * read;
        }
        work
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, text: String| writeln!(f, "  {name:<18}{text}");
        line("model", format!("{}, {:.3e} weights", self.model, self.parameters as f64))?;
        line("device", format!("{}, {}", self.device, self.dtype))?;
        if !self.chat_options.is_empty() {
            // As they are given: JSON.
            let json = |value| serde_json::to_string(value).unwrap_or_default();
            let options = self.chat_options.iter().map(|(name, v)| format!("{name}={}", json(v)));
            line("chat template", options.collect::<Vec<_>>().join(", "))?;
        }
        let lengths = match &self.context_lengths[..] {
            [first, .., last] if self.context_lengths.len() > MOST_LENGTHS => {
                format!("of {first} to {last} tokens")
            }
            all => {
                let all = all.iter().map(usize::to_string).collect::<Vec<_>>();
                format!("at lengths {}", all.join(", "))
            }
        };
        let answers = match self.answers_per_probe {
            1 => String::new(),
            n => format!(", {n} answers each"),
        };
        line("probes", format!("{} {lengths}{answers}", self.probes))?;
        line(
            "prompts",
            format!(
                "{} tokens, {} of them run, answers of at most {}",
                self.prompt_tokens, self.run_tokens, self.longest_answer
            ),
        )?;
        let share = 100.0 * self.attention_flops / self.prefill_flops.max(1.0);
        line(
            "operations",
            format!("{:.3} TFLOP in prefill, {share:.0} % attention", self.prefill_flops / 1e12),
        )?;
        line("weights", format!("{} in {}", mib(self.weight_bytes), self.weights_dtype))?;
        let caches = match self.caches {
            1 => String::new(),
            n => format!(", for each of {n} probes at a time"),
        };
        line("keys and values", format!("{} at the longest{caches}", mib(self.kv_cache_bytes)))?;
        let fits = match (self.fits, self.available_bytes, self.longest_that_fits) {
            (Some(true), Some(free), Some(most)) => {
                format!("of {} free: fits; up to length {most}", mib(free))
            }
            (Some(false), Some(free), Some(0)) => {
                format!("of {} free: does NOT fit, at no length", mib(free))
            }
            (Some(false), Some(free), Some(most)) => {
                format!("of {} free: does NOT fit; up to length {most}", mib(free))
            }
            _ => "free memory is not known".to_owned(),
        };
        line("peak memory", format!("about {}, {fits}", mib(self.peak_bytes)))?;
        for device in &self.devices {
            let free = device.available_bytes.map_or("?".to_owned(), mib);
            let peak = mib(device.peak_bytes);
            line("", format!("{}: {peak} of {free} free", device.device))?;
        }
        line(
            "time",
            format!(
                "about {} for prompts{}, at most {} for answers",
                seconds(self.prefill_secs),
                if self.statistics { " without the sums of attention" } else { "" },
                seconds(self.decode_secs_at_most)
            ),
        )?;
        self.window.iter().try_for_each(|text| line("sliding windows", text.clone()))
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
