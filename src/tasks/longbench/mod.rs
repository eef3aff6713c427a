//! LongBench (Y. Bai et al., "LongBench: A Bilingual, Multitask Benchmark for Long Context
//! Understanding", 2024): its data sets, their prompts, and how answers are scored. And LooGLE's, which
//! are asked and scored in the same way.

pub mod loogle_rows;
pub mod prompts;
pub mod rows;
pub mod task;

mod dataset;
mod score;

pub use dataset::{Benchmark, DATASETS, LongBenchDataset, LongBenchMetric};
pub use prompts::LongBenchPrompts;
pub use score::{LENGTH_GROUPS, group_of_length, mean_score, score};
