//! `headprof`: parse, run, exit code.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use headprof::cli::{
    AllocateArgs, BenchArgs, Cli, Command, EvaluateArgs, ObserveArgs, UtilityArgs, VerifyArgs,
};
use headprof::commands::bench;
use headprof::commands::bench::BenchConfig;
use headprof::commands::dry_run::DryRun;
use headprof::commands::evaluate::EvaluateConfig;
use headprof::commands::observe;
use headprof::commands::observe::ObserveConfig;
use headprof::commands::profile::ProfileConfig;
use headprof::commands::utility::{Recorded, UtilityConfig};
use headprof::commands::{allocate, evaluate, profile, utility, verify};
use headprof::config::{ComputeConfig, ModelChoice, ProbeConfig};
use headprof::gate::onnxruntime::RuntimePlaces;
use headprof::hub::{self, Environment};
use headprof::job::{ModelFiles, Workload};
use headprof::model::Compute;
use headprof::system::interrupt::Interrupt;
use headprof::system::panics::{caught, remember_quietly};
use headprof::system::terminal::{json_line, note, print};
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
    let cli = match Cli::try_parse() {
        Ok(cli) => {
            let variable = |name: &str| std::env::var_os(name);
            let places = RuntimePlaces::read(variable, std::env::current_exe().ok());
            cli.with_environment(Environment::read(variable), places)
        }
        Err(e) => {
            // Help goes to a pipe that may be closed.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    let done = match &cli.command {
        None => ProfileConfig::new(&cli.profile, command_line()).and_then(|config| {
            match cli.profile.dry_run {
                true => dry_profile(config),
                false => run_profile(&config),
            }
        }),
        Some(Command::Verify(args)) => run_verify(args),
        Some(Command::Evaluate(args)) => run_evaluate(args),
        Some(Command::Utility(args)) => run_utility(args),
        Some(Command::Observe(args)) => run_observe(args),
        Some(Command::Bench(args)) => run_bench(args),
        Some(Command::Allocate(args)) => run_allocate(args),
    };
    done.map_or_else(|e| end(&e), |()| ExitCode::SUCCESS)
}

/// The command line for the record; what is not UTF-8 in it is replaced.
fn command_line() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

fn run_profile(config: &ProfileConfig) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let run = || profile::run(config, interrupt.as_ref());
    let finished = config.probes.compute.on_threads(run)?;
    match (config.json, config.quiet) {
        (true, _) => print(&json_line(&finished.summary)?)?,
        (false, false) => print(&finished.summary.to_string())?,
        (false, true) => {}
    }
    finished.shortcoming.map_or(Ok(()), Err)
}

fn dry_profile(mut config: ProfileConfig) -> Result<()> {
    config.probes = config.probes.without_weights();
    let ProfileConfig { probes, notes, quiet, json, .. } = &config;
    run_dry(probes, notes, [*quiet, *json], |compute| profile::workload(&config, compute))
}

fn dry_evaluate(mut config: EvaluateConfig) -> Result<()> {
    config.probes = config.probes.without_weights();
    let EvaluateConfig { probes, notes, quiet, json, .. } = &config;
    run_dry(probes, notes, [*quiet, *json], |_| evaluate::workload(&config))
}

/// Tells what `work` would take, after `notes`.
fn run_dry(
    probes: &ProbeConfig,
    notes: &[String],
    [quiet, json]: [bool; 2],
    work: impl FnOnce(&Compute) -> Result<(ModelFiles, Workload)> + Send,
) -> Result<()> {
    let tell = |text: &str| {
        if !quiet {
            note(text)
        }
    };
    let dry = probes.compute.on_threads(|| {
        let compute = probes.compute.open_telling(notes, &tell)?;
        let (model, work) = work(&compute)?;
        work.notes.iter().for_each(|text| tell(&format!("note: {text}")));
        DryRun::new(&model, probes, &compute, &work)
    })?;
    print(&if json { json_line(&dry)? } else { dry.to_string() })?;
    dry.check()
}

fn run_evaluate(args: &EvaluateArgs) -> Result<()> {
    let config = EvaluateConfig::new(args, command_line())?;
    if args.dry_run {
        return dry_evaluate(config);
    }
    let interrupt = Interrupt::install()?;
    let run = || evaluate::run(&config, interrupt.as_ref());
    let evaluated = config.probes.compute.on_threads(run)?;
    match (config.json, config.quiet) {
        (true, _) => print(&json_line(&evaluated)?)?,
        (false, false) => print(&evaluated.to_string())?,
        (false, true) => {}
    }
    evaluated.shortcoming.map_or(Ok(()), Err)
}

fn run_utility(args: &UtilityArgs) -> Result<()> {
    let config = UtilityConfig::new(args)?;
    let interrupt = Interrupt::install()?;
    let run = || utility::run(&config, interrupt.as_ref());
    let recorded = config.probes.compute.on_threads(run)?;
    if !config.quiet {
        let Recorded { path, accepted, probes } = recorded;
        print(&format!("{}: curves of {accepted} of {probes} probes\n", path.display()))?;
    }
    Ok(())
}

fn run_observe(args: &ObserveArgs) -> Result<()> {
    let config = ObserveConfig::new(args)?;
    let observed = config.compute.on_threads(|| observe::run(&config))?;
    print(&if args.json { json_line(&observed)? } else { observed.to_string() })
}

fn run_bench(args: &BenchArgs) -> Result<()> {
    let config = BenchConfig::new(args)?;
    let interrupt = Interrupt::install()?;
    let measured = config.compute.on_threads(|| bench::run(&config, interrupt.as_ref()))?;
    print(&if args.json { json_line(&measured)? } else { measured.to_string() })
}

fn run_verify(args: &VerifyArgs) -> Result<()> {
    let config = ComputeConfig::new(&args.compute)?;
    let report = config.on_threads(|| {
        let compute = config.open()?;
        compute.note.iter().for_each(|text| note(&format!("note: {text}")));
        let dir = match ModelChoice::new(Some(&args.model), &args.hub)? {
            ModelChoice::Dir(dir) => dir,
            ModelChoice::NeedleLlama => PathBuf::from(&args.model),
            ModelChoice::Hub(_) if args.golden.is_none() => {
                return Err(Error::usage("a model of the hub comes without a golden.json")
                    .at("headprof verify")
                    .got(&args.model)
                    .expected(
                        "a second argument: the file that scripts/make_golden.py wrote for it",
                    ));
            }
            ModelChoice::Hub(model) => hub::fetch(&model)?.dir,
        };
        verify::verify(&dir, args.golden.as_deref(), &compute)
    })?;
    print(&if args.json { json_line(&report)? } else { format!("{report}\n") })?;
    match report.passed() {
        true => Ok(()),
        false => Err(Error::model("this build and transformers differ on this checkpoint")),
    }
}

fn run_allocate(args: &AllocateArgs) -> Result<()> {
    let allocation = allocate::run(args)?;
    allocation.inputs.notes.iter().for_each(|text| note(&format!("note: {text}")));
    print(&if args.json { allocation.json()? } else { allocation.to_string() })
}
