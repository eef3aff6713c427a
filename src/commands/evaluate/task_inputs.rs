//! [`TaskInputs`]: what a comparison reads before the weights, whatever the task.

use serde::Serialize;

use super::config::EvaluateConfig;
use crate::config::{ProbeConfig, ProbeSource};
use crate::error::Result;
use crate::job::{
    ChatMeta, HaystackMeta, Inputs, Job, ModelFiles, ModelMeta, NeedleSpans, Provenance,
    TokenizerMeta,
};
use crate::model::Llama;
use crate::needle::Needle;
use crate::tasks::Task;
use crate::tasks::babilong::task::BabilongTask;
use crate::tasks::needle::NeedleTask;
use crate::tasks::text_inputs::{DataFile, TextInputs};
use crate::tasks::text_source::TextSource;

/// Everything read but the weights; the task borrows from it.
pub(super) enum TaskInputs {
    /// For probes: needles and stories.
    Probes(Box<(Inputs, Job)>),
    /// For tasks of whole texts.
    Texts(Box<TextInputs>),
}

impl TaskInputs {
    /// Reads what `config` names.
    ///
    /// # Errors
    /// As [`Inputs::load`], [`Job::new`] and [`TextInputs::load`].
    pub fn load(config: &EvaluateConfig) -> Result<Self> {
        match &config.text {
            Some(source) => Ok(Self::Texts(Box::new(TextInputs::load(config, source)?))),
            None => {
                let inputs = Inputs::load(&config.probes)?;
                let job = Job::new(&config.probes, &inputs, NeedleSpans::Any)?;
                Ok(Self::Probes(Box::new((inputs, job))))
            }
        }
    }

    /// The model without its weights.
    pub fn model(&self) -> &ModelFiles {
        match self {
            Self::Probes(probes) => &probes.0.model,
            Self::Texts(texts) => &texts.model,
        }
    }

    /// The same, alone.
    pub fn into_model(self) -> ModelFiles {
        match self {
            Self::Probes(probes) => probes.0.model,
            Self::Texts(texts) => texts.model,
        }
    }

    /// The needles that are asked for, if the task has any.
    pub fn needles(&self) -> &[Needle] {
        match self {
            Self::Probes(probes) => &probes.0.needles,
            Self::Texts(_) => &[],
        }
    }

    /// What is left out, and why.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::Probes(probes) => &probes.1.notes,
            Self::Texts(texts) => &texts.notes,
        }
    }

    /// The task.
    ///
    /// # Errors
    /// As the task's constructor.
    pub fn task(&self, config: &ProbeConfig) -> Result<Box<dyn Task + '_>> {
        match self {
            Self::Texts(texts) => texts.task(),
            Self::Probes(probes) => {
                let (inputs, job) = &**probes;
                Ok(match config.source {
                    ProbeSource::Needles => Box::new(NeedleTask::new(inputs, job)),
                    ProbeSource::Babilong(_) | ProbeSource::Published(_) => {
                        Box::new(BabilongTask::new(inputs, job))
                    }
                })
            }
        }
    }

    /// What prompts and answers were made of; `cycles` as [`Provenance::new`].
    pub fn provenance<'a>(
        &'a self,
        config: &'a EvaluateConfig,
        model: &'a Llama,
        cycles: usize,
    ) -> TaskProvenance<'a> {
        match self {
            Self::Probes(probes) => TaskProvenance::Probes(Box::new(Provenance::new(
                &config.probes,
                &probes.0,
                &probes.1,
                model,
                cycles,
            ))),
            Self::Texts(texts) => {
                TaskProvenance::Texts(Box::new(TextProvenance::new(config, texts, model)))
            }
        }
    }
}

/// The same for the same inputs on the same device.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum TaskProvenance<'a> {
    Probes(Box<Provenance<'a>>),
    Texts(Box<TextProvenance<'a>>),
}

/// What rows of whole texts were made of.
#[derive(Serialize)]
pub(super) struct TextProvenance<'a> {
    model: ModelMeta<'a>,
    tokenizer: TokenizerMeta<'a>,
    /// The essays of prompts that were made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    haystack: Option<HaystackMeta<'a>>,
    data: DataMeta<'a>,
    prompt: TextPromptMeta<'a>,
    seed: u64,
    device: &'a str,
    dtype: String,
}

#[derive(Serialize)]
struct DataMeta<'a> {
    files: &'a [DataFile],
    /// Rows of each task, data set or file; `None`: all of them.
    samples: Option<usize>,
    /// Lengths that prompts were made to.
    context_lengths: &'a [usize],
}

#[derive(Serialize)]
struct TextPromptMeta<'a> {
    /// Files with wording and lengths of answers; what they do not have is headprof's own.
    wording: &'a [DataFile],
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<ChatMeta<'a>>,
    /// `None`: prompts are not shortened.
    max_prompt_tokens: Option<usize>,
    /// `None`: every task or data set has its own.
    max_new_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_similarity: Option<&'static str>,
    stop: &'static str,
    eos_ids: &'a [u32],
    chunk_tokens: usize,
}

impl<'a> TextProvenance<'a> {
    fn new(config: &'a EvaluateConfig, texts: &'a TextInputs, model: &'a Llama) -> Self {
        let (probes, compute) = (&config.probes, model.compute());
        let most = texts.limits.max_prompt_tokens;
        Self {
            model: ModelMeta::new(&texts.model, model),
            tokenizer: TokenizerMeta::new(&texts.model),
            haystack: texts.haystack.as_ref().map(|h| HaystackMeta::new(probes, h)),
            data: DataMeta {
                files: &texts.files,
                samples: config.text.as_ref().and_then(TextSource::samples),
                context_lengths: &texts.context_lengths,
            },
            prompt: TextPromptMeta {
                wording: &texts.prompt_files,
                chat: texts.limits.chat.as_ref().map(|(chat, _)| ChatMeta::new(&chat.template)),
                max_prompt_tokens: Some(most).filter(|most| *most < usize::MAX),
                max_new_tokens: config.text.as_ref().and_then(TextSource::max_new_tokens),
                code_similarity: texts.code_similarity(),
                stop: probes.stop.name(),
                eos_ids: &model.config().eos,
                chunk_tokens: probes.chunk_tokens(compute),
            },
            seed: probes.seed,
            device: &compute.name,
            dtype: compute.dtype.name().to_owned(),
        }
    }
}
