//! [`Campaign`]: many runs of one target, counted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::target::CURRENT;
use super::{Folder, Mutator, Random, STACK_BYTES, Target, heap};

/// Runs that begin from one seed, each from what the last accepted one has become.
const CHAIN: u64 = 32;

/// A run that takes longer is a fault.
pub const SLOWEST: Duration = Duration::from_secs(10);
/// After this the process is ended.
const ENDLESS: Duration = Duration::from_secs(60);

/// Faults of a campaign that are kept; the others are only counted.
const KEPT: usize = 20;

/// What reading an input of `bytes` may take: much for something small, and in proportion.
pub fn most_bytes(bytes: usize) -> usize {
    (64 << 20) + 1024 * bytes
}

/// How reading an input ended if not well.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The number of the run.
    pub number: u64,
    /// What happened.
    pub what: String,
    /// What was read.
    pub input: Vec<u8>,
}

/// What came of the runs.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Inputs that were taken.
    pub accepted: u64,
    /// Inputs that were refused as they should be.
    pub refused: u64,
    /// All others.
    pub faults: u64,
    /// The first of these.
    pub kept: Vec<Fault>,
    /// The longest time that an input took.
    pub slowest: Duration,
    /// The most memory that an input took, in bytes.
    pub largest: usize,
    /// How long it took in all.
    pub took: Duration,
}

/// What is to be run.
pub struct Campaign<'a> {
    /// The reader.
    pub target: &'a Target,
    /// How often it is run.
    pub runs: u64,
    /// What all inputs follow from.
    pub seed: u64,
    /// Threads that share the runs. The inputs do not depend on it.
    pub threads: usize,
    /// Where the workers' folders are made.
    pub folder: PathBuf,
}

/// Reads one input.
///
/// # Errors
/// What is wrong: a panic, an exit code that is not that of a bad file, too much memory or time.
pub fn run_one(target: &Target, folder: &Folder, input: &[u8]) -> (Result<bool, String>, usize) {
    folder.put(CURRENT, input);
    heap::start_counting();
    let start = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| (target.read)(folder, input)));
    let (took, peak) = (start.elapsed(), heap::peak_bytes());
    let ended = match ended {
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(format!("panic: {}", text.unwrap_or_default()))
        }
        Ok(_) if took > SLOWEST => Err(format!("it took {} s", took.as_secs())),
        Ok(_) if peak > most_bytes(input.len()) => {
            Err(format!("it took {} MiB for {} bytes", peak >> 20, input.len()))
        }
        Ok(Ok(())) => Ok(true),
        Ok(Err(e)) if (2..=4).contains(&e.exit_code()) => Ok(false),
        Ok(Err(e)) => Err(format!("exit code {}: {e}", e.exit_code())),
    };
    (ended, peak)
}

impl Campaign<'_> {
    /// Runs all.
    ///
    /// # Errors
    /// If a folder cannot be made or a thread not be started, and if a seed is refused.
    pub fn run(&self) -> std::io::Result<Tally> {
        let start = Instant::now();
        let seeds = self.seeds()?;
        let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
        let clocks: Vec<AtomicU64> = (0..self.threads).map(|_| AtomicU64::new(0)).collect();
        let done = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let mut workers = Vec::new();
            for (worker, clock) in clocks.iter().enumerate() {
                let path = self.folder.join(format!("{}-{worker}", self.target.name));
                let folder = Folder::new(path, self.target)?;
                let (seeds, next, tally) = (&seeds, &next, &tally);
                let work = move || self.work(&folder, seeds, next, tally, (clock, start));
                let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
                workers.push(thread.spawn_scoped(scope, work)?);
            }
            scope.spawn(|| watch(&clocks, &done, start, self.target.name));
            let panics = workers.into_iter().filter_map(|worker| worker.join().err()).last();
            done.store(1, Ordering::Relaxed);
            match panics {
                Some(panic) => std::panic::resume_unwind(panic),
                None => Ok::<_, std::io::Error>(()),
            }
        })?;
        let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        tally.kept.sort_by_key(|fault| fault.number);
        tally.took = start.elapsed();
        Ok(tally)
    }

    /// The target's seeds, all of which it takes.
    fn seeds(&self) -> std::io::Result<Vec<Vec<u8>>> {
        let folder =
            Folder::new(self.folder.join(format!("{}-seeds", self.target.name)), self.target)?;
        let seeds = (self.target.seeds)();
        for (i, seed) in seeds.iter().enumerate() {
            (self.target.read)(&folder, seed)
                .map_err(|e| std::io::Error::other(format!("seed {i} is not taken: {e}")))?;
        }
        Ok(seeds)
    }

    fn work(
        &self,
        folder: &Folder,
        seeds: &[Vec<u8>],
        next: &AtomicU64,
        tally: &Mutex<Tally>,
        (clock, start): (&AtomicU64, Instant),
    ) {
        let mutator = Mutator::new(seeds);
        loop {
            let first = next.fetch_add(CHAIN, Ordering::Relaxed);
            if first >= self.runs {
                return;
            }
            let mut own = Tally::default();
            let mut random = Random::new(self.seed, self.target.name, first);
            let mut base = mutator.seed(&mut random);
            for number in first..(first + CHAIN).min(self.runs) {
                let input = mutator.edited(base.clone(), &mut random);
                let begin = Instant::now();
                clock.store(millis(start.elapsed()) + 1, Ordering::Relaxed);
                let (ended, peak) = run_one(self.target, folder, &input);
                clock.store(0, Ordering::Relaxed);
                own.slowest = own.slowest.max(begin.elapsed());
                own.largest = own.largest.max(peak);
                own.runs += 1;
                match ended {
                    Ok(true) => {
                        own.accepted += 1;
                        if random.below(2) == 0 && input.len() < 1 << 14 {
                            base = input;
                        }
                    }
                    Ok(false) => own.refused += 1,
                    Err(what) => {
                        own.faults += 1;
                        own.kept.push(Fault { number, what, input });
                    }
                }
            }
            tally.lock().unwrap_or_else(PoisonError::into_inner).add(own);
        }
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.faults += other.faults;
        self.slowest = self.slowest.max(other.slowest);
        self.largest = self.largest.max(other.largest);
        let room = KEPT - self.kept.len();
        self.kept.extend(other.kept.into_iter().take(room));
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Ends the process where a worker is in an endless loop, which nothing else can.
fn watch(clocks: &[AtomicU64], done: &AtomicU64, start: Instant, name: &str) {
    while done.load(Ordering::Relaxed) == 0 {
        std::thread::sleep(Duration::from_millis(20));
        for (worker, clock) in clocks.iter().enumerate() {
            let since = clock.load(Ordering::Relaxed);
            if since > 0 && millis(start.elapsed()).saturating_sub(since) > millis(ENDLESS) {
                eprintln!("{name}: worker {worker} does not end; its input is {CURRENT}");
                std::process::abort();
            }
        }
    }
}
