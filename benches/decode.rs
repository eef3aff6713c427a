//! One generated token over the full cache against compressed ones, side by side in one run.
//!
//! ```text
//! cargo bench --bench decode [-- TOKENS ...]        (default: 1024 4096 16384)
//! ```
//!
//! Prints the median over rounds, in which the caches take turns; only ratios within a run say
//! something. Weights are needle-llama's: what is timed does not depend on the text.

use std::time::Instant;

use headprof::Result;
use headprof::eviction::{Kept, Wanted};
use headprof::heads::{CacheHeads, Granularity};
use headprof::model::NoRows;
use headprof::model::{Compute, Llama, RaggedCache, embedded};

const ROUNDS: usize = 15;
/// Tokens per head of the compressed caches.
const BUDGET: usize = 128;

fn main() -> Result<()> {
    // As the program does: on one of the threads that share the work.
    rayon::scope(|_| bench())
}

fn bench() -> Result<()> {
    let lengths: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let lengths = if lengths.is_empty() { vec![1024, 4096, 16_384] } else { lengths };
    let model = embedded::needle_llama(&Compute::cpu())?;
    println!("needle-llama, {} threads, median of {ROUNDS} rounds", rayon::current_num_threads());
    println!(
        "| T | cache | bytes held | ms per token | of the full cache |\n|---|---|---|---|---|"
    );
    for tokens in lengths {
        compare(&model, tokens)?;
    }
    Ok(())
}

fn compare(model: &Llama, tokens: usize) -> Result<()> {
    let (c, compute) = (model.config(), model.compute());
    let ids: Vec<u32> = (0..tokens).map(|i| 2 + (i * 7919 % 2000) as u32).collect();
    let mut full = model.new_cache(tokens + ROUNDS);
    model.prefill(&ids, &mut full, 256, &Wanted::default())?;
    let heads = |granularity| c.cache_heads(granularity);
    let recent = |heads: CacheHeads| {
        let first = tokens.saturating_sub(BUDGET) as u32;
        let list: Vec<u32> = (first..tokens as u32).collect();
        Kept::new(heads, tokens, vec![list; heads.layers * heads.stored()])
    };
    let (kv, query) = (heads(Granularity::KvHead), heads(Granularity::QueryHead));
    let mut caches = Vec::new();
    for (name, kept) in [
        (format!("{BUDGET} per KV head"), recent(kv)?),
        (format!("{BUDGET} per query head"), recent(query)?),
        ("everything, ragged".to_owned(), Kept::all(kv, tokens)),
    ] {
        caches.push((name, RaggedCache::from_kept(full.clone(), &kept, ROUNDS, compute)?));
    }
    let mut times = vec![Vec::new(); 1 + caches.len()];
    for round in 0..ROUNDS {
        let id = 2 + round as u32;
        let start = Instant::now();
        model.run(&[id], &mut full, 1, 0, &mut NoRows)?;
        times[0].push(start.elapsed().as_secs_f64());
        for ((_, cache), times) in caches.iter_mut().zip(&mut times[1..]) {
            let start = Instant::now();
            model.decode(id, cache, &mut NoRows)?;
            times.push(start.elapsed().as_secs_f64());
        }
    }
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    let line = |name: &str, bytes: u64, secs: f64| {
        println!("| {tokens} | {name} | {bytes} | {:.2} | {:.2} |", 1e3 * secs, secs / medians[0]);
    };
    let full_bytes = headprof::model::KvCache::bytes(c, full.len(), compute.dtype);
    line("full", full_bytes, medians[0]);
    for ((name, cache), secs) in caches.iter().zip(&medians[1..]) {
        line(name, cache.bytes(), *secs);
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
