//! [`EvaluateConfig`]: the options of `headprof evaluate`, parsed and validated.

use std::path::PathBuf;

use super::setting::Setting;
use crate::budget::BudgetOptions;
use crate::cli::{EvaluateArgs, FormArg};
use crate::config::{
    AtOption, DEFAULT_SAMPLES, ProbeConfig, ProbeSource, StopRule, batch, eviction_options,
};
use crate::error::{Error, Result};
use crate::eviction::{self, Method};
use crate::gate::GateKind;
use crate::heads::Granularity;
use crate::plan::check_tokens;
use crate::score::CompatSet;
use crate::tasks::text_source::TextSource;

/// Tasks of babilong where none are named: those that the references evaluate.
const DEFAULT_TASKS: &str = "qa1..qa5";

/// A comparison to run, without contradictions.
pub struct EvaluateConfig {
    /// The prompts; of a task of whole texts only what is not about needles: model, device,
    /// lengths, texts, seed, and how answers end.
    pub probes: ProbeConfig,
    /// A task of whole texts in the place of probes.
    pub text: Option<TextSource>,
    /// Methods and budgets, FullKV first if it is among them.
    pub settings: Vec<Setting>,
    /// Which heads keep tokens of their own.
    pub granularity: Granularity,
    /// The file with head scores.
    pub head_score: Option<PathBuf>,
    /// Whether another model's scores are used.
    pub force: bool,
    /// The file with utility curves.
    pub utility: Option<PathBuf>,
    /// How many settings answer a prompt together; `None` for as many as pay and fit.
    pub batch: Option<usize>,
    /// Output folder.
    pub out: PathBuf,
    /// Whether pictures are drawn.
    pub plots: bool,
    /// Errors only.
    pub quiet: bool,
    /// A JSON object instead of a table.
    pub json: bool,
    /// What the user should know about the arguments.
    pub notes: Vec<String>,
    /// The command line, for the record.
    pub command: Vec<String>,
}

impl EvaluateConfig {
    /// Validates `args`; `command` is the command line that they come from.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &EvaluateArgs, command: Vec<String>) -> Result<Self> {
        let text = TextSource::new(args)?;
        let source = if text.is_some() { ProbeSource::Needles } else { source(args)? };
        let (mut probes, notes) = ProbeConfig::new(&args.probes, source, CompatSet::default())?;
        if text.is_none() {
            probes.prompts.clone_from(&args.prompts);
        }
        if text.is_some() && args.probes.stop_newline.is_none() {
            // As the benchmarks have it.
            probes.stop = StopRule::Eos;
        }
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
        let methods = methods(args)?;
        needs(&methods, args)?;
        Ok(Self {
            probes,
            text,
            settings: Setting::all(&methods, &budgets, &options, args.beta)?,
            granularity: args.selection.granularity.into(),
            head_score: args.head_score.clone(),
            force: args.force,
            utility: args.utility.clone(),
            batch: batch(args.batch.as_deref())?,
            out: args.out.clone(),
            plots: !args.no_plots,
            quiet: args.quiet,
            json: args.json,
            notes,
            command,
        })
    }
}

/// What `--task`, `--task-data` and `--samples` say about probes.
fn source(args: &EvaluateArgs) -> Result<ProbeSource> {
    let (task, rest) = args.task.split_once(':').map_or((&*args.task, None), |(t, r)| (t, Some(r)));
    let of_rows = [
        ("--samples", args.samples.is_some(), "babilong, longbench, loogle or ruler"),
        ("--task-data", args.task_data.is_some(), "babilong, longbench, loogle or ruler"),
        ("--prompts", !args.prompts.is_empty(), "babilong, longbench or loogle"),
        ("--code-similarity", args.code_similarity.is_some(), "longbench"),
        ("--max-prompt-tokens", args.max_prompt_tokens.is_some(), "longbench or loogle"),
    ];
    let other = of_rows.iter().find(|g| g.1 && (task == "needle" || !g.2.starts_with("babilong")));
    if let (Some((option, _, of)), "needle" | "babilong") = (other, task) {
        return Err(Error::usage(format!("{option} is for other tasks"))
            .at(option)
            .got(format!("--task {task}"))
            .expected(format!("--task {of}")));
    }
    match (task, rest, &args.task_data) {
        ("needle", None, _) => Ok(ProbeSource::Needles),
        ("babilong", tasks, Some(path)) => {
            ProbeSource::published(path, tasks, "--task", args.samples)
        }
        ("babilong", tasks, None) => ProbeSource::babilong(
            tasks.unwrap_or(DEFAULT_TASKS),
            "--task",
            args.samples.unwrap_or(DEFAULT_SAMPLES),
            true,
        ),
        _ => Err(Error::usage("there is no such task")
            .at("--task")
            .got(format!("\"{}\"", args.task))
            .expected(
                "needle, babilong, longbench, loogle or ruler, or a list such as babilong:qa1..qa5",
            )),
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
fn methods(args: &EvaluateArgs) -> Result<Vec<&'static Method>> {
    let Some(list) = &args.methods else {
        let given = |method: &&Method| {
            (args.head_score.is_some() || !method.needs_head_scores())
                && (args.utility.is_some() || !method.needs_utility())
        };
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
fn needs(methods: &[&'static Method], args: &EvaluateArgs) -> Result<()> {
    let without =
        |method: Option<&&'static Method>, what: &str, option: &str, advice: &str| match method {
            None => Ok(()),
            Some(method) => Err(Error::usage(format!("the method follows {what}"))
                .at(format!("--methods {}", method.name()))
                .got(format!("no {option}"))
                .expected(format!("{option} FILE"))
                .advice(advice)),
        };
    let scores = methods.iter().find(|m| m.needs_head_scores() && args.head_score.is_none());
    without(scores, "head scores", "--head-score", "`headprof` alone writes them to head_score/")?;
    let curves = methods.iter().find(|m| m.needs_utility() && args.utility.is_none());
    without(curves, "utility curves", "--utility", "`headprof utility` records them in head_score/")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::tasks::ruler::RulerKind;
    use crate::tasks::text_source::MadeRuler;

    fn parse(line: &str) -> Result<EvaluateConfig> {
        let words: Vec<&str> =
            ["headprof", "evaluate"].into_iter().chain(line.split_whitespace()).collect();
        let cli = Cli::try_parse_from(&words).expect("clap takes the line");
        let Some(Command::Evaluate(args)) = cli.command else { panic!("not evaluate") };
        EvaluateConfig::new(&args, Vec::new())
    }

    fn labels(line: &str) -> Vec<String> {
        parse(line).unwrap().settings.iter().map(Setting::label).collect()
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
        let kinds = vec![RulerKind::VariableTracking];
        let made = MadeRuler { kinds, samples: 20, max_new_tokens: None };
        assert_eq!(ruler.text, Some(TextSource::MadeRuler(made)));
        assert_eq!(ruler.probes.stop, StopRule::Eos);
        let asked = parse("--task ruler --stop-newline on --max-new-tokens 9").unwrap();
        assert_eq!(asked.probes.stop, StopRule::EosOrLineBreak);
        assert_eq!(asked.text.unwrap().max_new_tokens(), Some(9));
        let line = "--task longbench --task-data x --prompts a,b --prompts c --samples 2";
        let Some(TextSource::LongBench(source)) = parse(line).unwrap().text else {
            panic!("not longbench")
        };
        assert_eq!((source.prompts.len(), source.samples), (3, Some(2)));
        // The older name of the option.
        let old = parse("--task babilong:qa1 --babilong-data x").unwrap();
        assert!(matches!(old.probes.source, ProbeSource::Published(_)) && old.text.is_none());
    }

    #[test]
    fn by_default_methods_that_follow_scores_come_with_scores() {
        let without = labels("--budgets 64");
        assert!(without.contains(&"adakv@64".into()) && !without.contains(&"headkv@64".into()));
        let with = labels("--budgets 64 --head-score x.json");
        assert!(with.contains(&"headkv@64".into()) && with.contains(&"dililazykv@64".into()));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, named) in [
            ("--methods snapvk", "--methods"),
            ("--methods ,", "--methods"),
            ("--methods headkv", "--head-score"),
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
            ("--task loogle --task-data x --code-similarity difflib", "no code to compare"),
            ("--prompts x", "--task babilong, longbench or loogle"),
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
