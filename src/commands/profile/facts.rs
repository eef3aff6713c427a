//! [`ProfileFacts`]: what the outputs of a profile say beside what its probes came to, and
//! [`ProfileRun`], both together. Neither needs the model or the texts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ProfileConfig;
use super::probed::Probed;
use super::record::tasks;
use crate::error::{Error, Result};
use crate::heads::HeadTypes;
use crate::job::{self, Inputs, Job, Placing, Provenance, Running};
use crate::needle::SubTask;
use crate::score::{self, HeadScore};

/// Layers, or heads of one: more than any model has.
const MOST_HEADS: usize = 1 << 16;

/// What a profile is about, as its plan keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileFacts {
    /// The command line of whoever began it.
    pub command: Vec<String>,
    /// The model's name.
    pub model: String,
    /// Layers, `L`.
    pub layers: usize,
    /// Query heads per layer, `H`.
    pub heads: usize,
    /// Hash of the weights.
    pub model_sha256: String,
    /// The task in file names; `None` for needles.
    pub task: Option<String>,
    /// Names of the scores, in the order of [`score::registry`].
    pub scores: Vec<String>,
    /// Rows that scores are of.
    pub score_rows: String,
    /// The `k` of `Top_k`.
    pub top_k: usize,
    /// References whose behaviour is followed.
    pub compat: String,
    /// Decides the resamples of the statistics.
    pub seed: u64,
    /// Whether what prompts begin alike with was run once.
    pub prefix_reuse: bool,
    /// Lengths of the grid, ascending.
    pub context_lengths: Vec<usize>,
    /// Depths of the grid, ascending; none for stories.
    pub depths: Vec<f64>,
    /// Whether the texts stand at depths.
    pub have_depths: bool,
    /// What became of the grid.
    pub placing: Placing,
    /// What answers had to reach, in words.
    pub gate_rule: String,
    /// What prompts and answers were made of, as sidecars have it.
    pub provenance: Value,
    /// Of which kind the heads are; `None` before the model is loaded, and in plans from before
    /// this was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_types: Option<HeadTypes>,
}

impl ProfileFacts {
    /// Of a profile that is about to run.
    ///
    /// # Errors
    /// [`crate::Error::Bug`] if the provenance has no form in JSON.
    pub(super) fn new(
        config: &ProfileConfig,
        inputs: &Inputs,
        job: &Job,
        model: Running,
    ) -> Result<Self> {
        let have_depths = inputs.probes.have_depths();
        Ok(Self {
            command: config.command.clone(),
            model: inputs.model.name.clone(),
            layers: model.config.layers,
            heads: model.config.heads,
            model_sha256: model.sha256.to_owned(),
            task: config.task.info().label().map(str::to_owned),
            scores: config.scores.iter().map(|score| score.name().to_owned()).collect(),
            score_rows: config.score_options.rows.to_string(),
            top_k: config.top_k,
            compat: config.score_options.compat.to_string(),
            seed: config.probes.seed,
            prefix_reuse: config.prefix_reuse,
            context_lengths: job.context_lengths.clone(),
            depths: if have_depths { config.probes.depths.clone() } else { Vec::new() },
            have_depths,
            placing: job.placing,
            gate_rule: inputs.gate.rule(),
            provenance: job::to_value(&Provenance::new(&config.probes, inputs, job, model))?,
            head_types: None,
        })
    }

    /// All that decides about the results.
    ///
    /// # Errors
    /// [`crate::Error::Bug`] if it has no form in JSON.
    pub fn fingerprint(&self) -> Result<Value> {
        let mut all = job::fingerprint(&self.provenance)?;
        all["headprof"] = env!("CARGO_PKG_VERSION").into();
        all["task"] = json!(self.task);
        all["scores"] = json!({
            "names": self.scores,
            "rows": self.score_rows,
            "top_k_infscore": self.top_k,
            "compat": self.compat,
        });
        all["prefix_reuse"] = self.prefix_reuse.into();
        Ok(all)
    }

    /// Refuses facts that no profile has.
    ///
    /// # Errors
    /// [`Error::Data`] naming the field, [`Error::Usage`] for a score that this version does not
    /// know.
    pub fn check(&self) -> Result<()> {
        let (scores, lengths) = (&self.scores, &self.context_lengths);
        let unique: BTreeSet<&String> = scores.iter().collect();
        let shape =
            (1..=MOST_HEADS).contains(&self.layers) && (1..=MOST_HEADS).contains(&self.heads);
        let is_depth = |depth: &f64| (0.0..=1.0).contains(depth);
        for (fine, field, expected) in [
            (shape, "layers, heads", "at least one of each"),
            (!scores.is_empty() && unique.len() == scores.len(), "scores", "each once"),
            (
                !lengths.is_empty() && lengths.is_sorted(),
                "context_lengths",
                "one, or several ascending",
            ),
            (
                self.depths.iter().all(is_depth) && self.depths.is_empty() != self.have_depths,
                "depths",
                "from 0 to 1, or none for stories",
            ),
            (self.provenance.is_object(), "provenance", "an object"),
            (
                self.head_types.as_ref().is_none_or(|t| t.fit(self.layers, self.heads)),
                "head_types",
                "a share, from 0 to 1, for each head",
            ),
        ] {
            if !fine {
                return Err(Error::data("the plan of the run says what no profile has")
                    .at(format!("facts: {field}"))
                    .expected(expected)
                    .advice("restore plan.json, or start over with --fresh or another --out"));
            }
        }
        self.head_scores().map(drop)
    }

    /// The scores.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] for one that this version does not know.
    pub fn head_scores(&self) -> Result<Vec<&'static dyn HeadScore>> {
        self.scores.iter().map(|name| score::by_name(name)).collect()
    }

    /// The one of the context lengths that a probe is counted under.
    pub fn length_group(&self, context_length: usize) -> usize {
        job::length_group(&self.context_lengths, context_length)
    }
}

/// A profile: what it is about, and what its probes came to.
pub(super) struct ProfileRun<'a> {
    pub facts: &'a ProfileFacts,
    pub probed: &'a Probed,
}

impl ProfileRun<'_> {
    /// The tasks of the probes, ascending; none for needles.
    pub fn tasks(&self) -> Vec<SubTask> {
        tasks(&self.probed.records)
    }
}
