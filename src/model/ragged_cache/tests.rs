use std::path::Path;

use proptest::prelude::*;

use super::masked::MaskedCache;
use super::*;
use crate::generate::argmax;
use crate::heads::Granularity;
use crate::model::NoRows;
#[cfg(feature = "kernels")]
use crate::model::embedded::needle_llama;
use crate::model::{Llama, NewValue, RaggedRows};

/// Grouped queries, one KV head per query head, biases, windows of 12 and 20, head norms.
const FIXTURES: [&str; 6] =
    ["llama-biases", "llama-mha", "mistral-window", "qwen2", "qwen2-window-above", "qwen3"];

fn load(name: &str, compute: &Compute) -> Llama {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name);
    Llama::from_dir(&dir, compute).unwrap()
}

fn heads(model: &Llama, granularity: Granularity) -> CacheHeads {
    let c = model.config();
    c.cache_heads(granularity)
}

fn prompt(tokens: usize) -> Vec<u32> {
    (0..tokens as u32).map(|i| (i * 37 + i / 5) % 96).collect()
}

/// A cache with `room` beside the prompt, and the logits after it.
fn prefilled(model: &Llama, tokens: usize, room: usize) -> (KvCache, Vec<f32>) {
    let mut cache = model.new_cache(tokens + room);
    let logits = model.run(&prompt(tokens), &mut cache, 16, 0, &mut NoRows).unwrap();
    (cache, logits)
}

fn ragged(model: &Llama, cache: KvCache, kept: &Kept, room: usize) -> RaggedCache {
    RaggedCache::from_kept(cache, kept, room, model.compute()).unwrap()
}

/// Largest difference relative to the largest entry.
fn relative(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(scale > 0.0);
    a.iter().zip(b).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}

/// Collects the rows of a step, `(layer, list, rows, value)`, and the norms of projected values,
/// `[L, H]`.
#[derive(Default)]
struct All(Vec<(usize, usize, Vec<f32>, Vec<f32>)>, Vec<f32>);

impl RaggedRows for All {
    fn projected_norms(&self) -> bool {
        true
    }

    fn rows(&mut self, layer: usize, list: usize, rows: &[f32], value: NewValue) -> Result<()> {
        self.0.push((layer, list, rows.to_vec(), value.entries.to_vec()));
        self.1.extend(value.projected_norms);
        Ok(())
    }
}

/// Several steps over random kept tokens with evictions in between, against the masked full cache.
fn equals_masked(
    model: &Llama,
    granularity: Granularity,
    chances: &[u8],
    threshold: u8,
    steps: &[(u32, Vec<(usize, usize)>)],
) {
    const TOKENS: usize = 40;
    let heads = heads(model, granularity);
    let list = |i: usize| {
        let chances = &chances[i * TOKENS..][..TOKENS];
        // One at least, wherever it is.
        let sure = chances.iter().map(|c| usize::from(*c)).sum::<usize>() % TOKENS;
        let stays = |p: &usize| *p == sure || chances[*p] < threshold;
        (0..TOKENS).filter(stays).map(|p| p as u32).collect()
    };
    let lists = (0..heads.layers * heads.stored()).map(list).collect();
    let kept = Kept::new(heads, TOKENS, lists).unwrap();
    let (full, _) = prefilled(model, TOKENS, steps.len());
    let mut masked = MaskedCache::new(full.clone(), &kept);
    let mut cache = ragged(model, full, &kept, steps.len());
    assert_eq!(cache.total_tokens(), kept.total_tokens());
    for (i, (id, evictions)) in steps.iter().enumerate() {
        let (want, mut rows) = (masked.decode(model, *id), All::default());
        let got = model.decode(*id, &mut cache, &mut rows).unwrap();
        assert!(relative(&got, &want.logits) < 1e-5, "step {i}: {}", relative(&got, &want.logits));
        assert_eq!(rows.0.len(), heads.layers * heads.stored());
        for (layer, s, rows, value) in &rows.0 {
            assert!(relative(value, &masked.value(*layer, *s, TOKENS + i)) < 1e-4);
            let positions = cache.positions(*layer, *s);
            assert_eq!(positions.last(), Some(&((TOKENS + i) as u32)));
            assert_eq!(rows.len(), heads.readers() * positions.len());
            for (r, row) in rows.chunks(positions.len()).enumerate() {
                let full = &want.rows[*layer][s * heads.readers() + r];
                for (weight, position) in row.iter().zip(positions) {
                    let want = full[*position as usize] as f32;
                    assert!((weight - want).abs() < 1e-5, "step {i}: {weight} {want}");
                }
            }
        }
        for (list, slot) in evictions {
            let (layer, s) = (list % heads.layers, list / heads.layers % heads.stored());
            let held = cache.tokens(layer, s);
            if held > 0 {
                masked.remove(layer, s, cache.positions(layer, s)[slot % held] as usize);
                cache.remove(layer, s, slot % held).unwrap();
                assert_eq!(cache.tokens(layer, s), held - 1);
            }
        }
    }
    assert_eq!(cache.seen(), TOKENS + steps.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn equals_a_full_cache_whose_evicted_entries_are_masked(
        fixture in 0..FIXTURES.len(),
        by_query_head in any::<bool>(),
        device in any::<prop::sample::Index>(),
        chances in prop::collection::vec(0..100u8, 8 * 40),
        threshold in 0..101u8,
        steps in prop::collection::vec(
            (0..96u32, prop::collection::vec((0..8usize, 0..50usize), 0..8)), 1..6),
    ) {
        let granularity =
            if by_query_head { Granularity::QueryHead } else { Granularity::KvHead };
        let model = load(FIXTURES[fixture], device.get(&Compute::every_device()));
        equals_masked(&model, granularity, &chances, threshold, &steps);
    }
}

#[test]
fn with_everything_kept_it_is_the_ordinary_cache() {
    const NEW: usize = 8;
    // 600 tokens: values are summed in several blocks.
    for (name, tokens) in FIXTURES.map(|name| (name, 50)).into_iter().chain([(FIXTURES[0], 600)]) {
        let granularities = [Granularity::KvHead, Granularity::QueryHead];
        for (compute, granularity) in
            Compute::every_device().iter().flat_map(|device| granularities.map(|g| (device, g)))
        {
            let model = load(name, compute);
            let (mut full, mut want) = prefilled(&model, tokens, NEW);
            let kept = Kept::all(heads(&model, granularity), tokens);
            let mut cache = ragged(&model, full.clone(), &kept, NEW);
            for i in 0..NEW {
                let id = argmax(&want);
                want = model.run(&[id], &mut full, 1, 0, &mut NoRows).unwrap();
                let got = model.decode(id, &mut cache, &mut NoRows).unwrap();
                assert!(relative(&got, &want) < 1e-5, "{name}, step {i}");
                assert_eq!(argmax(&got), argmax(&want), "{name}, step {i}");
            }
            assert_eq!((cache.seen(), cache.room()), (full.len(), 0));
        }
    }
}

/// Uneven lists of several chunks of the kernel; each device goes on with the tokens it chose.
#[cfg(feature = "kernels")]
#[test]
fn a_gpu_decodes_as_the_processor() {
    const TOKENS: usize = 600;
    const NEW: usize = 6;
    let Some(gpu) = Compute::of_kernels() else { return };
    let answer = |compute: &Compute, granularity| {
        let model = needle_llama(compute).unwrap();
        let heads = heads(&model, granularity);
        let every = |n: u32| (0..TOKENS as u32).filter(|p| p % n == n - 1).collect();
        let lists = (1..=(heads.layers * heads.stored()) as u32).map(every).collect();
        let kept = Kept::new(heads, TOKENS, lists).unwrap();
        let ids: Vec<u32> = (0..TOKENS as u32).map(|i| 10 + i * 37 % 400).collect();
        let mut cache = model.new_cache(TOKENS);
        let mut logits = model.run(&ids, &mut cache, 256, 0, &mut NoRows).unwrap();
        let mut cache = ragged(&model, cache, &kept, NEW);
        let step = |_| {
            let id = argmax(&logits);
            logits = model.decode(id, &mut cache, &mut NoRows).unwrap();
            (id, logits.clone())
        };
        (0..NEW).map(step).collect::<Vec<_>>()
    };
    for granularity in [Granularity::KvHead, Granularity::QueryHead] {
        let (want, got) = (answer(&Compute::cpu(), granularity), answer(&gpu, granularity));
        for ((id, want), (got_id, got)) in want.iter().zip(&got) {
            assert_eq!(id, got_id, "{granularity:?}");
            let off = want.iter().zip(got).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(off < 1e-4, "{granularity:?}: logits off by {off}");
            println!("{granularity:?}: logits off by {off:e}");
        }
    }
}

/// A new token's norms are those that a full cache with the token has for it.
#[test]
fn new_values_are_projected_as_those_of_a_prompt() {
    const TOKENS: usize = 12;
    for (name, compute) in
        FIXTURES.iter().flat_map(|name| Compute::every_device().into_iter().map(move |d| (name, d)))
    {
        let model = load(name, &compute);
        let (prompt, _) = prefilled(&model, TOKENS, 1);
        let mut full = prompt.clone();
        model.run(&[5], &mut full, 1, 0, &mut NoRows).unwrap();
        let norms = model.projected_value_norms(&full).unwrap();
        let want: Vec<f32> = norms.chunks(TOKENS + 1).map(|row| row[TOKENS]).collect();
        for granularity in [Granularity::KvHead, Granularity::QueryHead] {
            let kept = Kept::all(heads(&model, granularity), TOKENS);
            let (mut cache, mut rows) = (ragged(&model, prompt.clone(), &kept, 1), All::default());
            model.decode(5, &mut cache, &mut rows).unwrap();
            assert!(relative(&rows.1, &want) < 1e-5, "{name}, {granularity:?}");
        }
    }
}

/// 2 layers, 4 query heads, 2 KV heads, 8 dimensions of 4 bytes: 64 bytes for a token's key and
/// value.
#[test]
fn bytes_are_those_of_the_tokens_held() {
    let model = load("llama-biases", &Compute::cpu());
    let (full, _) = prefilled(&model, 10, 0);
    let lists = vec![vec![0, 4, 9], vec![9], vec![2, 3], vec![0, 1, 2, 3, 4]];
    let kept = Kept::new(heads(&model, Granularity::KvHead), 10, lists).unwrap();
    let mut cache = ragged(&model, full.clone(), &kept, 2);
    // 11 tokens; with 2 free slots for each of 4 lists 19.
    assert_eq!((cache.bytes(), cache.allocated_bytes()), (11 * 64, 19 * 64));
    model.decode(5, &mut cache, &mut NoRows).unwrap();
    assert_eq!((cache.bytes(), cache.allocated_bytes(), cache.room()), (15 * 64, 19 * 64, 1));
    assert_eq!(cache.positions(0, 0), [0, 4, 9, 10]);
    cache.remove(0, 0, 1).unwrap();
    cache.remove(0, 0, 2).unwrap();
    assert_eq!((cache.positions(0, 0), cache.tokens(0, 0)), (&[0, 9][..], 2));
    assert_eq!((cache.bytes(), cache.room()), (13 * 64, 1));

    // Query heads: every key and value twice.
    let all = ragged(&model, full, &Kept::all(heads(&model, Granularity::QueryHead), 10), 0);
    assert_eq!(all.bytes(), KvCache::bytes(model.config(), 10, model.compute().dtype) * 2);
}

#[test]
fn a_fork_does_not_disturb_the_original() {
    for compute in Compute::every_device() {
        let model = load("mistral-window", &compute);
        let (full, _) = prefilled(&model, 20, 0);
        let kept = Kept::all(heads(&model, Granularity::KvHead), 20);
        let cache = ragged(&model, full, &kept, 3);
        let answer = |mut fork: RaggedCache| {
            model.decode(7, &mut fork, &mut NoRows).unwrap();
            fork.remove(1, 0, 15).unwrap();
            model.decode(9, &mut fork, &mut NoRows).unwrap()
        };
        let first = answer(cache.clone());
        assert_eq!((cache.seen(), cache.room(), cache.tokens(1, 0)), (20, 3, 20));
        assert_eq!(answer(cache), first);
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let model = load("llama-biases", &Compute::cpu());
    let (full, _) = prefilled(&model, 10, 0);
    let by_kv_head = heads(&model, Granularity::KvHead);
    for kept in [
        Kept::all(by_kv_head, 9),
        Kept::all(CacheHeads { layers: 3, ..by_kv_head }, 10),
        Kept::all(CacheHeads { kv_heads: 4, ..by_kv_head }, 10),
    ] {
        let e = RaggedCache::from_kept(full.clone(), &kept, 1, model.compute()).unwrap_err();
        assert_eq!(e.exit_code(), 1, "{e}");
    }
    let kept = Kept::all(by_kv_head, 10);
    let endless = RaggedCache::from_kept(full.clone(), &kept, usize::MAX, model.compute());
    assert_eq!(endless.unwrap_err().exit_code(), 5);

    let mut cache = ragged(&model, full, &kept, 1);
    for (layer, s, slot) in [(0, 0, 10), (2, 0, 0), (0, 2, 0)] {
        assert_eq!(cache.remove(layer, s, slot).unwrap_err().exit_code(), 1);
    }
    assert_eq!(model.decode(96, &mut cache, &mut NoRows).unwrap_err().exit_code(), 4);
    let other = load("llama-mha", &Compute::cpu()).decode(5, &mut cache, &mut NoRows).unwrap_err();
    assert_eq!(other.exit_code(), 1);
    model.decode(5, &mut cache, &mut NoRows).unwrap();
    // One list has room again, the others have none.
    cache.remove(0, 0, 0).unwrap();
    let full = model.decode(5, &mut cache, &mut NoRows).unwrap_err();
    assert!(full.exit_code() == 1 && full.to_string().contains("position 11"), "{full}");
    assert_eq!((cache.seen(), cache.total_tokens()), (11, 43));
}
