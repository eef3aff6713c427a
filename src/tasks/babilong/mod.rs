//! Reason in a haystack (BABILong, Kuratov et al. 2024, arXiv 2406.10149): the facts of a story
//! among other text, and a question that several of them answer together.
//!
//! | file | what it knows |
//! |---|---|
//! | [`babi`] | the simulator that tells stories in the forms of bAbI |
//! | `stories` | which stories a run is about |
//! | [`rows`], `published` | published rows, and where the facts are in them |
//! | `prompts` | what is put around a story, by task: ours, or the user's file |
//! | `task` | the prompts as an evaluation |

pub mod babi;
pub mod rows;

mod prompts;
mod published;
mod stories;
mod task;

pub use prompts::TaskTemplates;
pub use published::Published;
pub use stories::{Stories, parse_tasks};
pub use task::BabilongTask;

use std::path::PathBuf;

use super::{Benchmark, BenchmarkInfo, ProbeInputs, Purpose, TaskInputs, TaskOptions, TaskSource};
use crate::config::{
    AnswerDefaults, AtOption, DEFAULT_SAMPLES, ModelChoice, ProbeConfig, at_least_one,
};
use crate::error::Result;
use crate::gate::GateKind;
use crate::job::{ProbeSource, ProbeTexts, Session, TextsOrigin};
use crate::needle::ProbeText;
use crate::score::References;
use babi::BabiTask;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Babilong;

static INFO: BenchmarkInfo = BenchmarkInfo {
    name: "babilong",
    title: "the facts of a story, scattered",
    source: "BABILong, https://arxiv.org/abs/2406.10149",
    list: "qa1..qa5",
    takes: &[
        (
            "--task-data",
            "rows whose path says the task (qa1), .json, .jsonl or .arrow, or a folder of them \
             [default: stories that are told here]",
        ),
        (
            "--samples",
            "stories of each task at every length [default: 20], or rows of each file [default: \
             all]",
        ),
        (
            "--prompts",
            "JSON files with what is put around stories, by task, such as BABILong's own \
             [default: --template, else an instruction and worked examples of our own; \
             needle-llama, which knows no instructions, is asked the question alone]",
        ),
    ],
    metrics: task::METRICS,
    has_places: true,
};

/// Tasks where none are named: of a profile one, two and three supporting facts; of an evaluation
/// those that the references evaluate.
const fn default_tasks(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Profile => "qa1..qa3",
        Purpose::Evaluate => "qa1..qa5",
    }
}

impl Benchmark for Babilong {
    fn info(&self) -> &'static BenchmarkInfo {
        &INFO
    }

    fn source(&self, asked: &TaskOptions) -> Result<Box<dyn TaskSource>> {
        let (list, option) = asked.list();
        let tasks = |list: &str| parse_tasks(list).at_option(option);
        let samples = at_least_one("--samples", asked.task.samples)?;
        let rows = match &asked.task.task_data {
            None => StoryRows::Told(Stories {
                tasks: tasks(list.unwrap_or(default_tasks(asked.purpose)))?,
                samples: samples.unwrap_or(DEFAULT_SAMPLES),
                held_out: asked.purpose == Purpose::Evaluate,
            }),
            Some(path) => {
                let tasks = list.map(tasks).transpose()?;
                StoryRows::Published { path: path.clone(), tasks, samples }
            }
        };
        let (p, published) = (asked.probes, asked.task.task_data.is_some());
        asked.refuse(&[
            ("--depths", p.depths.is_some(), "the facts of a story are scattered over all depths"),
            ("--needles", p.needles.is_some(), "stories bring their own facts"),
            (
                "--compat",
                asked.compat != References::default(),
                "the references score heads on needles alone",
            ),
            (
                "--lengths",
                published && p.has_lengths(),
                "published rows have the lengths that they have",
            ),
            (
                "--haystack-dir",
                published && p.haystack_dir.is_some(),
                "published rows have their own",
            ),
            ("--repeats", published && p.repeats > 1, "published rows are what they are"),
        ])?;
        let prompts = asked.task.prompts.clone();
        let bundled = prompts.is_empty() && p.template.is_none();
        Ok(Box::new(BabilongSource { rows, prompts, bundled }))
    }
}

/// Which stories, and what is put around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BabilongSource {
    /// The stories.
    pub rows: StoryRows,
    /// Files with templates by task.
    pub prompts: Vec<PathBuf>,
    /// Whether templates are our own, for models that take instructions.
    pub bundled: bool,
}

/// Which stories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoryRows {
    /// Stories in the forms of bAbI that are told here.
    Told(Stories),
    /// Published rows.
    Published {
        /// A file or a folder of such.
        path: PathBuf,
        /// Tasks; `None` for all that the files say.
        tasks: Option<Vec<BabiTask>>,
        /// Most rows of each file; `None` for all.
        samples: Option<usize>,
    },
}

impl TaskSource for BabilongSource {
    fn info(&self) -> &'static BenchmarkInfo {
        &INFO
    }

    fn answers(&self) -> AnswerDefaults {
        AnswerDefaults { gate: Some(GateKind::Label), labels: true, stop: None }
    }

    fn probes(&self) -> Option<&dyn ProbeSource> {
        Some(self)
    }

    fn load(&self, config: &ProbeConfig, session: &Session) -> Result<Box<dyn TaskInputs>> {
        ProbeInputs::load(config, self, session, |cases| Box::new(BabilongTask(cases)))
    }
}

impl ProbeSource for BabilongSource {
    fn read(&self, config: &ProbeConfig) -> Result<ProbeTexts> {
        let templates = match self.bundled && config.model != ModelChoice::NeedleLlama {
            true => TaskTemplates::bundled()?,
            false => TaskTemplates::read(&self.prompts)?,
        };
        let texts = match &self.rows {
            StoryRows::Told(stories) => {
                let told = stories.tell(config.seed)?;
                let origin = TextsOrigin::Stories {
                    tasks: stories.tasks.iter().map(|task| task.sub_task()).collect(),
                    samples: stories.samples,
                    held_out: stories.held_out,
                };
                ProbeTexts::new(told.into_iter().map(ProbeText::Facts).collect(), origin)
            }
            StoryRows::Published { path, tasks, samples } => {
                let published = Published::load(path, tasks.as_deref(), *samples)?;
                let notes = published.notes();
                let Published { contexts, files, .. } = published;
                let files = files.into_iter().map(|file| file.rows_file()).collect();
                let origin = TextsOrigin::Published { path: path.display().to_string(), files };
                let texts = contexts.into_iter().map(ProbeText::Context).collect();
                ProbeTexts { notes, ..ProbeTexts::new(texts, origin) }
            }
        };
        let (templates, template_files) = templates.into_parts();
        Ok(ProbeTexts { templates, template_files, ..texts })
    }
}
