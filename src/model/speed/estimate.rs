//! [`Speed`]: how fast a device runs a model of some shape, found out in a second with one layer of
//! random weights. For what a run will take (`--dry-run`).

use std::time::Instant;

use burn::prelude::*;
use burn::tensor::{DType, Distribution};

use super::operations::{attention_flops, layer_weights};
use crate::error::Result;
use crate::model::{Compute, Llama, ModelConfig, NoRows, WeightSource};

/// Bytes of the timed layer's weights, at most; layers of large models are timed in a narrower
/// form. More than most caches hold.
const MOST_BYTES: usize = 24_000_000;
/// Tokens of the two timed prefills on a processor and on a GPU.
const TOKENS: [[usize; 2]; 2] = [[256, 1536], [1024, 4096]];
/// Timed steps of decode.
const STEPS: usize = 6;

/// What a device does in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Operations of products with weights, in prefill.
    pub matmul_flops: f64,
    /// Operations of attention, in prefill.
    pub attention_flops: f64,
    /// Bytes of weights and cache that decode reads, weights in the type that they are held in.
    pub decode_bytes: f64,
}

impl Speed {
    /// Times one layer of a model of shape `config` on `compute`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn measure(config: &ModelConfig, compute: &Compute) -> Result<Self> {
        let held = compute.held(config.saved);
        let shape = narrowed(config, MOST_BYTES / held.size());
        let weights = layer_weights(&shape);
        let mut source = Random { compute, matrices: held };
        let model = Llama::of_source(shape.clone(), &mut source, compute)?;
        let lengths = TOKENS[usize::from(!compute.on_host)];
        let mut cache = model.new_cache(lengths[1] + STEPS + 1);
        let ids = vec![1u32; lengths[1]];
        let mut prefill = |tokens: usize| -> Result<f64> {
            cache.rewind(0);
            let start = Instant::now();
            // All of the layer, for all tokens; done when the logits are read back.
            let mut last = None;
            for part in model.parts(&ids[..tokens], lengths[0] * 2) {
                last = Some(model.followed(part, &mut cache, &mut |_, _| Ok(()))?);
            }
            last.map(|hidden| model.logits(hidden.narrow(0, 0, 1))).transpose()?;
            Ok(start.elapsed().as_secs_f64())
        };
        // The first pass compiles kernels and touches memory.
        prefill(lengths[1])?;
        let short = prefill(lengths[0])?.min(prefill(lengths[0])?);
        let long = prefill(lengths[1])?.min(prefill(lengths[1])?);
        let start = Instant::now();
        for _ in 0..STEPS {
            model.run(&[1], &mut cache, 1, 0, &mut NoRows)?;
        }
        let step = start.elapsed().as_secs_f64() / STEPS as f64;

        // Two lengths tell what grows with the length from what grows with its square.
        let matmul = |tokens: usize| 2.0 * weights * tokens as f64;
        let times = lengths[1] as f64 / lengths[0] as f64;
        let squares =
            attention_flops(&shape, lengths[1]) - times * attention_flops(&shape, lengths[0]);
        let excess = long - times * short;
        let overall = (matmul(lengths[1]) + attention_flops(&shape, lengths[1])) / long;
        // Noise must not make attention free, or products.
        let attention = (squares / excess.max(squares / (2.0 * overall))).max(overall / 20.0);
        let rest = long - attention_flops(&shape, lengths[1]) / attention;
        let size = held.size() as f64;
        Ok(Self {
            matmul_flops: matmul(lengths[1]) / rest.max(long / 10.0),
            attention_flops: attention,
            decode_bytes: weights * size / step,
        })
    }
}

/// One layer of `config`, with fewer heads and channels where it has more than `most` weights.
fn narrowed(config: &ModelConfig, most: usize) -> ModelConfig {
    let mut shape = ModelConfig { layers: 1, vocab: 8, ..config.clone() };
    let ratio = (most as f64 / layer_weights(config)).sqrt();
    if ratio < 1.0 {
        let narrow = |n: usize| ((n as f64 * ratio) as usize).max(1);
        shape.hidden = narrow(config.hidden).next_multiple_of(16);
        shape.intermediate = narrow(config.intermediate).next_multiple_of(16);
        shape.kv_heads = narrow(config.kv_heads);
        shape.heads = shape.kv_heads * config.group();
    }
    shape
}

/// Small random weights of any shape.
struct Random<'a> {
    compute: &'a Compute,
    /// The type of matrices.
    matrices: DType,
}

impl WeightSource for Random<'_> {
    fn matrix(&mut self, _: &str, [out, input]: [usize; 2], transpose: bool) -> Result<Tensor<2>> {
        let shape = if transpose { [input, out] } else { [out, input] };
        let even = Distribution::Uniform(-0.02, 0.02);
        Ok(Tensor::<2>::random(shape, even, &self.compute.device).cast(self.matrices))
    }

    fn vector(&mut self, _: &str, len: usize) -> Result<Tensor<1>> {
        Ok(Tensor::<1>::full([len], 1.0, &self.compute.device).cast(self.compute.dtype))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::embedded::needle_llama_config;

    #[test]
    fn a_large_layer_is_timed_in_a_narrower_form() {
        let mut config = needle_llama_config().unwrap();
        assert_eq!(narrowed(&config, 6_000_000).hidden, 256);
        (config.hidden, config.intermediate) = (8192, 28672);
        (config.heads, config.kv_heads, config.head_dim) = (64, 8, 128);
        let shape = narrowed(&config, 6_000_000);
        assert!(layer_weights(&shape) < 1.5 * 6e6, "{shape:?}");
        assert_eq!((shape.heads / shape.kv_heads, shape.layers), (8, 1));
    }

    #[test]
    fn speeds_are_positive_numbers() {
        let speed = Speed::measure(&needle_llama_config().unwrap(), &Compute::cpu()).unwrap();
        for value in [speed.matmul_flops, speed.attention_flops, speed.decode_bytes] {
            assert!(value.is_finite() && value > 1e6, "{speed:?}");
        }
    }
}
