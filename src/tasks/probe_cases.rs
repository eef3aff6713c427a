//! [`ProbeCases`]: the probes of a profile as prompts of an evaluation, whatever is hidden in them.

use crate::error::Result;
use crate::gate::{AnswerGate, Expected};
use crate::job::{Inputs, Job};
use crate::needle::Needle;
use crate::tasks::{Case, Part};

/// All probes of a job with the gate that their answers have to pass.
pub(super) struct ProbeCases<'a> {
    needles: &'a [Needle],
    pub job: &'a Job,
    pub gate: &'a dyn AnswerGate,
}

impl<'a> ProbeCases<'a> {
    /// The probes of `job`, which was made of `inputs`.
    pub fn new(inputs: &'a Inputs, job: &'a Job) -> Self {
        Self { needles: &inputs.needles, job, gate: inputs.gate.as_ref() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.job.plan.probes.len()
    }

    /// The needle of a probe.
    pub fn needle(&self, index: usize) -> &'a Needle {
        &self.needles[self.job.plan.probes[index].needle]
    }

    /// The prompt of a probe, for a table in which it belongs to `group` and, by its length if
    /// `by_length`, to a part of that.
    ///
    /// # Errors
    /// As [`Job::prompt`].
    pub fn case(&self, index: usize, group: String, by_length: bool) -> Result<Case> {
        let probe = &self.job.plan.probes[index];
        let prompt = self.job.prompt(probe)?;
        Ok(Case {
            haystack_cycles: prompt.haystack_cycles,
            id: probe.id.to_string(),
            group,
            part: by_length.then(|| Part::Tokens(self.job.length_group(probe.context_length))),
            prompt: prompt.ids,
            depth: probe.depth,
            gold: self.needle(index).answer.clone(),
            max_new_tokens: self.job.max_new_tokens(probe),
            stop_ids: self.job.stop_ids.clone(),
        })
    }

    /// The gate's value of an answer, and whether it passes.
    ///
    /// # Errors
    /// As [`AnswerGate::value`].
    pub fn judge(&self, index: usize, answer: &str) -> Result<(f64, bool)> {
        let value = self.gate.value(answer, &Expected::from(self.needle(index)))?;
        Ok((value, self.gate.passes(value)))
    }
}
