//! From one `[L, H]` matrix per probe to the importance of every head and how sure that is.
//!
//! The importance is the plain mean over the probes, as in the references. The probes are a sample
//! of all the needles, lengths and depths there could have been; a bootstrap over probes (Efron
//! 1979, percentile intervals) says how far another sample could lie.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::heads::HeadMatrix;
use crate::score::bootstrap::{Resamples, interval_95};

/// Resamples of a bootstrap where nothing else is asked for.
pub const RESAMPLES: usize = 1000;

/// How many heads count as the top in [`Spread::top_overlap_frac`].
pub const TOP_HEADS: usize = 10;

/// Random splits behind [`Spread::split_half_spearman`].
const SPLITS: usize = 100;

/// One score over all accepted probes.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Number of probes.
    pub probes: usize,
    /// Mean over the probes, `[L, H]`.
    pub mean: HeadMatrix,
    /// How far the mean can be trusted; `None` for a single probe, which says nothing about that.
    pub spread: Option<Spread>,
}

/// How much an [`Aggregate`] depends on the probes that happened to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// Standard error of the mean, `[L, H]`.
    pub std_error: HeadMatrix,
    /// Lower end of the bootstrap 95 % interval of the mean, `[L, H]`.
    pub low: HeadMatrix,
    /// Upper end of the bootstrap 95 % interval of the mean, `[L, H]`.
    pub high: HeadMatrix,
    /// Share of the ten best heads that are also among the ten best of a resample, averaged over
    /// the resamples, 0 to 1. (Of all heads where there are fewer than ten.)
    pub top_overlap_frac: f64,
    /// Spearman's rank correlation of all heads between two random halves of the probes, averaged
    /// over random splits, -1 to 1. `None` where a half has the same value for every head.
    pub split_half_spearman: Option<f64>,
}

/// Aggregates `probes`, each `[L, H]`, in the order given.
///
/// The result depends on the order of the probes, `seed` and `resamples` alone, not on the number
/// of threads.
///
/// # Errors
/// [`Error::Evidence`] without probes, [`Error::Usage`] without resamples, [`Error::Bug`] if the
/// probes' shapes differ.
pub fn aggregate(probes: &[HeadMatrix], seed: u64, resamples: usize) -> Result<Aggregate> {
    let Some(first) = probes.first() else {
        return Err(Error::evidence("there is no accepted probe to aggregate"));
    };
    if resamples == 0 {
        return Err(Error::usage("a bootstrap needs resamples").got(0).expected("at least 1"));
    }
    let (layers, heads) = (first.layers(), first.heads());
    if let Some(other) = probes.iter().find(|p| (p.layers(), p.heads()) != (layers, heads)) {
        return Err(Error::bug("the probes of one score differ in shape")
            .got(format!("{} x {} heads", other.layers(), other.heads()))
            .expected(format!("{layers} x {heads}")));
    }
    let matrix = |values: Vec<f64>| {
        HeadMatrix::new(layers, heads, values.into_iter().map(|v| v as f32).collect())
    };
    let mean = weighted_mean(probes, &vec![1; probes.len()]);
    let spread = if probes.len() > 1 {
        let mut rng = StdRng::seed_from_u64(seed);
        // A draw is of probes, the same for all heads, so that heads keep their correlation.
        let draws = Resamples::draw(probes.len(), resamples, &mut rng);
        let means = draws.each(|times| weighted_mean(probes, times));
        let (low, high) = intervals(&means).into_iter().map(|[low, high]| (low, high)).unzip();
        Some(Spread {
            std_error: matrix(std_error(probes, &mean))?,
            low: matrix(low)?,
            high: matrix(high)?,
            top_overlap_frac: top_overlap(&mean, &means),
            split_half_spearman: split_half_spearman(probes, &mut rng),
        })
    } else {
        None
    };
    Ok(Aggregate { probes: probes.len(), mean: matrix(mean)?, spread })
}

/// `sum_p weights[p] probes[p] / sum_p weights[p]`, `[L * H]`.
fn weighted_mean(probes: &[HeadMatrix], weights: &[u32]) -> Vec<f64> {
    let mut sum = vec![0.0; probes[0].values().len()];
    for (probe, &weight) in probes.iter().zip(weights).filter(|(_, weight)| **weight > 0) {
        for (total, &value) in sum.iter_mut().zip(probe.values()) {
            *total += f64::from(weight) * f64::from(value);
        }
    }
    let total_weight = f64::from(weights.iter().sum::<u32>());
    sum.iter_mut().for_each(|v| *v /= total_weight);
    sum
}

/// `s / sqrt(P)` with the sample standard deviation `s`, `[L * H]`.
fn std_error(probes: &[HeadMatrix], mean: &[f64]) -> Vec<f64> {
    let mut squares = vec![0.0; mean.len()];
    for probe in probes {
        for ((square, &value), &mean) in squares.iter_mut().zip(probe.values()).zip(mean) {
            *square += (f64::from(value) - mean).powi(2);
        }
    }
    let count = probes.len() as f64;
    squares.into_iter().map(|square| (square / (count - 1.0) / count).sqrt()).collect()
}

/// The percentile interval of every head.
fn intervals(means: &[Vec<f64>]) -> Vec<[f64; 2]> {
    (0..means[0].len())
        .into_par_iter()
        .map(|head| interval_95(means.iter().map(|mean| mean[head]).collect()))
        .collect()
}

fn top_overlap(mean: &[f64], means: &[Vec<f64>]) -> f64 {
    let best = top_heads(mean);
    let shared: usize = means
        .par_iter()
        .map(|resample| top_heads(resample).iter().filter(|head| best.contains(head)).count())
        .sum();
    shared as f64 / (best.len() * means.len()) as f64
}

/// The [`TOP_HEADS`] largest, equal values by position; in no particular order.
fn top_heads(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    if order.len() > TOP_HEADS {
        order.select_nth_unstable_by(TOP_HEADS, |&a, &b| {
            values[b].total_cmp(&values[a]).then(a.cmp(&b))
        });
        order.truncate(TOP_HEADS);
    }
    order
}

fn split_half_spearman(probes: &[HeadMatrix], rng: &mut StdRng) -> Option<f64> {
    let mut order: Vec<usize> = (0..probes.len()).collect();
    let halves: Vec<[Vec<u32>; 2]> = (0..SPLITS)
        .map(|_| {
            order.shuffle(rng);
            let mut weights = [vec![0; probes.len()], vec![0; probes.len()]];
            for (place, &probe) in order.iter().enumerate() {
                weights[usize::from(place >= probes.len() / 2)][probe] = 1;
            }
            weights
        })
        .collect();
    let correlations: Vec<f64> = halves
        .par_iter()
        .filter_map(|[a, b]| spearman(&weighted_mean(probes, a), &weighted_mean(probes, b)))
        .collect();
    let count = correlations.len();
    (count > 0).then(|| correlations.iter().sum::<f64>() / count as f64)
}

/// Spearman's rank correlation with mean ranks for ties; `None` if one side is constant.
pub(crate) fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    // Mean ranks always average to (n - 1) / 2.
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let moment = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let scale = (moment(&a, &a) * moment(&b, &b)).sqrt();
    (scale > 0.0).then(|| moment(&a, &b) / scale)
}

/// Rank of every value from 0; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (tied.len() - 1) as f64 / 2.0;
        tied.iter().for_each(|&i| ranks[i] = rank);
        first += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    fn probe(values: &[f32]) -> HeadMatrix {
        HeadMatrix::new(1, values.len(), values.to_vec()).unwrap()
    }

    /// `count` probes of 20 heads: head `h` is `h` plus noise of the given size.
    fn noisy_probes(count: usize, noise: f32) -> Vec<HeadMatrix> {
        let mut rng = StdRng::seed_from_u64(1);
        (0..count)
            .map(|_| {
                let values: Vec<f32> =
                    (0..20).map(|h| h as f32 + noise * (rng.random::<f32>() - 0.5)).collect();
                probe(&values)
            })
            .collect()
    }

    #[test]
    fn mean_and_standard_error_by_hand() {
        // Head 0: 1, 2, 3, 6: mean 3, squares 4 + 1 + 0 + 9 = 14, s^2 = 14/3, se = sqrt(14/12).
        let probes: Vec<HeadMatrix> =
            [[1.0, 0.5], [2.0, 0.5], [3.0, 0.5], [6.0, 0.5]].iter().map(|v| probe(v)).collect();
        let result = aggregate(&probes, 7, RESAMPLES).unwrap();
        assert_eq!(result.probes, 4);
        assert_eq!(result.mean.values(), [3.0, 0.5]);
        let spread = result.spread.unwrap();
        assert!((spread.std_error.get(0, 0) - (14.0f32 / 12.0).sqrt()).abs() < 1e-6);
        assert_eq!(spread.std_error.get(0, 1), 0.0);
        // A head that never varies has no width; the other one's interval lies within its values.
        assert_eq!((spread.low.get(0, 1), spread.high.get(0, 1)), (0.5, 0.5));
        let (low, high) = (spread.low.get(0, 0), spread.high.get(0, 0));
        assert!((1.0..3.0).contains(&low) && high > 3.0 && high <= 6.0, "{low} to {high}");
    }

    #[test]
    fn the_interval_has_the_width_that_theory_gives() {
        // 400 values spread evenly: the mean is close to normal, so the interval is close to
        // mean +- 1.96 standard errors.
        let probes: Vec<HeadMatrix> = (0..400).map(|i| probe(&[i as f32 / 400.0])).collect();
        let result = aggregate(&probes, 3, 2000).unwrap();
        let spread = result.spread.unwrap();
        let half_width = (spread.high.get(0, 0) - spread.low.get(0, 0)) / 2.0;
        let ratio = half_width / (1.96 * spread.std_error.get(0, 0));
        assert!((0.93..1.07).contains(&ratio), "{ratio}");
    }

    #[test]
    fn stability_tells_signal_from_noise() {
        let clear = aggregate(&noisy_probes(30, 0.5), 0, 200).unwrap().spread.unwrap();
        assert_eq!(clear.top_overlap_frac, 1.0);
        assert!(clear.split_half_spearman.unwrap() > 0.999);
        let noise = aggregate(&noisy_probes(30, 5000.0), 0, 200).unwrap().spread.unwrap();
        assert!(noise.top_overlap_frac < 0.9, "{}", noise.top_overlap_frac);
        assert!(noise.split_half_spearman.unwrap().abs() < 0.5);
        let constant = aggregate(&[probe(&[0.0; 4]), probe(&[0.0; 4])], 0, 50).unwrap();
        assert_eq!(constant.spread.unwrap().split_half_spearman, None);
    }

    #[test]
    fn one_probe_has_a_mean_and_no_spread() {
        let result = aggregate(&[probe(&[0.25, 1.0])], 0, RESAMPLES).unwrap();
        assert_eq!(result.mean.values(), [0.25, 1.0]);
        assert_eq!(result.spread, None);
    }

    #[test]
    fn threads_do_not_matter_and_seeds_do() {
        let probes = noisy_probes(25, 30.0);
        let with_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| aggregate(&probes, 11, 300).unwrap())
        };
        assert_eq!(with_threads(1), with_threads(4));
        let other_seed = aggregate(&probes, 12, 300).unwrap();
        assert_eq!(with_threads(1).mean, other_seed.mean);
        assert_ne!(with_threads(1).spread, other_seed.spread);
    }

    #[test]
    fn refuses_nothing_and_mixed_shapes() {
        assert_eq!(aggregate(&[], 0, 10).unwrap_err().exit_code(), 6);
        assert_eq!(aggregate(&[probe(&[1.0])], 0, 0).unwrap_err().exit_code(), 2);
        let mixed = [probe(&[1.0]), probe(&[1.0, 2.0])];
        assert_eq!(aggregate(&mixed, 0, 10).unwrap_err().exit_code(), 1);
    }

    #[test]
    fn ranks_and_correlation_by_hand() {
        assert_eq!(ranks(&[0.3, 0.1, 0.3, 0.5]), [1.5, 0.0, 1.5, 3.0]);
        // Ranks 0 1 2 3 against 1 0 2 3: 1 - 6 (1 + 1) / (4 * 15) = 0.8.
        let rho = spearman(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 3.0, 4.0]).unwrap();
        assert!((rho - 0.8).abs() < 1e-12);
        assert_eq!(spearman(&[1.0, 1.0], &[0.0, 1.0]), None);
    }
}
