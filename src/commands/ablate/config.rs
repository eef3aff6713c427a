//! [`AblateConfig`]: the options of `headprof ablate`, parsed and validated.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::outputs;
use crate::cli::{AblateArgs, OffArg, TextArgs, WhenArg};
use crate::config::{Depth, Paths, ProbeConfig, Surroundings, batch, journal_options};
use crate::error::{Error, Result};
use crate::gate::GateKind;
use crate::head_score::named;
use crate::journal::{JOURNAL, JournalOptions};
use crate::model::ablation::How;
use crate::report;
use crate::score::References;
use crate::system::Reporter;
use crate::tasks::{self, Purpose, TaskOptions, TaskSource};

/// From where on heads are off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// For the whole prompt and the answer.
    All,
    /// From the question on.
    Question,
    /// For the answer: from the query of the prompt's last token on, which gives its first token.
    Answer,
}

impl When {
    /// As it is written in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Question => "question",
            Self::Answer => "answer",
        }
    }

    /// How many tokens of a prompt of `tokens`, of which `before_question` stand before the
    /// question, are read with all heads on.
    pub fn tokens_before(self, tokens: usize, before_question: usize) -> usize {
        match self {
            Self::All => 0,
            Self::Question => before_question,
            Self::Answer => tokens.saturating_sub(1),
        }
    }
}

/// Which heads are switched off.
#[derive(Debug, Clone, PartialEq)]
pub enum Which {
    /// Several together, by the scores of a file.
    Sets {
        /// The file.
        head_score: PathBuf,
        /// Whether another model's scores are used.
        force: bool,
        /// How many, ascending.
        ks: Vec<usize>,
        /// Random sets for each of these numbers.
        draws: usize,
    },
    /// Each alone.
    Each,
}

/// Heads to switch off, without contradictions.
pub struct AblateConfig {
    /// The prompts.
    pub probes: ProbeConfig,
    /// What is asked.
    pub task: Box<dyn TaskSource>,
    /// The same as it was said, with its list.
    pub asked: String,
    /// Which heads.
    pub which: Which,
    /// What becomes of them.
    pub how: How,
    /// From where on.
    pub when: When,
    /// How many sets of heads answer a prompt together; `None` for as many as pay and fit.
    pub batch: Option<usize>,
    /// How the run is journaled.
    pub journal: JournalOptions,
    /// Output folder.
    pub out: PathBuf,
    /// Whether pictures are drawn.
    pub plots: bool,
    /// Whom to tell.
    pub reporter: Reporter,
    /// What the user should know about the arguments.
    pub notes: Vec<String>,
    /// The command line, for the record.
    pub command: Vec<String>,
}

impl AblateConfig {
    /// Validates `args`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &AblateArgs, surroundings: &Surroundings) -> Result<Self> {
        let compat = References::default();
        let task = tasks::choose(&TaskOptions {
            task: &args.task,
            text: &TextArgs::default(),
            probes: &args.probes,
            compat,
            purpose: Purpose::Evaluate,
        })?;
        if !task.info().has_places {
            return Err(Error::usage("heads are switched off for tasks with one expected answer")
                .at("--task")
                .got(task.info().name)
                .expected("needle or babilong"));
        }
        let (probes, mut notes) =
            ProbeConfig::new(&args.probes, task.answers(), compat, surroundings)?;
        if probes.gate.kind == GateKind::None {
            return Err(Error::usage("switching heads off needs a gate that an answer can fail")
                .at("--gate")
                .got("none")
                .expected("rouge, f1, semantic or exact"));
        }
        let which = which(args)?;
        let read = match &which {
            Which::Sets { head_score, .. } => Some(head_score.as_path()),
            Which::Each => None,
        };
        let paths = Paths::of_probes(&args.probes)
            .and_of_task(&args.task)
            .reads("--head-score", read, ("json", Depth::In))
            .fills("--out", &args.out.join("plots"))
            .fills("--out", &args.out.join(JOURNAL));
        let paths = paths.writes("--out", Some(&args.out.join(report::FILE)));
        match which {
            Which::Each => paths.fills("--out", &args.out.join(named::FOLDER)).check()?,
            Which::Sets { .. } => {
                let files = outputs::FILES.iter().map(|name| args.out.join(name));
                files.fold(paths, |all, file| all.writes("--out", Some(&file))).check()?;
            }
        }
        Ok(Self {
            probes,
            task,
            asked: args.task.asked(),
            which,
            how: match args.off {
                OffArg::Zero => How::Zero,
                OffArg::Mean => How::Mean,
                OffArg::Uniform => How::Uniform,
            },
            when: match args.when {
                WhenArg::All => When::All,
                WhenArg::Question => When::Question,
                WhenArg::Answer => When::Answer,
            },
            batch: batch(args.batch.as_deref())?,
            journal: journal_options(&args.journal, surroundings, &mut notes)?,
            out: args.out.clone(),
            plots: !args.no_plots,
            reporter: Reporter { quiet: args.quiet, json: args.json },
            notes,
            command: surroundings.command.clone(),
        })
    }
}

fn which(args: &AblateArgs) -> Result<Which> {
    if args.each {
        return Ok(Which::Each);
    }
    let Some(asked) = &args.head_score else {
        return Err(Error::usage("which heads are the best is not said")
            .at("--head-score")
            .got("nothing")
            .expected("--head-score FILE, or --each for every head alone")
            .advice("`headprof` alone writes scores to head_score/"));
    };
    let head_score = named::file(asked, Path::new(named::FOLDER), "--head-score")?;
    Ok(Which::Sets { head_score, force: args.force, ks: ks(&args.k)?, draws: args.draws })
}

fn ks(list: &str) -> Result<Vec<usize>> {
    let wrong = |word: &str| {
        Error::usage("this is no number of heads")
            .at("--k")
            .got(format!("\"{word}\""))
            .expected("whole numbers from 1 upwards, such as 1,2,5,10")
    };
    let mut ks = Vec::new();
    for word in list.split(',').map(str::trim) {
        ks.push(word.parse().ok().filter(|n| *n > 0).ok_or_else(|| wrong(word))?);
    }
    ks.sort_unstable();
    ks.dedup();
    Ok(ks)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(line: &str) -> Result<AblateConfig> {
        let words: Vec<&str> =
            ["headprof", "ablate"].into_iter().chain(line.split_whitespace()).collect();
        let cli = Cli::try_parse_from(&words).expect("clap takes the line");
        let Some(Command::Ablate(args)) = cli.command else { panic!("not ablate") };
        AblateConfig::new(&args, &Surroundings::default())
    }

    #[test]
    fn numbers_of_heads_are_sorted_and_taken_once() {
        let config = parse("--head-score x.json --k 5,1,5 --draws 3 --when answer --off uniform");
        let config = config.unwrap();
        let head_score = PathBuf::from("x.json");
        let want = Which::Sets { head_score, force: false, ks: vec![1, 5], draws: 3 };
        assert_eq!((&config.which, config.how, config.when), (&want, How::Uniform, When::Answer));
        let each = parse("--each --task babilong:qa1").unwrap();
        assert_eq!((each.which, each.asked.as_str()), (Which::Each, "babilong:qa1"));
    }

    #[test]
    fn stages_begin_where_they_say() {
        assert_eq!(When::All.tokens_before(100, 80), 0);
        assert_eq!(When::Question.tokens_before(100, 80), 80);
        assert_eq!(When::Answer.tokens_before(100, 80), 99);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, named) in [
            ("", "--head-score"),
            ("--head-score x.json --k 0", "--k"),
            ("--head-score x.json --k 1,x", "\"x\""),
            ("--head-score x.json --gate none", "--gate"),
            ("--each --task ruler", "--task"),
            ("--each --task longbench --task-data x", "--task"),
            ("--each --batch 0", "--batch"),
            ("--head-score nobody", "nobody"),
        ] {
            let e = parse(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
            assert_eq!(e.exit_code(), 2, "{line}");
            assert!(e.to_string().contains(named), "{line}: {e}");
        }
    }
}
