//! `headprof cluster`: a script that has an engine of clusters run the shards. Nothing is written
//! and nothing is submitted.
//!
//! ```text
//! ClusterArgs ─► Job (checked options) ─► sbatch script, manifest or shell script
//! ```

mod job;
mod kubernetes;
mod plain;
mod slurm;

use crate::cli::{ClusterArgs, Engine};
use crate::error::Result;

use job::Job;

/// The text for standard output.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) for options that the shards would refuse, or that the
/// engine would.
pub fn run(args: &ClusterArgs) -> Result<String> {
    match &args.engine {
        Engine::Slurm(args) => slurm::script(&Job::new(&args.sharded)?, args),
        Engine::Kubernetes(args) => kubernetes::manifest(&Job::new(&args.sharded)?, args),
        Engine::Plain(args) => Ok(plain::script(&Job::new(&args.sharded)?)),
    }
}
