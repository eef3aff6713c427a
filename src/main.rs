//! `headprof`: parse, run, exit code.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use headprof::cli::{
    AllocateArgs, BenchArgs, Cli, Command, EvaluateArgs, ObserveArgs, ProfileArgs, UtilityArgs,
    VerifyArgs,
};
use headprof::commands::bench::{self, BenchConfig};
use headprof::commands::dry_run::DryRun;
use headprof::commands::evaluate::{self, EvaluateConfig};
use headprof::commands::observe::{self, ObserveConfig};
use headprof::commands::profile::{self, ProfileConfig};
use headprof::commands::utility::{self, UtilityConfig};
use headprof::commands::verify::{self, VerifyConfig};
use headprof::commands::{allocate, with_registries};
use headprof::config::{ProbeConfig, Surroundings};
use headprof::gate::onnxruntime::RuntimePlaces;
use headprof::hub::Environment;
use headprof::job::{self, ModelFiles, Session, Workload};
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
        quiet: cli.is_quiet(),
    };
    let done = match &cli.command {
        None => run_profile(&cli.profile, &surroundings),
        Some(Command::Verify(args)) => run_verify(args, &surroundings),
        Some(Command::Evaluate(args)) => run_evaluate(args, &surroundings),
        Some(Command::Utility(args)) => run_utility(args, &surroundings),
        Some(Command::Observe(args)) => run_observe(args, &surroundings),
        Some(Command::Bench(args)) => run_bench(args, &surroundings),
        Some(Command::Allocate(args)) => run_allocate(args),
    };
    done.map_or_else(|e| end(&e), |()| ExitCode::SUCCESS)
}

/// The command line for the record; what is not UTF-8 in it is replaced.
fn command_line() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
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
    let finished = config.probes.compute.on_threads(run)?;
    config.reporter.result(&finished.summary)?;
    finished.shortcoming.map_or(Ok(()), Err)
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
    let evaluated = config.probes.compute.on_threads(run)?;
    config.reporter.result(&evaluated)?;
    evaluated.shortcoming.map_or(Ok(()), Err)
}

/// Tells what `work` would take, whether or not errors alone are to be told.
fn dry_run(
    probes: &ProbeConfig,
    notes: &[String],
    reporter: &Reporter,
    work: impl FnOnce(&Session) -> Result<(ModelFiles, Workload)> + Send,
) -> Result<()> {
    let dry = probes.compute.on_threads(|| {
        let session = job::open(&probes.compute, notes, reporter)?;
        let (model, work) = work(&session)?;
        DryRun::new(&model, probes, &session.compute, &work)
    })?;
    Reporter { quiet: false, ..*reporter }.result(&dry)?;
    dry.check()
}

fn run_utility(args: &UtilityArgs, surroundings: &Surroundings) -> Result<()> {
    let config = UtilityConfig::new(args, surroundings)?;
    let interrupt = Interrupt::install()?;
    let run = || utility::run(&config, interrupt.as_ref());
    let recorded = config.probes.compute.on_threads(run)?;
    config.reporter.result(&recorded)
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

fn run_allocate(args: &AllocateArgs) -> Result<()> {
    let reporter = Reporter { quiet: false, json: args.json };
    let allocation = allocate::run(args, &reporter)?;
    print(&if args.json { allocation.json()? } else { allocation.to_string() })
}
