//! [`Benchmark`] and [`TaskSource`]: what `--task` names, and what was chosen of it.

use std::fmt;

use super::{Metric, TaskInputs, registry};
use crate::cli::{ProbeArgs, TaskArgs, TextArgs};
use crate::config::{AnswerDefaults, AtOption, ProbeConfig};
use crate::error::{Error, Result};
use crate::job::{ProbeSource, Session};
use crate::score::References;

/// The constants of a benchmark.
#[derive(Debug, PartialEq)]
pub struct BenchmarkInfo {
    /// What `--task` and files call it.
    pub name: &'static str,
    /// What its authors call it, with what is asked.
    pub title: &'static str,
    /// The paper that it is from.
    pub source: &'static str,
    /// What may stand behind the colon of `--task`, as an example; empty where nothing may.
    pub list: &'static str,
    /// Which of the options of tasks it takes, each with what it means here.
    pub takes: &'static [Takes],
    /// What every answer is measured by. The first is the accuracy, 0 or 1 per answer or a share;
    /// the table, the curves and the comparisons are about it.
    pub metrics: &'static [Metric],
    /// Whether it is known where in a prompt the answer stands, so that heads can be scored.
    pub has_places: bool,
}

/// An option of tasks, and what it means for one.
pub type Takes = (&'static str, &'static str);

/// As every benchmark takes it whose prompts are whole texts.
pub(super) const MAX_PROMPT_TOKENS: Takes = (
    "--max-prompt-tokens",
    "longer prompts are shortened in the middle [default: what the model has room for beside the \
     answer]",
);

impl BenchmarkInfo {
    /// What one of the options of tasks means here; `None` if it is not taken.
    pub fn meaning(&self, option: &str) -> Option<&'static str> {
        self.takes.iter().find(|(taken, _)| *taken == option).map(|(_, meaning)| *meaning)
    }

    /// The benchmark that `--task` and files call this.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        infos().find(|info| info.name == name)
    }

    /// The name in file names and titles; `None` for the benchmark that is asked where nothing else
    /// is said.
    pub fn label(&self) -> Option<&'static str> {
        (registry()[0].info() != self).then_some(self.name)
    }
}

/// A benchmark.
pub trait Benchmark: Sync {
    /// Its constants.
    fn info(&self) -> &'static BenchmarkInfo;

    /// What the options say, validated.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option, also for one that has no meaning here.
    fn source(&self, asked: &TaskOptions) -> Result<Box<dyn TaskSource>>;
}

/// Which of a benchmark's prompts are asked, and how.
pub trait TaskSource: fmt::Debug + Send + Sync {
    /// The benchmark's constants.
    fn info(&self) -> &'static BenchmarkInfo;

    /// What it says about answers, where the user does not.
    fn answers(&self) -> AnswerDefaults;

    /// What is hidden in its prompts, where its place is known.
    fn probes(&self) -> Option<&dyn ProbeSource> {
        None
    }

    /// Reads its rows or makes them, and the model's files.
    ///
    /// # Errors
    /// [`Error::Data`] naming file and row, [`Error::Model`] for the model, and [`Error::Usage`]
    /// for lengths that the model has no room for.
    fn load(&self, config: &ProbeConfig, session: &Session) -> Result<Box<dyn TaskInputs>>;
}

/// What prompts are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To score heads.
    Profile,
    /// To compare methods, by prompts that heads were not scored on.
    Evaluate,
}

/// The options that decide about a task.
#[derive(Debug, Clone, Copy)]
pub struct TaskOptions<'a> {
    /// Which task, and its rows.
    pub task: &'a TaskArgs,
    /// What tasks of whole texts take.
    pub text: &'a TextArgs,
    /// What is said about prompts and answers.
    pub probes: &'a ProbeArgs,
    /// References whose scores are asked for.
    pub compat: References,
    /// What the prompts are for.
    pub purpose: Purpose,
}

impl<'a> TaskOptions<'a> {
    /// The name in front of the colon of `--task`.
    pub fn name(&self) -> &'a str {
        self.task.name.split_once(':').map_or(&*self.task.name, |(name, _)| name)
    }

    /// The list behind the colon, or that of the older option, and the option that it is of.
    pub fn list(&self) -> (Option<&'a str>, &'static str) {
        match (self.task.name.split_once(':'), &self.task.tasks) {
            (Some((_, list)), _) => (Some(list), "--task"),
            (None, Some(list)) => (Some(list), "--tasks"),
            (None, None) => (None, "--task"),
        }
    }

    /// Refuses the first of `options`, each with whether it is given and why it has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] naming it.
    pub fn refuse(&self, options: &[(&str, bool, &str)]) -> Result<()> {
        match options.iter().find(|(_, given, _)| *given) {
            None => Ok(()),
            Some((option, _, why)) => Err(Error::usage(format!("{option} is for other tasks"))
                .at(option)
                .got(format!("--task {}", self.task.name))
                .expected(format!("no {option}: {why}"))),
        }
    }

    /// Refuses what has no meaning where prompts are whole texts.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn refuse_for_texts(&self) -> Result<()> {
        let p = self.probes;
        self.refuse(&[
            ("--depths", p.depths.is_some(), "answers stand where the rows have them"),
            ("--needles", p.needles.is_some(), "the rows bring their own questions"),
            ("--gate", p.has_gate(), "the task has a measure of its own"),
            ("--repeats", p.repeats > 1, "a row is asked once; --samples says how many there are"),
        ])
    }

    /// Refuses the options of tasks that `info` does not take, a list where there is none, and two.
    fn refuse_untaken(&self, info: &BenchmarkInfo) -> Result<()> {
        if let (Some((_, list)), Some(tasks)) = (self.task.name.split_once(':'), &self.task.tasks) {
            return Err(Error::usage("there are two lists of parts of the task")
                .at("--tasks")
                .got(format!("\"{list}\" behind the colon of --task, and \"{tasks}\""))
                .expected("one of them"));
        }
        let options = [
            ("--task-data", self.task.task_data.is_some()),
            ("--samples", self.task.samples.is_some()),
            ("--prompts", !self.task.prompts.is_empty()),
            ("--code-similarity", self.text.code_similarity.is_some()),
            ("--max-prompt-tokens", self.text.max_prompt_tokens.is_some()),
        ];
        let untaken = options.iter().find(|(o, given)| *given && info.meaning(o).is_none());
        if let Some((option, _)) = untaken {
            let takers = infos().filter(|other| other.meaning(option).is_some());
            let takers =
                takers.filter(|other| other.has_places || self.purpose != Purpose::Profile);
            return Err(Error::usage(format!("{option} is for other tasks"))
                .at(option)
                .got(format!("--task {}", self.task.name))
                .expected(format!("--task {}", any_of(takers))));
        }
        match self.list() {
            (Some(list), option) if info.list.is_empty() => {
                Err(Error::usage("the task has no parts to choose from")
                    .at(option)
                    .got(format!("\"{list}\""))
                    .expected(format!("--task {} alone", info.name))
                    .advice(format!("tasks with parts: {}", lists(infos()).join(", "))))
            }
            _ => Ok(()),
        }
    }
}

/// What the options say about a task, validated.
///
/// # Errors
/// [`Error::Usage`] naming the option: for a task that there is not or whose prompts do not serve
/// the purpose, and for options that have no meaning for it.
pub fn choose(asked: &TaskOptions) -> Result<Box<dyn TaskSource>> {
    let name = asked.name();
    let benchmark = registry().iter().find(|b| b.info().name == name).ok_or_else(|| {
        let usable = || infos().filter(|i| i.has_places || asked.purpose == Purpose::Evaluate);
        let example = lists(usable()).into_iter().next().unwrap_or_default();
        Error::usage("there is no such task")
            .at("--task")
            .got(format!("\"{}\"", asked.task.name))
            .expected(format!("{}, or a list such as {example}", any_of(usable())))
    })?;
    let info = benchmark.info();
    if asked.purpose == Purpose::Profile && !info.has_places {
        return Err(Error::usage("heads cannot be scored on this task")
            .at("--task")
            .got(format!("{name}, whose rows do not say where in the prompt the answer stands"))
            .expected(any_of(infos().filter(|info| info.has_places)))
            .advice(format!(
                "`headprof evaluate --task {name}` asks it under methods of compression"
            )));
    }
    asked.refuse_untaken(info)?;
    benchmark.source(asked)
}

/// The help of `--task`, for `purpose`.
pub fn task_help(purpose: Purpose) -> String {
    let usable = || infos().filter(|i| i.has_places || purpose == Purpose::Evaluate);
    let names: Vec<String> = usable().map(|i| format!("{} ({})", i.name, i.title)).collect();
    let lists = lists(usable()).join(", ");
    format!("What the model is asked: {}; parts of it behind a colon: {lists}", names.join(", "))
}

/// The help of an option of tasks, for `purpose`: `what` it is, and what it means for each
/// benchmark.
pub fn option_help(option: &str, what: &str, purpose: Purpose) -> String {
    let mut meanings: Vec<(Vec<&str>, &str)> = Vec::new();
    for info in infos().filter(|i| i.has_places || purpose == Purpose::Evaluate) {
        let Some(meaning) = info.meaning(option) else { continue };
        match meanings.iter_mut().find(|(_, same)| *same == meaning) {
            Some((names, _)) => names.push(info.name),
            None => meanings.push((vec![info.name], meaning)),
        }
    }
    let parts = meanings.iter().map(|(names, text)| format!("{}: {text}", names.join(", ")));
    format!("{what}. {}", parts.collect::<Vec<_>>().join("; "))
}

/// An example of a list behind the colon, of each that has one: `babilong:qa1..qa5`.
fn lists(infos: impl Iterator<Item = &'static BenchmarkInfo>) -> Vec<String> {
    let with_list = infos.filter(|info| !info.list.is_empty());
    with_list.map(|info| format!("{}:{}", info.name, info.list)).collect()
}

fn infos() -> impl Iterator<Item = &'static BenchmarkInfo> {
    registry().iter().map(|benchmark| benchmark.info())
}

/// `needle, babilong or ruler`.
fn any_of(infos: impl Iterator<Item = &'static BenchmarkInfo>) -> String {
    let names: Vec<&str> = infos.map(|info| info.name).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// The names of a list, each once; at least one. `option` is where the list is from.
///
/// # Errors
/// [`Error::Usage`] for an empty list, and what `parse` gives.
pub fn names<T: PartialEq>(
    (list, option): (&str, &str),
    parse: impl Fn(&str) -> Result<T>,
) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let parsed = parse(name).at_option(option)?;
        if !all.contains(&parsed) {
            all.push(parsed);
        }
    }
    match all.is_empty() {
        false => Ok(all),
        true => Err(Error::usage("there is no name behind the colon")
            .at(option)
            .got(format!("\"{list}\""))
            .expected("names with commas between them, or no colon")),
    }
}
