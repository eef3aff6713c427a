//! [`EvaluateConfig`]: the options of `headprof evaluate`, parsed and validated.

use std::path::PathBuf;

use super::head_scores::HeadScores;
use super::outputs;
use super::setting::Setting;
use crate::budget::BudgetOptions;
use crate::cli::{EvaluateArgs, FormArg};
use crate::config::{
    AtOption, Depth, Paths, ProbeConfig, Surroundings, batch, eviction_options, journal_options,
};
use crate::error::{Error, Result};
use crate::eviction::{self, Method};
use crate::gate::GateKind;
use crate::heads::Granularity;
use crate::journal::{JOURNAL, JournalOptions};
use crate::plan::check_tokens;
use crate::report;
use crate::score::References;
use crate::system::Reporter;
use crate::tasks::{self, Purpose, TaskOptions, TaskSource};

/// A comparison to run, without contradictions.
pub struct EvaluateConfig {
    /// The prompts.
    pub probes: ProbeConfig,
    /// What is asked.
    pub task: Box<dyn TaskSource>,
    /// The same as it was said, with its list.
    pub asked: String,
    /// Methods and budgets, FullKV first if it is among them.
    pub settings: Vec<Setting>,
    /// Which heads keep tokens of their own.
    pub granularity: Granularity,
    /// The files with head scores.
    pub head_scores: HeadScores,
    /// Whether another model's scores are used.
    pub force: bool,
    /// The file with utility curves.
    pub utility: Option<PathBuf>,
    /// How many settings answer a prompt together; `None` for as many as pay and fit.
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

impl EvaluateConfig {
    /// Validates `args`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &EvaluateArgs, surroundings: &Surroundings) -> Result<Self> {
        let compat = References::default();
        let task = tasks::choose(&TaskOptions {
            task: &args.task,
            text: &args.text,
            probes: &args.probes,
            compat,
            purpose: Purpose::Evaluate,
        })?;
        let (probes, mut notes) =
            ProbeConfig::new(&args.probes, task.answers(), compat, surroundings)?;
        let head_scores = HeadScores::new(&args.head_score)?;
        let paths = Paths::of_probes(&args.probes).and_of_task(&args.task);
        let read = |all: Paths, file| all.reads("--head-score", Some(file), ("json", Depth::In));
        let paths = head_scores
            .files()
            .fold(paths, read)
            .reads("--utility", args.utility.as_deref(), ("json", Depth::In))
            .fills("--out", &args.out.join("plots"))
            .fills("--out", &args.out.join(JOURNAL));
        let files = outputs::FILES.iter().chain([&report::FILE]).map(|name| args.out.join(name));
        files.fold(paths, |all, file| all.writes("--out", Some(&file))).check()?;
        let budgets = budgets(&args.budgets)?;
        let budget = BudgetOptions {
            capacity_tokens: budgets[0],
            beta: args.beta.unwrap_or(BudgetOptions::default().beta),
            temp: args.temp,
            alpha: args.alpha,
            reference: args.compat == Some(FormArg::Reference),
            ..BudgetOptions::default()
        };
        let options = eviction_options(&args.selection, budget)?;
        options.check()?;
        if probes.gate.kind == GateKind::None {
            return Err(Error::usage("a comparison needs a gate that an answer can fail")
                .at("--gate")
                .got("none")
                .expected("rouge, f1, semantic or exact"));
        }
        let methods = methods(args, &head_scores)?;
        needs(&methods, args, &head_scores)?;
        Ok(Self {
            probes,
            task,
            asked: args.task.asked(),
            settings: Setting::all(
                &methods,
                &budgets,
                head_scores.names().len(),
                &options,
                args.beta,
            )?,
            granularity: args.selection.granularity.into(),
            head_scores,
            force: args.force,
            utility: args.utility.clone(),
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

fn budgets(list: &str) -> Result<Vec<usize>> {
    let wrong = |word: &str| {
        Error::usage("a budget is no number of tokens")
            .at("--budgets")
            .got(format!("\"{word}\""))
            .expected("whole numbers from 1 upwards, such as 64,128,256")
    };
    let mut budgets = Vec::new();
    for word in list.split(',').map(str::trim) {
        let n: usize = word.parse().ok().filter(|n| *n > 0).ok_or_else(|| wrong(word))?;
        budgets.push(check_tokens("--budgets", n)?);
    }
    budgets.sort_unstable();
    budgets.dedup();
    Ok(budgets)
}

/// The methods of `--methods`; where none are named, the defaults whose evidence is given.
fn methods(args: &EvaluateArgs, scores: &HeadScores) -> Result<Vec<&'static Method>> {
    let Some(list) = &args.methods else {
        let given = |method: &&Method| !scores.is_empty() || !method.needs_head_scores();
        return Ok(eviction::registry().iter().filter(|m| m.is_default()).filter(given).collect());
    };
    let mut methods: Vec<&'static Method> = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let method = eviction::by_name(name).at_option("--methods")?;
        if methods.iter().all(|m| m.name() != method.name()) {
            methods.push(method);
        }
    }
    if methods.is_empty() {
        return Err(Error::usage("there are no methods to compare")
            .at("--methods")
            .got("nothing")
            .expected("names such as full,snapkv,headkv"));
    }
    Ok(methods)
}

/// Checks that what the methods follow is named.
fn needs(methods: &[&'static Method], args: &EvaluateArgs, scores: &HeadScores) -> Result<()> {
    let without =
        |method: Option<&&'static Method>, what: &str, option: &str, advice: &str| match method {
            None => Ok(()),
            Some(method) => Err(Error::usage(format!("the method follows {what}"))
                .at(format!("--methods {}", method.name()))
                .got(format!("no {option}"))
                .expected(format!("{option} FILE"))
                .advice(advice)),
        };
    let follower = methods.iter().find(|m| m.needs_head_scores() && scores.is_empty());
    without(
        follower,
        "head scores",
        "--head-score",
        "`headprof` alone writes them to head_score/",
    )?;
    let curves = methods.iter().find(|m| m.needs_utility() && args.utility.is_none());
    without(curves, "utility curves", "--utility", "`headprof utility` records them in head_score/")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::config::StopRule;

    fn parse(line: &str) -> Result<EvaluateConfig> {
        let words: Vec<&str> =
            ["headprof", "evaluate"].into_iter().chain(line.split_whitespace()).collect();
        let cli = Cli::try_parse_from(&words).expect("clap takes the line");
        let Some(Command::Evaluate(args)) = cli.command else { panic!("not evaluate") };
        EvaluateConfig::new(&args, &Surroundings::default())
    }

    fn labels(line: &str) -> Vec<String> {
        let config = parse(line).unwrap();
        let names = config.head_scores.names();
        config.settings.iter().map(|setting| setting.compared(names).label()).collect()
    }

    #[test]
    fn methods_and_budgets_are_crossed_and_full_comes_once_and_first() {
        assert_eq!(
            labels("--methods SnapKV,FullKV,StreamLLM,snapkv --budgets 64,16,64"),
            ["full", "snapkv@16", "snapkv@64", "streaming_llm@16", "streaming_llm@64"]
        );
        assert_eq!(labels("--max_capacity_prompts 32 --methods h2o"), ["h2o@32"]);
    }

    #[test]
    fn tasks_of_whole_texts_have_their_own_defaults() {
        let ruler = parse("--task ruler:vt,vt --lengths 256").unwrap();
        assert_eq!((ruler.task.info().name, ruler.probes.stop), ("ruler", Some(StopRule::Eos)));
        assert!(ruler.task.probes().is_none());
        let asked = parse("--task ruler --stop-newline on --max-new-tokens 9").unwrap();
        assert_eq!(asked.probes.stop, Some(StopRule::EosOrLineBreak));
        let line = "--task longbench --task-data x --prompts a,b --prompts c --samples 2";
        let rows = parse(line).unwrap();
        assert_eq!((rows.task.info().name, rows.probes.stop), ("longbench", Some(StopRule::Eos)));
        // Older names of the options.
        let old = parse("--probe babilong --tasks qa1 --babilong-data x").unwrap();
        let new = parse("--task babilong:qa1 --task-data x").unwrap();
        assert_eq!(format!("{:?}", old.task), format!("{:?}", new.task));
        assert!(new.task.probes().is_some());
        assert_eq!((new.probes.stop, new.probes.gate.kind), (None, GateKind::Label));
    }

    #[test]
    fn by_default_methods_that_follow_scores_come_with_scores() {
        let without = labels("--budgets 64");
        assert!(without.contains(&"adakv@64".into()) && !without.contains(&"headkv@64".into()));
        let with = labels("--budgets 64 --head-score x.json");
        assert!(with.contains(&"headkv@64".into()) && with.contains(&"dililazykv@64".into()));
    }

    #[test]
    fn methods_follow_each_of_several_scores() {
        let line = "--methods snapkv,headkv --budgets 64,32 --head-score";
        let both = [
            "snapkv@32",
            "snapkv@64",
            "headkv:inf@32",
            "headkv:inf@64",
            "headkv:x@32",
            "headkv:x@64",
        ];
        assert_eq!(labels(&format!("{line} m_inf_heads.json,x.json")), both);
        assert_eq!(labels(&format!("{line} m_inf_heads.json --head-score x.json")), both);
        assert_eq!(
            labels(&format!("{line} x.json,x.json")),
            ["snapkv@32", "snapkv@64", "headkv@32", "headkv@64"]
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (line, named) in [
            ("--methods snapvk", "--methods"),
            ("--methods ,", "--methods"),
            ("--methods headkv", "--head-score"),
            ("--methods headkv --head-score ,", "--head-score"),
            ("--methods headkv --head-score x.json,no-such-model", "no-such-model"),
            ("--methods lukv", "--utility"),
            ("--budgets 0", "--budgets"),
            ("--budgets 64,x", "\"x\""),
            ("--budgets 4", "--window-size"),
            ("--beta 1", "--beta"),
            ("--alpha 1.5", "--alpha"),
            ("--temp 0", "--temp"),
            ("--kernel-size 4", "--kernel-size"),
            ("--methods full --beta nan", "--beta"),
            ("--gate none", "--gate"),
            ("--pooling mean", "--pooling"),
            ("--value-norm l3", "--value-norm"),
            ("--task longbench", "--task-data"),
            ("--task loogle", "rows of LooGLE"),
            ("--task loogle:hotpotqa --task-data x", "timeline_reorder"),
            ("--task loogle --task-data x --code-similarity difflib", "--task longbench"),
            ("--prompts x", "--task babilong"),
            ("--task longbenhc --task-data x", "longbenhc"),
            ("--task longbench:vcsum --task-data x", "Chinese words"),
            ("--task longbench: --task-data x", "behind the colon"),
            ("--task longbench --task-data x --depths 0.5", "--depths"),
            ("--task longbench --task-data x --lengths 256", "--lengths"),
            ("--task longbench --task-data x --max-new-tokens 9", "dataset2maxlen.json"),
            ("--task longbench --task-data x --max-prompt-tokens 0", "--max-prompt-tokens"),
            ("--task ruler:qa_1", "niah_single_1"),
            ("--task ruler:vt --gate exact", "--gate"),
            ("--task ruler --needles x", "--needles"),
            ("--task ruler --template x", "--template"),
            ("--task ruler --repeats 2", "--repeats"),
            ("--task ruler --prompts x", "--prompts"),
            ("--task ruler --code-similarity difflib", "--code-similarity"),
            ("--task ruler --max-prompt-tokens 9", "--max-prompt-tokens"),
            ("--task ruler --task-data x --haystack-dir y", "--haystack-dir"),
            ("--task ruler --samples 0", "--samples"),
            ("--task needle --task-data x", "--task-data"),
            ("--task needle:qa1", "--task"),
            ("--task babilong:qa99", "--task"),
            ("--task babilong --depths 0.5", "--depths"),
            ("--task babilong --samples 0", "--samples"),
            ("--samples 3", "--samples"),
            ("--window-size 0", "--window-size"),
            ("--methods snapkv+vatp --sink-len 99 --budgets 32", "sink"),
        ] {
            let e = parse(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
            assert_eq!(e.exit_code(), 2, "{line}");
            assert!(e.to_string().contains(named), "{line}: {e}");
        }
    }
}
