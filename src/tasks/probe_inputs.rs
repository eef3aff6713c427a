//! [`ProbeInputs`] and [`ProbeCases`]: the probes of a profile as prompts of an evaluation,
//! whatever is hidden in them.

use super::{Case, Common, Part, Task, TaskInputs};
use crate::config::ProbeConfig;
use crate::error::Result;
use crate::gate::{AnswerGate, Expected};
use crate::generate::Stop;
use crate::job::{Inputs, Job, ModelFiles, NeedleSpans, ProbeSource, Session};
use crate::needle::ProbeText;

/// What a task of probes reads.
pub struct ProbeInputs {
    inputs: Inputs,
    job: Job,
    task: for<'a> fn(ProbeCases<'a>) -> Box<dyn Task + 'a>,
}

impl ProbeInputs {
    /// The probes of `source`, of which `task` makes a task.
    ///
    /// # Errors
    /// As [`Session::inputs`] and [`Session::job`].
    pub fn load(
        config: &ProbeConfig,
        source: &dyn ProbeSource,
        session: &Session,
        task: for<'a> fn(ProbeCases<'a>) -> Box<dyn Task + 'a>,
    ) -> Result<Box<dyn TaskInputs>> {
        let inputs = session.inputs(config, source)?;
        let job = session.job(config, &inputs, NeedleSpans::Any)?;
        Ok(Box::new(Self { inputs, job, task }))
    }
}

impl TaskInputs for ProbeInputs {
    fn common(&self) -> Common<'_> {
        Common::Probes(&self.inputs, &self.job)
    }

    fn task(&self) -> Result<Box<dyn Task + '_>> {
        Ok((self.task)(ProbeCases::new(&self.inputs, &self.job)))
    }

    fn into_model(self: Box<Self>) -> ModelFiles {
        self.inputs.model
    }
}

/// All probes of a job with the gate that their answers have to pass.
pub struct ProbeCases<'a> {
    texts: &'a [ProbeText],
    /// The probes.
    pub job: &'a Job,
    /// The gate.
    pub gate: &'a dyn AnswerGate,
}

impl<'a> ProbeCases<'a> {
    /// The probes of `job`, which was made of `inputs`.
    pub fn new(inputs: &'a Inputs, job: &'a Job) -> Self {
        Self { texts: &inputs.probes.texts, job, gate: inputs.gate.as_ref() }
    }

    /// How many there are.
    pub fn cases(&self) -> usize {
        self.job.plan.probes.len()
    }

    /// The name of the shortest prompt, the first of equal ones.
    pub fn shortest(&self) -> String {
        self.job.shortest_probe()
    }

    /// The name of a probe.
    pub fn id(&self, index: usize) -> String {
        self.job.plan.probes[index].id.to_string()
    }

    /// What a probe hides and asks for.
    pub fn text(&self, index: usize) -> &'a ProbeText {
        &self.texts[self.job.plan.probes[index].needle]
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
            about: self.text(index).id().to_owned(),
            part: by_length.then(|| Part::Tokens(self.job.length_group(probe.context_length))),
            prompt: prompt.ids,
            before_question: Some(prompt.before_question),
            depths: probe.depths().collect(),
            gold: self.text(index).answer().to_owned(),
            max_new_tokens: self.job.max_new_tokens(probe),
            stop: Stop::at(self.job.stop_ids.clone()),
        })
    }

    /// The gate's value of an answer, and whether it passes.
    ///
    /// # Errors
    /// As [`AnswerGate::value`].
    pub fn judge(&self, index: usize, answer: &str) -> Result<(f64, bool)> {
        let value = self.gate.value(answer, &Expected::from(self.text(index)))?;
        Ok((value, self.gate.passes(value)))
    }
}
