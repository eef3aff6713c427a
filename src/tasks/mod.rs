//! What a model can be asked: one folder per benchmark, with its rows, prompts, generator, metric
//! and task.
//!
//! ```text
//! --task NAME:LIST ─► choose ─► TaskSource ─┬─ load ─► TaskInputs ─► Task {Case…}    (evaluate)
//!                                           └─ probes ─► ProbeTexts                  (profile)
//! ```
//!
//! To add a benchmark: a folder with a [`Benchmark`], and one line in [`registry`]. The command
//! line, its help and its errors follow.

pub mod babilong;
pub mod longbench;
pub mod loogle;
pub mod needle;
pub mod ruler;

mod inputs;
mod probe_inputs;
mod shards;
mod source;
mod task;
mod text_inputs;
mod text_prompt;

#[cfg(test)]
mod conformance_tests;

pub use inputs::{Common, TaskInputs};
pub use probe_inputs::{ProbeCases, ProbeInputs};
pub use shards::shards;
pub use source::{
    Benchmark, BenchmarkInfo, Purpose, Takes, TaskOptions, TaskSource, choose, names, option_help,
    task_help,
};
pub use task::{Case, Metric, Part, Task, ids, mean_score};
pub use text_inputs::{DataFile, TextInputs};
pub use text_prompt::{Measured, PromptText, TextPromptLimits, middle_truncate};

/// Every benchmark, in the order in which they are listed; the first is what is asked where nothing
/// else is said.
pub fn registry() -> &'static [&'static dyn Benchmark] {
    static REGISTRY: &[&dyn Benchmark] = &[
        &needle::Needles,
        &babilong::Babilong,
        &longbench::LongBench,
        &loogle::LooGle,
        &ruler::Ruler,
    ];
    REGISTRY
}
