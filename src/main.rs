//! `headprof`: parse, run, exit code.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use headprof::cli::{
    AblateArgs, AllocateArgs, BenchArgs, Cli, Command, CompareArgs, EvaluateArgs, LookArgs,
    MergeArgs, ObserveArgs, ProfileArgs, ReportArgs, SensitivityArgs, UtilityArgs, VerifyArgs,
};
use headprof::commands::ablate::{self, AblateConfig};
use headprof::commands::bench::{self, BenchConfig};
use headprof::commands::dry_run::DryRun;
use headprof::commands::evaluate::{self, EvaluateConfig};
use headprof::commands::observe::{self, ObserveConfig};
use headprof::commands::profile::look::{self, LookConfig};
use headprof::commands::profile::{self, ProfileConfig};
use headprof::commands::sensitivity::{self, SensitivityConfig};
use headprof::commands::utility::{self, UtilityConfig};
use headprof::commands::verify::{self, VerifyConfig};
use headprof::commands::{allocate, cluster, compare, ls, report, with_registries};
use headprof::config::{ProbeConfig, Surroundings};
use headprof::gate::onnxruntime::RuntimePlaces;
use headprof::hub::Environment;
use headprof::job::{self, ModelFiles, Session, Workload};
use headprof::journal::{self, Merge, Told};
use headprof::system::Reporter;
use headprof::system::interrupt::Interrupt;
use headprof::system::panics::{caught, remember_quietly};
use headprof::system::terminal::{note, print};
use headprof::{Error, Result};

fn main() -> ExitCode {
    // Whoever asks for a backtrace gets the standard library's.
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|wanted| wanted == "0") {
        remember_quietly();
    }
    caught(run).unwrap_or_else(|panic| {
        end(&Error::bug("this is a bug in headprof; please report it")
            .got(panic)
            .advice("report this text, the command line and the model"))
    })
}

/// Prints the error and gives its exit code.
fn end(e: &Error) -> ExitCode {
    note(&format!("error: {e}"));
    ExitCode::from(e.exit_code())
}

fn run() -> ExitCode {
    let matches = with_registries(Cli::command()).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(e) => {
            // Help goes to a pipe that may be closed.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    let variable = |name: &str| std::env::var_os(name);
    let surroundings = Surroundings {
        command: command_line(),
        hub: Environment::read(variable),
        runtime: RuntimePlaces::read(variable, std::env::current_exe().ok()),
        cluster: cluster_variables(),
        quiet: cli.is_quiet(),
    };
    let done = match &cli.command {
        None => run_profile(&cli.profile, &surroundings),
        Some(Command::Verify(args)) => run_verify(args, &surroundings),
        Some(Command::Evaluate(args)) => run_evaluate(args, &surroundings),
        Some(Command::Ablate(args)) => run_ablate(args, &surroundings),
        Some(Command::Sensitivity(args)) => run_sensitivity(args, &surroundings),
        Some(Command::Utility(args)) => run_utility(args, &surroundings),
        Some(Command::Observe(args)) => run_observe(args, &surroundings),
        Some(Command::Bench(args)) => run_bench(args, &surroundings),
        Some(Command::Allocate(args)) => run_allocate(args),
        Some(Command::Compare(args)) => run_compare(args),
        Some(Command::Ls(args)) => {
            Reporter { quiet: false, json: args.json }.result(&ls::run(args))
        }
        Some(Command::Look(args)) => run_look(args, &surroundings),
        Some(Command::Report(args)) => run_report(args),
        Some(Command::Merge(args)) => run_merge(args),
        Some(Command::Cluster(args)) => cluster::run(args).and_then(|script| print(&script)),
    };
    done.map_or_else(|e| end(&e), |()| ExitCode::SUCCESS)
}

/// The command line for the record; what is not UTF-8 in it is replaced.
fn command_line() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// What the engines of clusters say in the environment.
fn cluster_variables() -> BTreeMap<String, String> {
    let theirs = ["HEADPROF_SHARD", "SLURM_ARRAY_", "HQ_", "JOB_COMPLETION_INDEX", "SKYPILOT_"];
    let text = |word: OsString| word.to_string_lossy().into_owned();
    let all = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    all.filter(|(name, _)| theirs.iter().any(|prefix| name.starts_with(prefix))).collect()
}

fn run_profile(args: &ProfileArgs, surroundings: &Surroundings) -> Result<()> {
    let mut config = ProfileConfig::new(args, surroundings)?;
    if args.dry_run {
        config.probes = config.probes.without_weights();
        let work = |session: &Session| profile::workload(&config, session);
        return dry_run(&config.probes, &config.notes, &config.reporter, work);
    }
    let interrupt = Interrupt::install()?;
    let run = || profile::run(&config, interrupt.as_ref());
    let mut finished = config.probes.compute.on_threads(run)?;
    add_report(&mut finished.told, &config.out, args.no_report, &config.reporter);
    config.reporter.result(&finished.told)?;
    finished.shortcoming.map_or(Ok(()), Err)
}

/// Results that a page is made of.
trait OnAPage {
    /// The model, and the files that were written.
    fn page(&mut self) -> (&str, &mut Vec<PathBuf>);
}

macro_rules! on_a_page {
    ($($results:ty),*) => {$(
        impl OnAPage for $results {
            fn page(&mut self) -> (&str, &mut Vec<PathBuf>) {
                (&self.model, &mut self.files)
            }
        }
    )*};
}

on_a_page!(profile::Summary, evaluate::Evaluated, ablate::Ablated);

/// Writes the page of what is `told`, if these are results, and adds it to their files.
fn add_report<T: OnAPage>(told: &mut Told<T>, out: &Path, no_report: bool, reporter: &Reporter) {
    let Some(results) = told.results_mut().filter(|_| !no_report) else { return };
    let (model, files) = results.page();
    files.extend(headprof::report::write_behind(out, model, reporter));
}

fn run_evaluate(args: &EvaluateArgs, surroundings: &Surroundings) -> Result<()> {
    let mut config = EvaluateConfig::new(args, surroundings)?;
    if args.dry_run {
        config.probes = config.probes.without_weights();
        let work = |session: &Session| evaluate::workload(&config, session);
        return dry_run(&config.probes, &config.notes, &config.reporter, work);
    }
    let interrupt = Interrupt::install()?;
    let run = || evaluate::run(&config, interrupt.as_ref());
    let mut evaluated = config.probes.compute.on_threads(run)?;
    add_report(&mut evaluated.told, &config.out, args.no_report, &config.reporter);
    config.reporter.result(&evaluated.told)?;
    evaluated.shortcoming.map_or(Ok(()), Err)
}

fn run_ablate(args: &AblateArgs, surroundings: &Surroundings) -> Result<()> {
    let mut config = AblateConfig::new(args, surroundings)?;
    if args.dry_run {
        config.probes = config.probes.without_weights();
        let work = |session: &Session| ablate::workload(&config, session);
        return dry_run(&config.probes, &config.notes, &config.reporter, work);
    }
    let interrupt = Interrupt::install()?;
    let run = || ablate::run(&config, interrupt.as_ref());
    let mut ablated = config.probes.compute.on_threads(run)?;
    add_report(&mut ablated.told, &config.out, args.no_report, &config.reporter);
    config.reporter.result(&ablated.told)?;
    ablated.shortcoming.map_or(Ok(()), Err)
}

/// Runs the profile and its variants, as the sensitivity asks for them, and tells what it says of
/// them.
fn run_sensitivity(args: &SensitivityArgs, surroundings: &Surroundings) -> Result<()> {
    let config = SensitivityConfig::new(args, surroundings)?;
    let base = config.base_args().map(|base| ProfileConfig::new(&base, surroundings));
    let mut base = base.transpose()?;
    if let Some(base) = base.as_mut().filter(|_| args.profile.dry_run) {
        base.probes = base.probes.without_weights();
        let work = |session: &Session| profile::workload(base, session);
        let each = reckoned(&base.probes, &base.notes, &base.reporter, work)?;
        let checked = each.check();
        Reporter { quiet: false, ..base.reporter }.result(&config.ahead(&base.scores, each)?)?;
        return checked;
    }
    let interrupt = Interrupt::install()?;
    let profile = |args: &ProfileArgs| {
        let config = ProfileConfig::new(args, surroundings)?;
        interrupt.goes_on();
        Ok(profile::run(&config, interrupt.as_ref())?.shortcoming)
    };
    let sensitivity::Finished { told, shortcoming } = match &base {
        // Threads are started once, for all runs.
        Some(base) => {
            let run = || sensitivity::run(&config, &base.scores, profile);
            base.probes.compute.on_threads(run)?
        }
        None => sensitivity::run(&config, &[], profile)?,
    };
    config.reporter.result(&told)?;
    shortcoming.map_or(Ok(()), Err)
}

/// Tells what `work` would take, whether or not errors alone are to be told.
fn dry_run(
    probes: &ProbeConfig,
    notes: &[String],
    reporter: &Reporter,
    work: impl FnOnce(&Session) -> Result<(ModelFiles, Workload)> + Send,
) -> Result<()> {
    let dry = reckoned(probes, notes, reporter, work)?;
    Reporter { quiet: false, ..*reporter }.result(&dry)?;
    dry.check()
}

/// What `work` would take.
fn reckoned(
    probes: &ProbeConfig,
    notes: &[String],
    reporter: &Reporter,
    work: impl FnOnce(&Session) -> Result<(ModelFiles, Workload)> + Send,
) -> Result<DryRun> {
    probes.compute.on_threads(|| {
        let session = job::open(&probes.compute, notes, reporter)?;
        let (model, work) = work(&session)?;
        DryRun::new(&model, probes, &session.compute, &work)
    })
}

fn run_utility(args: &UtilityArgs, surroundings: &Surroundings) -> Result<()> {
    let config = UtilityConfig::new(args, surroundings)?;
    let interrupt = Interrupt::install()?;
    let run = || utility::run(&config, interrupt.as_ref());
    let recorded = config.probes.compute.on_threads(run)?;
    config.reporter.result(&recorded.told)?;
    recorded.shortcoming.map_or(Ok(()), Err)
}

/// Puts the shards of all runs in a folder together. Of several that cannot be, the first is told;
/// the others are written.
fn run_merge(args: &MergeArgs) -> Result<()> {
    let reporter = Reporter { quiet: args.quiet, json: args.json };
    let mut first = Ok(());
    for found in &journal::runs(&args.out)? {
        let merge = Merge {
            out: &args.out,
            folder: &found.folder,
            plan: &found.plan,
            identity: &found.identity,
            allow_mixed: args.allow_mixed,
            plots: !args.no_plots,
            reporter: &reporter,
        };
        let merged = merge_one(&merge, args.no_report);
        first = first.and(merged);
    }
    first
}

fn merge_one(merge: &Merge, no_report: bool) -> Result<()> {
    let (out, reporter) = (merge.out, merge.reporter);
    let kind = merge.plan.kind.split('_').next().unwrap_or_default();
    let shortcoming = match kind {
        profile::KIND => {
            let profile::Finished { mut told, shortcoming } = profile::merge(merge)?;
            add_report(&mut told, out, no_report, reporter);
            reporter.result(&told)?;
            shortcoming
        }
        evaluate::KIND => {
            let evaluate::FinishedComparison { mut told, shortcoming } = evaluate::merge(merge)?;
            add_report(&mut told, out, no_report, reporter);
            reporter.result(&told)?;
            shortcoming
        }
        ablate::KIND => {
            let ablate::FinishedAblation { mut told, shortcoming } = ablate::merge(merge)?;
            add_report(&mut told, out, no_report, reporter);
            reporter.result(&told)?;
            shortcoming
        }
        utility::KIND => {
            let utility::Recording { told, shortcoming } = utility::merge(merge)?;
            reporter.result(&told)?;
            shortcoming
        }
        _ => {
            return Err(Error::data("there is no such kind of run")
                .at(merge.folder.display())
                .got(&merge.plan.kind)
                .expected(
                    [profile::KIND, evaluate::KIND, ablate::KIND, utility::KIND].join(", "),
                ));
        }
    };
    shortcoming.map_or(Ok(()), Err)
}

fn run_observe(args: &ObserveArgs, surroundings: &Surroundings) -> Result<()> {
    let config = ObserveConfig::new(args, surroundings)?;
    let observed = config.compute.on_threads(|| observe::run(&config))?;
    config.reporter.result(&observed)
}

fn run_bench(args: &BenchArgs, surroundings: &Surroundings) -> Result<()> {
    let config = BenchConfig::new(args, surroundings)?;
    let interrupt = Interrupt::install()?;
    let measured = config.compute.on_threads(|| bench::run(&config, interrupt.as_ref()))?;
    // The figures are all that a bench is for.
    Reporter { quiet: false, ..config.reporter }.result(&measured)
}

fn run_verify(args: &VerifyArgs, surroundings: &Surroundings) -> Result<()> {
    let config = VerifyConfig::new(args, surroundings)?;
    let report = config.compute.on_threads(|| verify::run(&config))?;
    config.reporter.result(&report)?;
    match report.passed() {
        true => Ok(()),
        false => Err(Error::model("this build and transformers differ on this checkpoint")),
    }
}

fn run_look(args: &LookArgs, surroundings: &Surroundings) -> Result<()> {
    let config = LookConfig::new(args, surroundings)?;
    let looked = config.profile.probes.compute.on_threads(|| look::run(&config))?;
    config.reporter.result(&looked)
}

fn run_compare(args: &CompareArgs) -> Result<()> {
    let reporter = Reporter { quiet: args.quiet, json: args.json };
    reporter.result(&compare::run(args, &reporter)?)
}

fn run_report(args: &ReportArgs) -> Result<()> {
    Reporter { quiet: args.quiet, json: args.json }.result(&report::run(args)?)
}

fn run_allocate(args: &AllocateArgs) -> Result<()> {
    let reporter = Reporter { quiet: false, json: args.json };
    let allocation = allocate::run(args, &reporter)?;
    print(&if args.json { allocation.json()? } else { allocation.to_string() })
}
