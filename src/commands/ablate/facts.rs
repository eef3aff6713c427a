//! [`AblateFacts`]: what the outputs say beside what was measured.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::{AblateConfig, When};
use super::sets::OffSet;
use crate::error::{Error, Result};
use crate::head_score::UsedFile;
use crate::job::{self, Running};
use crate::model::ablation::How;
use crate::system::digest::sha256;
use crate::tasks::{Common, Task, ids};

/// What is measured, as the plan of a run keeps it. Nothing here needs the model or the texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AblateFacts {
    /// The command line of whoever began it.
    pub command: Vec<String>,
    /// The model's name.
    pub model: String,
    /// Layers and query heads.
    pub shape: [usize; 2],
    /// The task's name.
    pub task: String,
    /// The task as it was asked for, with its list.
    pub asked: String,
    /// SHA-256 of the names of all prompts.
    pub prompts: String,
    /// What makes an answer accurate.
    pub judged_by: String,
    /// What captions say of places of the grid that fell together.
    pub placing_caption: String,
    /// Which heads are off together; none where each is off alone.
    pub sets: Vec<OffSet>,
    /// What becomes of them.
    pub how: How,
    /// From where on.
    pub when: When,
    /// The file that says which heads are the best.
    pub head_score: Value,
    /// Decides about random sets of heads and the texts around needles.
    pub seed: u64,
    /// What prompts and answers were made of.
    pub provenance: Value,
}

impl AblateFacts {
    /// Of a run that is about to begin, with these `sets`.
    ///
    /// # Errors
    /// [`Error::Bug`] if something has no form in JSON.
    pub(super) fn new(
        config: &AblateConfig,
        inputs: Common,
        task: &dyn Task,
        sets: &[OffSet],
        head_score: Option<&UsedFile>,
        model: Running,
    ) -> Result<Self> {
        let shape = model.config;
        Ok(Self {
            command: config.command.clone(),
            model: inputs.model().name.clone(),
            shape: [shape.layers, shape.heads],
            task: config.task.info().name.to_owned(),
            asked: config.asked.clone(),
            prompts: sha256(ids(task).join("\n")),
            judged_by: task.judged_by(),
            placing_caption: inputs.placing_caption(),
            sets: sets.to_vec(),
            how: config.how,
            when: config.when,
            head_score: job::to_value(&head_score)?,
            seed: config.probes.seed,
            provenance: job::to_value(&inputs.provenance(&config.probes, model))?,
        })
    }

    /// All that decides about the results.
    ///
    /// # Errors
    /// [`Error::Bug`] if it has no form in JSON.
    pub fn fingerprint(&self) -> Result<Value> {
        let mut all = job::fingerprint(&self.provenance)?;
        all["headprof"] = env!("CARGO_PKG_VERSION").into();
        all["task"] = json!({
            "asked": self.asked,
            "prompts": self.prompts,
            "accuracy": self.judged_by,
        });
        let heads = job::to_value(&self.sets)?;
        all["heads_off"] = json!({
            "sets": sha256(heads.to_string()),
            "off": self.how.name(),
            "when": self.when.name(),
        });
        all["seed"] = self.seed.into();
        Ok(all)
    }

    /// How heads are off, in words: `output zero, for the whole prompt and the answer`.
    pub fn in_words(&self) -> String {
        let how = match self.how {
            How::Zero => "output 0",
            How::Mean => "output its mean",
            How::Uniform => "looks at all tokens alike",
        };
        let when = match self.when {
            When::All => "for prompt and answer",
            When::Question => "from the question on",
            When::Answer => "for the answer",
        };
        format!("{how}, {when}")
    }

    /// Refuses sets that are of other heads than the model's.
    ///
    /// # Errors
    /// [`Error::Data`] naming the set.
    pub fn check(&self) -> Result<()> {
        let [layers, heads] = self.shape;
        let inside = |set: &&OffSet| set.heads.iter().all(|(l, h)| l < layers && h < heads);
        match self.sets.iter().find(|set| !inside(set)) {
            None => Ok(()),
            Some(set) => Err(Error::data("the plan of the run is about heads that there are not")
                .got(&set.heads)
                .expected(format!("heads of {layers} layers x {heads}"))),
        }
    }
}
