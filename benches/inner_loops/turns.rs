//! Two ways of doing the same, in turn.

use std::hint::black_box;
use std::time::Instant;

/// Rounds of every comparison, of which each way gets one turn.
pub const ROUNDS: usize = 15;
/// What a turn should take at least, so that reading the clock does not count.
const TURN_SECS: f64 = 2e-3;

/// The comparisons that are asked for.
pub struct Turns {
    wanted: Vec<String>,
}

impl Turns {
    /// Those whose names begin with one of `wanted`; all where there is none.
    pub fn new(wanted: Vec<String>) -> Self {
        Self { wanted }
    }

    /// Whether a comparison of this name is to be made.
    pub fn want(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|start| name.starts_with(start.as_str()))
    }

    /// Prints a line for `ours` against `plain`, each repeated until a turn is long enough.
    pub fn compare<A, B>(
        &self,
        name: &str,
        way: &str,
        mut ours: impl FnMut() -> A,
        mut plain: impl FnMut() -> B,
    ) {
        if self.want(name) {
            let repeats = [repeats(&mut ours), repeats(&mut plain)];
            self.compare_repeated(name, way, repeats, ours, plain);
        }
    }

    /// The same with so many repeats per turn, `[ours, plain]`, for what changes as it is repeated.
    pub fn compare_repeated<A, B>(
        &self,
        name: &str,
        way: &str,
        repeats: [usize; 2],
        mut ours: impl FnMut() -> A,
        mut plain: impl FnMut() -> B,
    ) {
        let rounds: Vec<[f64; 2]> = (0..ROUNDS)
            .map(|_| [turn(repeats[0], &mut ours), turn(repeats[1], &mut plain)])
            .collect();
        let ratios = sorted(rounds.iter().map(|[ours, plain]| plain / ours));
        let median = |values: Vec<f64>| values[values.len() / 2];
        let [ours, plain] = [0, 1].map(|i| median(sorted(rounds.iter().map(|round| round[i]))));
        println!(
            "| {name} | {way} | {:.1} | {:.1} | {:.2} ({:.2} to {:.2}) |",
            1e6 * ours,
            1e6 * plain,
            ratios[ratios.len() / 2],
            ratios[0],
            ratios[ratios.len() - 1],
        );
    }
}

/// Seconds of one repeat.
fn turn<A>(repeats: usize, work: &mut impl FnMut() -> A) -> f64 {
    let start = Instant::now();
    for _ in 0..repeats {
        black_box(work());
    }
    start.elapsed().as_secs_f64() / repeats as f64
}

fn repeats<A>(work: &mut impl FnMut() -> A) -> usize {
    // The first time warms up.
    black_box(work());
    (TURN_SECS / turn(1, work)).ceil().clamp(1.0, 1e6) as usize
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
