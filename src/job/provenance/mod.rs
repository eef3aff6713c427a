//! [`Provenance`]: what the prompts and answers of a run were made of, for its files.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::inputs::{Inputs, ModelFiles};
use super::source::TextsOrigin;
use crate::chat::{ChatOptions, ChatTemplate};
use crate::config::{MaxNewTokens, ProbeConfig};
use crate::error::{Error, Result};
use crate::gate::semantic::EmbeddingIdentity;
use crate::gguf::Place;
use crate::haystack::Haystack;
use crate::hub::Origin;
use crate::job::{Job, Placing};
use crate::model::{Compute, Llama, ModelConfig};
use crate::needle::ProbeText;
use crate::system::digest::{hex, sha256};

/// Model, texts, grid, prompts and device. The same for the same inputs on the same device.
#[derive(Debug, Serialize)]
pub(crate) struct Provenance<'a> {
    model: ModelMeta<'a>,
    tokenizer: TokenizerMeta<'a>,
    source: &'a TextsOrigin,
    /// `None` where the prompts bring their own text.
    haystack: Option<HaystackMeta<'a>>,
    needles: NeedlesMeta<'a>,
    grid: GridMeta<'a>,
    prompt: PromptMeta<'a>,
    gate: GateMeta<'a>,
    device: &'a str,
    dtype: String,
}

/// What of a [`Provenance`] is only known when the weights have been read.
pub(crate) const OF_WEIGHTS: [&str; 2] = ["model.sha256", "model.parameters"];

/// A model that runs, or is about to.
#[derive(Clone, Copy)]
pub(crate) struct Running<'a> {
    pub config: &'a ModelConfig,
    /// Hash of its weights; empty as long as they have not been read.
    pub sha256: &'a str,
    pub compute: &'a Compute,
}

impl<'a> Running<'a> {
    /// With its weights.
    pub fn of(model: &'a Llama) -> Self {
        Self { config: model.config(), sha256: model.sha256(), compute: model.compute() }
    }

    /// Before its weights are read: what is in [`OF_WEIGHTS`] is not known.
    pub fn before(files: &'a ModelFiles, compute: &'a Compute) -> Self {
        Self { config: &files.config, sha256: "", compute }
    }
}

/// Names of fields that say where something is, or what it was computed on, or what came out.
const NO_INPUTS: [&str; 5] = ["path", "dir", "hub", "device", "cycles"];

/// What of `provenance` decides about results: that of two runs is the same if and only if they
/// are about the same, wherever their files are and whatever they compute on.
///
/// # Errors
/// [`Error::Bug`] if it has no form in JSON.
pub(crate) fn fingerprint(provenance: &impl Serialize) -> Result<Value> {
    let mut value = to_value(provenance)?;
    remove_places(&mut value);
    if let Some(Value::Object(grid)) = value.get_mut("grid") {
        // What becomes of the grid follows from all else.
        grid.retain(|name, _| !["places", "prompts", "far_from_depth"].contains(&name.as_str()));
    }
    Ok(value)
}

/// `provenance` as JSON.
///
/// # Errors
/// [`Error::Bug`] if it has none.
pub(crate) fn to_value(provenance: &impl Serialize) -> Result<Value> {
    let value = serde_json::to_value(provenance);
    value.map_err(|e| Error::bug("what a run is made of cannot be written as JSON").got(e))
}

fn remove_places(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !NO_INPUTS.contains(&name.as_str()));
            // What the user tells a chat template may be called anything.
            let others = fields.iter_mut().filter(|(name, _)| *name != "options");
            others.for_each(|(_, value)| remove_places(value));
        }
        Value::Array(values) => values.iter_mut().for_each(remove_places),
        _ => {}
    }
}

/// A model and its shape.
#[derive(Debug, Serialize)]
pub(crate) struct ModelMeta<'a> {
    name: &'a str,
    /// `None` for the embedded model, and for one of the hub, which is the same in every cache.
    dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hub: Option<&'a Origin>,
    sha256: &'a str,
    /// Of everything that was read of its configuration.
    config_sha256: String,
    model_type: &'static str,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    max_position_embeddings: usize,
    /// Of each layer, where there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    sliding_window: Option<&'a [Option<usize>]>,
    parameters: u64,
    /// Type in which its matrices were held, which may be narrower than that of the file.
    weights_dtype: String,
    /// How many tensors of a GGUF file are of each type of ggml.
    #[serde(skip_serializing_if = "Option::is_none")]
    gguf: Option<BTreeMap<String, usize>>,
}

/// A tokenizer.
#[derive(Debug, Serialize)]
pub(crate) struct TokenizerMeta<'a> {
    sha256: &'a str,
    vocab_size: usize,
    bos: Option<u32>,
    /// Where spaces are put in front, if that is not as `tokenizer.json` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    spaces: Option<&'static str>,
}

/// The texts around what is asked for.
#[derive(Debug, Serialize)]
pub(crate) struct HaystackMeta<'a> {
    /// `None` for the bundled essays.
    dir: Option<String>,
    files: Vec<FileMeta<'a>>,
    skipped: Vec<SkippedMeta<'a>>,
    /// In tokens, where it was taken as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<usize>,
    /// The most times that one prompt used the haystack up, where that is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    cycles: Option<usize>,
}

#[derive(Debug, Serialize)]
struct FileMeta<'a> {
    name: &'a str,
    sha256: &'a str,
    words: usize,
}

#[derive(Debug, Serialize)]
struct SkippedMeta<'a> {
    name: &'a str,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct NeedlesMeta<'a> {
    /// `None` for the bundled needles.
    path: Option<String>,
    needles: Vec<NeedleMeta<'a>>,
}

#[derive(Debug, Serialize)]
struct NeedleMeta<'a> {
    id: &'a str,
    /// Of needle, question, answer and real_needle, each followed by a line break.
    sha256: String,
}

#[derive(Debug, Serialize)]
struct GridMeta<'a> {
    /// Of published rows the powers of two that theirs are at most.
    context_lengths: &'a [usize],
    /// None for stories, whose facts are scattered.
    depths: &'a [f64],
    repeats: u32,
    seed: u64,
    #[serde(flatten)]
    placing: Placing,
}

#[derive(Debug, Serialize)]
struct PromptMeta<'a> {
    template: &'a str,
    /// Files with templates of tasks, which go before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prompts: Vec<PromptsMeta<'a>>,
    /// What makes it a chat message.
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<ChatMeta<'a>>,
    /// The same for all needles; `None` where `--compat` sets it by needle.
    max_new_tokens: Option<usize>,
    stop: &'static str,
    eos_ids: &'a [u32],
    chunk_tokens: usize,
}

/// Which answers count.
#[derive(Debug, Serialize)]
struct GateMeta<'a> {
    name: &'a str,
    threshold: f64,
    #[serde(flatten)]
    embedding: Option<&'a EmbeddingIdentity>,
}

/// A chat template and what it puts around the prompt.
#[derive(Debug, Serialize)]
pub(crate) struct ChatMeta<'a> {
    file: &'a str,
    sha256: &'a str,
    before: &'a str,
    after: &'a str,
    /// Variables that it was told.
    #[serde(skip_serializing_if = "ChatOptions::is_empty")]
    options: &'a ChatOptions,
}

impl<'a> ChatMeta<'a> {
    /// Of a template.
    pub fn new(template: &'a ChatTemplate) -> Self {
        Self {
            file: template.file(),
            sha256: template.sha256(),
            before: template.before(),
            after: template.after(),
            options: template.options(),
        }
    }
}

#[derive(Debug, Serialize)]
struct PromptsMeta<'a> {
    path: String,
    sha256: &'a str,
}

impl<'a> Provenance<'a> {
    /// Of a run of `model` over the prompts of `job`. How often these used the haystack up is
    /// filled in by [`set_outcome`].
    pub fn new(
        config: &'a ProbeConfig,
        inputs: &'a Inputs,
        job: &'a Job,
        model: Running<'a>,
    ) -> Self {
        let Running { config: shape, compute, .. } = model;
        Self {
            model: ModelMeta::new(&inputs.model, model),
            tokenizer: TokenizerMeta::new(&inputs.model),
            source: &inputs.probes.origin,
            haystack: (!inputs.probes.are_contexts()).then(|| HaystackMeta {
                tokens: Some(job.haystack_tokens()),
                cycles: Some(0),
                ..HaystackMeta::new(config, &inputs.haystack)
            }),
            needles: NeedlesMeta {
                path: inputs.probes.needles.as_ref().map(|p| p.display().to_string()),
                needles: inputs
                    .probes
                    .texts
                    .iter()
                    .map(|text| NeedleMeta { id: text.id(), sha256: text_sha256(text) })
                    .collect(),
            },
            grid: GridMeta {
                context_lengths: &job.context_lengths,
                depths: if inputs.probes.have_depths() { &config.depths } else { &[] },
                repeats: config.repeats,
                seed: config.seed,
                placing: job.placing,
            },
            prompt: PromptMeta {
                template: config.template.text(),
                prompts: inputs
                    .probes
                    .template_files
                    .iter()
                    .map(|(path, sha256)| PromptsMeta { path: path.display().to_string(), sha256 })
                    .collect(),
                chat: inputs.chat.as_ref().map(|chat| ChatMeta::new(&chat.template)),
                max_new_tokens: match config.max_new_tokens {
                    MaxNewTokens::Fixed(n) => Some(n),
                    MaxNewTokens::Default => Some(job.extent().longest_answer),
                    MaxNewTokens::OfReferences(_) => None,
                },
                stop: config.stop_rule(inputs.chat.is_some()).name(),
                eos_ids: &shape.eos,
                chunk_tokens: config.chunk_tokens(compute),
            },
            gate: GateMeta {
                name: inputs.gate.name(),
                threshold: inputs.gate.threshold(),
                embedding: inputs.gate.embedding(),
            },
            device: &compute.name,
            dtype: compute.dtype.name().to_owned(),
        }
    }
}

/// Fills in what is known when all is done: the most times that one prompt used the haystack up,
/// where that is counted, and what was computed on.
pub(crate) fn set_outcome(provenance: &mut Value, cycles: usize, device: &str, dtype: &str) {
    if let Some(count) = provenance.pointer_mut("/haystack/cycles") {
        *count = cycles.into();
    }
    for (name, value) in [("device", device), ("dtype", dtype)] {
        if let Some(field) = provenance.get_mut(name) {
            *field = value.into();
        }
    }
}

impl<'a> ModelMeta<'a> {
    /// Of a model that was loaded from `files`.
    pub fn new(files: &'a ModelFiles, model: Running<'a>) -> Self {
        let shape = model.config;
        Self {
            name: &files.name,
            dir: match &files.hub {
                None => files.place.as_ref().map(|place| place.path().display().to_string()),
                Some(_) => None,
            },
            hub: files.hub.as_ref(),
            sha256: model.sha256,
            // As it is before the weights say whether embedding and output layer are tied.
            config_sha256: sha256(format!("{:?}", files.config)),
            model_type: shape.family.name(),
            layers: shape.layers,
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            max_position_embeddings: shape.max_positions,
            sliding_window: shape
                .sliding_window
                .iter()
                .any(Option::is_some)
                .then_some(&shape.sliding_window[..]),
            parameters: shape.parameters(),
            weights_dtype: model.compute.held(files.config.saved).name().to_owned(),
            gguf: match &files.place {
                Some(Place::Gguf(gguf)) => Some(gguf.types()),
                _ => None,
            },
        }
    }
}

impl<'a> TokenizerMeta<'a> {
    /// Of a model's tokenizer.
    pub fn new(files: &'a ModelFiles) -> Self {
        let tokenizer = &files.tokenizer;
        Self {
            sha256: tokenizer.sha256(),
            vocab_size: tokenizer.vocab_size(),
            bos: tokenizer.bos(),
            spaces: tokenizer.spaces(),
        }
    }
}

impl<'a> HaystackMeta<'a> {
    /// Of the files alone.
    pub fn new(config: &ProbeConfig, haystack: &'a Haystack) -> Self {
        let files = haystack.files().iter();
        let skipped = haystack.skipped().iter();
        Self {
            dir: config.haystack_dir.as_ref().map(|d| d.display().to_string()),
            files: files
                .map(|f| FileMeta { name: &f.name, sha256: &f.sha256, words: f.words })
                .collect(),
            skipped: skipped.map(|f| SkippedMeta { name: &f.name, reason: &f.reason }).collect(),
            tokens: None,
            cycles: None,
        }
    }
}

/// Of needle, question, answer and real_needle, each followed by a line break.
pub(crate) fn text_sha256(text: &ProbeText) -> String {
    let mut hash = Sha256::new();
    for part in [&*text.hidden(), text.question(), text.answer(), text.real_needle()] {
        hash.update(part.as_bytes());
        hash.update(b"\n");
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests;
