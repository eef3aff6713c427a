//! `headprof`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use headprof::cli::{Cli, Command, VerifyArgs};
use headprof::interrupt::Interrupt;
use headprof::model::Compute;
use headprof::run_config::RunConfig;
use headprof::terminal::{json_line, note, print};
use headprof::{Error, Result, profile, verify};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help goes to a pipe that may be closed.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    let done = match &cli.command {
        None => {
            RunConfig::new(&cli.profile, std::env::args().collect()).and_then(|c| run_profile(&c))
        }
        Some(Command::Verify(args)) => run_verify(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            note(&format!("error: {e}"));
            ExitCode::from(e.exit_code())
        }
    }
}

fn run_profile(config: &RunConfig) -> Result<()> {
    if let Some(threads) = config.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build_global().map_err(|e| Error::resources("threads cannot be started").got(e))?;
    }
    let finished = profile::run(config, Interrupt::install()?.as_ref())?;
    match (config.json, config.quiet) {
        (true, _) => print(&json_line(&finished.summary)?)?,
        (false, false) => print(&finished.summary.to_string())?,
        (false, true) => {}
    }
    finished.shortcoming.map_or(Ok(()), Err)
}

fn run_verify(args: &VerifyArgs) -> Result<()> {
    let compute = Compute::open(args.device.parse()?)?;
    let report = verify::verify(&args.dir, args.golden.as_deref(), &compute)?;
    print(&if args.json { json_line(&report)? } else { report.to_string() })?;
    match report.passed() {
        true => Ok(()),
        false => Err(Error::model("this build and transformers differ on this checkpoint")),
    }
}
