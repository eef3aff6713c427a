//! What every command that runs a model over prompts takes: the model and its device, the grid, the
//! texts, the answers. Lists and names are still text here.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// Values of `--chat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChatArg {
    /// Where the checkpoint has a template, and the task is asked with one.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Number types of `--dtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtypeArg {
    /// 32-bit floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// 16-bit brain floats.
    Bf16,
}

/// What to compute on.
#[derive(Debug, Clone, Default, Args)]
pub struct ComputeArgs {
    /// cpu, cuda, cuda:N, several GPUs (cuda:0,cuda:1), vulkan or auto [default: cpu]
    #[arg(long, help_heading = "Model")]
    pub device: Option<String>,

    /// The GPU of this number; short for --device cuda:N
    #[arg(long, value_name = "N", help_heading = "Model", conflicts_with = "device")]
    pub gpu: Option<usize>,

    /// Type of weights and cache on a GPU [default: bf16, f32 by way of Vulkan]; the CPU computes
    /// in f32, with weights as saved
    #[arg(long, value_enum, help_heading = "Model")]
    pub dtype: Option<DtypeArg>,

    /// Type in which the CPU keeps the weights' matrices [default: as saved; of quantised files
    /// f32, which holds their numbers exactly]
    #[arg(long, value_enum, value_name = "TYPE", help_heading = "Model")]
    pub weights: Option<DtypeArg>,

    /// Threads of the CPU [default: one per core]
    #[arg(long, value_name = "N", help_heading = "Model")]
    pub threads: Option<usize>,
}

/// How a model of the Hugging Face hub is got.
#[derive(Debug, Clone, Default, Args)]
pub struct HubArgs {
    /// Take a model of the hub from the cache alone, without any request; as HF_HUB_OFFLINE=1
    #[arg(long, help_heading = "Model")]
    pub offline: bool,
}

/// Which model, and what to compute on.
#[derive(Debug, Clone, Default, Args)]
pub struct ModelArgs {
    /// Folder of a checkpoint with config.json, model.safetensors and tokenizer.json; a GGUF file;
    /// or the id of a checkpoint on the Hugging Face hub, ORG/NAME or ORG/NAME@REVISION, with
    /// :FILE.gguf behind it one of its GGUF files [default: needle-llama, the embedded model]
    #[arg(
        long = "model",
        value_name = "DIR|FILE|ID",
        help_heading = "Model",
        aliases = ["model-path", "model_path"]
    )]
    pub name: Option<String>,

    /// How it is got.
    #[command(flatten)]
    pub hub: HubArgs,

    /// What to compute on.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// The probes: which model, which prompts, which answers.
#[derive(Debug, Clone, Default, Args)]
pub struct ProbeArgs {
    /// The model, and what to compute on.
    #[command(flatten)]
    pub model: ModelArgs,

    /// Prompt tokens per pass [default: 256 on the CPU, 2048 on a GPU]
    #[arg(long, value_name = "TOKENS", help_heading = "Model")]
    pub chunk: Option<usize>,

    /// Most memory to take by estimate, such as 512MiB or 8GiB: fewer probes at a time, and none
    /// that is too long on the CPU; of each GPU its own [default: what is free]
    #[arg(long, value_name = "SIZE", help_heading = "Model")]
    pub memory: Option<String>,

    /// Depths of the needle, 0 (start) to 1 (end), such as 0.1,0.5,0.9 [default: ten even depths]
    #[arg(long, value_name = "LIST", help_heading = "Grid", allow_hyphen_values = true)]
    pub depths: Option<String>,

    /// Context lengths in tokens, such as 512, 1k..32k (doubling) or 1k..8k:1k, with commas between
    /// them [default: 256,512,1024 for needle-llama, else those of 512,1k,2k,4k that the model is
    /// made for]
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

    /// What follows the haystack, with {question} in it; with {context}, for the haystack, also
    /// what stands before it; \n is a line break
    /// [default: \nBased on the content of the book, Question: {question}\nAnswer:]
    #[arg(long, value_name = "TEXT", help_heading = "Text", allow_hyphen_values = true)]
    pub template: Option<String>,

    /// Whether prompts are messages of the checkpoint's chat template: auto (where it has one, and
    /// the task is asked with one), always, never [default: auto; never with --compat]
    #[arg(
        long,
        value_enum,
        value_name = "auto|always|never",
        help_heading = "Text",
        hide_possible_values = true
    )]
    pub chat: Option<ChatArg>,

    /// A variable of the chat template, such as enable_thinking=true; the value is JSON, or else a
    /// text. Once for each variable
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Text")]
    pub chat_option: Vec<String>,

    /// Most tokens of an answer [default: 32, and 1024 for the thinking where that is on]
    #[arg(long, value_name = "N", help_heading = "Answers")]
    pub max_new_tokens: Option<usize>,

    /// Whether a line break ends an answer, as the model's end-of-sequence tokens always do
    /// [default: on, but for chat messages, whose answers end by themselves]
    #[arg(
        long,
        value_enum,
        value_name = "on|off",
        help_heading = "Answers",
        hide_possible_values = true
    )]
    pub stop_newline: Option<Switch>,

    /// Which answers count: rouge (ROUGE-1 recall), f1 (token F1), semantic (cosine of sentence
    /// embeddings), exact, label (stories), none [default: rouge; of stories label]
    #[arg(long, help_heading = "Answers")]
    pub gate: Option<String>,

    /// What the answer's value has to exceed [default: 0.5 for rouge and f1, 0.2 for semantic]
    #[arg(long, value_name = "X", help_heading = "Answers", allow_hyphen_values = true)]
    pub gate_threshold: Option<f64>,

    /// Embedding model of --gate semantic: a folder with model.onnx, config.json, tokenizer.json,
    /// tokenizer_config.json and special_tokens_map.json, or an id of the hub
    /// [default: Qdrant/all-MiniLM-L6-v2-onnx]
    #[arg(long, value_name = "DIR|ID", help_heading = "Answers")]
    pub gate_model: Option<String>,

    /// The library ONNX Runtime (1.24 or later) of --gate semantic [default: ORT_DYLIB_PATH, else
    /// beside headprof or where the system has libraries]
    #[arg(long, value_name = "FILE", help_heading = "Answers")]
    pub onnxruntime: Option<PathBuf>,
}

impl ProbeArgs {
    /// Whether context lengths are asked for, by any of the options for them.
    pub fn has_lengths(&self) -> bool {
        let counts = [self.min_len, self.max_len, self.context_intervals];
        self.lengths.is_some() || counts.iter().any(Option::is_some)
    }

    /// Whether a gate, or anything of one, is asked for.
    pub fn has_gate(&self) -> bool {
        let names = [&self.gate, &self.gate_model];
        let others = self.gate_threshold.is_some() || self.onnxruntime.is_some();
        others || names.iter().any(|name| name.is_some())
    }

    /// Whether a haystack, or anything of one, is asked for.
    pub fn has_haystack(&self) -> bool {
        self.haystack_dir.is_some() || self.skip_bad_files
    }
}
