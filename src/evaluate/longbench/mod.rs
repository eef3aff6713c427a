//! LongBench (Y. Bai et al., "LongBench: A Bilingual, Multitask Benchmark for Long Context
//! Understanding", 2024): its data sets, their prompts, and how answers are scored.

mod dataset;
mod prompts;
mod score;

pub use dataset::{DATASETS, LongBenchDataset, LongBenchMetric};
pub use prompts::LongBenchPrompts;
pub use score::{LENGTH_GROUPS, group_of_length, mean_score, score};
