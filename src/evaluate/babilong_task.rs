//! Reason in a haystack as an evaluation: the stories of a profile (BABILong, Kuratov et al. 2024,
//! arXiv 2406.10149), told by [`crate::babilong`].
//!
//! Two checks of every answer: the corrected one, which is the accuracy, and BABILong's own. They
//! differ where one label is a part of another word: the official check finds "one" in "none", so
//! that no answer to a question whose answer is "none" can be right, and "no" in "know".

use super::task::{Case, Metric, Part, Task};
use crate::error::{Error, Result};
use crate::gate::{self, AnswerGate, Expected};
use crate::needle::Needle;
use crate::profile::{Extent, Inputs, Job};
use crate::run_config::ProbeConfig;
use crate::text::babilong;

const METRICS: &[Metric] = &[
    Metric { name: "accuracy", title: "share of answers that pass the gate", highest: 1.0 },
    Metric { name: "official", title: "share right under BABILong's own check", highest: 1.0 },
];

/// All stories of a grid, one prompt for each length.
pub struct BabilongTask<'a> {
    stories: &'a [Needle],
    job: &'a Job,
    gate: Box<dyn AnswerGate>,
}

impl<'a> BabilongTask<'a> {
    /// The probes of `job`, which was made of `config` and `inputs`.
    ///
    /// # Errors
    /// If the gate's threshold is out of range.
    pub fn new(config: &ProbeConfig, inputs: &'a Inputs, job: &'a Job) -> Result<Self> {
        let gate = gate::build(config.gate, config.gate_threshold)?;
        Ok(Self { stories: &inputs.needles, job, gate })
    }

    fn story(&self, index: usize) -> &'a Needle {
        &self.stories[self.job.plan.probes[index].needle]
    }
}

impl Task for BabilongTask<'_> {
    fn name(&self) -> &str {
        "babilong"
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
        true
    }

    fn case(&self, index: usize) -> Result<Case> {
        let probe = &self.job.plan.probes[index];
        let needle = self.story(index);
        let prompt = self.job.prompt(probe)?;
        let task = needle.task().ok_or_else(|| Error::bug("a needle is no story"))?;
        Ok(Case {
            haystack_cycles: prompt.haystack_cycles,
            id: probe.id.to_string(),
            group: task.to_string(),
            part: Some(Part::Tokens(self.job.length_group(probe.context_length))),
            prompt: prompt.ids,
            depth: None,
            gold: needle.answer.clone(),
            max_new_tokens: self.job.max_new_tokens(probe),
            stop_ids: self.job.stop_ids.clone(),
        })
    }

    fn values(&mut self, index: usize, answer: &str) -> Result<Vec<f64>> {
        let expected = Expected::from(self.story(index));
        let passes = self.gate.value(answer, &expected).map(|value| self.gate.passes(value))?;
        let Expected { gold, question, labels } = expected;
        let official = babilong::official_correct(answer, gold, question, labels);
        Ok([passes, official].map(|right| f64::from(u8::from(right))).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::babilong::Published;
    use crate::gate::GateKind;

    /// The check of BABILong itself refuses some answers that are the gold ones.
    #[test]
    fn gold_answers_of_published_rows_pass() {
        let Some(metrics) = crate::goldens::one("eviction", "metrics_babilong.json") else {
            return;
        };
        let Some(root) = metrics.ancestors().nth(3) else { return };
        let folder = root.join("data/babilong");
        if !folder.is_dir() {
            println!("{}: not here, 0 rows", folder.display());
            return;
        }
        let rows = Published::load(&folder, None, None).unwrap().needles;
        let mut gate = gate::build(GateKind::Label, None).unwrap();
        let mut refused = 0;
        for needle in &rows {
            let expected = Expected::from(needle);
            let value = gate.value(&needle.answer, &expected).unwrap();
            assert!(gate.passes(value), "{}: {}", needle.id, needle.answer);
            let Expected { gold, question, labels } = expected;
            refused += usize::from(!babilong::official_correct(gold, gold, question, labels));
        }
        println!(
            "data/babilong: the gold answers of {} rows pass; the official check refuses {refused}",
            rows.len()
        );
    }
}
