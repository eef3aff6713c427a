//! Eviction against what the reference implementations keep, where a checkout has the goldens
//! beside it.
//!
//! The goldens hold queries, keys or attention rows, and the positions that the published code
//! keeps. The attention is computed here, reduced to [`TokenStats`], and given to the methods.
//!
//! The references leave the order of equal scores open, and pooling makes many of them, so two
//! selections agree if each holds everything above the score at which the places run out, nothing
//! below it, and as many tokens as the other.

mod adakv_repo;
mod headkv;
mod kvfactory;
mod kvpress;
mod ties;
mod vatp;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::budget::adakv::AdaKv;
use crate::budget::{Allocator, Budget, BudgetOptions, Request};
use crate::heads::{CacheHeads, Granularity, GroupReduce};

/// `[H][T][D]` or `[H][T][T]`.
type Cube = Vec<Vec<Vec<f64>>>;
/// Positions of each stored head, in the order of the reference's cache.
type Lists = Vec<Vec<u32>>;

/// Scores this close are equal: the references sum in f32, in another order.
const RELATIVE: f32 = 1e-5;

/// One golden of `eviction/`, parsed.
fn golden<T: DeserializeOwned>(name: &str) -> Option<T> {
    let [path] = crate::goldens::find([&format!("eviction/{name}")])?;
    let text = std::fs::read(path).unwrap();
    Some(serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// Causal attention, `[H][T][T]`, of `q`, `[H][T][D]`, over `k`, `[G][T][D]`.
fn attention(q: &Cube, k: &Cube) -> Cube {
    let group = q.len() / k.len();
    let of_head = |(h, q): (usize, &Vec<Vec<f64>>)| {
        let keys = &k[h / group];
        q.iter().enumerate().map(|(i, q)| softmax_row(q, &keys[..=i], keys.len())).collect()
    };
    q.iter().enumerate().map(of_head).collect()
}

/// The weights of a query over `keys`, and zeros up to `length`.
fn softmax_row(q: &[f64], keys: &[impl AsRef<[f64]>], length: usize) -> Vec<f64> {
    let dot = |k: &[f64]| q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>();
    let logits = keys.iter().map(|k| dot(k.as_ref()) / (q.len() as f64).sqrt());
    let logits: Vec<f64> = logits.collect();
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut row: Vec<f64> = logits.iter().map(|x| (x - largest).exp()).collect();
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|weight| *weight /= sum);
    row.resize(length, 0.0);
    row
}

/// What a prefill would have recorded of `attention`, `[H][T][T]`, the same in every layer.
fn stats_of(attention: &Cube, layers: usize, kv_heads: usize, rows: &[QueryRows]) -> TokenStats {
    let tokens = attention[0].len();
    let sum = |rows: QueryRows| {
        let first = match rows {
            QueryRows::Last(n) => tokens.saturating_sub(n),
            QueryRows::All => 0,
        };
        let column = |head: &Vec<Vec<f64>>, j: usize| {
            head[first..].iter().map(|row| row[j]).sum::<f64>() as f32
        };
        let layer: Vec<f32> =
            attention.iter().flat_map(|head| (0..tokens).map(|j| column(head, j))).collect();
        layer.repeat(layers)
    };
    TokenStats {
        layers,
        heads: attention.len(),
        kv_heads,
        tokens,
        row_sums: rows.iter().map(|&rows| (rows, sum(rows))).collect(),
        value_norms: None,
        projected_norms: None,
        replayed: None,
    }
}

fn cache_heads(
    layers: usize,
    heads: usize,
    kv_heads: usize,
    granularity: Granularity,
) -> CacheHeads {
    CacheHeads { layers, heads, kv_heads, granularity }
}

/// The references' forms, for a budget of `capacity` with a window of `window`.
fn reference_options(capacity: usize, window: usize) -> EvictionOptions {
    EvictionOptions::new(BudgetOptions {
        capacity_tokens: capacity,
        window_tokens: window,
        reference: true,
        ..BudgetOptions::default()
    })
}

/// How a reference pools.
fn pooled(options: EvictionOptions, kernel_size: usize, pooling: &str) -> EvictionOptions {
    EvictionOptions { kernel_size, pooling: pooling.parse().unwrap(), ..options }
}

fn group_reduce(name: &str) -> GroupReduce {
    let all = [GroupReduce::Mean, GroupReduce::Max, GroupReduce::Sum];
    all.into_iter().find(|how| how.name() == name).unwrap_or_else(|| panic!("{name}"))
}

/// How two selections of one prompt compare.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    lists: usize,
    identical: usize,
}

impl Tally {
    /// Checks that `ours` and `theirs` agree up to equal scores, list by list; `scores` are `[S,
    /// N]`.
    fn compare(
        &mut self,
        scores: &[f32],
        window: usize,
        ours: &Lists,
        theirs: &Lists,
        about: &str,
    ) {
        assert_eq!(ours.len(), theirs.len(), "{about}");
        let before_window = scores.len() / ours.len();
        for (s, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            let about = format!("{about}, list {s}");
            let mut theirs = theirs.clone();
            theirs.sort_unstable();
            let row = &scores[s * before_window..(s + 1) * before_window];
            let places = ours.len() - window;
            assert_eq!(ours.len(), theirs.len(), "{about}");
            let mut sorted = row.to_vec();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let last = places.checked_sub(1).map_or(f32::INFINITY, |i| sorted[i]);
            for list in [ours, &theirs] {
                let (past, latest) = list.split_at(places);
                assert!(
                    latest
                        .iter()
                        .copied()
                        .eq(before_window as u32..(before_window + window) as u32),
                    "{about}: {list:?}"
                );
                for (j, &score) in row.iter().enumerate() {
                    let kept = past.binary_search(&(j as u32)).is_ok();
                    let margin = last.abs() * RELATIVE;
                    assert!(kept || score <= last + margin, "{about}: {j} is missing");
                    assert!(!kept || score >= last - margin, "{about}: {j} is too much");
                }
            }
            self.lists += 1;
            self.identical += usize::from(*ours == theirs);
        }
        self.cases += 1;
    }

    /// As [`Tally::compare`], with what `method` selects for layer `layer`.
    fn select(
        &mut self,
        method: &str,
        stats: &TokenStats,
        heads: CacheHeads,
        options: &EvictionOptions,
        layer: usize,
        theirs: &Lists,
    ) {
        let about = format!("{method}, layer {layer}, {options:?}, {heads:?}");
        let method = by_name(method).unwrap();
        let (kept, _) = method.select(stats, heads, None, options).unwrap();
        let ours: Lists = (0..heads.stored()).map(|s| kept.positions(layer, s).to_vec()).collect();
        let scores = method.token_score().unwrap().scores(stats, layer, &heads, options).unwrap();
        self.compare(&scores, options.budget.window_tokens, &ours, theirs, &about);
    }

    /// As [`Tally::compare`], with the best tokens of one layer under the reference's own budgets.
    fn select_as_many(
        &mut self,
        stats: &TokenStats,
        heads: CacheHeads,
        options: &EvictionOptions,
        theirs: &Lists,
        about: &str,
    ) {
        let window = options.budget.window_tokens;
        let scores = by_name("snapkv")
            .unwrap()
            .token_score()
            .unwrap()
            .scores(stats, 0, &heads, options)
            .unwrap();
        let past = theirs.iter().map(|list| (list.len() - window) as u32).collect();
        let budget = Budget::new(1, heads.stored(), window, past).unwrap();
        let one_layer = CacheHeads { layers: 1, ..heads };
        let kept =
            Kept::best(one_layer, stats.tokens, std::slice::from_ref(&scores), &budget, 0).unwrap();
        let ours: Lists = (0..heads.stored()).map(|s| kept.positions(0, s).to_vec()).collect();
        self.compare(&scores, window, &ours, theirs, about);
    }

    fn report(&self, file: &str, all: usize, rest: &str) {
        assert!(self.cases > 0 && self.lists > 0, "{file}: nothing was compared");
        println!(
            "eviction golden {file}: {} of {all} cases agree, {} lists, {} of them identical, the \
             rest up to equal scores; {rest}",
            self.cases, self.lists, self.identical
        );
    }
}

/// What HeadKV's and KVCache-Factory's copies of AdaKV, and AdaKV's own code if asked to, first do
/// with the scores of each head, `[S, N]`: multiply them by the share that its `best` hold.
fn normalized(mut scores: Vec<f32>, heads: usize, best: usize) -> Vec<f32> {
    let tokens = scores.len() / heads;
    for head in scores.chunks_mut(tokens) {
        let mut sorted = head.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let (kept, all): (f32, f32) = (sorted[..best].iter().sum(), sorted.iter().sum());
        if all > 0.0 {
            head.iter_mut().for_each(|score| *score *= kept / all);
        }
    }
    scores
}

/// Tokens of each head that AdaKV's competition may give, `[(least, most)]`: which head gets the
/// last of the equal scores is open.
fn adakv_places(
    scores: &[f32],
    heads: usize,
    past: usize,
    alpha: f64,
    normalize: bool,
) -> Vec<(usize, usize)> {
    let before_window = scores.len() / heads;
    let sorted = |row: &[f32]| {
        let mut row = row.to_vec();
        row.sort_by(|a, b| b.total_cmp(a));
        if normalize {
            let share = row[..past].iter().sum::<f32>() / row.iter().sum::<f32>();
            row.iter_mut().for_each(|score| *score *= share);
        }
        row
    };
    let rows: Vec<Vec<f32>> = scores.chunks(before_window).map(sorted).collect();
    let mut all = rows.concat();
    all.sort_by(|a, b| b.total_cmp(a));
    let last = all[heads * past - 1];
    let places = |won: usize| {
        let floor = (past as f64 * alpha) as usize;
        (won as f64 * (1.0 - alpha) + floor as f64).round_ties_even() as usize
    };
    let above = |row: &Vec<f32>, limit: f32| row.iter().filter(|score| **score > limit).count();
    let range = |row: &Vec<f32>| {
        let margin = last * RELATIVE;
        (places(above(row, last + margin)), places(above(row, last - margin)))
    };
    rows.iter().map(range).collect()
}

/// Checks that a reference's lists, and ours, are as long as AdaKV's competition over our scores
/// may make them; `options` are those of a layer that keeps `past` tokens before the window per
/// head. Returns ours, without the window.
fn assert_adakv_lengths(
    scores: &[f32],
    heads: CacheHeads,
    past: usize,
    options: &EvictionOptions,
    normalize: bool,
    theirs: &Lists,
) -> Vec<usize> {
    let BudgetOptions { window_tokens: window, alpha, .. } = options.budget;
    let heads = CacheHeads { layers: 1, ..heads };
    let competing = match normalize {
        true => normalized(scores.to_vec(), heads.stored(), past),
        false => scores.to_vec(),
    };
    let ours = AdaKv.allocate(&Request {
        heads,
        prompt_tokens: Some(scores.len() / heads.stored() + window),
        options: &BudgetOptions { capacity_tokens: past + window, ..options.budget.clone() },
        head_scores: None,
        token_scores: Some(&[competing]),
        utility: None,
        place: None,
    });
    let ours = ours.unwrap();
    let places = adakv_places(scores, theirs.len(), past, alpha, normalize);
    for (s, (list, (least, most))) in theirs.iter().zip(places).enumerate() {
        for got in [list.len() - window, ours.past(0, s)] {
            assert!((least..=most).contains(&got), "{options:?}: {got} not in {least}..={most}");
        }
    }
    (0..theirs.len()).map(|s| ours.past(0, s)).collect()
}
