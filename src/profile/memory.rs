//! How much memory a run will take, before it takes it.

use super::inputs::ModelFiles;
use super::job::Extent;
use crate::error::{Error, Result};
use crate::machine;
use crate::model::{Compute, KvCache, ModelConfig};
use crate::run_config::ProbeConfig;

/// The program, its tables and its texts.
const PROGRAM_BYTES: u64 = 48 << 20;

/// An upper estimate: `fixed + per_token · tokens`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Weights, activations of one chunk, logits.
    pub fixed_bytes: u64,
    /// Cache, one layer's keys, values and attention rows.
    pub per_token_bytes: u64,
}

impl MemoryEstimate {
    /// For a model of shape `config` that runs `chunk` tokens at a time.
    pub fn new(config: &ModelConfig, compute: &Compute, chunk: usize) -> Self {
        let c = config;
        // The residual stream and its norms; gate, up and their product; queries, keys and values
        // as projected, rotated and put side by side.
        let width = sum([
            product([6, c.hidden]),
            product([3, c.intermediate]),
            product([3, c.heads, c.head_dim]),
            product([6, c.kv_heads, c.head_dim]),
        ]);
        Self {
            fixed_bytes: sum([
                c.parameters().saturating_mul(compute.dtype.size() as u64),
                width.saturating_mul(product([chunk, 4])),
                // While it is read, a weight also exists in f32; the largest is the embedding.
                product([c.vocab, c.hidden, 4]),
                // Logits, twice.
                product([c.vocab, 8]),
                PROGRAM_BYTES,
            ]),
            per_token_bytes: sum([
                KvCache::bytes(c, 1, compute.dtype),
                product([2, c.kv_heads, c.head_dim, 4]),
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

    /// Compares with the memory that is free, where tensors lie in the machine's own; `answer` tokens
    /// come on top of a context of `length`.
    ///
    /// # Errors
    /// [`Error::Resources`] with the longest context that fits.
    pub(crate) fn check_free(self, compute: &Compute, length: usize, answer: usize) -> Result<()> {
        match (machine::available_memory_bytes(), compute.name.as_str()) {
            (Some(available), "cpu") => self.check(length, answer, available),
            _ => Ok(()),
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
            0 => "a smaller model, or a machine with more memory".to_owned(),
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

/// Checks the longest prompt against the memory that is free, where every prompt token
/// takes `extra_per_token_bytes` beside the model's own. Only where tensors lie in the machine's own
/// memory: a GPU tells when a probe does not fit, and the others go on.
pub(crate) fn check(
    config: &ProbeConfig,
    model: &ModelFiles,
    compute: &Compute,
    extent: Extent,
    extra_per_token_bytes: u64,
) -> Result<()> {
    let mut estimate = MemoryEstimate::new(&model.config, compute, config.chunk_tokens(compute));
    estimate.per_token_bytes = sum([estimate.per_token_bytes, extra_per_token_bytes]);
    estimate.check_free(compute, extent.longest_prompt, extent.longest_answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::embedded::needle_llama_config;

    #[test]
    fn the_largest_length_that_fits_is_told() {
        let estimate = MemoryEstimate { fixed_bytes: 10 << 20, per_token_bytes: 1 << 20 };
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
        let small = MemoryEstimate { fixed_bytes: 0, per_token_bytes: 1 };
        assert_eq!(small.check(usize::MAX, usize::MAX, 1 << 40).unwrap_err().exit_code(), 5);
    }

    #[test]
    fn needle_llama_takes_what_its_shape_says() {
        let c = needle_llama_config().unwrap();
        let estimate = MemoryEstimate::new(&c, &Compute::cpu(), 256);
        // Keys and values: 2 · L · G · D · 4 bytes, on top of one layer's copies.
        let cache = (2 * c.layers * c.kv_heads * c.head_dim * 4) as u64;
        assert!((cache..2 * cache).contains(&estimate.per_token_bytes));
        assert!(estimate.fixed_bytes > 4 * c.parameters());
    }
}
