//! Needle in a haystack (Kamradt 2023): one sentence at a depth, and a question about it.

mod task;

use std::path::PathBuf;

pub use task::NeedleTask;

use super::{Benchmark, BenchmarkInfo, ProbeInputs, TaskInputs, TaskOptions, TaskSource};
use crate::config::{AnswerDefaults, ProbeConfig};
use crate::error::Result;
use crate::job::{ProbeSource, ProbeTexts, Session, TextsOrigin};
use crate::needle::{Needle, ProbeText};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Needles;

static INFO: BenchmarkInfo = BenchmarkInfo {
    name: "needle",
    title: "one sentence, at every depth",
    source: "Kamradt 2023, https://github.com/gkamradt/LLMTest_NeedleInAHaystack",
    list: "",
    takes: &[],
    metrics: task::METRICS,
    has_places: true,
};

impl Benchmark for Needles {
    fn info(&self) -> &'static BenchmarkInfo {
        &INFO
    }

    fn source(&self, asked: &TaskOptions) -> Result<Box<dyn TaskSource>> {
        Ok(Box::new(NeedleSource { path: asked.probes.needles.clone() }))
    }
}

/// Which needles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedleSource {
    /// A file or a folder of such; `None` for the bundled ones.
    pub path: Option<PathBuf>,
}

impl TaskSource for NeedleSource {
    fn info(&self) -> &'static BenchmarkInfo {
        &INFO
    }

    fn answers(&self) -> AnswerDefaults {
        AnswerDefaults::default()
    }

    fn probes(&self) -> Option<&dyn ProbeSource> {
        Some(self)
    }

    fn load(&self, config: &ProbeConfig, session: &Session) -> Result<Box<dyn TaskInputs>> {
        ProbeInputs::load(config, self, session, |cases| Box::new(NeedleTask(cases)))
    }
}

impl ProbeSource for NeedleSource {
    fn read(&self, _: &ProbeConfig) -> Result<ProbeTexts> {
        let needles = match &self.path {
            Some(path) => Needle::load(path)?,
            None => Needle::bundled()?,
        };
        let texts = needles.into_iter().map(ProbeText::from).collect();
        Ok(ProbeTexts {
            needles: self.path.clone(),
            ..ProbeTexts::new(texts, TextsOrigin::Needles)
        })
    }
}
