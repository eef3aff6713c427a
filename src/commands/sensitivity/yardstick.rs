//! How alike groups of probes rank the heads, and how alike they would by chance alone.
//!
//! A level (one needle, one depth) has few probes, and few probes rank heads otherwise than many
//! do, whatever they are about. So every number stands beside the same number for groups of as many
//! probes drawn at random: labels are shuffled among probes that agree in all else (*strata*), so
//! that every random group has, of each depth and length, as many probes as the level has.
//!
//! ```text
//! probes with labels ─► mean per label ─► Spearman's rho, shared best heads: label against the rest
//!        └─► labels shuffled within strata, 200 times ─► the same ─► mean, 5 %, 95 %
//! ```

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::Serialize;

use super::read::Values;
use crate::score::aggregate::top_heads;
use crate::score::correlation::spearman;

/// How often groups are drawn at random.
pub(super) const DRAWS: usize = 200;
/// Probes that a mean is of, at least.
pub(super) const LEAST: usize = 2;
/// The share of draws below the lower and above the upper end.
const TAIL: f64 = 0.05;
/// Needles that halves are made of, at least; of fewer, probes are.
pub(super) const NEEDLES_OF_A_SPLIT: usize = 4;

/// How alike two rankings of the same heads are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Alike {
    /// Spearman's rank correlation of all heads, -1 to 1.
    pub rho: f64,
    /// How many of the ten best heads of one are among those of the other.
    pub top_shared: usize,
    /// How many that could be: ten, or as many heads as each of both has above 0.
    pub top_of: usize,
}

/// The same for random groups of as many probes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Chance {
    /// Groups that were drawn.
    pub draws: usize,
    /// Mean of their rank correlations.
    pub rho_mean: f64,
    /// 5 % of them lie below.
    pub rho_low: f64,
    /// 5 % of them lie above.
    pub rho_high: f64,
    /// Mean of the best heads that they share.
    pub top_shared_mean: f64,
    /// 5 % share fewer.
    pub top_shared_low: usize,
    /// 5 % share more.
    pub top_shared_high: usize,
}

/// What a level came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Found {
    /// `None` with too few probes on a side, or where all heads of one are equal.
    pub alike: Option<Alike>,
    /// `None` where nothing can be drawn.
    pub chance: Option<Chance>,
    /// Share of random groups that are no more alike.
    pub p: Option<f64>,
}

/// What all levels of a factor came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Levels {
    pub levels: Vec<Found>,
    /// Share of draws whose levels are, on average, no more alike than these.
    pub p: Option<f64>,
    /// Whether groups were drawn within strata.
    pub stratified: bool,
}

impl Alike {
    /// Of two lists with a value per head.
    pub fn of(a: &[f64], b: &[f64]) -> Option<Self> {
        let rho = spearman(a, b)?;
        let (best, others) = (top_heads(a), top_heads(b));
        let top_shared = best.iter().filter(|head| others.contains(head)).count();
        Some(Self { rho, top_shared, top_of: best.len().min(others.len()) })
    }
}

impl Found {
    /// A level beside random groups.
    pub fn beside(alike: Option<Alike>, draws: &[Option<Alike>]) -> Self {
        let chance = alike.and_then(|_| Chance::of(draws));
        let p = alike.zip(chance).map(|(own, chance)| {
            let low = draws.iter().flatten().filter(|draw| draw.rho <= own.rho).count();
            (low + 1) as f64 / (chance.draws + 1) as f64
        });
        Self { alike, chance, p }
    }

    /// Whether it is less alike than all but 5 % of random groups.
    pub fn differs(&self) -> Option<bool> {
        let (alike, chance) = (self.alike?, self.chance?);
        Some(alike.rho < chance.rho_low)
    }
}

impl Chance {
    fn of(draws: &[Option<Alike>]) -> Option<Self> {
        let draws: Vec<&Alike> = draws.iter().flatten().collect();
        let n = draws.len();
        if n == 0 {
            return None;
        }
        let mut rho: Vec<f64> = draws.iter().map(|draw| draw.rho).collect();
        rho.sort_by(f64::total_cmp);
        let mut shared: Vec<usize> = draws.iter().map(|draw| draw.top_shared).collect();
        shared.sort_unstable();
        // Of 200 draws the tenth: a level like any other lies below it once in twenty times.
        let low = ((TAIL * n as f64).ceil() as usize).clamp(1, n) - 1;
        let high = n - 1 - low;
        Some(Self {
            draws: n,
            rho_mean: rho.iter().sum::<f64>() / n as f64,
            rho_low: rho[low],
            rho_high: rho[high],
            top_shared_mean: shared.iter().sum::<usize>() as f64 / n as f64,
            top_shared_low: shared[low],
            top_shared_high: shared[high],
        })
    }
}

/// Mean per head over the probes of which `is` holds, as numbers of 32 bits: ties of the probes
/// stay ties of the mean, in whatever order it is summed up. `None` of fewer than two.
pub(super) fn mean(values: &Values, is: impl Fn(usize) -> bool) -> Option<Vec<f64>> {
    let mut sum = vec![0.0; values.layers * values.heads];
    let mut n = 0;
    for probe in (0..values.probes.len()).filter(|&probe| is(probe)) {
        add(&mut sum, values.probes[probe].iter().map(|&v| f64::from(v)));
        n += 1;
    }
    (n >= LEAST).then(|| divided(&sum, n))
}

fn add(sum: &mut [f64], values: impl IntoIterator<Item = f64>) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

fn divided(sum: &[f64], n: usize) -> Vec<f64> {
    sum.iter().map(|sum| f64::from((sum / n as f64) as f32)).collect()
}

/// Every level of `level`, one per probe, against all others; `strata`: probes of one number agree
/// in all but the level.
pub(super) fn levels(values: &Values, level: &[usize], strata: &[usize], seed: u64) -> Levels {
    let count = level.iter().max().map_or(0, |last| last + 1);
    let found = against_others(values, level, count);
    let (groups, stratified) = groups(level, strata);
    let mut rng = StdRng::seed_from_u64(seed);
    let shuffles: Vec<Vec<usize>> = (0..DRAWS)
        .map(|_| {
            let mut shuffled = level.to_vec();
            for members in &groups {
                let mut labels: Vec<usize> = members.iter().map(|&probe| level[probe]).collect();
                labels.shuffle(&mut rng);
                members.iter().zip(labels).for_each(|(&probe, label)| shuffled[probe] = label);
            }
            shuffled
        })
        .collect();
    let draws: Vec<Vec<Option<Alike>>> =
        shuffles.par_iter().map(|shuffled| against_others(values, shuffled, count)).collect();
    let mean = |all: &[Option<Alike>]| {
        let rho: Vec<f64> = all.iter().flatten().map(|alike| alike.rho).collect();
        (!rho.is_empty()).then(|| rho.iter().sum::<f64>() / rho.len() as f64)
    };
    let drawn: Vec<f64> = draws.iter().filter_map(|draw| mean(draw)).collect();
    let p = mean(&found).filter(|_| !drawn.is_empty()).map(|own| {
        let low = drawn.iter().filter(|drawn| **drawn <= own).count();
        (low + 1) as f64 / (drawn.len() + 1) as f64
    });
    let of = |(i, alike): (usize, &Option<Alike>)| {
        Found::beside(*alike, &draws.iter().map(|draw| draw[i]).collect::<Vec<_>>())
    };
    Levels { levels: found.iter().enumerate().map(of).collect(), p, stratified }
}

/// Each of `count` levels against the probes of all others.
fn against_others(values: &Values, level: &[usize], count: usize) -> Vec<Option<Alike>> {
    let heads = values.layers * values.heads;
    let mut sums = vec![vec![0.0; heads]; count];
    let mut sizes = vec![0; count];
    for (probe, &level) in values.probes.iter().zip(level) {
        add(&mut sums[level], probe.iter().map(|&v| f64::from(v)));
        sizes[level] += 1;
    }
    let all: usize = sizes.iter().sum();
    let of = |own: usize| {
        if sizes[own] < LEAST || all - sizes[own] < LEAST {
            return None;
        }
        let mut others = vec![0.0; heads];
        for (i, sum) in sums.iter().enumerate().filter(|(i, _)| *i != own) {
            if sizes[i] > 0 {
                add(&mut others, sum.iter().copied());
            }
        }
        Alike::of(&divided(&sums[own], sizes[own]), &divided(&others, all - sizes[own]))
    };
    (0..count).map(of).collect()
}

/// The probes among which labels are shuffled, and whether these are strata: where most probes have
/// no other level beside them in their stratum, all are one group.
fn groups(level: &[usize], strata: &[usize]) -> (Vec<Vec<usize>>, bool) {
    let mut by_stratum: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    strata.iter().enumerate().for_each(|(i, &s)| by_stratum.entry(s).or_default().push(i));
    let mixed = |members: &&Vec<usize>| members.iter().any(|&i| level[i] != level[members[0]]);
    let free: usize = by_stratum.values().filter(mixed).map(Vec::len).sum();
    match 2 * free >= level.len() {
        true => (by_stratum.into_values().collect(), true),
        false => (vec![(0..level.len()).collect()], false),
    }
}

/// The probes of one choice against those of another, both out of `values`: probe by probe, whether
/// it is one of each. By chance: the same choices among all probes, at random.
pub(super) fn choices(values: &Values, chosen: &[[bool; 2]], seed: u64) -> Found {
    let alike = |chosen: &[[bool; 2]]| {
        let of = |side: usize| mean(values, |probe| chosen[probe][side]);
        Alike::of(&of(0)?, &of(1)?)
    };
    let own = alike(chosen);
    let mut rng = StdRng::seed_from_u64(seed);
    let draw = |_| {
        let mut drawn = chosen.to_vec();
        drawn.shuffle(&mut rng);
        drawn
    };
    let drawn: Vec<Vec<[bool; 2]>> = (0..DRAWS).map(draw).collect();
    let draws: Vec<Option<Alike>> = drawn.par_iter().map(|chosen| alike(chosen)).collect();
    Found::beside(own, &draws)
}

/// How alike random halves of the probes are: halves of the needles, whose number each probe has,
/// or of the probes where there are fewer than four needles.
pub(super) fn halves(values: &Values, needle: &[usize], seed: u64) -> Vec<Option<Alike>> {
    let needles = needle.iter().max().map_or(0, |last| last + 1);
    let unit: Vec<usize> = match needles >= NEEDLES_OF_A_SPLIT {
        true => needle.to_vec(),
        false => (0..needle.len()).collect(),
    };
    let mut order: Vec<usize> = (0..unit.iter().max().map_or(0, |last| last + 1)).collect();
    let mut rng = StdRng::seed_from_u64(seed);
    let splits: Vec<Vec<bool>> = (0..DRAWS)
        .map(|_| {
            order.shuffle(&mut rng);
            let mut first = vec![false; order.len()];
            order[..order.len() / 2].iter().for_each(|&unit| first[unit] = true);
            unit.iter().map(|&unit| first[unit]).collect()
        })
        .collect();
    let alike = |first: &Vec<bool>| {
        Alike::of(&mean(values, |probe| first[probe])?, &mean(values, |probe| !first[probe])?)
    };
    splits.par_iter().map(alike).collect()
}
