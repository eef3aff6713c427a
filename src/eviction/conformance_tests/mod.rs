//! Every registered method through the same properties, on random statistics.

mod descriptions;
mod inputs;
mod properties;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::budget::{Budget, BudgetOptions, Request, UtilityCurves};
use crate::error::Result;
use crate::heads::HeadMatrix;
use crate::heads::{CacheHeads, Granularity, GroupReduce};
use crate::score::ReplayedTokens;

/// A prompt and what a method may look at.
#[derive(Debug, Clone)]
struct Sample {
    heads: CacheHeads,
    tokens: usize,
    options: EvictionOptions,
    seed: u64,
}

const NORMS: [ValueNorm; 5] =
    [ValueNorm::L1, ValueNorm::L2, ValueNorm::LInf, ValueNorm::Projected, ValueNorm::Off];

/// Models of up to 3 layers and 6 query heads, prompts of up to 40 tokens, all options.
fn samples() -> impl Strategy<Value = Sample> {
    let shape = (1..=3usize, 1..=3usize, 1..=2usize, any::<bool>(), 1..=40usize);
    let sizes = (1..=8usize, 0..=36usize, any::<prop::sample::Index>());
    let choices = (0..3usize, 0..3usize, 0..NORMS.len(), 0..3usize, any::<u64>());
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
                value_norm: NORMS[norm],
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
    /// What a prefill records for `method`, and nothing else. Every fourth number is a 0, but for
    /// the first token's.
    fn stats(&self, method: &Method) -> TokenStats {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let wanted = method.wanted(&self.options);
        let mut numbers = |n: usize| -> Vec<f32> {
            let number = |i: usize| match rng.random_range(0..4u32) {
                0 if !i.is_multiple_of(self.tokens) => 0.0,
                _ => rng.random::<f32>() + 0.001,
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
        let projected_norms = wanted.projected_norms.then(|| numbers(sums));
        let tokens = self.tokens;
        // A context of all but the last token, if there is another.
        let context = (tokens - 1).max(1);
        let replayed = wanted.replay.then(|| ReplayedTokens {
            tokens: context,
            most: numbers(layers * kv_heads * context),
        });
        TokenStats {
            layers,
            heads,
            kv_heads,
            tokens,
            row_sums,
            value_norms,
            projected_norms,
            replayed,
        }
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

/// Two layers of two KV heads for four query heads, a prompt of 30 tokens.
fn sample(capacity_tokens: usize, window_tokens: usize) -> Sample {
    let heads = CacheHeads { layers: 2, heads: 4, kv_heads: 2, granularity: Granularity::KvHead };
    let budget = BudgetOptions { capacity_tokens, window_tokens, ..BudgetOptions::default() };
    let options = EvictionOptions { sink_tokens: 2, ..EvictionOptions::new(budget) };
    Sample { heads, tokens: 30, options, seed: 7 }
}
