//! The needle task: the probes of a profile as an evaluation (Kamradt 2023, "needle in a haystack").
//!
//! Four numbers per answer: whether it passes the gate, which is the accuracy; the gate's value;
//! and the two of the references, [`rouge_1_f_x10`] and [`word_recall`], which are no shares of
//! right answers ([`crate::text::needle`] says why).

use super::task::{Case, Metric, Task};
use crate::error::Result;
use crate::gate::{self, AnswerGate, Expected};
use crate::needle::Needle;
use crate::profile::{Extent, Inputs, Job};
use crate::run_config::ProbeConfig;
use crate::text::needle::{rouge_1_f_x10, word_recall};

const METRICS: &[Metric] = &[
    Metric { name: "accuracy", title: "share of answers that pass the gate", highest: 1.0 },
    Metric { name: "gate_value", title: "mean value of the gate", highest: 1.0 },
    Metric {
        name: "rouge_1_f_x10",
        title: "ROUGE-1 F of answer and whole needle, x 10 (HeadKV's result files)",
        highest: 10.0,
    },
    Metric {
        name: "word_recall",
        title: "share of the gold answer's words (HeadKV's heatmaps)",
        highest: 1.0,
    },
];

/// All probes of a grid, one prompt each.
pub struct NeedleTask<'a> {
    needles: &'a [Needle],
    job: &'a Job,
    gate: Box<dyn AnswerGate>,
}

impl<'a> NeedleTask<'a> {
    /// The probes of `job`, which was made of `config` and `inputs`.
    ///
    /// # Errors
    /// If the gate's threshold is out of range.
    pub fn new(config: &ProbeConfig, inputs: &'a Inputs, job: &'a Job) -> Result<Self> {
        let gate = gate::build(config.gate, config.gate_threshold)?;
        Ok(Self { needles: &inputs.needles, job, gate })
    }

    fn needle(&self, index: usize) -> &'a Needle {
        &self.needles[self.job.plan.probes[index].needle]
    }
}

impl Task for NeedleTask<'_> {
    fn name(&self) -> &str {
        "needle"
    }

    fn metrics(&self) -> &'static [Metric] {
        METRICS
    }

    fn judged_by(&self) -> String {
        self.gate.rule()
    }

    fn cases(&self) -> usize {
        self.job.plan.probes.len()
    }

    fn prompt_tokens(&self) -> u64 {
        self.job.prompt_tokens()
    }

    fn extent(&self) -> Extent {
        self.job.extent()
    }

    fn has_reported_groups(&self) -> bool {
        false
    }

    fn case(&self, index: usize) -> Result<Case> {
        let probe = &self.job.plan.probes[index];
        let needle = self.needle(index);
        let prompt = self.job.prompt(probe)?;
        Ok(Case {
            haystack_cycles: prompt.haystack_cycles,
            id: probe.id.to_string(),
            group: needle.id.clone(),
            part: None,
            prompt: prompt.ids,
            depth: probe.depth,
            gold: needle.answer.clone(),
            max_new_tokens: self.job.max_new_tokens(probe),
            stop_ids: self.job.stop_ids.clone(),
        })
    }

    fn values(&mut self, index: usize, answer: &str) -> Result<Vec<f64>> {
        let needle = self.needle(index);
        let value = self.gate.value(answer, &Expected::from(needle))?;
        Ok(vec![
            f64::from(u8::from(self.gate.passes(value))),
            value,
            rouge_1_f_x10(answer, &needle.needle),
            word_recall(answer, &needle.answer),
        ])
    }
}
