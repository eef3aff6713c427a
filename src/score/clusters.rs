//! [`Clusters`]: which probes have something in common, and how sure a mean over them is.
//!
//! Two probes about one needle are alike, and so are two at one place of the haystack: a needle
//! that is hard is hard at every depth, and a depth that is hard is so for every needle. The mean
//! of `n` such probes is less sure than that of `n` independent ones.
//!
//! ```text
//! r = x - mean ;  V_c = C / (C - 1) / n^2  sum_c (sum_{i in c} r_i)^2      over the C clusters of a kind
//! V  = V_needle + V_place - V_probe,  at least the largest of the three
//! interval = mean +- t(df) sqrt(V)
//! df = V^2 / (V_needle^2 / (C_needle - 1) + V_place^2 / (C_place - 1) + V_probe^2 / (n - 1))
//! ```
//!
//! Two-way clustered variance: Cameron, Gelbach and Miller 2011, "Robust Inference With Multiway
//! Clustering"; degrees of freedom: Satterthwaite 1946. Against a bootstrap it holds with few
//! needles: docs/scores.md has both measured.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::Serialize;

use super::estimate::Estimate;

/// Places that are a sample of others, at least: the variance of two or three is not known.
const PLACES: usize = 5;

/// Quantile of the normal distribution that leaves 2.5 % above.
const Z: f64 = 1.959_963_984_540_054;

/// Which needle and which place each of `n` probes has.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    needles: Vec<usize>,
    places: Vec<usize>,
    needles_n: usize,
    places_n: usize,
}

/// How sure a mean is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanSpread {
    /// Standard error of the mean.
    pub std_error: f64,
    /// 95 % interval.
    pub interval_95: [f64; 2],
}

impl Clusters {
    /// Of probes in order, each with its needle and its place, whatever these are called.
    pub fn new<N: Ord, P: Ord>(probes: impl IntoIterator<Item = (N, P)>) -> Self {
        let (needles, places): (Vec<N>, Vec<P>) = probes.into_iter().unzip();
        let (needles, needles_n) = numbered(needles);
        let (places, places_n) = numbered(places);
        Self { needles, places, needles_n, places_n }
    }

    /// Of `n` probes that have nothing in common.
    pub fn none(n: usize) -> Self {
        Self::new((0..n).map(|probe| (probe, ())))
    }

    /// Whether there are enough places to say something about others. Of fewer, a mean is about
    /// these.
    fn places_are_a_sample(&self) -> bool {
        self.places_n >= PLACES
    }

    /// How many probes.
    pub fn len(&self) -> usize {
        self.needles.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// How many needles.
    pub fn needles(&self) -> usize {
        self.needles_n
    }

    /// The needle of each probe, as a number from 0.
    pub fn needle_of(&self) -> &[usize] {
        &self.needles
    }

    /// How sure the mean of `values`, one per probe, is; `None` for fewer than two.
    pub fn spread(&self, values: &[f64]) -> Option<MeanSpread> {
        let n = values.len();
        if n < 2 || n != self.len() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let of = |clusters: &[usize], count: usize| {
            let mut sums = vec![0.0; count];
            clusters.iter().zip(values).for_each(|(c, value)| sums[*c] += value - mean);
            let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
            // Of a single cluster nothing can be said about others; clusters of one are the probes.
            match count {
                1 => 0.0,
                count if count == n => 0.0,
                _ => squares * count as f64 / (count as f64 - 1.0) / (n as f64).powi(2),
            }
        };
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let probe = squares / (n as f64 - 1.0) / n as f64;
        let needle = of(&self.needles, self.needles_n);
        let place = if self.places_are_a_sample() { of(&self.places, self.places_n) } else { 0.0 };
        let both = if needle > 0.0 && place > 0.0 { needle + place - probe } else { 0.0 };
        let variance = both.max(needle).max(place).max(probe);
        let parts = [(needle, self.needles_n), (place, self.places_n), (probe, n)];
        let known = parts.iter().filter(|(part, clusters)| *part > 0.0 && *clusters > 1);
        let sum: f64 = known.map(|(part, clusters)| part * part / (*clusters as f64 - 1.0)).sum();
        let df = if sum > 0.0 { variance * variance / sum } else { n as f64 - 1.0 };
        let std_error = variance.sqrt();
        let half = t_975(df) * std_error;
        Some(MeanSpread { std_error, interval_95: [mean - half, mean + half] })
    }

    /// The mean of `values`, one per probe, with its interval; `None` without values.
    pub fn mean(&self, values: &[f64]) -> Option<Estimate> {
        (!values.is_empty()).then(|| Estimate {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            interval_95: self.spread(values).map(|spread| spread.interval_95),
        })
    }

    /// The mean of `values - base`, probe by probe; `None` without values or if their numbers
    /// differ.
    pub fn difference(&self, values: &[f64], base: &[f64]) -> Option<Estimate> {
        if values.len() != base.len() {
            return None;
        }
        let differences: Vec<f64> = values.iter().zip(base).map(|(a, b)| a - b).collect();
        self.mean(&differences)
    }

    /// How often each probe is drawn where needles and places are drawn with replacement, each on
    /// their own: the product of both (Owen 2007, "The pigeonhole bootstrap"). Not all are 0.
    pub fn resample(&self, rng: &mut StdRng) -> Vec<u32> {
        let mut draw = |n: usize| {
            let mut times = vec![0; n];
            (0..n).for_each(|_| times[rng.random_range(0..n)] += 1);
            times
        };
        loop {
            let needles: Vec<u32> = draw(self.needles_n);
            let places: Vec<u32> = match self.places_are_a_sample() {
                true => draw(self.places_n),
                false => vec![1; self.places_n],
            };
            let of = |(needle, place): (&usize, &usize)| needles[*needle] * places[*place];
            let times: Vec<u32> = self.needles.iter().zip(&self.places).map(of).collect();
            // Some needles may have been drawn at places where they were not accepted.
            if times.iter().any(|times| *times > 0) {
                return times;
            }
        }
    }
}

/// Each of `names` as a number from 0, and how many different ones there are.
pub(crate) fn numbered<T: Ord>(names: Vec<T>) -> (Vec<usize>, usize) {
    let mut numbers: BTreeMap<&T, usize> = BTreeMap::new();
    let of = |name| {
        let next = numbers.len();
        *numbers.entry(name).or_insert(next)
    };
    let list: Vec<usize> = names.iter().map(of).collect();
    (list, numbers.len())
}

/// The quantile of Student's t that leaves 2.5 % above, for `df` degrees of freedom, 1 at least:
/// the Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5), within 1 % from 2 on; below that
/// between the exact values of 1 and 2.
fn t_975(df: f64) -> f64 {
    let n = df.max(1.0);
    if n < 2.0 {
        return 4.302_653 + (12.706_205 - 4.302_653) * (2.0 / n - 1.0);
    }
    let z2 = Z * Z;
    let terms = [
        (z2 + 1.0) / 4.0,
        ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0,
        (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0,
        ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92_160.0,
    ];
    Z * (1.0 + terms.iter().rev().fold(0.0, |sum, term| (sum + term) / n))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::score::normal::normal;

    #[test]
    fn quantiles_of_t_are_those_of_tables() {
        for (df, t) in [
            (1.0, 12.706),
            (2.0, 4.303),
            (3.0, 3.182),
            (4.0, 2.776),
            (5.0, 2.571),
            (10.0, 2.228),
            (17.0, 2.110),
            (30.0, 2.042),
            (1e9, 1.960),
        ] {
            assert!((t_975(df) / t - 1.0).abs() < 0.01, "{df}: {}", t_975(df));
        }
        assert!(t_975(1.5) < t_975(1.0) && t_975(1.5) > t_975(2.0));
        assert_eq!(t_975(0.3), t_975(1.0));
    }

    #[test]
    fn probes_with_nothing_in_common_have_the_usual_error() {
        // 1, 2, 3, 6: mean 3, squares 4 + 1 + 0 + 9, s^2 = 14 / 3, se = sqrt(14 / 12).
        let values = [1.0, 2.0, 3.0, 6.0];
        let spread = Clusters::none(4).spread(&values).unwrap();
        let se = (14.0f64 / 12.0).sqrt();
        assert!((spread.std_error - se).abs() < 1e-12);
        let [low, high] = spread.interval_95;
        assert!((low - (3.0 - 3.182 * se)).abs() < 0.01 && (low + high - 6.0).abs() < 1e-12);
        assert_eq!(Clusters::none(1).spread(&[1.0]), None);
        let alone = Clusters::none(1).mean(&[1.0]).unwrap();
        assert_eq!((alone.mean, alone.interval_95), (1.0, None));
        assert!(Clusters::none(0).mean(&[]).is_none());
    }

    #[test]
    fn what_is_the_same_within_a_needle_counts_once() {
        // Two needles at two places: 0 0 and 1 1. V_needle = 2 (1 + 1) / 16, V_place = 0,
        // V_probe = 1 / 3 / 4; V = V_needle.
        let clusters = Clusters::new([("a", 1), ("a", 2), ("b", 1), ("b", 2)]);
        let spread = clusters.spread(&[0.0, 0.0, 1.0, 1.0]).unwrap();
        assert!((spread.std_error - 0.5).abs() < 1e-12, "{spread:?}");
        assert_eq!(clusters.needles(), 2);
        // What differs by place counts where there are places enough to be a sample: six, 0 and 1
        // by turns. V_place = 6 / 5 / 144 * 6 * 1, V_probe = 3 / 11 / 12.
        let six = Clusters::new((0..12).map(|i| (i % 2, i / 2)));
        let values: Vec<f64> = (0..12).map(|i| f64::from(i / 2 % 2)).collect();
        let spread = six.spread(&values).unwrap();
        assert!((spread.std_error - 0.05f64.sqrt()).abs() < 1e-12, "{spread:?}");
        let two = clusters.spread(&[0.0, 1.0, 0.0, 1.0]).unwrap();
        assert!((two.std_error - (1.0f64 / 12.0).sqrt()).abs() < 1e-12, "{two:?}");
    }

    #[test]
    fn resamples_draw_whole_needles_and_places() {
        let probes = (0..12).map(|i| (i / 4, i % 4));
        let clusters = Clusters::new(probes);
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..200 {
            let times = clusters.resample(&mut rng);
            assert_eq!(times.iter().sum::<u32>(), 12);
            // A product of a needle's and a place's times.
            let total = |needle: usize| times[4 * needle..4 * needle + 4].iter().sum::<u32>();
            for needle in 0..3 {
                assert_eq!(total(needle) % 4, 0);
            }
        }
        // Accepted on the diagonal only: draws of nothing are not handed out.
        let diagonal = Clusters::new((0..3).map(|i| (i, i)));
        for _ in 0..200 {
            assert!(diagonal.resample(&mut rng).iter().any(|times| *times > 0));
        }
    }

    /// Of intervals that are said to hold the true mean in 95 of 100 cases, so many do: needles and
    /// places with effects of their own, as grids have them, some probes not accepted.
    #[test]
    fn intervals_hold_what_they_promise() {
        const TRIALS: usize = 2000;
        for (needles, places, needle, place, own, accepted) in [
            (18, 12, 1.0, 1.0, 1.0, 1.0),
            (18, 12, 1.0, 0.3, 1.0, 0.7),
            (18, 12, 1.0, 0.0, 1.0, 1.0),
            (18, 30, 0.5, 0.2, 1.0, 0.5),
            (12, 10, 0.3, 0.3, 1.0, 0.9),
            (40, 10, 1.0, 0.5, 1.0, 1.0),
        ] {
            let mut rng = StdRng::seed_from_u64(7);
            let mut held = 0;
            for _ in 0..TRIALS {
                let of_needles: Vec<f64> =
                    (0..needles).map(|_| needle * normal(&mut rng)).collect();
                let of_places: Vec<f64> = (0..places).map(|_| place * normal(&mut rng)).collect();
                let (mut probes, mut values) = (Vec::new(), Vec::new());
                for (i, of_needle) in of_needles.iter().enumerate() {
                    for (j, of_place) in of_places.iter().enumerate() {
                        if rng.random::<f64>() < accepted {
                            probes.push((i, j));
                            values.push(of_needle + of_place + own * normal(&mut rng));
                        }
                    }
                }
                let [low, high] = Clusters::new(probes).spread(&values).unwrap().interval_95;
                held += usize::from(low <= 0.0 && 0.0 <= high);
            }
            let coverage = 100.0 * held as f64 / TRIALS as f64;
            println!(
                "{needles} needles x {places} places, effects {needle}, {place}, {own}, {accepted} \
                 accepted: {coverage:.1} %"
            );
            assert!((93.0..=97.0).contains(&coverage), "{coverage}");
        }
    }
}
