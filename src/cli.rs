//! The command line: what can be typed, with its help. What it means is decided in
//! [`crate::run_config`].

use std::path::PathBuf;

mod allocate;

pub use allocate::{AllocateArgs, FormArg, GranularityArg, ReduceArg};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  headprof --depths 0.1,0.5,0.9
      profile the embedded model needle-llama, about a minute on a laptop
  headprof --model ~/models/Llama-3.2-1B --lengths 1k,2k,4k
      profile a checkpoint of your own
  headprof --model DIR --device cuda --min-len 1024 --max-len 8192 --context-intervals 8
  headprof --haystack-dir texts --needles my-needles.jsonl --gate exact --out results
  headprof --compat headkv-r2 --needles needles.jsonl
      as the reference HeadKV computes it
  headprof verify DIR
      compare this build with what transformers computed for a checkpoint
  headprof allocate --method headkv --head-choice reason --budget 128
      divide a KV-cache budget among the heads by their scores

Exit codes: 0 done, 2 usage, 3 bad haystack or needles, 4 bad model, 5 not enough memory, disk or
device, 6 too few answers passed the gate or some probes failed, 130 interrupted.";

/// Which attention heads of a Llama-family model retrieve, which reason, and how sure that is.
///
/// Hides needles in a haystack, asks for them, and scores every attention head by what it looked
/// at while the model answered. Without a subcommand it profiles a model.
#[derive(Debug, Parser)]
#[command(name = "headprof", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of profiling.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options of a profile.
    #[command(flatten)]
    pub profile: ProfileArgs,
}

/// Everything but profiling.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare this build with what transformers computed for a checkpoint
    Verify(VerifyArgs),
    /// Divide a KV-cache budget among the heads of a model
    Allocate(AllocateArgs),
}

/// `headprof verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Folder of the checkpoint (Hugging Face layout)
    pub dir: PathBuf,
    /// What transformers computed [default: golden.json in the folder]
    pub golden: Option<PathBuf>,
    /// What to compute on.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// Number types of `--dtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtypeArg {
    /// 32-bit floats.
    F32,
    /// 16-bit brain floats.
    Bf16,
}

/// What to compute on.
#[derive(Debug, Clone, Default, Args)]
pub struct ComputeArgs {
    /// cpu, cuda, cuda:N or auto [default: cpu]
    #[arg(long, help_heading = "Model")]
    pub device: Option<String>,

    /// The GPU of this number; short for --device cuda:N
    #[arg(long, value_name = "N", help_heading = "Model", conflicts_with = "device")]
    pub gpu: Option<usize>,

    /// Type of weights and cache on a GPU [default: bf16]; on the CPU always f32
    #[arg(long, value_enum, help_heading = "Model")]
    pub dtype: Option<DtypeArg>,

    /// Threads of the CPU [default: one per core]
    #[arg(long, value_name = "N", help_heading = "Model")]
    pub threads: Option<usize>,
}

/// `headprof` without a subcommand. Lists and names are still text here.
#[derive(Debug, Default, Args)]
pub struct ProfileArgs {
    /// Folder of a checkpoint with config.json, model.safetensors and tokenizer.json
    /// [default: needle-llama, the embedded model]
    #[arg(long, value_name = "DIR", help_heading = "Model", aliases = ["model-path", "model_path"])]
    pub model: Option<String>,

    /// What to compute on.
    #[command(flatten)]
    pub compute: ComputeArgs,

    /// Prompt tokens per pass [default: 256 on the CPU, 2048 on a GPU]
    #[arg(long, value_name = "TOKENS", help_heading = "Model")]
    pub chunk: Option<usize>,

    /// Depths of the needle, 0 (start) to 1 (end), such as 0.1,0.5,0.9 [default: ten even depths]
    #[arg(long, value_name = "LIST", help_heading = "Grid", allow_hyphen_values = true)]
    pub depths: Option<String>,

    /// Context lengths in tokens, such as 512,1k..8k:1k [default: 256,512,1024 for needle-llama,
    /// else those of 512,1k,2k,4k that the model is made for]
    #[arg(long, value_name = "LIST", help_heading = "Grid", allow_hyphen_values = true)]
    pub lengths: Option<String>,

    /// Smallest context length [default: the smallest of --lengths' default]
    #[arg(
        long,
        alias = "min_len",
        value_name = "TOKENS",
        help_heading = "Grid",
        conflicts_with = "lengths"
    )]
    pub min_len: Option<usize>,

    /// Largest context length [default: the largest of --lengths' default]
    #[arg(
        long,
        alias = "max_len",
        value_name = "TOKENS",
        help_heading = "Grid",
        conflicts_with = "lengths"
    )]
    pub max_len: Option<usize>,

    /// Number of context lengths from the smallest to the largest, evenly spaced [default: 3]
    #[arg(
        long,
        alias = "context_intervals",
        value_name = "N",
        help_heading = "Grid",
        conflicts_with = "lengths"
    )]
    pub context_intervals: Option<usize>,

    /// Repetitions of every probe, each in another part of the haystack
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Grid")]
    pub repeats: u32,

    /// Decides the parts of the haystack and the resamples of the statistics; 0 begins with the
    /// haystack's beginning
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Grid")]
    pub seed: u64,

    /// Lengths beyond the model's max_position_embeddings are run, not refused
    #[arg(long, help_heading = "Grid")]
    pub allow_extrapolation: bool,

    /// A .jsonl file of needles or a folder of such files [default: the 18 bundled needles]
    #[arg(long, value_name = "FILE|DIR", help_heading = "Text")]
    pub needles: Option<PathBuf>,

    /// A folder of .txt files to hide needles in [default: the 15 bundled essays]
    #[arg(long, alias = "haystack_dir", value_name = "DIR", help_heading = "Text")]
    pub haystack_dir: Option<PathBuf>,

    /// Leave haystack files out that are not UTF-8 text, instead of stopping
    #[arg(long, help_heading = "Text")]
    pub skip_bad_files: bool,

    /// What follows the haystack, with {question} in it; \n is a line break
    /// [default: \nBased on the content of the book, Question: {question}\nAnswer:]
    #[arg(long, value_name = "TEXT", help_heading = "Text", allow_hyphen_values = true)]
    pub template: Option<String>,

    /// Most tokens of an answer [default: 32]
    #[arg(long, value_name = "N", help_heading = "Answers")]
    pub max_new_tokens: Option<usize>,

    /// Whether a line break ends an answer, as the model's end-of-sequence tokens always do
    /// [default: on]
    #[arg(
        long,
        value_enum,
        value_name = "on|off",
        help_heading = "Answers",
        hide_possible_values = true
    )]
    pub stop_newline: Option<Switch>,

    /// Which answers count: rouge (ROUGE-1 recall), f1 (token F1), exact, none [default: rouge]
    #[arg(long, help_heading = "Answers")]
    pub gate: Option<String>,

    /// What the answer's value has to exceed [default: 0.5 for rouge and f1]
    #[arg(long, value_name = "X", help_heading = "Answers", allow_hyphen_values = true)]
    pub gate_threshold: Option<f64>,

    /// Scores to compute [default: all: retrieval, retrieval_reasoning, dili, lazy, inf and the
    /// counts diligent, subconscious, distracted, diffuse]
    #[arg(long, value_name = "LIST", help_heading = "Scores")]
    pub scores: Option<String>,

    /// Attention rows behind dili, lazy, inf and the counts: last-prompt, decode or all
    /// [default: all]
    #[arg(long, value_name = "ROWS", help_heading = "Scores")]
    pub score_rows: Option<String>,

    /// How many of a row's largest weights count as strong attention
    #[arg(
        long,
        alias = "top_k_infscore",
        value_name = "K",
        default_value_t = 10,
        help_heading = "Scores"
    )]
    pub top_k_infscore: usize,

    /// Compute scores as these references do: retrieval-head, headkv-r2, dililazykv. One alone
    /// also sets the defaults of --template, --gate, --max-new-tokens and --stop-newline
    /// [default: none, the corrected scores]
    #[arg(long, value_name = "LIST", help_heading = "Scores")]
    pub compat: Option<String>,

    /// Where head_score/, plots/ and probes.jsonl go
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Output")]
    pub out: PathBuf,

    /// Write no pictures
    #[arg(long, help_heading = "Output")]
    pub no_plots: bool,

    /// Also write the prompts as JSON lines (id, ids, needle, max_new_tokens, stop_ids), before
    /// the weights are read
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub export_probes: Option<PathBuf>,

    /// Print errors only
    #[arg(long, short, help_heading = "Output", action = ArgAction::SetTrue)]
    pub quiet: bool,

    /// Print one JSON object on standard output instead of the table
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}
