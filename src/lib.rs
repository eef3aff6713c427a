//! headprof: which attention heads retrieve, which reason, and how sure that is.
//!
//! A *needle* (a sentence) is hidden in a *haystack* (unrelated prose), a language model is asked
//! for it, and every attention head is scored by where it looked while the model answered. One
//! such try is a *probe*.
//!
//! # The line of the data
//!
//! ```text
//! command line ─► ProfileConfig ─► Plan {Probe…} ─► Prompt ─► generate ─┬► RowStats ─► HeadScore ─► HeadMatrix
//!                                      ▲               ▲                └► answer ─► AnswerGate ─► ProbeRecord
//!                         task: texts ─┘  haystack ────┘
//!
//! HeadMatrix… of the accepted probes ─► aggregate ─► head_score/*.json + *.meta.json ─► plots/*.png, *.svg
//! ProbeRecord… of all probes ─► probes.jsonl, plots/*_answers.*
//! ```
//!
//! Every arrow is a plain value. [`commands::profile::run`] is this line as code and the place to
//! start reading; [`commands::evaluate::run`] is that of a comparison.
//!
//! # Where things are
//!
//! From the ground up: a room imports what stands above it, never what stands below
//! (`docs/architecture.md`).
//!
//! | room | what it knows |
//! |---|---|
//! | [`error`] | one error type: sentences with an exit code |
//! | [`system`] | whole files, signals, memory, panics, progress, what is told |
//! | [`heads`] | a number per head, `[L, H]`; whose caches they are |
//! | [`gguf`] | the model files of llama.cpp, as if they were a folder of the hub's |
//! | [`tokenizer`], [`chat`] | `tokenizer.json`, BOS, line breaks; chat templates |
//! | [`haystack`], [`needle`], [`prompt`] | the texts and how token ids become a prompt |
//! | [`metrics`], [`gate`] | what an answer is worth; which answers count |
//! | [`plot`] | heatmaps and curves as PNG and SVG |
//! | [`score`], [`head_score`] | published scores and their aggregation; the file that other tools read |
//! | [`budget`], [`eviction`] | how many tokens each head keeps; which ones |
//! | [`report`] | the results in a folder as one page of HTML |
//! | [`cli`], [`config`] | the options as typed; the same, validated |
//! | [`datasets`] | readers of published files |
//! | [`model`], [`hub`] | the Llama family in burn; checkpoints by their id |
//! | [`plan`] | the grid of needles, lengths, depths and repetitions; ids of probes |
//! | [`journal`] | what a run has finished, on disk; resuming, locks, shards |
//! | [`mod@generate`] | prefill and greedy decode, from full and compressed caches, with heads off |
//! | [`job`] | what every command opens: device, model, texts, plan, memory, provenance |
//! | [`tasks`] | needle, BABILong, LongBench, LooGLE, RULER: one folder each |
//! | [`commands`] | profile, evaluate, ablate, sensitivity, utility, allocate, compare, look, report, observe, ls, bench, verify, cluster, dry run |
//!
//! # What holds everywhere
//!
//! - Only [`model`] touches tensors. What leaves it are ids, logits, [`score::RowStats`],
//!   [`eviction::TokenStats`], what heads do for an answer ([`HeadMatrix`]) and, for a picture of
//!   one head, [`model::AttentionMap`].
//! - Scores never see text; gates never see attention.
//! - Nothing after [`plan`] invents a probe, and results are in the order of the plan.
//! - A prompt is put together from token ids and never decoded and encoded again: its length and
//!   the needle's span are exact.
//! - A [`HeadMatrix`] is `[layer, head]`, row-major and finite; a head is a *query* head.
//! - A probe that failed has a status and a reason. It is never a 0.
//! - Results are written by [`system::atomic::write`] alone, whole or not at all. What [`hub`]
//!   downloads goes into the cache that the tools of the Hugging Face hub share, in their form.
//! - Whatever can be known to be wrong before the weights are read is reported before.
//! - The same inputs give the same bytes; what cannot (times, memory) stands apart under `run` and
//!   `seconds`.
//! - The environment is read by `main` alone. Global are the thread pool, the handlers of signals
//!   and panics and what the last panics said, ONNX Runtime and the Vulkan device once they are
//!   loaded, how a GPU multiplies, the list of methods and the font of the pictures,
//!   what is known of the processor, buffers of threads, and a setting of the allocator
//!   ([`system::machine::give_back_freed_memory`]).
//!
//! # Letters
//!
//! `L` layers, `H` query heads, `G` key/value heads, `D` head dimension, `T` tokens of a context,
//! `V` vocabulary, `n` tokens of a needle.

// In tests a panic is what is wanted of a failure.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod budget;
pub mod chat;
pub mod cli;
pub mod commands;
pub mod config;
pub mod datasets;
pub mod error;
pub mod eviction;
pub mod gate;
pub mod generate;
pub mod gguf;
pub mod haystack;
pub mod head_score;
pub mod heads;
pub mod hub;
pub mod job;
pub mod journal;
pub mod metrics;
pub mod model;
pub mod needle;
pub mod plan;
pub mod plot;
pub mod prompt;
pub mod report;
pub mod score;
pub mod system;
pub mod tasks;
pub mod tokenizer;

#[cfg(test)]
#[path = "../tests/common/goldens.rs"]
mod goldens;

pub use crate::heads::HeadMatrix;
pub use error::{Error, Result};
