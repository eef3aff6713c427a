//! What several commands are told alike, validated: the probes, the model, what to compute on, how
//! answers are judged. Every mistake that can be seen without reading a file is found here and in
//! the commands' own configurations, with exit code 2; after this nothing is "maybe set".

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::gate::onnxruntime::RuntimePlaces;
use crate::hub::Environment;

mod chat;
mod compute;
mod gate;
mod journal;
mod model;
mod paths;
mod probes;
mod selection;
mod stop;

pub use compute::ComputeConfig;
pub(crate) use journal::journal_options;
pub use model::ModelChoice;
pub(crate) use paths::{Depth, Paths};
pub use probes::{
    AnswerDefaults, Lengths, MaxNewTokens, ProbeConfig, THINKING_TOKENS, default_chunk_tokens,
};
pub(crate) use selection::eviction_options;
pub use stop::StopRule;

/// Rows of each task that are made where no number is given.
pub(crate) const DEFAULT_SAMPLES: usize = 20;

/// What `--batch` says: a number, or `None` for "auto".
pub(crate) fn batch(arg: Option<&str>) -> Result<Option<usize>> {
    let Some(text) = arg.filter(|text| *text != "auto") else { return Ok(None) };
    let n = text.parse().map_err(|_| {
        Error::usage("this does not say how many are answered together")
            .at("--batch")
            .got(text)
            .expected("a number of at least 1, or auto")
    })?;
    at_least_one("--batch", Some(n))
}

/// What surrounds a command line: where models of the hub and ONNX Runtime come from, and the line
/// itself for the record.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The words of the command line.
    pub command: Vec<String>,
    /// What the environment says of the hub.
    pub hub: Environment,
    /// Where ONNX Runtime is looked for.
    pub runtime: RuntimePlaces,
    /// What the engine of a cluster says of this process, by the names of variables.
    pub cluster: BTreeMap<String, String>,
    /// Whether downloads are not told.
    pub quiet: bool,
}

/// Adds the option to an error about its value.
pub(crate) trait AtOption {
    /// The error, with the option as its place.
    fn at_option(self, option: &str) -> Self;
}

impl<T> AtOption for Result<T> {
    fn at_option(self, option: &str) -> Self {
        self.map_err(|e| e.at(option))
    }
}

/// Refuses 0 where something is counted.
pub(crate) fn at_least_one(option: &str, n: Option<usize>) -> Result<Option<usize>> {
    match n {
        Some(0) => {
            Err(Error::usage("this number cannot be 0").at(option).got(0).expected("1 or more"))
        }
        n => Ok(n),
    }
}
