//! Every registered method through the same properties, on random statistics.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::budget::{Budget, BudgetOptions, UtilityCurves};
use crate::cache_heads::{Granularity, GroupReduce};
use crate::head_matrix::HeadMatrix;

/// A prompt and what a method may look at.
#[derive(Debug, Clone)]
struct Sample {
    heads: CacheHeads,
    tokens: usize,
    options: EvictionOptions,
    seed: u64,
}

/// Models of up to 3 layers and 6 query heads, prompts of up to 40 tokens, all options.
fn samples() -> impl Strategy<Value = Sample> {
    let shape = (1..=3usize, 1..=3usize, 1..=2usize, any::<bool>(), 1..=40usize);
    let sizes = (1..=8usize, 0..=36usize, any::<prop::sample::Index>());
    let choices = (0..3usize, 0..3usize, 0..4usize, 0..3usize, any::<u64>());
    (shape, sizes, choices).prop_map(
        |((layers, kv_heads, group, by_kv_head, tokens), (window, past, sinks), choices)| {
            let (reduce, pooling, norm, kernel, seed) = choices;
            let granularity = if by_kv_head { Granularity::KvHead } else { Granularity::QueryHead };
            let budget = BudgetOptions {
                capacity_tokens: window + past,
                window_tokens: window,
                beta: 1.351,
                reduce: [GroupReduce::Mean, GroupReduce::Max, GroupReduce::Sum][reduce],
                ..BudgetOptions::default()
            };
            let options = EvictionOptions {
                pooling: [Pooling::Max, Pooling::Avg, Pooling::None][pooling],
                kernel_size: [1, 3, 7][kernel],
                value_norm: [ValueNorm::L1, ValueNorm::L2, ValueNorm::LInf, ValueNorm::Off][norm],
                sink_tokens: sinks.index(past + 1),
                scissorhands_rows: 5,
                ..EvictionOptions::new(budget)
            };
            let heads = CacheHeads { layers, heads: kv_heads * group, kv_heads, granularity };
            Sample { heads, tokens, options, seed }
        },
    )
}

impl Sample {
    /// What a prefill records for `method`, and nothing else. Every fourth number is a 0.
    fn stats(&self, method: &Method) -> TokenStats {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let wanted = method.wanted(&self.options);
        let mut numbers = |n: usize| -> Vec<f32> {
            let number = |_| match rng.random_range(0..4u32) {
                0 => 0.0,
                _ => rng.random::<f32>(),
            };
            (0..n).map(number).collect()
        };
        let CacheHeads { layers, heads, kv_heads, .. } = self.heads;
        let (sums, norms) = (layers * heads * self.tokens, layers * kv_heads * self.tokens);
        let row_sums = wanted.row_sums.iter().map(|&rows| (rows, numbers(sums))).collect();
        let value_norms = wanted.value_norms.then(|| ValueNorms {
            l1: numbers(norms),
            l2: numbers(norms),
            linf: numbers(norms),
        });
        TokenStats { layers, heads, kv_heads, tokens: self.tokens, row_sums, value_norms }
    }

    fn head_scores(&self) -> HeadMatrix {
        let mut rng = StdRng::seed_from_u64(self.seed ^ 1);
        let (layers, heads) = (self.heads.layers, self.heads.heads);
        let values = (0..layers * heads).map(|_| rng.random::<f32>() + 0.01).collect();
        HeadMatrix::new(layers, heads, values).unwrap()
    }

    /// Curves that rise by random steps.
    fn utility(&self) -> UtilityCurves {
        let mut rng = StdRng::seed_from_u64(self.seed ^ 3);
        let (layers, stored) = (self.heads.layers, self.heads.stored());
        let fractions = vec![0.25, 0.5, 0.75, 1.0];
        let mut curve = || {
            let mut sum = 0.0;
            [(); 4].map(|()| {
                sum += rng.random::<f32>() + 0.01;
                sum
            })
        };
        let curves = (0..layers * stored).flat_map(|_| curve()).collect();
        UtilityCurves::new(layers, stored, fractions, curves).unwrap()
    }

    fn select(&self, method: &Method) -> (Kept, Budget) {
        self.try_select(method, &self.stats(method)).unwrap_or_else(|e| panic!("{e}"))
    }

    fn try_select(&self, method: &Method, stats: &TokenStats) -> Result<(Kept, Budget)> {
        let (scores, utility) = (self.head_scores(), self.utility());
        let evidence = HeadEvidence { scores: Some(&scores), utility: Some(&utility) };
        method.select_by(stats, self.heads, evidence, &self.options)
    }

    fn lists(&self) -> impl Iterator<Item = (usize, usize)> {
        let stored = self.heads.stored();
        (0..self.heads.layers * stored).map(move |i| (i / stored, i % stored))
    }

    fn capacity(&self) -> usize {
        self.options.budget.capacity_tokens
    }

    fn window(&self) -> usize {
        self.options.budget.window_tokens.min(self.tokens)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_fair_form_spends_the_budget_exactly(sample in samples()) {
        for method in registry() {
            let (kept, budget) = sample.select(method);
            let whole = method.token_score().is_none();
            let each = if whole { sample.tokens } else { sample.capacity().min(sample.tokens) };
            let expected = (each * sample.heads.layers * sample.heads.stored()) as u64;
            prop_assert_eq!(kept.total_tokens(), expected, "{}", method.name());
            prop_assert_eq!(budget.total_tokens(), expected, "{}", method.name());
            for (layer, s) in sample.lists() {
                let expected = budget.past(layer, s) + budget.window_tokens();
                prop_assert_eq!(kept.positions(layer, s).len(), expected, "{}", method.name());
            }
        }
    }

    #[test]
    fn lists_ascend_hold_the_window_and_their_sinks(
        sample in samples(),
        reference in any::<bool>(),
    ) {
        let mut sample = sample;
        sample.options.budget.reference = reference;
        for method in registry() {
            let (kept, budget) = sample.select(method);
            let before_window = sample.tokens - sample.window();
            for (layer, s) in sample.lists() {
                let list = kept.positions(layer, s);
                prop_assert!(list.windows(2).all(|pair| pair[0] < pair[1]));
                let (past, window) = list.split_at(list.len() - sample.window());
                prop_assert!(window.iter().copied().eq(before_window as u32..sample.tokens as u32));
                prop_assert_eq!(past.len(), budget.past(layer, s).min(before_window));
                let sinks = match method.decoding() {
                    Decoding::Recency => sample.options.streaming_sinks,
                    _ if method.vatp() => sample.options.sink_tokens,
                    _ => 0,
                };
                let sinks = sinks.min(past.len());
                prop_assert!(past[..sinks].iter().copied().eq(0..sinks as u32), "{}", method.name());
            }
        }
    }

    #[test]
    fn what_is_kept_is_worth_no_less_than_what_is_not(sample in samples()) {
        for method in registry() {
            let Some(token_score) = method.token_score() else { continue };
            let stats = sample.stats(method);
            let (kept, _) = sample.select(method);
            let protected = if method.vatp() { sample.options.sink_tokens } else { 0 };
            let before_window = sample.tokens - sample.window();
            for layer in 0..sample.heads.layers {
                let scores =
                    token_score.scores(&stats, layer, &sample.heads, &sample.options).unwrap();
                prop_assert_eq!(scores.len(), sample.heads.stored() * before_window);
                for s in 0..sample.heads.stored() {
                    let row = &scores[s * before_window..(s + 1) * before_window];
                    let is_kept = |j: usize| kept.positions(layer, s).contains(&(j as u32));
                    let free = protected.min(before_window)..before_window;
                    let (inside, outside): (Vec<usize>, Vec<usize>) = free.partition(|&j| is_kept(j));
                    for &i in &inside {
                        for &o in &outside {
                            let first = row[i] > row[o] || (row[i] == row[o] && i < o);
                            prop_assert!(first, "{}: {i} over {o} of {row:?}", method.name());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn selecting_twice_is_selecting_once(sample in samples()) {
        for method in registry() {
            prop_assert_eq!(sample.select(method), sample.select(method), "{}", method.name());
        }
    }

    #[test]
    fn a_prompt_that_fits_is_kept_whole(sample in samples()) {
        let mut sample = sample;
        sample.options.budget.capacity_tokens =
            sample.tokens.max(sample.options.budget.window_tokens) + sample.options.sink_tokens;
        for method in registry() {
            let (kept, budget) = sample.select(method);
            prop_assert_eq!(&kept, &Kept::all(sample.heads, sample.tokens), "{}", method.name());
            prop_assert_eq!(budget.total_tokens(), kept.total_tokens());
        }
    }

    #[test]
    fn permuting_kv_heads_permutes_the_lists(sample in samples()) {
        let (heads, tokens) = (sample.heads, sample.tokens);
        let turned = |i: usize, n: usize| (i + 1) % n;
        // Group by group, so that query heads stay with their KV head.
        let group = heads.heads / heads.kv_heads;
        let turned_head = |h: usize| turned(h / group, heads.kv_heads) * group + h % group;
        let turned_list = |s: usize| match heads.granularity {
            Granularity::KvHead => turned(s, heads.kv_heads),
            Granularity::QueryHead => turned_head(s),
        };
        let rows = |all: &[f32], n: usize, width: usize, from: &dyn Fn(usize) -> usize| {
            let row = |i: usize| {
                let i = i / n * n + from(i % n);
                all[i * width..(i + 1) * width].to_vec()
            };
            (0..all.len() / width).flat_map(row).collect::<Vec<f32>>()
        };
        for method in registry() {
            let (stats, utility) = (sample.stats(method), sample.utility());
            let mut other = stats.clone();
            for sums in other.row_sums.values_mut() {
                *sums = rows(sums, heads.heads, tokens, &turned_head);
            }
            if let Some(norms) = &mut other.value_norms {
                for norm in [&mut norms.l1, &mut norms.l2, &mut norms.linf] {
                    *norm = rows(norm, heads.kv_heads, tokens, &|g| turned(g, heads.kv_heads));
                }
            }
            let head_scores = sample.head_scores();
            let values = rows(head_scores.values(), heads.heads, 1, &turned_head);
            let other_scores = HeadMatrix::new(heads.layers, heads.heads, values).unwrap();
            let curves: Vec<f32> =
                sample.lists().flat_map(|(l, s)| utility.curve(l, turned_list(s)).to_vec()).collect();
            let other_utility = UtilityCurves::new(
                heads.layers,
                heads.stored(),
                utility.fractions().to_vec(),
                curves,
            )
            .unwrap();
            let evidence =
                HeadEvidence { scores: Some(&other_scores), utility: Some(&other_utility) };
            let (kept, budget) = sample.select(method);
            let (other_kept, other_budget) =
                method.select_by(&other, heads, evidence, &sample.options).unwrap();
            for (layer, s) in sample.lists() {
                // Where equal claims share what cannot be divided, the lower head gets it, so
                // the budget may differ by that.
                let (past, other_past) =
                    (budget.past(layer, turned_list(s)), other_budget.past(layer, s));
                let (list, other_list) =
                    (kept.positions(layer, turned_list(s)), other_kept.positions(layer, s));
                let (short, long) =
                    if past < other_past { (list, other_list) } else { (other_list, list) };
                prop_assert!(short.iter().all(|j| long.contains(j)), "{}", method.name());
                let shared = method.allocator().is_some_and(|a| a.name() != "uniform");
                prop_assert!(past == other_past || shared, "{}", method.name());
            }
        }
    }

    #[test]
    fn decoding_keeps_lists_at_their_budget(sample in samples()) {
        for method in registry() {
            let stats = sample.stats(method);
            let (kept, _) = sample.select(method);
            let state = DecodeEviction::new(method, &kept, &stats, &sample.options).unwrap();
            prop_assert_eq!(state.is_some(), method.decoding() != Decoding::Append);
            let Some(mut state) = state else { continue };
            let mut rng = StdRng::seed_from_u64(sample.seed ^ 2);
            for (layer, s) in sample.lists() {
                let mut list = kept.positions(layer, s).to_vec();
                let sinks = match method.decoding() {
                    Decoding::Recency => sample.options.streaming_sinks,
                    _ if method.vatp() => sample.options.sink_tokens,
                    _ => 0,
                };
                let sinks: Vec<u32> =
                    list.iter().copied().filter(|j| (*j as usize) < sinks).collect();
                for newest in sample.tokens..sample.tokens + 2 * sample.capacity() {
                    list.push(newest as u32);
                    let row: Vec<f32> = list.iter().map(|_| rng.random::<f32>()).collect();
                    state.observe(layer, s, &row, rng.random::<f32>()).unwrap();
                    while let Some(slot) = state.evict(layer, s) {
                        list.remove(slot);
                    }
                    prop_assert_eq!(state.scores(layer, s).len(), list.len());
                    prop_assert!(list.len() <= sample.capacity(), "{}", method.name());
                    let latest = list[list.len() - sample.options.budget.window_tokens.min(list.len())];
                    let window = list.len().min(sample.options.budget.window_tokens) as u32;
                    prop_assert_eq!(latest, newest as u32 + 1 - window, "{}", method.name());
                }
                prop_assert_eq!(list.len(), sample.capacity(), "{}", method.name());
                let places = sample.capacity() - sample.options.budget.window_tokens;
                let left = &sinks[..sinks.len().min(places)];
                prop_assert!(list.starts_with(left), "{}: {list:?}", method.name());
            }
        }
    }
}

fn sample(capacity_tokens: usize, window_tokens: usize) -> Sample {
    let heads = CacheHeads { layers: 2, heads: 4, kv_heads: 2, granularity: Granularity::KvHead };
    let budget = BudgetOptions { capacity_tokens, window_tokens, ..BudgetOptions::default() };
    let options = EvictionOptions { sink_tokens: 2, ..EvictionOptions::new(budget) };
    Sample { heads, tokens: 30, options, seed: 7 }
}

#[test]
fn options_out_of_range_are_usage_errors_for_every_method() {
    let good = sample(12, 4);
    let with = |change: fn(&mut EvictionOptions)| {
        let mut options = good.options.clone();
        change(&mut options);
        options
    };
    let wrong = [
        with(|o| o.kernel_size = 4),
        with(|o| o.kernel_size = 0),
        with(|o| o.budget.window_tokens = 0),
        with(|o| o.budget.capacity_tokens = 3),
        with(|o| o.scissorhands_rows = 0),
        with(|o| o.heavy_ratio = Some(0.0)),
        with(|o| o.heavy_ratio = Some(0.6)),
        with(|o| o.heavy_ratio = Some(f64::NAN)),
    ];
    for method in registry() {
        for options in &wrong {
            assert_eq!(method.check(options).unwrap_err().exit_code(), 2);
            let bad = Sample { options: options.clone(), ..good.clone() };
            let error = bad.try_select(method, &good.stats(method)).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{}", method.name());
        }
        let sinks = with(|o| o.sink_tokens = 9);
        assert_eq!(method.check(&sinks).is_err(), method.vatp(), "{}", method.name());
    }
}

#[test]
fn a_heavy_ratio_is_a_share_of_the_prompt() {
    let mut sample = sample(12, 4);
    sample.options.heavy_ratio = Some(0.3);
    // Halves of int(0.3 * 30) = 9 tokens; Scissorhands keeps 10 of the 18 as its window.
    for (name, past, window) in
        [("h2o", 9, 9), ("h2o+vatp", 9, 9), ("scissorhands", 8, 10), ("snapkv", 8, 4)]
    {
        let (_, budget) = sample.select(by_name(name).unwrap());
        assert_eq!((budget.past(0, 0), budget.window_tokens()), (past, window), "{name}");
    }
    // int(0.02 * 30) = 0 tokens.
    sample.options.heavy_ratio = Some(0.02);
    let method = by_name("h2o").unwrap();
    let stats = sample.stats(method);
    let error = method.select(&stats, sample.heads, None, &sample.options).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("30 tokens"), "{error}");
}

#[test]
fn what_is_known_about_heads_is_asked_for() {
    let sample = sample(12, 4);
    for method in registry() {
        let result = method.select(&sample.stats(method), sample.heads, None, &sample.options);
        match method.needs_head_scores() || method.needs_utility() {
            true => assert_eq!(result.unwrap_err().exit_code(), 2, "{}", method.name()),
            false => assert!(result.is_ok(), "{}", method.name()),
        }
    }
    let named = |needs: fn(&Method) -> bool| -> Vec<&str> {
        registry().iter().filter(|m| needs(m)).map(Method::name).collect()
    };
    assert_eq!(
        named(Method::needs_head_scores),
        ["headkv", "dililazykv", "dililazykv_variance", "headkv+vatp", "dililazykv+vatp"]
    );
    assert_eq!(named(Method::needs_utility), ["lukv"]);
}

#[test]
fn a_score_that_is_no_number_is_the_models() {
    let sample = sample(12, 4);
    for method in registry() {
        let mut stats = sample.stats(method);
        stats.row_sums.values_mut().for_each(|sums| sums[3] = f32::NAN);
        let result = sample.try_select(method, &stats);
        if stats.row_sums.is_empty() {
            assert!(result.is_ok(), "{}", method.name());
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), 4, "{}", method.name());
        assert!(error.to_string().contains("layer 0"));
    }
}

#[test]
fn statistics_that_are_missing_or_foreign_are_bugs() {
    let sample = sample(12, 4);
    for method in registry() {
        let stats = sample.stats(method);
        let empty = TokenStats { row_sums: Default::default(), ..stats.clone() };
        let result = sample.try_select(method, &empty);
        let needs = !method.wanted(&sample.options).row_sums.is_empty();
        assert_eq!(result.err().map(|e| e.exit_code()), needs.then_some(1), "{}", method.name());
        if method.vatp() {
            let without = TokenStats { value_norms: None, ..stats.clone() };
            let error = sample.try_select(method, &without).unwrap_err();
            assert_eq!(error.exit_code(), 1, "{}", method.name());
        }
        let foreign = TokenStats { kv_heads: 4, ..stats.clone() };
        let error = sample.try_select(method, &foreign).unwrap_err();
        assert_eq!(error.exit_code(), 1, "{}", method.name());
    }
}

#[test]
fn values_change_what_vatp_keeps() {
    // One head, W = 1, two places: attention alone keeps 0 and 1, times the norms 2 and 3.
    let heads = CacheHeads { layers: 1, heads: 1, kv_heads: 1, granularity: Granularity::KvHead };
    let budget = BudgetOptions { capacity_tokens: 3, window_tokens: 1, ..BudgetOptions::default() };
    let mut options =
        EvictionOptions { sink_tokens: 0, pooling: Pooling::None, ..EvictionOptions::new(budget) };
    let norms = vec![0.1, 0.1, 4., 5., 1.];
    let stats = TokenStats {
        layers: 1,
        heads: 1,
        kv_heads: 1,
        tokens: 5,
        row_sums: [Rows::All, Rows::Last(1), Rows::Last(400)]
            .map(|rows| (rows, vec![4., 3., 2., 1., 0.]))
            .into(),
        value_norms: Some(ValueNorms { l1: norms.clone(), l2: norms, linf: vec![1.; 5] }),
    };
    let kept = |name: &str, options: &EvictionOptions| {
        let method = by_name(name).unwrap();
        method.select(&stats, heads, None, options).unwrap().0.positions(0, 0).to_vec()
    };
    for name in ["h2o", "scissorhands", "snapkv"] {
        let vatp = format!("{name}+vatp");
        assert_eq!(kept(name, &options), [0, 1, 4], "{name}");
        assert_eq!(kept(&vatp, &options), [2, 3, 4], "{name}");
        options.sink_tokens = 1;
        // 0 is protected, 2 has 8 against 5 of 3 and 0.3 of 1.
        assert_eq!(kept(&vatp, &options), [0, 2, 4], "{name}");
        options.sink_tokens = 0;
        for norm in [ValueNorm::LInf, ValueNorm::Off] {
            let other = EvictionOptions { value_norm: norm, ..options.clone() };
            assert_eq!(kept(&vatp, &other), [0, 1, 4], "{name}");
        }
    }
}

#[test]
fn names_are_unique_and_every_method_is_described() {
    let mut names: Vec<String> = Vec::new();
    for method in registry() {
        names.push(method.name().to_owned());
        names.extend(method.aliases().iter().map(|alias| alias.to_lowercase()));
        names.dedup();
        assert!(!method.title().is_empty() && method.source().contains("https://"));
        if let Some(token_score) = method.token_score() {
            assert!(!token_score.title().is_empty() && !token_score.formula().is_empty());
            assert!(token_score.source().contains("https://"));
            assert_eq!(method.vatp(), method.name().ends_with(registry::VATP_SUFFIX));
            assert_eq!(token_score.formula().contains("||v"), method.vatp());
            assert_eq!(method.wanted(&sample(12, 4).options).value_norms, method.vatp());
        }
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn every_allocator_has_a_method() {
    for allocator in crate::budget::registry() {
        let uses =
            |method: &&Method| method.allocator().is_some_and(|a| a.name() == allocator.name());
        assert!(registry().iter().any(|m| uses(&m)), "{}", allocator.name());
    }
}

#[test]
fn every_method_has_a_row_in_the_docs() {
    let docs = include_str!("../../docs/eviction.md");
    for method in registry() {
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{}` | ", method.name())));
        let row = row.unwrap_or_else(|| panic!("{}", method.name()));
        for alias in method.aliases() {
            assert!(row.contains(alias), "{}: {alias}", method.name());
        }
        if let (Some(token_score), Some(allocator)) = (method.token_score(), method.allocator()) {
            assert!(row.contains(token_score.name()) && row.contains(allocator.name()), "{row}");
        }
    }
}
