//! SnapKV's scores: recording what the last queries look at, and what is made of it.

use std::hint::black_box;

use headprof::Result;
use headprof::budget::BudgetOptions;
use headprof::eviction::snapkv::SnapKv;
use headprof::eviction::{EvictionOptions, QueryRows, TokenScore, TokenStats, Wanted};
use headprof::heads::{CacheHeads, Granularity};
use headprof::model::full_rows::FullRows;
use headprof::model::{Compute, Llama, embedded};

use super::turns::Turns;
use super::{ids, noise};

const CHUNK: usize = 256;

pub fn bench(turns: &Turns) -> Result<()> {
    let options = EvictionOptions::new(BudgetOptions::default());
    scores(turns, &options)?;
    recording(turns, options.budget.window_tokens)
}

/// One layer of Llama 3.1 8B's shape: mean of the group, mean of the rows, maximum of neighbours.
fn scores(turns: &Turns, options: &EvictionOptions) -> Result<()> {
    let heads = CacheHeads { layers: 1, heads: 32, kv_heads: 8, granularity: Granularity::KvHead };
    let (window, score) = (options.budget.window_tokens, SnapKv);
    for tokens in [1024, 8192] {
        let sums = noise(heads.heads * tokens);
        let stats = TokenStats {
            layers: 1,
            heads: heads.heads,
            kv_heads: heads.kv_heads,
            tokens,
            row_sums: [(QueryRows::Last(window), sums.clone())].into(),
            value_norms: None,
            projected_norms: None,
            replayed: None,
        };
        let by_definition = |sums: &[f32]| plain_scores(sums, tokens, &heads, options);
        let expected = by_definition(&sums);
        close(&score.scores(&stats, 0, &heads, options)?, &expected);
        turns.compare(
            &format!("window scores, 32 heads, {tokens} tokens"),
            "the formula, token by token",
            || score.scores(black_box(&stats), 0, &heads, options),
            || by_definition(black_box(&sums)),
        );
    }
    Ok(())
}

/// `max_{i near j} mean_h (1/W) sums[h, i]`, everything anew for every `j`.
fn plain_scores(
    sums: &[f32],
    tokens: usize,
    heads: &CacheHeads,
    options: &EvictionOptions,
) -> Vec<f32> {
    let (window, half) = (options.budget.window_tokens, options.kernel_size / 2);
    let (readers, before) = (heads.readers(), tokens - window);
    let mean = |s: usize, i: usize| {
        let group = (0..readers).map(|r| sums[(s * readers + r) * tokens + i]);
        group.sum::<f32>() / readers as f32 / window as f32
    };
    let pooled = |s: usize, j: usize| {
        let near = j.saturating_sub(half)..(j + half + 1).min(before);
        near.map(|i| mean(s, i)).fold(f32::NEG_INFINITY, f32::max)
    };
    (0..heads.stored()).flat_map(|s| (0..before).map(move |j| pooled(s, j))).collect()
}

/// A prompt with the sums of its last rows, against the rows themselves, added up on the host.
fn recording(turns: &Turns, window: usize) -> Result<()> {
    let model = embedded::needle_llama(&Compute::cpu())?;
    for tokens in [256, 1024] {
        let name = format!("prompt with window sums, {tokens} tokens");
        if !turns.want(&name) {
            continue;
        }
        let ids = ids(tokens);
        close(&with_sums(&model, &ids, window)?, &with_rows(&model, &ids, window)?);
        turns.compare_repeated(
            &name,
            "whole rows, then their sum",
            [1, 1],
            || with_sums(&model, &ids, window),
            || with_rows(&model, &ids, window),
        );
    }
    Ok(())
}

/// Sums over the last `window` rows, `[L, H, T]`.
fn with_sums(model: &Llama, ids: &[u32], window: usize) -> Result<Vec<f32>> {
    let rows = QueryRows::Last(window);
    let wanted = Wanted { row_sums: [rows].into(), ..Wanted::default() };
    let mut cache = model.new_cache(ids.len());
    let (_, mut stats) = model.prefill(ids, &mut cache, CHUNK, &wanted)?;
    Ok(stats.row_sums.remove(&rows).unwrap_or_default())
}

fn with_rows(model: &Llama, ids: &[u32], window: usize) -> Result<Vec<f32>> {
    let (mut cache, mut rows) = (model.new_cache(ids.len()), FullRows::default());
    model.run(ids, &mut cache, CHUNK, window, &mut rows)?;
    let mut sums = Vec::new();
    for layer in rows.take() {
        for head in 0..layer.heads {
            let of_head = (0..layer.queries).map(|query| layer.row(head, query));
            let mut sum = vec![0.0; layer.keys];
            of_head.for_each(|row| sum.iter_mut().zip(row).for_each(|(to, w)| *to += w));
            sums.extend(sum);
        }
    }
    Ok(sums)
}

fn close(ours: &[f32], plain: &[f32]) {
    assert_eq!(ours.len(), plain.len());
    for (i, (a, b)) in ours.iter().zip(plain).enumerate() {
        assert!((a - b).abs() <= 1e-4, "number {i}: {a} and {b}");
    }
}
