//! From one `[L, H]` matrix per probe to the importance of every head and how sure that is.
//!
//! The importance is the plain mean over the probes, as in the references. The probes are a sample
//! of all the needles and places there could have been, and those that share a needle or a place
//! are alike: [`Clusters`] says how far the mean over another sample could lie.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::heads::HeadMatrix;
use crate::score::clusters::{Clusters, MeanSpread};
use crate::score::correlation::{pearson, spearman};

/// Resamples where nothing else is asked for.
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
    /// Standard error of the mean, `[L, H]`: [`Clusters::spread`].
    pub std_error: HeadMatrix,
    /// Lower end of the 95 % interval of the mean, `[L, H]`.
    pub low: HeadMatrix,
    /// Upper end of the 95 % interval of the mean, `[L, H]`.
    pub high: HeadMatrix,
    /// In which share of the resamples a head is among the ten best, `[L, H]`, 0 to 1. A score of 0
    /// is never among them.
    pub top_probability: HeadMatrix,
    /// Share of the ten best heads that are also among the ten best of a resample, averaged over
    /// the resamples, 0 to 1.
    pub top_overlap_frac: f64,
    /// Spearman's rank correlation of all heads between the probes of two random halves of the
    /// needles (of the probes where there are fewer than four needles), averaged over random
    /// splits,
    /// -1 to 1. `None` where a half has the same value for every head.
    pub split_half_spearman: Option<f64>,
    /// Pearson's correlation of all heads between the same halves, stepped up to the whole sample
    /// (`2 r / (1 + r)`, Spearman 1910, Brown 1910), -1 to 1. `None` as above.
    pub halves_agree: Option<f64>,
}

/// Aggregates `probes`, each `[L, H]`, in the order given; `clusters` are of the same.
///
/// The result depends on the order of the probes, `clusters`, `seed` and `resamples` alone, not on
/// the number of threads.
///
/// # Errors
/// [`Error::Evidence`] without probes, [`Error::Usage`] without resamples, [`Error::Bug`] if the
/// probes' shapes differ or there are other clusters than probes.
pub fn aggregate(
    probes: &[HeadMatrix],
    clusters: &Clusters,
    seed: u64,
    resamples: usize,
) -> Result<Aggregate> {
    let Some(first) = probes.first() else {
        return Err(Error::evidence("there is no accepted probe to aggregate"));
    };
    if resamples == 0 {
        return Err(Error::usage("there are no resamples").got(0).expected("at least 1"));
    }
    if clusters.len() != probes.len() {
        return Err(Error::bug("the clusters of probes are not theirs")
            .got(clusters.len())
            .expected(probes.len()));
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
        // A draw is the same for all heads, so that heads keep their correlation.
        let draws: Vec<Vec<u32>> = (0..resamples).map(|_| clusters.resample(&mut rng)).collect();
        let tops: Vec<Vec<usize>> =
            draws.par_iter().map(|times| top_heads(&weighted_mean(probes, times))).collect();
        let spreads = spreads(probes, clusters)?;
        let of = |value: fn(&MeanSpread) -> f64| matrix(spreads.iter().map(value).collect());
        let (split_half_spearman, halves_agree) = split_halves(probes, clusters, &mut rng);
        Some(Spread {
            std_error: of(|spread| spread.std_error)?,
            low: of(|spread| spread.interval_95[0])?,
            high: of(|spread| spread.interval_95[1])?,
            top_probability: matrix(top_probability(&tops, layers * heads))?,
            top_overlap_frac: top_overlap(&mean, &tops),
            split_half_spearman,
            halves_agree,
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

/// How sure the mean of every head is, `[L * H]`.
fn spreads(probes: &[HeadMatrix], clusters: &Clusters) -> Result<Vec<MeanSpread>> {
    let of = |head: usize| {
        let values: Vec<f64> = probes.iter().map(|probe| f64::from(probe.values()[head])).collect();
        clusters.spread(&values).ok_or_else(|| Error::bug("a mean of a single probe has no spread"))
    };
    (0..probes[0].values().len()).into_par_iter().map(of).collect()
}

/// In which share of the resamples, whose best heads are `tops`, each of `heads` is among the best.
fn top_probability(tops: &[Vec<usize>], heads: usize) -> Vec<f64> {
    let mut times = vec![0usize; heads];
    tops.iter().flatten().for_each(|&head| times[head] += 1);
    times.into_iter().map(|times| times as f64 / tops.len() as f64).collect()
}

fn top_overlap(mean: &[f64], tops: &[Vec<usize>]) -> f64 {
    let best = top_heads(mean);
    if best.is_empty() {
        return 1.0;
    }
    let shared: usize =
        tops.iter().map(|top| top.iter().filter(|head| best.contains(head)).count()).sum();
    shared as f64 / (best.len() * tops.len()) as f64
}

/// The expected share of the ten best heads of `probes` that will be among those of the whole of
/// which they are a part, where the share `left` of it is still to come: from `resamples` of the
/// probes, whose deviations are `sqrt(left)` as large (Cochran 1977, finite population correction).
/// 1 without probes.
pub fn expected_top(probes: &[HeadMatrix], left: f64, resamples: usize, seed: u64) -> f64 {
    if probes.is_empty() || resamples == 0 {
        return 1.0;
    }
    let mut rng = StdRng::seed_from_u64(seed);
    let mean = weighted_mean(probes, &vec![1; probes.len()]);
    let draws: Vec<Vec<u32>> = (0..resamples)
        .map(|_| {
            let mut times = vec![0; probes.len()];
            (0..probes.len()).for_each(|_| times[rng.random_range(0..probes.len())] += 1);
            times
        })
        .collect();
    let shrunk = left.max(0.0).sqrt();
    let top = |times: &Vec<u32>| {
        let drawn = weighted_mean(probes, times);
        let values = mean.iter().zip(&drawn).map(|(mean, drawn)| mean + (drawn - mean) * shrunk);
        top_heads(&values.collect::<Vec<f64>>())
    };
    top_overlap(&mean, &draws.par_iter().map(top).collect::<Vec<_>>())
}

/// The [`TOP_HEADS`] largest above 0, equal values by position; in no particular order.
pub(crate) fn top_heads(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    if order.len() > TOP_HEADS {
        order.select_nth_unstable_by(TOP_HEADS, |&a, &b| {
            values[b].total_cmp(&values[a]).then(a.cmp(&b))
        });
        order.truncate(TOP_HEADS);
    }
    // Of many zeros those of the first layers are no better than the others.
    order.retain(|&head| values[head] > 0.0);
    order
}

/// Fewer needles than these have no halves of any use.
const NEEDLES_OF_A_SPLIT: usize = 4;

/// [`Spread::split_half_spearman`] and [`Spread::halves_agree`].
fn split_halves(
    probes: &[HeadMatrix],
    clusters: &Clusters,
    rng: &mut StdRng,
) -> (Option<f64>, Option<f64>) {
    // Probes of one needle are alike: halves that share needles agree more than they should.
    let whole: Vec<usize> = match clusters.needles() {
        n if n >= NEEDLES_OF_A_SPLIT => clusters.needle_of().to_vec(),
        _ => (0..probes.len()).collect(),
    };
    let units = whole.iter().max().map_or(0, |unit| unit + 1);
    let mut order: Vec<usize> = (0..units).collect();
    let halves: Vec<[Vec<u32>; 2]> = (0..SPLITS)
        .map(|_| {
            order.shuffle(rng);
            let mut half = vec![0; units];
            order
                .iter()
                .enumerate()
                .for_each(|(at, &unit)| half[unit] = usize::from(at >= units / 2));
            let of = |side| whole.iter().map(|&unit| u32::from(half[unit] == side)).collect();
            [of(0), of(1)]
        })
        .collect();
    let correlations: Vec<(f64, f64)> = halves
        .par_iter()
        .filter_map(|[a, b]| {
            let (a, b) = (weighted_mean(probes, a), weighted_mean(probes, b));
            Some((spearman(&a, &b)?, pearson(&a, &b)?))
        })
        .collect();
    let count = correlations.len();
    if count == 0 {
        return (None, None);
    }
    let mean = |of: fn(&(f64, f64)) -> f64| correlations.iter().map(of).sum::<f64>() / count as f64;
    let (rho, r) = (mean(|c| c.0), mean(|c| c.1));
    // Halves that do not agree at all are no sample of anything.
    let whole = if r > 0.0 { 2.0 * r / (1.0 + r) } else { r };
    (Some(rho), Some(whole))
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    fn probe(values: &[f32]) -> HeadMatrix {
        HeadMatrix::new(1, values.len(), values.to_vec()).unwrap()
    }

    /// Of probes that have nothing in common.
    fn aggregate(probes: &[HeadMatrix], seed: u64, resamples: usize) -> Result<Aggregate> {
        super::aggregate(probes, &Clusters::none(probes.len()), seed, resamples)
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
        // A head that never varies has no width; of the other one, t(3) = 3.18.
        assert_eq!((spread.low.get(0, 1), spread.high.get(0, 1)), (0.5, 0.5));
        let (low, high) = (spread.low.get(0, 0), spread.high.get(0, 0));
        let half = 3.18 * spread.std_error.get(0, 0);
        assert!((high - 3.0 - half).abs() < 0.02 && (3.0 - low - half).abs() < 0.02);
    }

    #[test]
    fn the_interval_has_the_width_that_theory_gives() {
        // 400 values: the interval is close to mean +- 1.96 standard errors.
        let probes: Vec<HeadMatrix> = (0..400).map(|i| probe(&[i as f32 / 400.0])).collect();
        let result = aggregate(&probes, 3, 2000).unwrap();
        let spread = result.spread.unwrap();
        let half_width = (spread.high.get(0, 0) - spread.low.get(0, 0)) / 2.0;
        let ratio = half_width / (1.96 * spread.std_error.get(0, 0));
        assert!((1.0..1.01).contains(&ratio), "{ratio}");
    }

    /// Heads 0 and 1 differ by needle, not by probe: four needles say less than sixteen probes, and
    /// halves of needles do not agree where halves of probes would.
    #[test]
    fn probes_of_a_needle_are_not_independent() {
        let value = |needle: usize, head: usize| ((needle * 7 + head * 5) % 11) as f32;
        let probes: Vec<HeadMatrix> = (0..16)
            .map(|i| probe(&(0..20).map(|head| value(i / 4, head)).collect::<Vec<f32>>()))
            .collect();
        let clusters = Clusters::new((0..16).map(|i| (i / 4, i % 4)));
        let together = super::aggregate(&probes, &clusters, 1, 300).unwrap().spread.unwrap();
        let apart = aggregate(&probes, 1, 300).unwrap().spread.unwrap();
        let ratio = together.std_error.get(0, 0) / apart.std_error.get(0, 0);
        // sqrt(15 / 4 / 3 * 4): V_needle over V_probe.
        assert!((ratio - (15.0f32 / 3.0).sqrt()).abs() < 1e-3, "{ratio}");
        assert!(together.split_half_spearman.unwrap() < apart.split_half_spearman.unwrap() - 0.2);
        // Shares of the resamples: ten of twenty heads are the best in each.
        let all: f32 = together.top_probability.values().iter().sum();
        assert!((all - 10.0).abs() < 1e-3);
        assert!(together.top_probability.values().iter().all(|p| (0.0..=1.0).contains(p)));
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
    fn what_is_still_to_come_decides_how_many_of_the_best_stay() {
        let noisy = noisy_probes(30, 60.0);
        let stays = |left| expected_top(&noisy, left, 200, 1);
        assert_eq!(stays(0.0), 1.0, "nothing is to come");
        assert!(stays(1.0) < stays(0.25) && stays(0.25) < 1.0, "{} {}", stays(1.0), stays(0.25));
        assert_eq!(expected_top(&noisy_probes(30, 0.5), 1.0, 200, 1), 1.0, "a clear case");
        assert_eq!(expected_top(&[], 1.0, 200, 1), 1.0);
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
}
