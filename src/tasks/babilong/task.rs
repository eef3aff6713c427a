//! Reason in a haystack as an evaluation: the stories of a profile (BABILong, Kuratov et al. 2024,
//! arXiv 2406.10149), told by [`crate::tasks::babilong::babi`].
//!
//! Two checks of every answer: the corrected one, which is the accuracy, and BABILong's own. They
//! differ where one label is a part of another word: the official check finds "one" in "none", so
//! that no answer to a question whose answer is "none" can be right, and "no" in "know".

use crate::error::{Error, Result};
use crate::gate::Expected;
use crate::job::Extent;
use crate::metrics::babilong;
use crate::tasks::{Case, Metric, ProbeCases, Task};

pub(super) const METRICS: &[Metric] = &[
    Metric { name: "accuracy", title: "share of answers that pass the gate", highest: 1.0 },
    Metric { name: "official", title: "share right under BABILong's own check", highest: 1.0 },
];

/// All stories of a grid, one prompt for each length.
pub struct BabilongTask<'a>(pub ProbeCases<'a>);

impl Task for BabilongTask<'_> {
    fn judged_by(&self) -> String {
        self.0.gate.rule()
    }

    fn cases(&self) -> usize {
        self.0.cases()
    }

    fn prompt_tokens(&self) -> u64 {
        self.0.job.prompt_tokens()
    }

    fn extent(&self) -> Extent {
        self.0.job.extent()
    }

    fn shortest(&self) -> String {
        self.0.shortest()
    }

    fn has_reported_groups(&self) -> bool {
        true
    }

    fn id(&self, index: usize) -> String {
        self.0.id(index)
    }

    fn case(&self, index: usize) -> Result<Case> {
        let task = self.0.text(index).task();
        let task = task.ok_or_else(|| Error::bug("a needle is no story"))?;
        self.0.case(index, task.to_string(), true)
    }

    fn values(&mut self, index: usize, answer: &str) -> Result<Vec<f64>> {
        let (_, passes) = self.0.judge(index, answer)?;
        let Expected { gold, question, labels } = Expected::from(self.0.text(index));
        let official = babilong::official_correct(answer, gold, question, labels);
        Ok([passes, official].map(|right| f64::from(u8::from(right))).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{GateConfig, GateKind};
    use crate::needle::ProbeText;
    use crate::tasks::babilong::Published;

    /// The check of BABILong itself refuses some answers that are the gold ones.
    #[test]
    fn gold_answers_of_published_rows_pass() {
        let Some([folder]) = crate::goldens::find(["../data/babilong"]) else { return };
        let rows = Published::load(&folder, None, None).unwrap().contexts;
        let gate = GateConfig::new(GateKind::Label, None).unwrap().open().unwrap();
        let mut refused = 0;
        assert!(!rows.is_empty());
        for row in rows.iter().cloned().map(ProbeText::Context) {
            let expected = Expected::from(&row);
            let value = gate.value(row.answer(), &expected).unwrap();
            assert!(gate.passes(value), "{}: {}", row.id(), row.answer());
            let Expected { gold, question, labels } = expected;
            refused += usize::from(!babilong::official_correct(gold, gold, question, labels));
        }
        println!(
            "data/babilong: the gold answers of {} rows pass; the official check refuses {refused}",
            rows.len()
        );
    }
}
