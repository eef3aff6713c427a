//! [`ProbeSource`]: what is hidden in the prompts, and which options that leaves.

use std::path::{Path, PathBuf};

use super::{AtOption, at_least_one};
use crate::cli::ProbeArgs;
use crate::error::{Error, Result};
use crate::score::CompatSet;
use crate::tasks::babilong::babi::BabiTask;
use crate::tasks::babilong::{Stories, parse_tasks};

/// What is hidden in the haystack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeSource {
    /// Needles: one sentence each, at a depth.
    Needles,
    /// Stories in the forms of bAbI, whose facts are scattered.
    Babilong(Stories),
    /// Published rows of BABILong, each a context with facts in it.
    Published(PublishedRows),
}

/// Which published rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedRows {
    /// A file or a folder of such.
    pub path: PathBuf,
    /// Tasks; `None` for all that the files say.
    pub tasks: Option<Vec<BabiTask>>,
    /// Most rows of each file; `None` for all.
    pub samples: Option<usize>,
}

impl ProbeSource {
    /// Stories of the tasks in a list such as `qa1..qa3`, `samples` of each; `held_out` as
    /// [`Stories::held_out`].
    ///
    /// # Errors
    /// [`Error::Usage`] naming `option`, where the list was given, or `--samples`.
    pub fn babilong(tasks: &str, option: &str, samples: usize, held_out: bool) -> Result<Self> {
        at_least_one("--samples", Some(samples))?;
        let tasks = parse_tasks(tasks).at_option(option)?;
        Ok(Self::Babilong(Stories { tasks, samples, held_out }))
    }

    /// Rows of the files in `path`, of all tasks or of those of a list.
    ///
    /// # Errors
    /// As [`ProbeSource::babilong`].
    pub fn published(
        path: &Path,
        tasks: Option<&str>,
        option: &str,
        samples: Option<usize>,
    ) -> Result<Self> {
        Ok(Self::Published(PublishedRows {
            path: path.to_owned(),
            tasks: tasks.map(parse_tasks).transpose().at_option(option)?,
            samples: at_least_one("--samples", samples)?,
        }))
    }
}

/// Refuses what has no meaning for the source of the probes.
pub(super) fn refuse_for(source: &ProbeSource, args: &ProbeArgs, compat: CompatSet) -> Result<()> {
    let published = matches!(source, ProbeSource::Published(_));
    let lengths = args.lengths.is_some()
        || args.min_len.is_some()
        || args.max_len.is_some()
        || args.context_intervals.is_some();
    let given = [
        ("--depths", args.depths.is_some(), "the facts of a story are scattered over all depths"),
        ("--needles", args.needles.is_some(), "stories bring their own facts"),
        ("--compat", compat != CompatSet::default(), "the references score heads on needles alone"),
        ("--lengths", published && lengths, "published rows have the lengths that they have"),
        (
            "--haystack-dir",
            published && args.haystack_dir.is_some(),
            "published rows have their own",
        ),
        ("--repeats", published && args.repeats > 1, "published rows are what they are"),
    ];
    match given.iter().find(|g| g.1) {
        Some((option, _, why)) if *source != ProbeSource::Needles => {
            Err(Error::usage(format!("{option} is for other probes"))
                .at(option)
                .got("--probe babilong")
                .expected(format!("no {option}: {why}")))
        }
        _ => Ok(()),
    }
}
