//! Gives headprof's readers a million damaged files each.
//!
//! ```text
//! cargo run --release -p headprof-tools --bin fuzz -- --target all --execs 1000000 --seed 1
//! ```
//!
//! A fault is written to a file, with the command that reads it again; then the exit code is 1.
//! Inputs follow from the seed alone, so that another run finds the same.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use headprof_tools::fuzz::heap::CountingHeap;
use headprof_tools::fuzz::{Campaign, Folder, STACK_BYTES, Tally, Target, run_one, targets};

#[global_allocator]
static HEAP: CountingHeap = CountingHeap;

/// Fuzzes headprof's readers.
#[derive(Parser)]
struct Args {
    /// Reader to fuzz, or all; --list names them
    #[arg(long, default_value = "all")]
    target: String,
    /// Inputs per reader
    #[arg(long, default_value_t = 100_000)]
    execs: u64,
    /// What the inputs follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Folder for the inputs that are being read, and for those at fault
    #[arg(long, default_value = "target/fuzz")]
    out: PathBuf,
    /// Reads this file once, with what panics say
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Names the readers
    #[arg(long)]
    list: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.list {
        for target in targets::registry() {
            println!("{:<18} {}", target.name, target.reads);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen: Vec<&Target> = match args.target.as_str() {
        "all" => targets::registry().to_vec(),
        name => match targets::find(name) {
            Some(target) => vec![target],
            None => bail!("there is no target {name}; --list names them"),
        },
    };
    if let Some(file) = &args.replay {
        let [target] = chosen[..] else { bail!("--replay needs the --target that failed") };
        return replay(target, file, &args.out);
    }
    // Panics are counted; what one said is in the report.
    std::panic::set_hook(Box::new(|_| ()));
    println!(
        "{:<18} {:>9} {:>9} {:>9} {:>7} {:>9} {:>8} {:>9}",
        "target", "execs", "accepted", "refused", "faults", "slowest", "largest", "execs/s"
    );
    let mut faults = 0;
    for target in chosen {
        let folder = args.out.clone();
        let (runs, seed, threads) = (args.execs, args.seed, args.threads.max(1));
        let tally = Campaign { target, runs, seed, threads, folder }.run()?;
        faults += tally.faults;
        report(target, &tally, &args)?;
    }
    Ok(ExitCode::from(u8::from(faults > 0)))
}

fn report(target: &Target, tally: &Tally, args: &Args) -> Result<()> {
    println!(
        "{:<18} {:>9} {:>9} {:>9} {:>7} {:>6.0} ms {:>4} MiB {:>9.0}",
        target.name,
        tally.runs,
        tally.accepted,
        tally.refused,
        tally.faults,
        tally.slowest.as_secs_f64() * 1e3,
        tally.largest >> 20,
        tally.runs as f64 / tally.took.as_secs_f64().max(1e-9),
    );
    for fault in &tally.kept {
        let name = format!("fault-{}-{}-{}", target.name, args.seed, fault.number);
        let path = args.out.join(name);
        std::fs::write(&path, &fault.input).with_context(|| path.display().to_string())?;
        println!("  {}", fault.what.replace('\n', "\n  "));
        println!(
            "  cargo run --release -p headprof-tools --bin fuzz -- --target {} --replay {}",
            target.name,
            path.display()
        );
    }
    Ok(())
}

fn replay(target: &'static Target, file: &Path, out: &Path) -> Result<ExitCode> {
    let input = std::fs::read(file).with_context(|| file.display().to_string())?;
    let folder = Folder::new(out.join(format!("{}-replay", target.name)), target)?;
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let ended = thread.spawn(move || {
        let told = (target.read)(&folder, &input).map_err(|e| e.to_string());
        (told, run_one(target, &folder, &input))
    })?;
    let Ok((told, (ended, bytes))) = ended.join() else { return Ok(ExitCode::FAILURE) };
    println!("{told:?}\n{} KiB", bytes >> 10);
    match ended {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(what) => bail!("{what}"),
    }
}
