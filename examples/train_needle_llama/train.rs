//! The training loop: two stages, lengths mixed, positions stretched.
//!
//! 1. *Repeated random tokens* until induction heads stand: without them the loss on answers stays
//!    on a plateau for millions of tokens.
//! 2. *Questions about scattered facts.* Most sequences are short; their positions jump ahead at a
//!    few random places (PoSE, arXiv 2309.10400), so that every distance up to [`REACH`] is seen at
//!    the price of a few hundred tokens. A share of the steps is long for real.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::grad_clipping::GradientClippingConfig;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::prelude::*;
use burn::tensor::activation::{log_softmax, softmax};
use headprof::model::config::ModelConfig;
use headprof::model::decoder::Decoder;
use headprof::model::rope::Rope;
use headprof::{Error, Result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::corpus::{Corpus, Mix, Sample, random_repeats};

/// Largest position that training reaches, in tokens.
const REACH: usize = 2400;

/// Weight of a target from which on it counts as part of an answer.
const ANSWER: f32 = 0.99;

/// Share of the targets outside answers that enter the loss of one step.
const KEEP: f64 = 0.25;

/// One training step's sequences, all of `n` tokens.
struct Batch {
    samples: Vec<Sample>,
    positions: Vec<f32>,
    n: usize,
}

/// How long and how hard to train.
pub struct Schedule {
    /// Wall-clock minutes of the whole run; the learning rate follows the clock.
    pub minutes: f64,
    /// Steps of repeated random tokens to begin with.
    pub repeat_steps: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Tokens per step.
    pub tokens: usize,
    /// Seed of data and stretching.
    pub seed: u64,
}

/// Trains `model` and hands it to `save` every few minutes and at the end.
///
/// # Errors
/// If the data thread stops, the loss is not finite, or `save` fails.
pub fn train(
    mut model: Decoder,
    config: &ModelConfig,
    corpus: Corpus,
    schedule: &Schedule,
    device: &Device,
    save: &mut dyn FnMut(&Decoder) -> Result<()>,
) -> Result<()> {
    let rope = Rope::new(config.rope, config.head_dim);
    let mut optimizer = AdamWConfig::new()
        .with_beta_2(0.98)
        .with_epsilon(1e-8)
        .with_weight_decay(0.01)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
        .init();
    let batches = generate(corpus, schedule, config.vocab as u32);
    let (start, mut saved, mut seen) = (Instant::now(), Instant::now(), 0usize);
    let mut tallies: Vec<(usize, f64, usize, usize)> = Vec::new();
    for step in 0.. {
        let progress = start.elapsed().as_secs_f64() / (60.0 * schedule.minutes);
        if progress >= 1.0 {
            break;
        }
        let batch = batches.recv().map_err(|_| Error::bug("the data thread stopped"))??;
        let loss = Loss::of(&model, &batch, config, &rope, device)?;
        seen += batch.samples.len() * batch.n;
        tallies.push((batch.n, loss.answer_nll, loss.right, loss.answers));
        let gradients = GradientsParams::from_grads(loss.value.backward(), &model);
        model = optimizer.step(schedule.rate(step, progress), model, gradients);
        if step % 25 == 24 {
            report(step + 1, start.elapsed(), seen, &mut tallies);
        }
        if saved.elapsed() > Duration::from_secs(300) {
            save(&model.valid())?;
            saved = Instant::now();
        }
    }
    save(&model.valid())
}

impl Schedule {
    /// Warm-up over 60 steps, then a cosine to 3 % of the peak at the end of the time.
    fn rate(&self, step: usize, progress: f64) -> f64 {
        let warm = ((step + 1) as f64 / 60.0).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        self.learning_rate * warm * (0.03 + 0.97 * cosine)
    }
}

/// The loss of one batch and how many answers it would have given right.
struct Loss {
    value: Tensor<1>,
    answer_nll: f64,
    right: usize,
    answers: usize,
}

impl Loss {
    fn of(
        model: &Decoder,
        batch: &Batch,
        config: &ModelConfig,
        rope: &Rope,
        device: &Device,
    ) -> Result<Self> {
        let (b, n) = (batch.samples.len(), batch.n);
        let ids: Vec<i32> =
            batch.samples.iter().flat_map(|s| s.ids.iter().map(|id| *id as i32)).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [b, n]), device);
        let angles = rope.angles(&batch.positions, b, device);
        let group = config.group();
        let mask = causal_mask(group, n, device);
        let mut attend = |_, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>| {
            let [_, h, _, d] = q.dims();
            let q = q.mul_scalar(1.0 / (d as f64).sqrt()).reshape([b, h / group, group * n, d]);
            let weights = softmax(q.matmul(k.swap_dims(2, 3)) + mask.clone(), 3);
            Ok(weights.matmul(v).reshape([b, h, n, d]))
        };
        let hidden = model.run(ids, &angles, &mut attend, &mut |_, _| Ok(()))?;
        let targets = Targets::choose(batch);
        let rows = Tensor::<1, Int>::from_data(
            TensorData::new(targets.rows.clone(), [targets.rows.len()]),
            device,
        );
        let logits = model.logits(hidden.select(0, rows));
        let m = targets.rows.len();
        let wanted =
            Tensor::<2, Int>::from_data(TensorData::new(targets.wanted.clone(), [m, 1]), device);
        let nll = log_softmax(logits.clone(), 1).gather(1, wanted).neg().reshape([m]);
        let weights = Tensor::<1>::from_data(TensorData::new(targets.weights.clone(), [m]), device);
        let value = (nll.clone() * weights).sum().div_scalar(targets.total.max(1.0));
        let nll: Vec<f32> = nll.detach().try_into_vec_as().map_err(unread)?;
        let best = logits.detach().argmax(1).reshape([m]);
        let best: Vec<i32> = best.try_into_vec_as().map_err(unread)?;
        let (answer_nll, right, answers) = targets.tally(&nll, &best);
        if !answer_nll.is_finite() {
            return Err(Error::bug("the training loss is not finite").advice("lower --rate"));
        }
        Ok(Self { value, answer_nll, right, answers })
    }
}

fn unread(e: burn::tensor::TensorReadError) -> Error {
    Error::bug("a tensor cannot be read").got(format!("{e:?}"))
}

/// 0 where a query sees a key, -∞ (nearly) where not: `[1, 1, group * n, n]`, the heads that share
/// a key/value head below one another.
fn causal_mask(group: usize, n: usize, device: &Device) -> Tensor<4> {
    let row = |i: usize| (0..n).map(move |j| if j <= i % n { 0f32 } else { -1e9 });
    let values: Vec<f32> = (0..group * n).flat_map(row).collect();
    Tensor::from_data(TensorData::new(values, [1, 1, group * n, n]), device)
}

/// The targets that enter the loss: all of the answers, a random part of the rest.
struct Targets {
    rows: Vec<i32>,
    wanted: Vec<i32>,
    weights: Vec<f32>,
    /// Sum of the answers' weights, by which the loss is divided.
    total: f64,
}

impl Targets {
    fn choose(batch: &Batch) -> Self {
        let mut rng = StdRng::seed_from_u64(batch.samples[0].ids.iter().map(|i| *i as u64).sum());
        let mut t = Self { rows: vec![], wanted: vec![], weights: vec![], total: 0.0 };
        for (s, sample) in batch.samples.iter().enumerate() {
            for i in 1..sample.ids.len() {
                let weight = sample.weights[i];
                let answer = weight >= ANSWER;
                if weight == 0.0 || (!answer && !rng.random_bool(KEEP)) {
                    continue;
                }
                t.rows.push((s * batch.n + i - 1) as i32);
                t.wanted.push(sample.ids[i] as i32);
                t.weights.push(if answer { weight } else { weight / KEEP as f32 });
                t.total += if answer { weight as f64 } else { 0.0 };
            }
        }
        t
    }

    /// Mean negative log likelihood of answer tokens, answers right in every token, answers.
    fn tally(&self, nll: &[f32], best: &[i32]) -> (f64, usize, usize) {
        let (mut sum, mut count, mut right, mut answers) = (0.0, 0usize, 0, 0);
        let mut i = 0;
        while i < self.rows.len() {
            if self.weights[i] < ANSWER || self.weights[i] > 1.5 {
                i += 1;
                continue;
            }
            let (first, mut all) = (i, true);
            while i < self.rows.len()
                && self.rows[i] - self.rows[first] == (i - first) as i32
                && (ANSWER..1.5).contains(&self.weights[i])
            {
                all &= best[i] == self.wanted[i];
                sum += nll[i] as f64;
                count += 1;
                i += 1;
            }
            answers += 1;
            right += usize::from(all);
        }
        (sum / count.max(1) as f64, right, answers)
    }
}

/// Starts the thread that draws batches.
fn generate(corpus: Corpus, schedule: &Schedule, vocab: u32) -> Receiver<Result<Batch>> {
    let (sender, receiver) = sync_channel(4);
    let mut rng = StdRng::seed_from_u64(schedule.seed);
    let (repeats, tokens) = (schedule.repeat_steps, schedule.tokens);
    std::thread::spawn(move || {
        for step in 0.. {
            let batch = match step < repeats {
                true => {
                    let n = 64;
                    let samples =
                        (0..tokens / n).map(|_| random_repeats(&mut rng, n, vocab)).collect();
                    Ok(Batch::new(samples, n, &mut rng))
                }
                false => draw(&corpus, tokens, &mut rng),
            };
            if sender.send(batch).is_err() {
                return;
            }
        }
    });
    receiver
}

/// One batch of questions: mostly 224 tokens, some 448, 896 and 1792.
fn draw(corpus: &Corpus, tokens: usize, rng: &mut StdRng) -> Result<Batch> {
    let (n, pairs) = match rng.random_range(0..100) {
        0..70 => (224, 4),
        70..88 => (448, 6),
        88..96 => (896, 10),
        _ => (1792, 16),
    };
    let mix = Mix::default();
    let count = (tokens / n).max(1);
    let samples = (0..count).map(|_| corpus.sample(rng, n, pairs, &mix)).collect::<Result<_>>()?;
    Ok(Batch::new(samples, n, rng))
}

impl Batch {
    fn new(samples: Vec<Sample>, n: usize, rng: &mut StdRng) -> Self {
        let positions = samples.iter().flat_map(|_| stretched(n, rng)).collect();
        Self { samples, positions, n }
    }
}

/// Positions of `n` tokens with up to four jumps ahead, ending anywhere from `n` to [`REACH`].
fn stretched(n: usize, rng: &mut StdRng) -> Vec<f32> {
    let room = REACH.saturating_sub(n);
    let mut jumps = vec![0usize; n];
    if room > 0 && rng.random_bool(0.75) {
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

/// One line per 25 steps: loss on answers and answers right, per sequence length.
fn report(step: usize, elapsed: Duration, seen: usize, tallies: &mut Vec<(usize, f64, usize, usize)>) {
    let mut lengths: Vec<usize> = tallies.iter().map(|t| t.0).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let columns: Vec<String> = lengths
        .into_iter()
        .map(|n| {
            let of: Vec<_> = tallies.iter().filter(|t| t.0 == n).collect();
            let nll = of.iter().map(|t| t.1).sum::<f64>() / of.len() as f64;
            let right: usize = of.iter().map(|t| t.2).sum();
            let answers: usize = of.iter().map(|t| t.3).sum();
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
    tallies.clear();
}
