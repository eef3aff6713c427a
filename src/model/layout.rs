//! The tensors that a decoder needs: Hugging Face name, shape, and the configuration keys that the
//! shape comes from. Known before any weight is read, so that one error lists all that is missing.
//!
//! This is the one list of weights: loading and writing ([`super::decoder`]), the check of a
//! checkpoint, parameter counts and costs follow from it.

use super::config::ModelConfig;

/// One dimension of a weight, by what decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Rows of the embedding, `V`.
    Vocab,
    /// Width of the residual stream.
    Hidden,
    /// Width of the feed-forward layer.
    Intermediate,
    /// All query heads, `H · D`.
    Queries,
    /// All key or value heads, `G · D`.
    KeyValues,
    /// One head, `D`.
    HeadDim,
}

impl Size {
    /// The number of a model of shape `c`.
    pub fn of(self, c: &ModelConfig) -> usize {
        match self {
            Self::Vocab => c.vocab,
            Self::Hidden => c.hidden,
            Self::Intermediate => c.intermediate,
            Self::Queries => c.heads * c.head_dim,
            Self::KeyValues => c.kv_heads * c.head_dim,
            Self::HeadDim => c.head_dim,
        }
    }

    /// The keys of `config.json` that decide it, with their values.
    pub fn source(self, c: &ModelConfig) -> String {
        match self {
            Self::Vocab => format!("vocab_size={}", c.vocab),
            Self::Hidden => format!("hidden_size={}", c.hidden),
            Self::Intermediate => format!("intermediate_size={}", c.intermediate),
            Self::Queries => format!("num_attention_heads={} * head_dim={}", c.heads, c.head_dim),
            Self::KeyValues => {
                format!("num_key_value_heads={} * head_dim={}", c.kv_heads, c.head_dim)
            }
            Self::HeadDim => format!("head_dim={}", c.head_dim),
        }
    }
}

/// What all names but that of the output layer begin with.
pub const PREFIX: &str = "model.";
/// The embedding, `[V, hidden]`.
pub const EMBEDDING: &str = "model.embed_tokens.weight";
/// The norm behind the last layer, without `.weight`.
pub const FINAL_NORM: &str = "model.norm";
/// The output layer of a model that does not share the embedding's weights, without `.weight`.
pub const OUTPUT: &str = "lm_head";

/// The matrices of a decoder layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// Queries of all heads.
    Query,
    /// Keys of all KV heads.
    Key,
    /// Values of all KV heads.
    Value,
    /// Of attention, back into the residual stream.
    Output,
    /// The gate of the MLP.
    Gate,
    /// What the gate lets through.
    Up,
    /// Back to the residual stream.
    Down,
}

impl Projection {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 7] =
        [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    /// Last parts of the name, shape, and whether a model has a bias there.
    fn about(self) -> (&'static str, [Size; 2], fn(&ModelConfig) -> bool) {
        use Size::{Hidden, Intermediate, KeyValues, Queries};
        match self {
            Self::Query => ("self_attn.q_proj", [Queries, Hidden], |c| c.qkv_bias),
            Self::Key => ("self_attn.k_proj", [KeyValues, Hidden], |c| c.qkv_bias),
            Self::Value => ("self_attn.v_proj", [KeyValues, Hidden], |c| c.qkv_bias),
            Self::Output => ("self_attn.o_proj", [Hidden, Queries], |c| c.output_bias),
            Self::Gate => ("mlp.gate_proj", [Intermediate, Hidden], |c| c.mlp_bias),
            Self::Up => ("mlp.up_proj", [Intermediate, Hidden], |c| c.mlp_bias),
            Self::Down => ("mlp.down_proj", [Hidden, Intermediate], |c| c.mlp_bias),
        }
    }

    /// Its name in layer `layer`, without `.weight` or `.bias`.
    pub fn name(self, layer: usize) -> String {
        format!("model.layers.{layer}.{}", self.about().0)
    }

    /// `[out, in]`.
    pub fn shape(self) -> [Size; 2] {
        self.about().1
    }

    /// Whether a model of shape `c` adds a bias, `[out]`.
    pub fn has_bias(self, c: &ModelConfig) -> bool {
        self.about().2(c)
    }

    /// Numbers in the matrix, of a model of shape `c`.
    pub fn numbers(self, c: &ModelConfig) -> u64 {
        self.shape().iter().map(|size| size.of(c) as u64).product()
    }
}

/// The norms of a decoder layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Before attention.
    Input,
    /// Before the feed-forward layer.
    Mlp,
    /// Of each query head.
    Query,
    /// Of each key head.
    Key,
}

impl Norm {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Input, Self::Mlp, Self::Query, Self::Key];

    /// Last parts of the name, size, and whether a model has it.
    fn about(self) -> (&'static str, Size, fn(&ModelConfig) -> bool) {
        match self {
            Self::Input => ("input_layernorm", Size::Hidden, |_| true),
            Self::Mlp => ("post_attention_layernorm", Size::Hidden, |_| true),
            Self::Query => ("self_attn.q_norm", Size::HeadDim, |c| c.qk_norm),
            Self::Key => ("self_attn.k_norm", Size::HeadDim, |c| c.qk_norm),
        }
    }

    /// Its name in layer `layer`, without `.weight`.
    pub fn name(self, layer: usize) -> String {
        format!("model.layers.{layer}.{}", self.about().0)
    }

    /// How many numbers it has.
    pub fn size(self) -> Size {
        self.about().1
    }

    /// Whether models of shape `c` have it.
    pub fn is_in(self, c: &ModelConfig) -> bool {
        self.about().2(c)
    }
}

/// Every tensor of a model of shape `c`, matrices as `[out, in]`.
pub fn tensors(c: &ModelConfig) -> Vec<(String, Vec<Size>)> {
    use Size::{Hidden, Vocab};
    let weight = |name: &str| format!("{name}.weight");
    let mut all =
        vec![(EMBEDDING.to_owned(), vec![Vocab, Hidden]), (weight(FINAL_NORM), vec![Hidden])];
    if !c.tied {
        all.push((weight(OUTPUT), vec![Vocab, Hidden]));
    }
    for layer in 0..c.layers {
        for projection in Projection::ALL {
            let (name, shape) = (projection.name(layer), projection.shape());
            all.push((weight(&name), shape.to_vec()));
            if projection.has_bias(c) {
                all.push((format!("{name}.bias"), vec![shape[0]]));
            }
        }
        let norms = Norm::ALL.into_iter().filter(|norm| norm.is_in(c));
        all.extend(norms.map(|norm| (weight(&norm.name(layer)), vec![norm.size()])));
    }
    all
}

impl ModelConfig {
    /// Number of weights; `u64::MAX` if they are more than that.
    pub fn parameters(&self) -> u64 {
        let numbers =
            |sizes: &[Size]| sizes.iter().map(|size| size.of(self) as u128).product::<u128>();
        let count: u128 = tensors(self).iter().map(|(_, sizes)| numbers(sizes)).sum();
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::prelude::*;

    use super::*;
    use crate::error::Result;
    use crate::model::WeightSource;
    use crate::model::decoder::Decoder;
    use crate::model::embedded::needle_llama_config;

    /// Zeros; and what was asked for.
    #[derive(Default)]
    struct Asked(Vec<(String, Vec<usize>)>);

    impl WeightSource for Asked {
        fn matrix(&mut self, name: &str, [o, i]: [usize; 2], flip: bool) -> Result<Tensor<2>> {
            self.0.push((name.to_owned(), vec![o, i]));
            Ok(Tensor::zeros(if flip { [i, o] } else { [o, i] }, &Device::flex()))
        }

        fn vector(&mut self, name: &str, len: usize) -> Result<Tensor<1>> {
            self.0.push((name.to_owned(), vec![len]));
            Ok(Tensor::zeros([len], &Device::flex()))
        }
    }

    /// A decoder asks for every tensor once, with its shape, and writes what it was given.
    #[test]
    fn a_decoder_loads_and_writes_the_tensors_that_are_listed() {
        let plain = ModelConfig { vocab: 5, layers: 2, ..needle_llama_config().unwrap() };
        let biases = ModelConfig { qkv_bias: true, output_bias: true, ..plain.clone() };
        let everything = ModelConfig { mlp_bias: true, qk_norm: true, ..biases.clone() };
        // Embedding, final norm and output layer; 9 tensors a layer, 4 biases of attention, 3 of
        // the feed-forward layer, 2 norms of heads.
        let counts = [3 + 2 * 9, 3 + 2 * 13, 3 + 2 * 18];
        for (untied, count) in [plain, biases, everything].into_iter().zip(counts) {
            for tied in [false, true] {
                let c = ModelConfig { tied, ..untied.clone() };
                let shape = |sizes: &[Size]| sizes.iter().map(|size| size.of(&c)).collect();
                let listed: BTreeMap<String, Vec<usize>> =
                    tensors(&c).into_iter().map(|(name, sizes)| (name, shape(&sizes))).collect();
                assert_eq!(listed.len(), count - usize::from(tied));
                let numbers: usize =
                    listed.values().map(|shape| shape.iter().product::<usize>()).sum();
                assert_eq!(c.parameters(), numbers as u64);

                let mut asked = Asked::default();
                let decoder = Decoder::new(&c, &mut asked).unwrap();
                assert_eq!(asked.0.len(), listed.len());
                assert_eq!(asked.0.into_iter().collect::<BTreeMap<_, _>>(), listed);
                let written = decoder.weights();
                assert_eq!(written.len(), listed.len());
                let written = written.into_iter().map(|(name, data)| (name, data.shape().to_vec()));
                assert_eq!(written.collect::<BTreeMap<_, _>>(), listed);
            }
        }
    }

    /// needle-llama by hand: q and o are 256 x 256, k and v 128 x 256, the three of the
    /// feed-forward layer 640 x 256.
    #[test]
    fn numbers_of_each_matrix() {
        let c = needle_llama_config().unwrap();
        let (square, narrow, wide) = (256 * 256, 128 * 256, 640 * 256);
        let numbers = Projection::ALL.map(|projection| projection.numbers(&c));
        assert_eq!(numbers, [square, narrow, narrow, square, wide, wide, wide]);
        assert!(Projection::ALL.iter().enumerate().all(|(i, p)| *p as usize == i));
        assert!(Norm::ALL.iter().enumerate().all(|(i, n)| *n as usize == i));
    }
}
