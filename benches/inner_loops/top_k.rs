//! The tokens that a head keeps: a selection, against a sort of all scores.

use std::hint::black_box;

use headprof::eviction::Pooling;
use headprof::eviction::top_k::top_k;

use super::noise;
use super::turns::Turns;

pub fn bench(turns: &Turns) {
    for (tokens, k) in [(1024, 128), (16_384, 128), (16_384, 2048)] {
        // Pooling makes plateaus: whether ties are handled as well as the rest has to show.
        let plain = noise(tokens);
        let pooled = Pooling::Max.pool(&plain, tokens, 7);
        for (kind, scores) in [("", plain), (", pooled", pooled)] {
            assert_eq!(top_k(&scores, k), by_sorting(&scores, k));
            turns.compare(
                &format!("top {k} of {tokens}{kind}"),
                "stable sort of the scores",
                || top_k(black_box(&scores), k),
                || by_sorting(black_box(&scores), k),
            );
        }
    }
}

fn by_sorting(scores: &[f32], k: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    order.truncate(k);
    order.sort_unstable();
    order
}
