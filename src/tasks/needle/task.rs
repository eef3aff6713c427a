//! The needle task: the probes of a profile as an evaluation (Kamradt 2023, "needle in a
//! haystack").
//!
//! Four numbers per answer: whether it passes the gate, which is the accuracy; the gate's value;
//! and the two of the references, [`rouge_1_f_x10`] and [`word_recall`], which are no shares of
//! right answers ([`crate::metrics::needle`] says why).

use crate::error::Result;
use crate::job::Extent;
use crate::metrics::needle::{rouge_1_f_x10, word_recall};
use crate::tasks::{Case, Metric, ProbeCases, Task};

pub(super) const METRICS: &[Metric] = &[
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
pub struct NeedleTask<'a>(pub ProbeCases<'a>);

impl Task for NeedleTask<'_> {
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
        false
    }

    fn id(&self, index: usize) -> String {
        self.0.id(index)
    }

    fn case(&self, index: usize) -> Result<Case> {
        self.0.case(index, self.0.text(index).id().to_owned(), false)
    }

    fn values(&mut self, index: usize, answer: &str) -> Result<Vec<f64>> {
        let (value, passes) = self.0.judge(index, answer)?;
        let text = self.0.text(index);
        Ok(vec![
            f64::from(u8::from(passes)),
            value,
            rouge_1_f_x10(answer, &text.hidden()),
            word_recall(answer, text.answer()),
        ])
    }
}
