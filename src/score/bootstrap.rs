//! The percentile bootstrap (Efron and Tibshirani 1993, chapter 13): how far the mean over another
//! sample of probes or prompts could lie.
//!
//! [`super::aggregate`] draws probes for the mean of every head; `evaluate` draws prompts for the
//! accuracy of every method. All methods answer the same prompts, and every resample draws the same
//! prompts for all of them: what makes a prompt hard cancels in a difference, whose interval is
//! therefore much narrower than those of its two means.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use serde::Serialize;

/// Resamples of an [`Estimate`].
pub const RESAMPLES: usize = 2000;

/// The tails that a 95 % interval leaves out.
const TAILS: (f64, f64) = (0.025, 0.975);

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Mean over the prompts.
    pub mean: f64,
    /// The interval `[low, high]`; `None` for a single prompt, which says nothing about that.
    pub interval_95: Option<[f64; 2]>,
}

/// The resamples of a run: how often each prompt (or probe) is drawn, `[resamples][prompts]`.
pub struct Resamples {
    times: Vec<Vec<u32>>,
}

impl Resamples {
    /// [`RESAMPLES`] draws of `prompts` prompts with replacement; they depend on `prompts` and
    /// `seed` alone.
    pub fn new(prompts: usize, seed: u64) -> Self {
        Self::draw(prompts, RESAMPLES, &mut StdRng::seed_from_u64(seed))
    }

    /// So many `resamples` of `n` things, from the numbers that come next.
    pub(super) fn draw(n: usize, resamples: usize, rng: &mut StdRng) -> Self {
        let draw = |_| {
            let mut times = vec![0; n];
            (0..n).for_each(|_| times[rng.random_range(0..n)] += 1);
            times
        };
        Self { times: (0..resamples).map(draw).collect() }
    }

    /// A statistic of every resample, in their order: `of` is told how often each thing was drawn.
    pub(super) fn each<T: Send>(&self, of: impl Fn(&[u32]) -> T + Sync) -> Vec<T> {
        self.times.par_iter().map(|times| of(times)).collect()
    }

    /// The mean of `values`, one per prompt, with its interval; `None` without values.
    pub fn mean(&self, values: &[f64]) -> Option<Estimate> {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        match n {
            0 => None,
            1 => Some(Estimate { mean, interval_95: None }),
            _ => {
                let of = |times: &[u32]| {
                    let sum: f64 = times.iter().zip(values).map(|(t, v)| f64::from(*t) * v).sum();
                    sum / n as f64
                };
                Some(Estimate { mean, interval_95: Some(interval_95(self.each(of))) })
            }
        }
    }

    /// The mean of `values - base`, prompt by prompt; `None` without values or if their numbers
    /// differ.
    pub fn difference(&self, values: &[f64], base: &[f64]) -> Option<Estimate> {
        if values.len() != base.len() {
            return None;
        }
        let differences: Vec<f64> = values.iter().zip(base).map(|(a, b)| a - b).collect();
        self.mean(&differences)
    }
}

/// The percentile interval of a statistic, whose values in the resamples these are: `[low, high]`.
pub(super) fn interval_95(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    [quantile(&values, TAILS.0), quantile(&values, TAILS.1)]
}

/// Quantile of ascending values by linear interpolation between the two nearest.
fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let place = fraction * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_intervals_by_hand() {
        assert_eq!(quantile(&[0.0, 1.0, 2.0, 3.0, 4.0], 0.1), 0.4);
        // Of 0 to 400 in any order: a fortieth from either end.
        let values = (0..=400).map(|i| f64::from(i * 7 % 401)).collect();
        assert_eq!(interval_95(values), [10.0, 390.0]);
    }

    #[test]
    fn a_resample_draws_as_many_as_there_are() {
        let resamples = Resamples::draw(9, 50, &mut StdRng::seed_from_u64(2));
        assert_eq!(resamples.each(|times| times.iter().sum::<u32>()), [9; 50]);
        assert!(resamples.each(|times| times.contains(&0)).contains(&true));
    }

    #[test]
    fn a_mean_of_coins_has_the_binomial_interval() {
        // 400 coins, half of them heads: the standard error is sqrt(0.25 / 400) = 0.025, the
        // interval 0.5 -+ 1.96 * 0.025 = 0.451 to 0.549.
        let coins: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let estimate = Resamples::new(400, 7).mean(&coins).unwrap();
        let [low, high] = estimate.interval_95.unwrap();
        assert_eq!(estimate.mean, 0.5);
        assert!((low - 0.451).abs() < 0.006 && (high - 0.549).abs() < 0.006, "{low} {high}");
    }

    #[test]
    fn what_two_methods_share_cancels() {
        // Prompts differ widely, the second method is 0.25 better on each: the interval of the
        // difference has no width.
        let hard: Vec<f64> = (0..50).map(|i| f64::from(i * 13 % 50)).collect();
        let better: Vec<f64> = hard.iter().map(|v| v + 0.25).collect();
        let resamples = Resamples::new(50, 1);
        let difference = resamples.difference(&better, &hard).unwrap();
        assert_eq!(difference, Estimate { mean: 0.25, interval_95: Some([0.25, 0.25]) });
        let [low, high] = resamples.mean(&hard).unwrap().interval_95.unwrap();
        assert!(high - low > 5.0);
        assert_eq!(resamples.difference(&better, &hard[1..]), None);
    }

    #[test]
    fn one_prompt_has_no_interval_and_none_no_mean() {
        let one = Resamples::new(1, 0).mean(&[0.5]).unwrap();
        assert_eq!(one, Estimate { mean: 0.5, interval_95: None });
        assert_eq!(Resamples::new(0, 0).mean(&[]), None);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let values: Vec<f64> = (0..30).map(|i| f64::from(i * i % 17)).collect();
        let of = |seed| Resamples::new(30, seed).mean(&values);
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }
}
