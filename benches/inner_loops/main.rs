//! What runs most often, against a plain way of doing the same, side by side in one run.
//!
//! ```text
//! cargo bench --bench inner_loops [-- NAME ...]      (default: all; a name is the start of a line's)
//! ```
//!
//! Every line takes turns between the two and gives the ratio, plain over ours, its median and its
//! spread over the rounds. Times depend on the machine; ratios hardly do, unless it is busy. Where
//! both give the same numbers, that is checked before they are timed.

mod batch;
mod ragged;
mod rouge;
mod row_stats;
mod top_k;
mod turns;
mod window_scores;

use headprof::Result;

use turns::Turns;

fn main() -> Result<()> {
    // As the program does: on one of the threads that share the work.
    rayon::scope(|_| bench())
}

fn bench() -> Result<()> {
    // `cargo bench` adds options of its own.
    let wanted = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!("{} threads, {} rounds", rayon::current_num_threads(), turns::ROUNDS);
    println!("| what | plain way | ours, us | plain, us | plain / ours |\n|---|---|---|---|---|");
    let turns = Turns::new(wanted);
    row_stats::bench(&turns)?;
    top_k::bench(&turns);
    window_scores::bench(&turns)?;
    rouge::bench(&turns);
    ragged::bench(&turns)?;
    batch::bench(&turns)
}

/// `n` numbers in `[0, 1)`, the same ones every time.
fn noise(n: usize) -> Vec<f32> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    (0..n).map(next).collect()
}

/// `n` token ids below 2000, within needle-llama's vocabulary.
fn ids(n: usize) -> Vec<u32> {
    (0..n).map(|i| 2 + (i * 7919 % 2000) as u32).collect()
}
