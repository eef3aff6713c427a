//! The options of `headprof cluster`.

use clap::{Args, Subcommand};

/// `headprof cluster`.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// What starts the shards.
    #[command(subcommand)]
    pub engine: Engine,
}

/// What starts the shards.
#[derive(Debug, Subcommand)]
pub enum Engine {
    /// A script for sbatch: an array of jobs
    Slurm(SlurmArgs),
    /// A manifest for kubectl: an Indexed Job
    Kubernetes(KubernetesArgs),
    /// A script for anything else: a loop, GNU parallel, HyperQueue, SkyPilot, dstack
    Plain(PlainArgs),
}

/// What all engines are told.
#[derive(Debug, Args)]
pub struct ShardedArgs {
    /// How many shards the work is divided into
    #[arg(long, value_name = "N")]
    pub shards: usize,

    /// How many of them run at the same time, at most [default: as many as there is room for]
    #[arg(long, value_name = "M")]
    pub at_once: Option<usize>,

    /// The program, where it is not found as headprof
    #[arg(long, value_name = "PATH", default_value = "headprof")]
    pub program: String,

    /// What stands behind `headprof`, without --shard
    #[arg(last = true, value_name = "OPTIONS")]
    pub options: Vec<String>,
}

/// `headprof cluster slurm`. What is not given is not printed: then the site's default holds.
#[derive(Debug, Args)]
pub struct SlurmArgs {
    /// The shards.
    #[command(flatten)]
    pub sharded: ShardedArgs,

    /// Name of the job, and of its log files
    #[arg(long, value_name = "NAME", default_value = "headprof", help_heading = "sbatch")]
    pub job_name: String,

    /// Time limit of a shard, such as 2:00:00
    #[arg(long, value_name = "TIME", help_heading = "sbatch")]
    pub time: Option<String>,

    /// Partition
    #[arg(long, value_name = "NAME", help_heading = "sbatch")]
    pub partition: Option<String>,

    /// Account that pays
    #[arg(long, value_name = "NAME", help_heading = "sbatch")]
    pub account: Option<String>,

    /// GPUs of a shard, such as 1 or h100:1
    #[arg(long, value_name = "GPUS", help_heading = "sbatch")]
    pub gpus_per_task: Option<String>,

    /// The same where GPUs are generic resources, such as gpu:1
    #[arg(long, value_name = "LIST", help_heading = "sbatch")]
    pub gres: Option<String>,

    /// Cores of a shard
    #[arg(long, value_name = "CORES", help_heading = "sbatch")]
    pub cpus_per_task: Option<usize>,

    /// Memory of a shard, such as 32G
    #[arg(long, value_name = "SIZE", help_heading = "sbatch")]
    pub mem: Option<String>,

    /// Another option of sbatch, such as --sbatch=--constraint=a100; may be given several times
    #[arg(long, value_name = "OPTION", help_heading = "sbatch", allow_hyphen_values = true)]
    pub sbatch: Vec<String>,
}

/// `headprof cluster kubernetes`.
#[derive(Debug, Args)]
pub struct KubernetesArgs {
    /// The shards.
    #[command(flatten)]
    pub sharded: ShardedArgs,

    /// Container image that has headprof
    #[arg(long, value_name = "IMAGE", help_heading = "Job")]
    pub image: String,

    /// Name of the Job
    #[arg(long, value_name = "NAME", default_value = "headprof", help_heading = "Job")]
    pub name: String,

    /// Claim of the volume that all shards write to
    #[arg(long, value_name = "CLAIM", default_value = "headprof", help_heading = "Job")]
    pub claim: String,

    /// Where the volume is mounted; --out is relative to it or lies below it
    #[arg(long, value_name = "PATH", default_value = "/work", help_heading = "Job")]
    pub mount: String,

    /// GPUs of a shard
    #[arg(long, value_name = "N", help_heading = "Job")]
    pub gpus: Option<usize>,

    /// Name of the resource that GPUs are
    #[arg(long, value_name = "NAME", default_value = "nvidia.com/gpu", help_heading = "Job")]
    pub gpu_resource: String,

    /// Cores of a shard, such as 8
    #[arg(long, value_name = "QUANTITY", help_heading = "Job")]
    pub cpu: Option<String>,

    /// Memory of a shard, such as 32Gi
    #[arg(long, value_name = "QUANTITY", help_heading = "Job")]
    pub memory: Option<String>,

    /// How often a shard that failed is begun again
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Job")]
    pub retries: u32,
}

/// `headprof cluster plain`.
#[derive(Debug, Args)]
pub struct PlainArgs {
    /// The shards.
    #[command(flatten)]
    pub sharded: ShardedArgs,
}
