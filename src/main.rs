//! `headprof`: parse, run, exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use headprof::cli::{Cli, Command, VerifyArgs};
use headprof::interrupt::Interrupt;
use headprof::model::Compute;
use headprof::progress::note;
use headprof::run_config::RunConfig;
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
        (true, _) => print(&json(&finished.summary)?)?,
        (false, false) => print(&finished.summary.to_string())?,
        (false, true) => {}
    }
    finished.shortcoming.map_or(Ok(()), Err)
}

fn run_verify(args: &VerifyArgs) -> Result<()> {
    let compute = Compute::open(args.device.parse()?)?;
    let report = verify::verify(&args.dir, args.golden.as_deref(), &compute)?;
    print(&if args.json { json(&report)? } else { format!("{report}\n") })?;
    match report.passed() {
        true => Ok(()),
        false => Err(Error::model("this build and transformers differ on this checkpoint")),
    }
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string(value);
    text.map(|t| t + "\n").map_err(|e| Error::bug("a result cannot be written as JSON").got(e))
}

/// Prints to standard output; whoever closed it has read enough.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::resources("standard output cannot be written to").got(e))
        }
        _ => Ok(()),
    }
}
