//! [`ProbeConfig`]: what every command that runs a model over prompts has in common.

use std::path::PathBuf;

use super::chat::chat_options;
use super::compute::{ComputeConfig, bytes};
use super::gate::gate;
use super::model::ModelChoice;
use super::stop::StopRule;
use super::{AtOption, Surroundings, at_least_one};
use crate::chat::{ChatMode, ChatOptions};
use crate::cli::{ChatArg, ProbeArgs, Switch};
use crate::error::Result;
use crate::gate::{GateConfig, GateKind};
use crate::haystack::Haystack;
use crate::model::Compute;
use crate::plan::{check_tokens, default_depths, even_lengths, parse_depths, parse_lengths};
use crate::prompt::PromptTemplate;
use crate::prompt::reference_span::SpanRule;
use crate::score::{Reference, References};

/// Context lengths where none are asked for. With these and ten depths, the embedded model takes
/// some ten seconds on two cores; other checkpoints are usually larger and made for longer
/// contexts.
const DEFAULT_LENGTHS_EMBEDDED: [usize; 3] = [256, 512, 1024];
const DEFAULT_LENGTHS: [usize; 4] = [512, 1024, 2048, 4096];
const DEFAULT_INTERVALS: usize = 3;

/// Room for a sentence. Answers end at a line break or an end-of-sequence token long before.
const DEFAULT_MAX_NEW_TOKENS: usize = 32;

/// Room for what a model thinks before it answers a question of one step.
pub const THINKING_TOKENS: usize = 1024;

/// The question part of Retrieval_Head and HeadKV: nothing between haystack and question.
const TEMPLATE_HEADKV: &str = "Based on the content of the book, Question: {question}\nAnswer:";
/// The question part of DiliLazyKV.
const TEMPLATE_DILILAZYKV: &str =
    "Based on the content in the book, answer the question: {question}\nAnswer:";

/// Context lengths, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lengths {
    /// As asked for: each is run or is an error.
    Asked(Vec<usize>),
    /// Nothing was asked for: those that the model is made for.
    Default(Vec<usize>),
}

/// The limit of an answer's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxNewTokens {
    /// The same for every needle.
    Fixed(usize),
    /// Nothing was asked for: room for a sentence, and for the thinking where that is on.
    Default,
    /// [`References::max_new_tokens`] of each needle's answer.
    OfReferences(References),
}

impl MaxNewTokens {
    /// The limit for whatever needle, at least.
    pub fn least(self) -> usize {
        match self {
            Self::Fixed(n) => n,
            Self::Default => DEFAULT_MAX_NEW_TOKENS,
            Self::OfReferences(_) => 1,
        }
    }

    /// The limit for a needle whose expected answer has `answer_tokens` tokens. `thinks`: whether
    /// the model thinks before it answers.
    pub fn of(self, answer_tokens: usize, thinks: bool) -> usize {
        match self {
            Self::Fixed(n) => n,
            Self::Default if thinks => DEFAULT_MAX_NEW_TOKENS + THINKING_TOKENS,
            Self::Default => DEFAULT_MAX_NEW_TOKENS,
            Self::OfReferences(set) => {
                set.max_new_tokens(answer_tokens).unwrap_or(DEFAULT_MAX_NEW_TOKENS)
            }
        }
    }
}

/// What a task says about answers, where the user does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnswerDefaults {
    /// Its gate; `None` for that of all tasks.
    pub gate: Option<GateKind>,
    /// Whether answers are labels, which the gate `label` tells apart.
    pub labels: bool,
    /// What ends an answer before its limit; `None` for what ends those of all tasks.
    pub stop: Option<StopRule>,
}

/// The prompts to run, without contradictions. A task of whole texts has no needles, depths,
/// template or gate; what is said of these here is then without meaning.
#[derive(Clone)]
pub struct ProbeConfig {
    /// The model.
    pub model: ModelChoice,
    /// What to compute on.
    pub compute: ComputeConfig,
    /// Prompt tokens per pass; `None` = what suits the device.
    pub chunk: Option<usize>,
    /// Context lengths in tokens.
    pub lengths: Lengths,
    /// Depths of needles, ascending, 0 to 1; stories have none.
    pub depths: Vec<f64>,
    /// Repetitions of each probe, at least 1.
    pub repeats: u32,
    /// Seed of haystack offsets and of the statistics.
    pub seed: u64,
    /// Whether lengths beyond the model's are run.
    pub allow_extrapolation: bool,
    /// The user's haystack; `None` = the bundled one.
    pub haystack_dir: Option<PathBuf>,
    /// Whether bad haystack files are left out.
    pub skip_bad_files: bool,
    /// What is put around the haystack.
    pub template: PromptTemplate,
    /// Whether prompts are chat messages.
    pub chat: ChatMode,
    /// What chat templates are told by the user.
    pub chat_options: ChatOptions,
    /// Longest answer.
    pub max_new_tokens: MaxNewTokens,
    /// What ends an answer before its limit; `None` for [`StopRule::usual`].
    pub stop: Option<StopRule>,
    /// Which answers count.
    pub gate: GateConfig,
    /// How the reference to be compatible with finds the needle; `None` = where it is.
    pub span_rule: Option<SpanRule>,
}

impl ProbeConfig {
    /// Validates `args` and tells what the user should know about them; `answers` are of the task.
    /// A single reference in `compat` sets the defaults of template, gate, stops and spans.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] naming the option.
    pub fn new(
        args: &ProbeArgs,
        answers: AnswerDefaults,
        compat: References,
        surroundings: &Surroundings,
    ) -> Result<(Self, Vec<String>)> {
        let alone = Defaults::of(compat);
        let model = ModelChoice::of(&args.model, surroundings)?;
        let mut notes = Vec::new();
        let lengths = lengths(args, &model, &mut notes)?;
        let depths = match &args.depths {
            Some(text) => {
                let grid = parse_depths(text)?;
                notes.extend(grid.notes);
                grid.values
            }
            None => default_depths(),
        };
        let compute = ComputeConfig {
            memory: args.memory.as_deref().map(bytes).transpose()?,
            ..ComputeConfig::new(&args.model.compute)?
        };
        let gate = gate(args, answers, alone.gate, surroundings, &mut notes)?;
        let template = match &args.template {
            Some(text) => PromptTemplate::new(text.replace("\\n", "\n")).at_option("--template")?,
            None => alone.template()?,
        };
        let config = Self {
            model,
            compute,
            chunk: at_least_one("--chunk", args.chunk)?,
            lengths,
            depths,
            repeats: at_least_one("--repeats", Some(args.repeats as usize))?
                .map_or(1, |n| n as u32),
            seed: args.seed,
            allow_extrapolation: args.allow_extrapolation,
            haystack_dir: args.haystack_dir.clone(),
            skip_bad_files: args.skip_bad_files,
            template,
            chat: match args.chat {
                Some(ChatArg::Auto) => ChatMode::Auto,
                Some(ChatArg::Always) => ChatMode::Always,
                Some(ChatArg::Never) => ChatMode::Never,
                None if compat == References::default() => ChatMode::Auto,
                // As the references ask all models but two.
                None => ChatMode::Never,
            },
            chat_options: chat_options(&args.chat_option)?,
            max_new_tokens: match at_least_one("--max-new-tokens", args.max_new_tokens)? {
                Some(n) => MaxNewTokens::Fixed(check_tokens("--max-new-tokens", n)?),
                None if compat == References::default() => MaxNewTokens::Default,
                None => MaxNewTokens::OfReferences(compat),
            },
            stop: match args.stop_newline {
                Some(Switch::On) => Some(StopRule::EosOrLineBreak),
                Some(Switch::Off) => Some(StopRule::Eos),
                None => answers.stop.or(alone.stop),
            },
            gate,
            span_rule: alone.span_rule,
        };
        Ok((config, notes))
    }

    /// The same, where models of the hub, the gate's too, come without their weights.
    pub fn without_weights(&self) -> Self {
        let mut probes = self.clone();
        if let ModelChoice::Hub(model) = &mut probes.model {
            model.weights = false;
        }
        if let Some(semantic) = &mut probes.gate.semantic {
            semantic.weights = false;
        }
        probes
    }

    /// Reads the haystack.
    ///
    /// # Errors
    /// [`crate::Error::Data`] naming the file that cannot be used.
    pub fn haystack(&self) -> Result<Haystack> {
        match &self.haystack_dir {
            Some(dir) => Haystack::load_dir(dir, self.skip_bad_files),
            None => Haystack::bundled(),
        }
    }

    /// What ends answers to prompts that are chat messages, or not.
    pub fn stop_rule(&self, chat: bool) -> StopRule {
        self.stop.unwrap_or_else(|| StopRule::usual(chat))
    }

    /// Prompt tokens per pass on `compute`.
    pub fn chunk_tokens(&self, compute: &Compute) -> usize {
        self.chunk.unwrap_or_else(|| default_chunk_tokens(compute))
    }
}

/// Prompt tokens per pass where none are asked for: what keeps the CPU's caches warm, or a GPU
/// busy.
pub fn default_chunk_tokens(compute: &Compute) -> usize {
    if compute.on_host { 256 } else { 2048 }
}

/// What a single `--compat` changes besides the scores.
struct Defaults {
    template: Option<&'static str>,
    gate: GateKind,
    stop: Option<StopRule>,
    span_rule: Option<SpanRule>,
}

impl Defaults {
    fn of(compat: References) -> Self {
        let mut named = compat.iter();
        match (named.next(), named.next()) {
            (Some(Reference::RetrievalHead), None) => Self {
                template: Some(TEMPLATE_HEADKV),
                gate: GateKind::Rouge,
                stop: Some(StopRule::NewlineToken),
                span_rule: Some(SpanRule::FirstWindow),
            },
            (Some(Reference::HeadkvR2), None) => Self {
                template: Some(TEMPLATE_HEADKV),
                gate: GateKind::F1,
                stop: Some(StopRule::EosOrNewlineToken),
                span_rule: Some(SpanRule::BestWindow),
            },
            // Its gate is `semantic`, which needs a library that is not part of this program and is
            // therefore never chosen for the user.
            (Some(Reference::DililazyKv), None) => Self {
                template: Some(TEMPLATE_DILILAZYKV),
                gate: GateKind::Rouge,
                stop: Some(StopRule::Eos),
                span_rule: None,
            },
            _ => Self { template: None, gate: GateKind::Rouge, stop: None, span_rule: None },
        }
    }

    fn template(&self) -> Result<PromptTemplate> {
        self.template.map_or_else(|| Ok(PromptTemplate::default()), PromptTemplate::new)
    }
}

fn lengths(args: &ProbeArgs, model: &ModelChoice, notes: &mut Vec<String>) -> Result<Lengths> {
    let defaults: &[usize] = match model {
        ModelChoice::NeedleLlama => &DEFAULT_LENGTHS_EMBEDDED,
        ModelChoice::Dir(_) | ModelChoice::Hub(_) => &DEFAULT_LENGTHS,
    };
    let grid = match (&args.lengths, args.min_len, args.max_len, args.context_intervals) {
        (None, None, None, None) => return Ok(Lengths::Default(defaults.to_vec())),
        (Some(text), ..) => parse_lengths(text).at_option("--lengths")?,
        (None, min, max, intervals) => {
            let min = at_least_one("--min-len", min)?;
            let max = at_least_one("--max-len", max)?;
            even_lengths(
                min.unwrap_or(defaults[0]),
                max.unwrap_or(defaults[defaults.len() - 1]),
                intervals.unwrap_or(DEFAULT_INTERVALS),
            )?
        }
    };
    notes.extend(grid.notes);
    Ok(Lengths::Asked(grid.values))
}
