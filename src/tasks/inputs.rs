//! [`TaskInputs`]: everything that a task reads but the weights.

use std::path::Path;

use serde::Serialize;

use super::Task;
use super::text_inputs::{TextInputs, TextProvenance};
use crate::config::ProbeConfig;
use crate::error::Result;
use crate::head_score::sidecar;
use crate::job::{self, Inputs, Job, ModelFiles, Running, text_sha256};
use crate::needle::ProbeText;

/// Everything that a task reads but the weights.
pub trait TaskInputs {
    /// What it has in common with other tasks.
    fn common(&self) -> Common<'_>;

    /// The task.
    ///
    /// # Errors
    /// As the task's constructor.
    fn task(&self) -> Result<Box<dyn Task + '_>>;

    /// The model alone.
    fn into_model(self: Box<Self>) -> ModelFiles;
}

/// What tasks have in common, by what their prompts are.
#[derive(Clone, Copy)]
pub enum Common<'a> {
    /// Texts hidden in a haystack or in a context.
    Probes(&'a Inputs, &'a Job),
    /// Whole texts.
    Texts(&'a TextInputs),
}

impl<'a> Common<'a> {
    /// The model without its weights.
    pub fn model(self) -> &'a ModelFiles {
        match self {
            Self::Probes(inputs, _) => &inputs.model,
            Self::Texts(texts) => &texts.model,
        }
    }

    /// What is hidden and asked for; none for whole texts.
    pub fn probe_texts(self) -> &'a [ProbeText] {
        match self {
            Self::Probes(inputs, _) => &inputs.probes.texts,
            Self::Texts(_) => &[],
        }
    }

    /// A warning if the head scores in the file at `path` were made with needles that are asked
    /// here.
    pub fn seen_by(self, path: &Path) -> Option<String> {
        let (seen, texts) = (sidecar::needles(path), self.probe_texts());
        let asked = texts.iter().filter(|text| seen.contains(&text_sha256(text))).count();
        (asked > 0).then(|| {
            format!(
                "{asked} of {} needles are those that the head scores were made with: what follows \
                 the scores has seen them. Better use other --needles",
                texts.len()
            )
        })
    }

    /// What captions say of places of the grid that fell together; nothing without a grid.
    pub fn placing_caption(self) -> String {
        match self {
            Self::Probes(_, job) => job.placing.caption(),
            Self::Texts(_) => String::new(),
        }
    }

    /// What prompts and answers were made of.
    pub(crate) fn provenance(
        self,
        config: &'a ProbeConfig,
        model: Running<'a>,
    ) -> TaskProvenance<'a> {
        match self {
            Self::Probes(inputs, job) => {
                let provenance = job::Provenance::new(config, inputs, job, model);
                TaskProvenance::Probes(Box::new(provenance))
            }
            Self::Texts(texts) => {
                TaskProvenance::Texts(Box::new(TextProvenance::new(config, texts, model)))
            }
        }
    }
}

/// What prompts and answers were made of. The same for the same inputs on the same device.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum TaskProvenance<'a> {
    /// As in the sidecars of a profile.
    Probes(Box<job::Provenance<'a>>),
    /// Of whole texts.
    Texts(Box<TextProvenance<'a>>),
}
