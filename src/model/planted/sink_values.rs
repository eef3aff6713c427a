//! What VATP makes of a sink under grouped queries, by construction.
//!
//! The planted model with two KV heads for four query heads. In layer 1 the sink head and a diffuse
//! head read KV head 0. Every token but BOS has its code as the value there, and both heads put it
//! out; BOS, which the sink head attends to, has a value in a dimension of its own, which each of
//! the two heads puts out or does not.

use super::*;
use crate::budget::BudgetOptions;
use crate::eviction::{EvictionOptions, Pooling, ValueNorm, Wanted, by_name};
use crate::heads::Granularity;

const KV_HEADS: usize = 2;
const LAYER: usize = 1;
const TOKENS: usize = 64;
/// Soft enough that every token gets some of the sink head's attention: e^(5 * 1.4) to 1 for BOS.
const SHARPNESS: f64 = 5.0;

/// BOS has a value of length `length` (times 1.4, as its stream is shorter), of which the sink and
/// the diffuse head put out these shares.
fn model(length: f64, by_sink: f64, by_diffuse: f64) -> Llama {
    let planted = build(1).unwrap();
    let mut layers = attention(&planted.roles);
    let (sink, diffuse) = (planted.roles.sink.1, planted.roles.diffuse[1].1);
    assert_eq!((planted.roles.sink.0, sink, diffuse), (LAYER, 0, 1));
    let attention = &mut layers[LAYER];
    attention.attend_to_mark(sink, BOS_MARK, SHARPNESS);
    attention.copy(sink, Block::Token, Block::Output);
    attention.value.set(sink * HEAD_DIM + BLOCK, BOS_MARK, length / norm_gain(4.0));
    for (head, share) in [(sink, by_sink), (diffuse, by_diffuse)] {
        for i in 0..BLOCK {
            attention.output.set(Block::Output.at(i), head * HEAD_DIM + i, 1.0);
        }
        attention.output.set(UNIT, head * HEAD_DIM + BLOCK, share);
    }
    // The KV heads of the heads that need them; diffuse heads read any key alike.
    let kept = [[1, 3], [sink, planted.roles.retrieval.1]];
    let mut weights = weights(1, layers);
    for (name, data) in &mut weights {
        let layer = usize::from(name.starts_with("model.layers.1."));
        if name.contains("k_proj") || name.contains("v_proj") {
            let values: Vec<f32> = data.clone().try_into_vec().unwrap();
            let rows = |head: usize| values.chunks(HEAD_DIM * HIDDEN).nth(head).unwrap();
            let values = kept[layer].map(rows).concat();
            *data = TensorData::new(values, [KV_HEADS * HEAD_DIM, HIDDEN]);
        }
    }
    let mut config: serde_json::Value = serde_json::from_str(&planted.config_json).unwrap();
    config["num_key_value_heads"] = KV_HEADS.into();
    let safetensors = export::to_safetensors(weights, Precision::F32).unwrap();
    Planted { config_json: config.to_string(), safetensors, ..planted }
        .load(&Compute::cpu())
        .unwrap()
}

/// Whether BOS is the one token before the window that is kept, in the KV head's list, and in those
/// of the sink and the diffuse query head.
fn keeps_bos(model: &Llama, norm: ValueNorm, sink_tokens: usize) -> [bool; 3] {
    let ids: Vec<u32> = [BOS].into_iter().chain((1..TOKENS as u32).map(|i| 2 + i * 7)).collect();
    let budget = BudgetOptions { capacity_tokens: 9, window_tokens: 8, ..BudgetOptions::default() };
    let options = EvictionOptions {
        value_norm: norm,
        sink_tokens,
        pooling: Pooling::None,
        ..EvictionOptions::new(budget)
    };
    let method = by_name("snapkv+vatp").unwrap();
    let mut wanted = Wanted::default();
    wanted.add(&method.wanted(&options));
    let (_, stats) = model.prefill(&ids, &mut model.new_cache(TOKENS), 16, &wanted).unwrap();
    let keeps = |granularity, list| {
        let c = model.config();
        let heads = c.cache_heads(granularity);
        let (kept, _) = method.select(&stats, heads, None, &options).unwrap();
        assert_eq!(kept.positions(LAYER, list).len(), 9);
        kept.positions(LAYER, list)[0] == 0
    };
    let own = Granularity::QueryHead;
    [keeps(Granularity::KvHead, 0), keeps(own, 0), keeps(own, 1)]
}

/// The reason for VATP: much attention, nothing to read. All definitions evict it, and the set of
/// protected sinks keeps it.
#[test]
fn a_sink_without_a_value_is_evicted_unless_it_is_protected() {
    let model = model(0.0, 0.0, 0.0);
    assert_eq!(keeps_bos(&model, ValueNorm::Off, 0), [true; 3]);
    for norm in [ValueNorm::L1, ValueNorm::L2, ValueNorm::LInf, ValueNorm::Projected] {
        assert_eq!(keeps_bos(&model, norm, 0), [false; 3], "{norm}");
        assert_eq!(keeps_bos(&model, norm, 1), [true; 3], "{norm}");
    }
}

/// Codes are sums of 32 entries of 1/sqrt(32), 5.7; the value of BOS is 8 * 1.4 = 11. The diffuse
/// head attends to all alike, so the longer one wins there.
#[test]
fn only_the_projected_norm_sees_what_a_head_does_not_put_out() {
    let of_value = [true; 3];
    for (by_sink, by_diffuse, projected) in [
        (1.0, 1.0, [true; 3]),
        (0.0, 0.0, [false; 3]),
        // The group's mean: half of the longest value, with nearly all of the attention.
        (0.0, 1.0, [true, false, true]),
        (1.0, 0.0, [true, true, false]),
    ] {
        let model = model(8.0, by_sink, by_diffuse);
        assert_eq!(keeps_bos(&model, ValueNorm::L1, 0), of_value);
        let got = keeps_bos(&model, ValueNorm::Projected, 0);
        assert_eq!(
            got, projected,
            "put out by the sink {by_sink}, by the diffuse head {by_diffuse}"
        );
    }
}
