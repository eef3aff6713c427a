//! **planted**: a Llama whose weights are set by construction, so that profiling it has a true
//! answer.
//!
//! It continues a sentence that it has seen before. A probe therefore ends with the needle's
//! beginning, two tokens or more, and the answer is the rest of the needle. Induction by a
//! previous-token head and a matching head is from Olsson et al. 2022, "In-context Learning and
//! Induction Heads", <https://arxiv.org/abs/2209.11895>; here the match takes two tokens.
//!
//! ```text
//! residual stream, 160 wide:
//!   A   0..32    code of the token            embedding            -> read by layer 0 and 1
//!   B   32..64   code of the previous token   layer 0, head 1
//!   B2  64..96   code of the one before       layer 0, head 3
//!   C   96..128  code of the token to come    layer 1, head 2      -> read by the output layer
//!   128 one for every token,  129 one for BOS alone (in place of a code)
//!
//!              head 0    head 1          head 2                head 3
//!   layer 0    diffuse   previous token  local                 second previous token
//!   layer 1    sink      diffuse         retrieval (A,B)·(B,B2)  diffuse
//! ```
//!
//! Everything but the two copies of layer 0 and the one of layer 1 writes nothing; feed-forward
//! weights are zero, norm weights one. Every block holds a unit vector, hence the stream's squared
//! norm is 2 before layer 0, 4 before layer 1, 5 at the end, and each RMS norm multiplies by a
//! known √(160 / norm²), which the weights behind it divide by. (The first three tokens have less
//! behind them and a smaller norm, which sharpens what is sharp already.)
//!
//! What a profile must show over the needle's tokens that are the answer, at any depth and up to
//! 16k tokens: `retrieval` and `inf` 1 for the retrieval head, `retrieval` 0 for every other.
//! Diffuse rows are exactly uniform, and of equal weights the first positions count as the
//! largest: their top-k is the first k tokens, and where these are the needle (depth 0), their
//! `dili`, `lazy` and `inf` are above 0 by that rule alone.

mod codes;
mod heads;
mod words;

use std::path::Path;

use burn::prelude::*;

use super::checkpoint::Checkpoint;
use super::config::ModelConfig;
use super::device::Compute;
use super::export::{self, Precision};
use super::llama::Llama;
use crate::error::{Error, Result};
use heads::{Attention, Matrix};

pub use words::{haystack_text, needle_text};

/// Number of token ids.
pub const VOCAB: usize = 600;
/// `<s>`, once at the start; it has no code and is never generated.
pub const BOS: u32 = 1;
/// `.`, at which an answer ends.
pub const STOP: u32 = 2;

const LAYERS: usize = 2;
const HEADS: usize = 4;
const HEAD_DIM: usize = 128;
const HIDDEN: usize = 160;
/// The feed-forward weights are zero, so that their width is of no importance.
const INTERMEDIATE: usize = 8;
/// Spreads the rotary frequencies from 1 radian a token down to 1e-12.
const ROPE_THETA: f64 = 1e12;
const MAX_POSITIONS: usize = 32_768;

/// Width of a block, and of a code.
const BLOCK: usize = 32;
/// The dimension that is one for every token.
const UNIT: usize = 4 * BLOCK;
/// The dimension that is one for BOS alone.
const BOS_MARK: usize = UNIT + 1;

/// Attention scores of sharp heads are multiples of this, in units of matching blocks: half a
/// block of difference is a factor of e^30 in weight.
const SHARP: f64 = 60.0;
/// The same for the local head, which spreads over some neighbours.
const SOFT: f64 = 3.0;
/// Logit of a token whose code the output block holds; others get half of it at most.
const LOGIT: f64 = 20.0;

/// The blocks of the residual stream; see the [module](self).
#[derive(Debug, Clone, Copy)]
enum Block {
    Token,
    Previous,
    SecondPrevious,
    Output,
}

impl Block {
    /// The stream's dimension that holds the block's number `i`.
    fn at(self, i: usize) -> usize {
        self as usize * BLOCK + i
    }
}

/// Which head, `(layer, head)`, does what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// Attends to the token before.
    pub previous_token: (usize, usize),
    /// Attends to the token before that.
    pub second_previous: (usize, usize),
    /// Attends to what followed the same two tokens earlier, and puts it out.
    pub retrieval: (usize, usize),
    /// Attends to BOS.
    pub sink: (usize, usize),
    /// Attends to the token before and a little to its neighbours.
    pub local: (usize, usize),
    /// Attend to every token alike.
    pub diffuse: Vec<(usize, usize)>,
}

impl Roles {
    fn planted() -> Self {
        Self {
            previous_token: (0, 1),
            second_previous: (0, 3),
            retrieval: (1, 2),
            sink: (1, 0),
            local: (0, 2),
            diffuse: vec![(0, 0), (1, 1), (1, 3)],
        }
    }
}

/// A planted checkpoint in the Hugging Face layout, with its true answer.
#[derive(Debug, Clone)]
pub struct Planted {
    /// `config.json`.
    pub config_json: String,
    /// `tokenizer.json`: made-up words, the full stop, BOS.
    pub tokenizer_json: String,
    /// `model.safetensors`, in f32.
    pub safetensors: Vec<u8>,
    /// What each head does.
    pub roles: Roles,
}

/// Plants a model. `seed` decides the tokens' codes; the heads are the same for every seed.
///
/// # Errors
/// [`Error::Bug`] if the files cannot be built.
pub fn build(seed: u64) -> Result<Planted> {
    let roles = Roles::planted();
    Ok(Planted {
        config_json: config_json(),
        tokenizer_json: words::tokenizer_json()?,
        safetensors: export::to_safetensors(weights(seed, attention(&roles)), Precision::F32)?,
        roles,
    })
}

impl Planted {
    /// The model, ready to run.
    ///
    /// # Errors
    /// As [`Llama::new`], if `config_json` and `safetensors` were changed.
    pub fn load(&self, compute: &Compute) -> Result<Llama> {
        let config = ModelConfig::parse(self.config_json.as_bytes(), None, "planted/config.json")?;
        let checkpoint = Checkpoint::in_memory(self.safetensors.clone(), "planted", compute)?;
        Llama::new(config, checkpoint, compute)
    }

    /// Writes `config.json`, `tokenizer.json` and `model.safetensors` into `dir`, which is made if
    /// it is not there.
    ///
    /// # Errors
    /// [`Error::Resources`] if the folder or a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|e| {
            Error::resources("the checkpoint's folder cannot be made")
                .at(dir.display())
                .got(e)
                .advice("choose a folder that can be written to")
        })?;
        crate::system::atomic::write(&dir.join("config.json"), self.config_json.as_bytes())?;
        crate::system::atomic::write(&dir.join("tokenizer.json"), self.tokenizer_json.as_bytes())?;
        crate::system::atomic::write(&dir.join("model.safetensors"), &self.safetensors)
    }
}

fn config_json() -> String {
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": false,
        "bos_token_id": BOS,
        "eos_token_id": STOP,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "max_position_embeddings": MAX_POSITIONS,
        "mlp_bias": false,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": HEADS,
        "rms_norm_eps": 1e-9,
        "rope_theta": ROPE_THETA,
        "tie_word_embeddings": false,
        "torch_dtype": "float32",
        "vocab_size": VOCAB,
    });
    format!("{config:#}\n")
}

/// Every weight under its Hugging Face name.
fn weights(seed: u64, layers: [Attention; LAYERS]) -> Vec<(String, TensorData)> {
    let codes = codes::codes(seed);
    let (mut embedding, mut output) = (Matrix::zeros(VOCAB, HIDDEN), Matrix::zeros(VOCAB, HIDDEN));
    for (id, code) in codes.iter().enumerate() {
        embedding.set(id, UNIT, 1.0);
        if id == BOS as usize {
            embedding.set(id, BOS_MARK, 1.0);
            continue;
        }
        for (i, x) in code.iter().enumerate() {
            embedding.set(id, Block::Token.at(i), f64::from(*x));
            output.set(id, Block::Output.at(i), f64::from(*x) * LOGIT / norm_gain(5.0));
        }
    }
    let mut all = vec![
        ("model.embed_tokens.weight".into(), embedding.into_data()),
        ("lm_head.weight".into(), output.into_data()),
        ("model.norm.weight".into(), ones()),
    ];
    for (layer, attention) in layers.into_iter().enumerate() {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        all.extend([
            (name("input_layernorm"), ones()),
            (name("self_attn.q_proj"), attention.query.into_data()),
            (name("self_attn.k_proj"), attention.key.into_data()),
            (name("self_attn.v_proj"), attention.value.into_data()),
            (name("self_attn.o_proj"), attention.output.into_data()),
            (name("post_attention_layernorm"), ones()),
            (name("mlp.gate_proj"), Matrix::zeros(INTERMEDIATE, HIDDEN).into_data()),
            (name("mlp.up_proj"), Matrix::zeros(INTERMEDIATE, HIDDEN).into_data()),
            (name("mlp.down_proj"), Matrix::zeros(HIDDEN, INTERMEDIATE).into_data()),
        ]);
    }
    all
}

/// The attention of both layers; heads without a role of their own stay diffuse.
fn attention(roles: &Roles) -> [Attention; LAYERS] {
    let mut layers = [Attention::diffuse(norm_gain(2.0)), Attention::diffuse(norm_gain(4.0))];

    let (layer, head) = roles.previous_token;
    layers[layer].attend_back(head, 1, SHARP);
    layers[layer].copy(head, Block::Token, Block::Previous);

    let (layer, head) = roles.second_previous;
    layers[layer].attend_back(head, 2, SHARP);
    layers[layer].copy(head, Block::Token, Block::SecondPrevious);

    let (layer, head) = roles.retrieval;
    layers[layer].attend_after_same_pair(head, SHARP);
    layers[layer].copy(head, Block::Token, Block::Output);

    let (layer, head) = roles.local;
    layers[layer].attend_back(head, 1, SOFT);

    let (layer, head) = roles.sink;
    layers[layer].attend_to_mark(head, BOS_MARK, SHARP);

    layers
}

/// What an RMS norm multiplies a stream of this squared norm by.
fn norm_gain(squared_norm: f64) -> f64 {
    (HIDDEN as f64 / squared_norm).sqrt()
}

fn ones() -> TensorData {
    TensorData::new(vec![1f32; HIDDEN], [HIDDEN])
}

impl Matrix {
    fn into_data(self) -> TensorData {
        TensorData::new(self.values, [self.rows, self.columns])
    }
}

#[cfg(test)]
mod sink_values;
#[cfg(test)]
mod tests;
