//! How much memory a run will take, before it takes it.

use super::inputs::ModelFiles;
use crate::config::ProbeConfig;
use crate::error::{Error, Result};
use crate::job::Extent;
use crate::model::{Compute, KvCache, ModelConfig};

/// The program, its tables and its texts.
const PROGRAM_BYTES: u64 = 48 << 20;
/// On a GPU what the allocator's pages have free. The program is not there, and what the driver
/// takes for itself counts as used.
const POOL_BYTES: u64 = 32 << 20;

/// An upper estimate for one device: `fixed + per_token · tokens`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// The weights alone.
    pub weight_bytes: u64,
    /// Weights, activations of one chunk, logits.
    pub fixed_bytes: u64,
    /// Of these, activations and logits.
    pub pass_bytes: u64,
    /// Cache, one layer's keys, values and attention rows.
    pub per_token_bytes: u64,
}

impl MemoryEstimate {
    /// For a model of shape `config` that runs `chunk` tokens at a time, all of it in one memory.
    pub fn new(config: &ModelConfig, compute: &Compute, chunk: usize) -> Self {
        Self::of_part(config, compute, chunk, (0, 1))
    }

    /// The same on each of `devices` devices that share the layers, as [`Compute::layer_device`]
    /// says; every token takes `extra_per_token_bytes` beside the model's own, over all devices.
    pub fn shared(
        config: &ModelConfig,
        compute: &Compute,
        chunk: usize,
        devices: usize,
        extra_per_token_bytes: u64,
    ) -> Vec<Self> {
        let part = |part| {
            let estimate = Self::of_part(config, compute, chunk, (part, devices));
            let extra = extra_per_token_bytes / devices as u64;
            Self { per_token_bytes: sum([estimate.per_token_bytes, extra]), ..estimate }
        };
        (0..devices).map(part).collect()
    }

    /// Of the `part`-th of `parts` devices: it has its share of the layers, the first the embedding
    /// too, the last the output layer.
    fn of_part(
        c: &ModelConfig,
        compute: &Compute,
        chunk: usize,
        (part, parts): (usize, usize),
    ) -> Self {
        let embedding = product([c.vocab, c.hidden]);
        let output = if c.tied { 0 } else { embedding };
        let of_layers = c.parameters().saturating_sub(embedding).saturating_sub(output);
        // `layer · parts / L` is the device: those of `part` begin at the ceiling of `part · L /
        // parts`.
        let begin = |part: usize| (part * c.layers).div_ceil(parts);
        let layers = (begin(part + 1) - begin(part)) as u64;
        let shared = |all: u64| match parts {
            1 => all,
            _ => (u128::from(all) * u128::from(layers) / c.layers.max(1) as u128) as u64,
        };
        let weights = sum([
            shared(of_layers),
            if part == 0 { embedding } else { 0 },
            if part + 1 == parts { output } else { 0 },
        ]);
        // Norms and biases are as wide as activations are: some KiB.
        let held = compute.held(c.saved).size();
        let weight_bytes = weights.saturating_mul(held as u64);
        // As it was saved and as it is held once more, or twice as it was saved.
        let twice = held.max((2 * c.saved.size()).saturating_sub(held));
        // The residual stream and its norms; gate, up and their product; queries, keys and values
        // as projected, rotated and put side by side.
        let width = sum([
            product([6, c.hidden]),
            product([3, c.intermediate]),
            product([3, c.heads, c.head_dim]),
            product([6, c.kv_heads, c.head_dim]),
        ]);
        // Logits twice.
        let number = compute.dtype.size();
        let pass_bytes =
            sum([width.saturating_mul(product([chunk, number])), product([c.vocab, 8])]);
        Self {
            weight_bytes,
            pass_bytes,
            fixed_bytes: sum([
                weight_bytes,
                pass_bytes,
                // While it is transposed, a weight exists twice, as it was saved: the last is the
                // output layer, if it is one of its own. The embedding is not transposed.
                match (compute.on_host, c.tied) {
                    (false, _) => 0,
                    (true, false) => embedding.saturating_mul(twice as u64),
                    (true, true) => product([c.hidden, c.intermediate, twice]),
                },
                if compute.on_host { PROGRAM_BYTES } else { POOL_BYTES },
            ]),
            per_token_bytes: sum([
                shared(KvCache::bytes(c, 1, compute.dtype)),
                // One layer's in f32, for rows; kernels read the cache as it is.
                match compute.on_host {
                    true => product([2, c.kv_heads, c.head_dim, 4]),
                    false => 0,
                },
                product([2, c.heads, 4]),
            ]),
        }
    }

    /// Bytes for a cache of `tokens`.
    pub fn bytes(self, tokens: usize) -> u64 {
        self.fixed_bytes.saturating_add(self.per_token_bytes.saturating_mul(tokens as u64))
    }

    /// The longest cache in `available` bytes; 0 if the weights alone are too much.
    pub fn most_tokens(self, available: u64) -> usize {
        (available.saturating_sub(self.fixed_bytes) / self.per_token_bytes.max(1)) as usize
    }

    /// Compares with the memory that is free, where tensors lie in the machine's own; `answer`
    /// tokens come on top of a context of `length`.
    ///
    /// # Errors
    /// [`Error::Resources`] with the longest context that fits.
    pub(crate) fn check_free(self, compute: &Compute, length: usize, answer: usize) -> Result<()> {
        match compute.free_memory()[..] {
            [Some(available)] if compute.on_host => self.check(length, answer, available),
            _ => Ok(()),
        }
    }

    /// How many devices with `available` bytes each, more than `compute` has, must share the layers
    /// for a context of `tokens`; `None` if no number is enough. `extra` as in
    /// [`MemoryEstimate::shared`].
    pub(crate) fn devices_needed(
        config: &ModelConfig,
        compute: &Compute,
        chunk: usize,
        tokens: usize,
        available: u64,
        extra: u64,
    ) -> Option<usize> {
        // There are no others to share with.
        if compute.name == "vulkan" {
            return None;
        }
        (compute.devices().count() + 1..=config.layers).find(|&n| {
            let each = Self::shared(config, compute, chunk, n, extra);
            each.iter().all(|estimate| estimate.bytes(tokens) <= available)
        })
    }

    /// What to do where a model is too large for its GPUs.
    pub(crate) fn more_devices(needed: Option<usize>) -> String {
        match needed {
            None => "a smaller model, or --device cpu".to_owned(),
            Some(n) => {
                let list = (0..n).map(|i| format!("cuda:{i}")).collect::<Vec<_>>().join(",");
                format!("let {n} such GPUs share the layers: --device {list}")
            }
        }
    }

    /// Compares with what there is; `answer` tokens come on top of a context of `length`.
    fn check(self, length: usize, answer: usize, available: u64) -> Result<()> {
        let needed = self.bytes(length.saturating_add(answer));
        if needed <= available {
            return Ok(());
        }
        let most = self.most_tokens(available).saturating_sub(answer);
        let advice = match most {
            0 if available > self.fixed_bytes => "a smaller --max-new-tokens".to_owned(),
            0 => "a smaller model, or more memory".to_owned(),
            most => format!("lengths up to {most}"),
        };
        Err(Error::resources("there is not enough memory")
            .at(format!("context length {length}"))
            .got(format!("{} MiB available", available >> 20))
            .expected(format!(
                "about {} MiB: {} for the weights and the arithmetic, {} for the cache",
                needed >> 20,
                self.fixed_bytes >> 20,
                (needed - self.fixed_bytes) >> 20
            ))
            .advice(advice))
    }
}

/// Sizes come from a file: what is beyond 64 bits is as much as 64 bits hold.
fn product<const N: usize>(sizes: [usize; N]) -> u64 {
    sizes.iter().fold(1, |p, &size| p.saturating_mul(size as u64))
}

fn sum<const N: usize>(bytes: [u64; N]) -> u64 {
    bytes.iter().fold(0, |s, &b| s.saturating_add(b))
}

/// Bytes of a further probe of `tokens` tokens that is answered together with others: its cache,
/// and its logits.
pub(crate) fn further_bytes(shape: &ModelConfig, compute: &Compute, tokens: usize) -> u64 {
    let logits = (shape.vocab as u64).saturating_mul(12);
    KvCache::bytes(shape, tokens, compute.dtype).saturating_add(logits)
}

/// Checks the longest prompt against the memory that is free, where every prompt token takes
/// `extra_per_token_bytes` beside the model's own; of GPUs the weights alone: a GPU tells when a
/// probe does not fit, and the others go on.
pub(crate) fn check(
    config: &ProbeConfig,
    model: &ModelFiles,
    compute: &Compute,
    extent: Extent,
    extra_per_token_bytes: u64,
) -> Result<()> {
    let chunk = config.chunk_tokens(compute);
    if !compute.on_host {
        let (free, extra) = (compute.free_memory(), extra_per_token_bytes);
        return check_weights(&model.config, compute, chunk, extent, extra, &free);
    }
    let mut estimate = MemoryEstimate::new(&model.config, compute, chunk);
    estimate.per_token_bytes = sum([estimate.per_token_bytes, extra_per_token_bytes]);
    estimate.check_free(compute, extent.longest_prompt, extent.longest_answer)
}

/// Whether the weights alone fit into what is `free` on each GPU.
fn check_weights(
    config: &ModelConfig,
    compute: &Compute,
    chunk: usize,
    extent: Extent,
    extra: u64,
    free: &[Option<u64>],
) -> Result<()> {
    let each = MemoryEstimate::shared(config, compute, chunk, free.len(), extra);
    for (i, (estimate, free)) in each.iter().zip(free).enumerate() {
        let Some(free) = free.filter(|free| *free < estimate.weight_bytes) else { continue };
        let tokens = extent.longest_prompt.saturating_add(extent.longest_answer);
        let needed = MemoryEstimate::devices_needed(config, compute, chunk, tokens, free, extra);
        return Err(Error::resources("the weights do not fit into the memory of the GPU")
            .at(compute.name.split(',').nth(i).unwrap_or(&compute.name))
            .got(format!("{} MiB free", free >> 20))
            .expected(format!("{} MiB for its layers", estimate.weight_bytes >> 20))
            .advice(MemoryEstimate::more_devices(needed)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::*;
    use crate::model::embedded::needle_llama_config;

    #[test]
    fn the_largest_length_that_fits_is_told() {
        let (fixed_bytes, per_token_bytes) = (10 << 20, 1 << 20);
        let (weight_bytes, pass_bytes) = (8 << 20, 1 << 20);
        let estimate = MemoryEstimate { weight_bytes, pass_bytes, fixed_bytes, per_token_bytes };
        assert_eq!(estimate.bytes(20), 30 << 20);
        assert_eq!(estimate.most_tokens(30 << 20), 20);
        assert_eq!(estimate.most_tokens(5 << 20), 0);
        assert!(estimate.check(15, 5, 30 << 20).is_ok());
        let e = estimate.check(16, 5, 30 << 20).unwrap_err();
        assert_eq!(e.exit_code(), 5);
        assert!(e.to_string().contains("lengths up to 15"), "{e}");
        assert!(e.to_string().contains("about 31 MiB"), "{e}");
        let e = estimate.check(16, 5, 9 << 20).unwrap_err();
        assert!(e.to_string().contains("smaller model"), "{e}");
    }

    #[test]
    fn sizes_beyond_64_bits_are_too_much_and_not_a_small_rest() {
        let mut c = needle_llama_config().unwrap();
        // As large as a config.json may say, and larger.
        (c.hidden, c.vocab, c.intermediate) = (1 << 31, 1 << 31, 1 << 31);
        (c.heads, c.kv_heads, c.head_dim) = (1 << 31, 1 << 31, 1 << 31);
        let estimate = MemoryEstimate::new(&c, &Compute::cpu(), usize::MAX);
        assert_eq!((estimate.fixed_bytes, estimate.per_token_bytes), (u64::MAX, u64::MAX));
        let e = estimate.check(usize::MAX, usize::MAX, 1 << 40).unwrap_err();
        assert_eq!(e.exit_code(), 5);
        let small = MemoryEstimate { per_token_bytes: 1, ..MemoryEstimate::default() };
        assert_eq!(small.check(usize::MAX, usize::MAX, 1 << 40).unwrap_err().exit_code(), 5);
    }

    #[test]
    fn needle_llama_takes_what_its_shape_says() {
        let c = needle_llama_config().unwrap();
        let estimate = MemoryEstimate::new(&c, &Compute::cpu(), 256);
        // Keys and values: 2 · L · G · D · 4 bytes, on top of one layer's copies.
        let cache = (2 * c.layers * c.kv_heads * c.head_dim * 4) as u64;
        assert!((cache..2 * cache).contains(&estimate.per_token_bytes));
        // Two bytes a weight, as saved.
        assert!(estimate.fixed_bytes > 2 * c.parameters());
        assert_eq!(estimate.weight_bytes, 2 * c.parameters());
        let widened = ModelConfig { saved: DType::F32, ..c.clone() };
        let widened = MemoryEstimate::new(&widened, &Compute::cpu(), 256);
        assert_eq!(widened.weight_bytes, 4 * c.parameters());
    }

    #[test]
    fn devices_share_layers_and_cache_but_not_the_arithmetic() {
        let c = needle_llama_config().unwrap();
        let gpu = Compute { on_host: false, ..Compute::cpu() };
        let whole = MemoryEstimate::new(&c, &gpu, 256);
        // 6 layers on 4 devices: 2, 1, 2, 1.
        let four = MemoryEstimate::shared(&c, &gpu, 256, 4, 0);
        let bytes: Vec<u64> = four.iter().map(|e| e.weight_bytes).collect();
        let embedding = 4 * (c.vocab * c.hidden) as u64;
        // Shares are whole weights.
        assert!(bytes.iter().sum::<u64>().abs_diff(whole.weight_bytes) <= 4 * 4);
        assert_eq!((bytes[0], bytes[1]), (bytes[2] + embedding, bytes[3]));
        assert!(bytes[2].abs_diff(2 * bytes[1]) <= 8);
        for estimate in &four {
            assert_eq!(
                estimate.fixed_bytes - estimate.weight_bytes,
                whole.fixed_bytes - whole.weight_bytes
            );
            assert!(estimate.per_token_bytes < whole.per_token_bytes);
        }
        let most = |n| {
            let each = MemoryEstimate::shared(&c, &gpu, 256, n, 0);
            each.iter().map(|e| e.bytes(1000)).max().unwrap()
        };
        let needed = |available, extra| {
            MemoryEstimate::devices_needed(&c, &gpu, 256, 1000, available, extra)
        };
        assert_eq!((needed(most(2), 0), needed(most(3), 0)), (Some(2), Some(3)));
        assert_eq!(needed(1 << 20, 0), None);
        // What only the extra makes too large needs more devices than there are, too.
        assert_ne!(needed(most(2), 6 << 10), Some(2));
        let extent = Extent { shortest_prompt: 9, longest_prompt: 1000, longest_answer: 8 };
        let free = [Some(bytes[0]), None, Some(bytes[2] - 1), Some(0)];
        let e = check_weights(&c, &gpu, 256, extent, 0, &free).unwrap_err();
        assert_eq!(e.exit_code(), 5);
        assert!(e.to_string().contains("for its layers"), "{e}");
        let free = [Some(bytes[0]), None, Some(bytes[2]), None];
        check_weights(&c, &gpu, 256, extent, 0, &free).unwrap();
        assert_eq!(
            MemoryEstimate::more_devices(Some(2)),
            "let 2 such GPUs share the layers: --device cuda:0,cuda:1"
        );
    }
}
