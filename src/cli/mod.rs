//! The command line: what can be typed, with its help. What it means is decided in
//! [`crate::config`].

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

mod ablate;
mod allocate;
mod bench;
mod cluster;
mod compare;
mod evaluate;
mod journal;
mod listed;
mod look;
mod ls;
mod merge;
mod observe;
mod probes;
mod report;
mod selection;
mod sensitivity;
mod tasks;
mod utility;

pub use ablate::{AblateArgs, OffArg, WhenArg};
pub use allocate::{AllocateArgs, FormArg, GranularityArg, ReduceArg};
pub use bench::BenchArgs;
pub use cluster::{ClusterArgs, Engine, KubernetesArgs, PlainArgs, ShardedArgs, SlurmArgs};
pub use compare::CompareArgs;
pub use evaluate::EvaluateArgs;
pub use journal::JournalArgs;
pub use look::LookArgs;
pub use ls::{LsArg, LsArgs};
pub use merge::MergeArgs;
pub use observe::ObserveArgs;
pub use probes::{ChatArg, ComputeArgs, DtypeArg, HubArgs, ModelArgs, ProbeArgs, Switch};
pub use report::ReportArgs;
pub use selection::SelectionArgs;
pub use sensitivity::SensitivityArgs;
pub use tasks::{CodeSimilarityArg, TaskArgs, TextArgs};
pub use utility::UtilityArgs;

const EXAMPLES: &str = "\
Examples:
  headprof --depths 0.1,0.5,0.9
      profile the embedded model needle-llama, some seconds on a laptop
  headprof --model ~/models/Llama-3.2-1B --lengths 1k,2k,4k
      profile a checkpoint of your own
  headprof --model meta-llama/Llama-3.2-1B --lengths 1k,2k,4k
      profile a checkpoint of the Hugging Face hub; licence and HF_TOKEN: docs/models.md
  headprof --model DIR --device cuda --min-len 1024 --max-len 8192 --context-intervals 8
  headprof --task babilong:qa1,qa2,qa3 --lengths 512,1k,2k
      which heads put several facts together
  headprof --haystack-dir texts --needles my-needles.jsonl --gate exact --out results
  headprof --compat headkv-r2 --needles needles.jsonl
      as the reference HeadKV computes it
  headprof evaluate --methods full,snapkv,headkv --budgets 64,128 \
      --head-score head_score/needle-llama_inf_heads.json
      what compression does to accuracy and memory
  headprof ablate --head-score head_score/needle-llama_inf_heads.json
      what becomes of the answers without the best heads, and without random ones
  headprof compare smollm2-135m-instruct:retrieval smollm2-135m-instruct:inf
      how alike two rankings of heads are; takes head_score files of other tools, too
  headprof look results --head 18-6
      the text of a prompt, and where the head looked token by token of the answer
  headprof report results
      one page of HTML of all that is in the folder; profiles and evaluate write it themselves
  headprof sensitivity --lengths 256,512 --out sensitivity
      does the ranking of heads depend on needle, depth, length, gate or chat template
  headprof --model DIR --lengths 8k --out results --shard 2/4
      the second of four parts, on any machine that shares the folder; then: headprof merge results
  headprof observe --layer 3 --head 5 --all
      a head's attention and the lengths of its values; what all heads do with the first tokens
  headprof verify DIR
      compare this build with what transformers computed for a checkpoint
  headprof allocate --method headkv --head-choice reason --budget 128
      divide a KV-cache budget among the heads by their scores
  headprof cluster slurm --shards 8 -- --model DIR --lengths 1k,2k,4k --out results
      a script that runs a profile as eight jobs of a cluster: docs/cluster.md

Exit codes: 0 done, 2 usage, 3 bad haystack, needles or journal, 4 bad model, 5 not enough memory,
disk or device, 6 too few answers passed the gate, some probes failed or shards are missing, 7 another process is writing to the
output folder, 130 interrupted: the same command goes on.";

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

impl Cli {
    /// Whether nothing but errors is told.
    pub fn is_quiet(&self) -> bool {
        match &self.command {
            None => self.profile.quiet,
            Some(Command::Evaluate(args)) => args.quiet,
            Some(Command::Ablate(args)) => args.quiet,
            Some(Command::Sensitivity(args)) => args.profile.quiet,
            Some(Command::Utility(args)) => args.quiet,
            Some(Command::Bench(args)) => args.quiet,
            Some(Command::Merge(args)) => args.quiet,
            Some(Command::Compare(args)) => args.quiet,
            Some(Command::Look(args)) => args.quiet,
            Some(Command::Report(args)) => args.quiet,
            Some(Command::Verify(args)) => args.json,
            Some(
                Command::Observe(_) | Command::Allocate(_) | Command::Cluster(_) | Command::Ls(_),
            ) => false,
        }
    }
}

/// Everything but profiling.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare this build with what transformers computed for a checkpoint
    Verify(VerifyArgs),
    /// Compare methods of KV-cache compression: accuracy, bytes held, seconds
    Evaluate(Box<EvaluateArgs>),
    /// Switch heads off: the best of a score, random ones, the worst, or each alone
    Ablate(Box<AblateArgs>),
    /// Tell whether the best heads are the model's, or those of needles, depths and prompt format
    Sensitivity(Box<SensitivityArgs>),
    /// Compare head scores, of whoever: correlations, best heads shared, heads that moved most
    Compare(CompareArgs),
    /// Show where heads looked while one answer of a profile was written
    Look(LookArgs),
    /// Make one page of HTML of the results in a folder
    Report(ReportArgs),
    /// Record what each head's tokens are worth to later queries, for the budgets of lukv
    Utility(Box<UtilityArgs>),
    /// Put the shards of a run together, and write its results
    Merge(MergeArgs),
    /// Draw a head's attention and the norms of its values; tabulate the attention sinks
    Observe(ObserveArgs),
    /// Measure prompt and answer speed, as a share of what this machine can do
    Bench(BenchArgs),
    /// Divide a KV-cache budget among the heads of a model
    Allocate(AllocateArgs),
    /// List what has a name on the command line: tasks, scores, gates, methods, allocators
    Ls(LsArgs),
    /// Print a script or manifest that runs a profile or comparison in shards on a cluster
    Cluster(ClusterArgs),
}

/// `headprof verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Folder of the checkpoint (Hugging Face layout), a GGUF file, or its id on the hub
    pub model: String,
    /// What transformers computed [default: golden.json in the folder, or beside the file]
    pub golden: Option<PathBuf>,
    /// The hub.
    #[command(flatten)]
    pub hub: HubArgs,
    /// What to compute on.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `headprof` without a subcommand. Lists and names are still text here.
#[derive(Debug, Clone, Default, Args)]
pub struct ProfileArgs {
    /// The probes.
    #[command(flatten)]
    pub probes: ProbeArgs,

    /// The task.
    #[command(flatten)]
    pub task: TaskArgs,

    /// Scores to compute.
    #[arg(long, value_name = "LIST", help = listed::scores(), help_heading = "Scores")]
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

    /// End when this share of the ten best heads is expected to be that of the whole grid, and
    /// halves of the needles agree to as much, for every main score, twice in a row: probes in a
    /// balanced order, in up to 12 steps. The same command without it goes on to the whole grid
    #[arg(long, value_name = "SHARE", help_heading = "Scores", num_args = 0..=1,
          default_missing_value = "0.95")]
    pub until_stable: Option<f64>,

    /// Compute scores as the references do, each as its own (reference), or as those of a list of
    /// retrieval-head, headkv-r2, dililazykv. One alone also sets the defaults of --template,
    /// --gate, --max-new-tokens and --stop-newline [default: none, the corrected scores]
    #[arg(long, value_name = "reference|LIST", help_heading = "Scores")]
    pub compat: Option<String>,

    /// Run what several prompts begin with once: the haystack up to where a needle goes in. The
    /// scores are the same but for rounding [default: on]
    #[arg(long, value_enum, value_name = "on|off", help_heading = "Model")]
    pub prefix_reuse: Option<Switch>,

    /// How many probes are answered together, each with a cache of its own; a step of answers then
    /// reads the weights once for all. The scores are the same but for rounding [default: auto: as
    /// many as pay, up to 8, and fit]
    #[arg(long, value_name = "N|auto", help_heading = "Model")]
    pub batch: Option<String>,

    /// Where head_score/, plots/, probes.jsonl and journal/ go
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Output")]
    pub out: PathBuf,

    /// How the run is journaled.
    #[command(flatten)]
    pub journal: JournalArgs,

    /// Write no pictures
    #[arg(long, help_heading = "Output")]
    pub no_plots: bool,

    /// Write no report.html
    #[arg(long, help_heading = "Output")]
    pub no_report: bool,

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

    /// Tell what the profile would take (probes, operations, memory, time) without reading weights
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,
}
