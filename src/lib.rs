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
//!                                 ▲                ▲                └► answer ─► AnswerGate ─► ProbeRecord
//!                  needles, haystack ─► Tokenizer ─┘
//!
//! HeadMatrix… of the accepted probes ─► aggregate ─► head_score/*.json + *.meta.json ─► plots/*.png, *.svg
//! ProbeRecord… of all probes ─► probes.jsonl, plots/*_answers.*
//! ```
//!
//! Every arrow is a plain value. [`profile::run`] is this line as code and the place to start
//! reading.
//!
//! # Where things are
//!
//! | module | what it knows |
//! |---|---|
//! | [`cli`], [`run_config`] | the options as typed; the same, validated |
//! | [`profile`] | the main job: inputs, job, probes, files, summary |
//! | [`plan`] | the grid of needles, lengths, depths and repetitions; ids of probes |
//! | [`haystack`], [`needle`], [`prompt`] | the texts and how token ids become a prompt |
//! | [`babilong`] | stories in the forms of bAbI, with the facts that their answers need |
//! | [`hub`] | checkpoints by their id: download, cache, what went wrong |
//! | [`tokenizer`], [`chat`] | `tokenizer.json`, BOS, line breaks; chat templates |
//! | [`model`] | the Llama family in burn: config, checkpoint, decoder, cache, capture of rows |
//! | [`mod@generate`] | prefill and greedy decode of one probe; decode from a compressed cache |
//! | [`gate`], [`text`] | which answers count: ROUGE, F1, sentence embeddings, exact match |
//! | [`reference_span`] | where the references take the needle to be |
//! | [`score`] | one file per published score, their registry, aggregation over probes |
//! | [`head_matrix`], [`head_score`] | a number per head; the file that other tools read |
//! | [`cache_heads`], [`budget`], [`eviction`] | whose caches; how many tokens each keeps; which ones |
//! | [`mod@utility`] | what each head's tokens are worth to later queries, recorded |
//! | [`evaluate`] | methods of compression against each other: tasks, the comparison, its table |
//! | [`allocate`] | a budget from a head_score file, as table, JSON and heatmap |
//! | [`dry_run`] | what a profile or a comparison would take: time and memory |
//! | [`mod@bench`] | tokens per second, as a share of what the device can do |
//! | [`mod@observe`] | one head's attention and values as a picture; the attention sinks of all heads |
//! | [`plot`] | heatmaps and curves as PNG and SVG |
//! | [`verify`](mod@verify) | this build against what transformers computed |
//! | [`export_probes`] | prompts for another program |
//! | [`atomic`], [`interrupt`], [`machine`] | whole files; signals; memory and time |
//! | [`panics`] | panics of GPU libraries and of bugs, as values |
//! | [`progress`], [`terminal`] | the bar; standard output and error |
//! | [`error`] | one error type: sentences with an exit code |
//!
//! # What holds everywhere
//!
//! - Only [`model`] touches tensors. What leaves it are ids, logits, [`score::RowStats`],
//!   [`eviction::TokenStats`] and, for a picture of one head, [`model::AttentionMap`].
//! - Scores never see text; gates never see attention.
//! - Nothing after [`plan`] invents a probe, and results are in the order of the plan.
//! - A prompt is put together from token ids and never decoded and encoded again: its length and
//!   the needle's span are exact.
//! - A [`HeadMatrix`] is `[layer, head]`, row-major and finite; a head is a *query* head.
//! - A probe that failed has a status and a reason. It is never a 0.
//! - Files are written by [`atomic::write`] alone, whole or not at all.
//! - Whatever can be known to be wrong before the weights are read is reported before.
//! - The same inputs give the same bytes; what cannot (times, memory) stands apart under `run` and
//!   `seconds`.
//! - The environment is read by `main` alone; nothing is global but the thread pool, the first
//!   panic, and ONNX Runtime where it is loaded.
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
pub mod haystack;
pub mod head_score;
pub mod heads;
pub mod hub;
pub mod job;
pub mod metrics;
pub mod model;
pub mod needle;
pub mod plan;
pub mod plot;
pub mod prompt;
pub mod score;
pub mod system;
pub mod tasks;
pub mod tokenizer;

#[cfg(test)]
#[path = "../tests/common/goldens.rs"]
mod goldens;

pub use crate::heads::HeadMatrix;
pub use error::{Error, Result};
