//! The training loop: three stages, lengths mixed, positions stretched.
//!
//! 1. *Repeated random tokens* until induction heads stand: without them the loss on answers stays
//!    on a plateau for millions of tokens.
//! 2. *Short, with whole needles for answers*.
//! 3. *Questions about scattered facts.* Most sequences are short; their positions jump ahead at a
//!    few random places (PoSE, arXiv 2309.10400), so that every distance up to [`REACH`] is seen at
//!    the price of a few hundred tokens. A share of the steps is long for real.
//!
//! A stage ends when most of its answers are right ([`GRADUATED`]), or when its time is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use burn::prelude::*;
use headprof::{Error, Result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::corpus::{Corpus, Mix, Sample, random_repeats};
use crate::targets::Targets;

/// Largest position that training reaches, in tokens.
const REACH: usize = 2400;

/// Share of right answers in [`WINDOW`] steps that ends the first and the second stage.
const GRADUATED: f64 = 0.6;

/// Share of the time after which the first and the second stage end anyway.
const AT_THE_LATEST: [f64; 2] = [0.25, 0.5];

/// The stage that lasts to the end, counted from 0.
pub const LAST_STAGE: usize = 2;

/// Length of repeated random tokens.
const SHORTEST: usize = 64;

/// Steps per line of the log.
const WINDOW: usize = 50;

/// One training step's sequences, all of `n` tokens.
pub struct Batch {
    pub samples: Vec<Sample>,
    /// Positions of all tokens, `[sequences * n]`.
    pub positions: Vec<f32>,
    pub n: usize,
}

/// How long and how hard to train.
pub struct Schedule {
    /// Wall-clock minutes of the whole run; the learning rate follows the clock.
    pub minutes: f64,
    /// The stage to begin with, 0 to [`LAST_STAGE`].
    pub stage: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Tokens per step.
    pub tokens: usize,
    /// Share of the last stage's steps that ask about stories only.
    pub stories: f64,
    /// Seed of data and stretching.
    pub seed: u64,
}

/// What one step found out about the answers in its batch.
pub struct Found {
    /// Mean negative log likelihood of answer tokens.
    pub answer_nll: f64,
    /// Answers right in every token, of how many.
    pub right: usize,
    pub answers: usize,
}

impl Found {
    /// From the nll and the most likely token of every target.
    pub fn of(targets: &Targets, nll: &[f32], best: &[i32]) -> Self {
        let (answer_nll, right, answers) = targets.tally(nll, best);
        Self { answer_nll, right, answers }
    }
}

/// A model that learns from batches.
pub trait Trainer {
    /// Updates the weights once.
    ///
    /// # Errors
    /// If the device fails.
    fn step(&mut self, batch: &Batch, rate: f64) -> Result<Found>;

    /// The weights under their Hugging Face names.
    fn weights(&self) -> Vec<(String, TensorData)>;
}

/// Trains and hands the weights to `save` every few minutes and at the end.
///
/// # Errors
/// If the data thread stops, the loss is not finite, or `save` fails.
pub fn train(
    trainer: &mut dyn Trainer,
    corpus: Corpus,
    schedule: &Schedule,
    vocab: u32,
    save: &mut dyn FnMut(Vec<(String, TensorData)>) -> Result<()>,
) -> Result<()> {
    let stage = Arc::new(AtomicUsize::new(schedule.stage));
    let batches = generate(corpus, schedule, vocab, stage.clone());
    let (start, mut saved, mut seen) = (Instant::now(), Instant::now(), 0usize);
    let mut tallies: Vec<(usize, Found)> = Vec::new();
    for step in 0.. {
        let progress = start.elapsed().as_secs_f64() / (60.0 * schedule.minutes);
        if progress >= 1.0 {
            break;
        }
        let batch = batches.recv().map_err(|_| Error::bug("the data thread stopped"))??;
        let found = trainer.step(&batch, schedule.rate(step, progress))?;
        if !found.answer_nll.is_finite() {
            return Err(Error::bug("the training loss is not finite").advice("lower --rate"));
        }
        seen += batch.samples.len() * batch.n;
        tallies.push((batch.n, found));
        if step % WINDOW == WINDOW - 1 {
            let right = report(step + 1, start.elapsed(), seen, &mut tallies);
            let now = stage.load(Ordering::Relaxed);
            let late = AT_THE_LATEST.get(now).is_some_and(|end| progress > *end);
            if now < LAST_STAGE && (right > GRADUATED || late) {
                println!("stage {} ends", now + 1);
                stage.store(now + 1, Ordering::Relaxed);
            }
        }
        if saved.elapsed() > Duration::from_secs(240) {
            save(trainer.weights())?;
            saved = Instant::now();
        }
    }
    save(trainer.weights())
}

impl Schedule {
    /// Warm-up over 60 steps, then a cosine to 3 % of the peak at the end of the time.
    fn rate(&self, step: usize, progress: f64) -> f64 {
        let warm = ((step + 1) as f64 / 60.0).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        self.learning_rate * warm * (0.03 + 0.97 * cosine)
    }
}

/// Starts the thread that draws batches.
fn generate(
    corpus: Corpus,
    schedule: &Schedule,
    vocab: u32,
    stage: Arc<AtomicUsize>,
) -> Receiver<Result<Batch>> {
    let (sender, receiver) = sync_channel(4);
    let mut rng = StdRng::seed_from_u64(schedule.seed);
    let (tokens, stories) = (schedule.tokens, schedule.stories);
    std::thread::spawn(move || {
        loop {
            let stage = stage.load(Ordering::Relaxed);
            // Some repetitions to the end, so that what they taught is not lost.
            let batch = match (rng.random_bool([1.0, 0.15, 0.04][stage]), stage) {
                (true, _) => Ok(repetitions(tokens, vocab, &mut rng)),
                (false, 1) => easy(&corpus, tokens, &mut rng),
                (false, _) if rng.random_bool(stories) => told(&corpus, tokens, &mut rng),
                (false, _) => mixed(&corpus, tokens, &mut rng),
            };
            if sender.send(batch).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Repeated random tokens.
fn repetitions(tokens: usize, vocab: u32, rng: &mut StdRng) -> Batch {
    let n = SHORTEST;
    let samples = (0..tokens / n).map(|_| random_repeats(rng, n, vocab)).collect();
    Batch::new(samples, n, 0.5, rng)
}

/// Short samples that mostly ask for the whole needle.
fn easy(corpus: &Corpus, tokens: usize, rng: &mut StdRng) -> Result<Batch> {
    let mix = Mix { babi: 0.5, quotes: 0.6, ..Mix::default() };
    questions(corpus, tokens, (144, 3), &mix, 0.25, rng)
}

/// Mostly short samples, some long.
fn mixed(corpus: &Corpus, tokens: usize, rng: &mut StdRng) -> Result<Batch> {
    let shape = match rng.random_range(0..100) {
        0..60 => (176, 4),
        60..82 => (352, 6),
        82..94 => (704, 10),
        _ => (1792, 16),
    };
    questions(corpus, tokens, shape, &Mix { quotes: 0.1, ..Mix::default() }, 0.75, rng)
}

/// Stories alone, mostly with little prose between the facts: who was last seen where is learnt
/// there and then found in the long ones, while one story question among a dozen needles teaches
/// nothing. A third of them without things: a thing's place builds on its holder's. The two have
/// other lengths, so that the log tells them apart.
fn told(corpus: &Corpus, tokens: usize, rng: &mut StdRng) -> Result<Batch> {
    let moves_only = rng.random_bool(0.33);
    let (n, pairs) = match rng.random_range(0..100) {
        0..40 => (144, 3),
        40..80 => (288, 6),
        80..96 => (592, 7),
        _ => (1200, 7),
    };
    let mix = Mix {
        families: [0.0; 12],
        babi: 1.0,
        moves_only: f32::from(u8::from(moves_only)),
        ..Mix::default()
    };
    questions(corpus, tokens, (n + if moves_only { 0 } else { 16 }, pairs), &mix, 0.3, rng)
}

/// Samples of `n` tokens with `pairs` questions each.
fn questions(
    corpus: &Corpus,
    tokens: usize,
    (n, pairs): (usize, usize),
    mix: &Mix,
    stretch: f64,
    rng: &mut StdRng,
) -> Result<Batch> {
    let count = (tokens / n).max(1);
    let samples = (0..count).map(|_| corpus.sample(rng, n, pairs, mix)).collect::<Result<_>>()?;
    Ok(Batch::new(samples, n, stretch, rng))
}

impl Batch {
    /// Gives every sequence its positions, a share `stretch` of them with jumps.
    pub fn new(samples: Vec<Sample>, n: usize, stretch: f64, rng: &mut StdRng) -> Self {
        let positions = samples.iter().flat_map(|_| stretched(n, stretch, rng)).collect();
        Self { samples, positions, n }
    }
}

/// Positions of `n` tokens with up to four jumps ahead, ending anywhere from `n` to [`REACH`].
fn stretched(n: usize, share: f64, rng: &mut StdRng) -> Vec<f32> {
    let room = REACH.saturating_sub(n);
    let mut jumps = vec![0usize; n];
    if room > 0 && rng.random_bool(share) {
        let mut left = rng.random_range(0..=room);
        for _ in 0..rng.random_range(1..=4) {
            let jump = rng.random_range(0..=left);
            jumps[rng.random_range(1..n)] += jump;
            left -= jump;
        }
    }
    let mut position = 0;
    jumps
        .iter()
        .enumerate()
        .map(|(i, jump)| {
            position += jump + usize::from(i > 0);
            position as f32
        })
        .collect()
}

/// One line: loss on answers and answers right, per sequence length, since the last line. Returns
/// the share of answers right, random tokens left out.
fn report(step: usize, elapsed: Duration, seen: usize, tallies: &mut Vec<(usize, Found)>) -> f64 {
    let mut lengths: Vec<usize> = tallies.iter().map(|t| t.0).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let columns: Vec<String> = lengths
        .iter()
        .copied()
        .map(|n| {
            let of: Vec<&Found> = tallies.iter().filter(|t| t.0 == n).map(|t| &t.1).collect();
            let nll = of.iter().map(|f| f.answer_nll).sum::<f64>() / of.len() as f64;
            let right: usize = of.iter().map(|f| f.right).sum();
            let answers: usize = of.iter().map(|f| f.answers).sum();
            format!("{n}: nll {nll:.3} right {:.1} %", 100.0 * right as f64 / answers.max(1) as f64)
        })
        .collect();
    let (secs, millions) = (elapsed.as_secs_f64(), seen as f64 / 1e6);
    println!(
        "step {step:5}  {:6.1} min  {millions:6.2} M tokens  {:5.0} tokens/s  {}",
        secs / 60.0,
        seen as f64 / secs,
        columns.join("  ")
    );
    // Random tokens count only while there is nothing else.
    let most = *lengths.last().unwrap_or(&0);
    let counted = tallies.iter().filter(|t| t.0 > SHORTEST || most <= SHORTEST);
    let (right, answers) = counted.fold((0, 0), |sum, (_, f)| (sum.0 + f.right, sum.1 + f.answers));
    tallies.clear();
    right as f64 / answers.max(1) as f64
}
