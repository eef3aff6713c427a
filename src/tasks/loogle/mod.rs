//! The long-dependency questions of LooGLE (Li et al. 2023, arXiv 2311.04939): four data sets by
//! the type of the question. Asked and scored as HeadKV does, by LongBench's F1; LooGLE itself
//! scores them by BLEU, ROUGE, BERTScore and a judge.

pub mod rows;

use super::longbench::{
    LongBenchMetric, LongBenchSource, PROMPTS, SAMPLES, Suite, TASK_DATA, dataset,
};
use super::source::MAX_PROMPT_TOKENS;
use super::{Benchmark, BenchmarkInfo, TaskOptions, TaskSource};
use crate::error::Result;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct LooGle;

static INFO: BenchmarkInfo = BenchmarkInfo {
    name: "loogle",
    title: "rows of LooGLE",
    source: "LooGLE, https://arxiv.org/abs/2311.04939",
    list: "timeline_reorder,computation",
    takes: &[TASK_DATA, SAMPLES, PROMPTS, MAX_PROMPT_TOKENS],
    metrics: super::longbench::task::METRICS,
    has_places: false,
};

/// LooGLE, in LongBench's form.
pub static LOOGLE: Suite = Suite {
    info: &INFO,
    title: "LooGLE",
    datasets: &[
        dataset("comprehension_and_reasoning", LongBenchMetric::QaF1, 64).not_in_e().never_empty(),
        dataset("multiple_information_retrieval", LongBenchMetric::QaF1, 64)
            .not_in_e()
            .never_empty(),
        dataset("timeline_reorder", LongBenchMetric::QaF1, 32).not_in_e().never_empty(),
        dataset("computation", LongBenchMetric::QaF1, 32).not_in_e().never_empty(),
    ],
    segmented: &[],
    foreign: &["longdep_summarization", "summarization", "shortdep_cloze", "shortdep_qa"],
    read: rows::read_loogle,
    has_code: false,
};

impl Benchmark for LooGle {
    fn info(&self) -> &'static BenchmarkInfo {
        &INFO
    }

    fn source(&self, asked: &TaskOptions) -> Result<Box<dyn TaskSource>> {
        Ok(Box::new(LongBenchSource::new(&LOOGLE, asked)?))
    }
}
