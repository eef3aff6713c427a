//! [`Weight`]: a random tensor that exists only while it is written.

use std::borrow::Cow;

use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, View};

/// Numbers per parallel task.
const LANE: usize = 1 << 16;

/// One tensor of a checkpoint.
pub struct Weight {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    mean: f32,
    deviation: f32,
    seed: u64,
}

impl Weight {
    /// The tensor `name` of a model whose embedding is its output layer if it is `tied`.
    pub fn new(name: String, shape: Vec<usize>, dtype: Dtype, tied: bool, seed: u64) -> Self {
        let input = shape[shape.len() - 1] as f32;
        let (mean, deviation) = match name.as_str() {
            // Tied: small, lest the output layer only finds the token that was put in.
            "model.embed_tokens.weight" => (0.0, if tied { 0.3 } else { 1.0 }),
            "lm_head.weight" => (0.0, 2.0 / input.sqrt()),
            n if n.contains("_norm.") => (1.5, 0.4),
            n if n.contains("norm.") => (1.0, 0.3),
            n if n.ends_with("bias") => (0.0, 0.5),
            // Query · key / sqrt(D) has a deviation of about 1.5²: rows with structure.
            n if n.contains("q_proj") || n.contains("k_proj") => (0.0, 1.5 / input.sqrt()),
            _ => (0.0, 1.0 / input.sqrt()),
        };
        let seed = name.bytes().fold(mixed(seed), |hash, byte| mixed(hash ^ u64::from(byte)));
        Self { name, shape, dtype, mean, deviation, seed }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Size in the file.
    pub fn bytes(&self) -> u64 {
        self.data_len() as u64
    }

    /// Evenly distributed, with the tensor's mean and deviation.
    fn value(&self, index: usize) -> f32 {
        let bits = mixed(self.seed.wrapping_add(index as u64)) >> 40;
        let even = bits as f32 / (1u64 << 24) as f32 - 0.5;
        self.mean + self.deviation * 12f32.sqrt() * even
    }

    fn filled<const N: usize>(&self, write: impl Fn(f32) -> [u8; N] + Sync) -> Vec<u8> {
        let mut bytes = vec![0; self.data_len()];
        bytes.par_chunks_mut(LANE * N).enumerate().for_each(|(lane, bytes)| {
            for (i, out) in bytes.as_chunks_mut::<N>().0.iter_mut().enumerate() {
                *out = write(self.value(lane * LANE + i));
            }
        });
        bytes
    }
}

impl View for Weight {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match self.dtype {
            Dtype::F16 => self.filled(|v| f16::from_f32(v).to_le_bytes()),
            Dtype::BF16 => self.filled(|v| bf16::from_f32(v).to_le_bytes()),
            _ => self.filled(f32::to_le_bytes),
        })
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014): a number that looks random for every
/// `state`.
fn mixed(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
