use super::*;
use crate::model::embedded::needle_llama;

#[test]
fn blocks_change_nothing_but_rounding() {
    let ids: Vec<u32> = (0..700).map(|i| 10 + i * 37 % 400).collect();
    let run = |query_block| {
        let model = needle_llama(&Compute { query_block, ..Compute::cpu() }).unwrap();
        let mut cache = model.new_cache(ids.len());
        let logits = model.run(&ids, &mut cache, 300, 1, &mut NoRows).unwrap();
        assert_eq!(cache.len(), ids.len());
        logits
    };
    let (one, blocks) = (run(1), run(128));
    let scale = one.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(one.iter().zip(&blocks).all(|(a, b)| (a - b).abs() < 1e-4 * scale));
}

/// Layers on the processor and on another device, in both orders: a tensor that stayed behind would end
/// the process.
#[cfg(feature = "kernels")]
#[test]
fn layers_on_different_devices_compute_the_same() {
    use crate::eviction::{Rows, Wanted};
    use crate::model::capture::StatsCapture;
    use crate::score::NeedleMask;

    let Some(gpu) = Compute::of_kernels() else { return };
    let ids: Vec<u32> = (0..90).map(|i| 10 + i * 37 % 400).collect();
    let rows = [Rows::All, Rows::Last(7)].into_iter().collect();
    let wanted = Wanted { row_sums: rows, value_norms: true, projected_norms: true };
    let run = |compute: &Compute| {
        let model = needle_llama(compute).unwrap();
        let mut cache = model.new_cache(ids.len() + 1);
        let (logits, stats) = model.prefill(&ids, &mut cache, 40, &wanted).unwrap();
        let needle = NeedleMask::new(&[20..26, 40..43]).unwrap();
        let mut capture = StatsCapture::new(&needle, 5, compute);
        let next = model.run(&[77], &mut cache, 1, 1, &mut capture).unwrap();
        capture.finish_row().unwrap();
        let masses = capture.into_rows()[0].heads.iter().map(|head| head.needle_mass).collect();
        let by_layer = model.prefill_by_layer(&ids, 40, &wanted, &mut |_, _, _| Ok(())).unwrap();
        let sums: Vec<f32> =
            (0..6).flat_map(|l| stats.row_sums(Rows::All, l).unwrap().to_vec()).collect();
        [logits, next, by_layer.0, sums, masses]
    };
    let alone = run(&Compute::cpu());
    let shared = Compute { on_host: false, ..Compute::cpu() };
    let first = Compute { further: vec![gpu.device.clone()], ..shared.clone() };
    let second = Compute { further: vec![Device::flex()], device: gpu.device, ..shared };
    for both in [first, second] {
        for (got, want) in run(&both).iter().zip(&alone) {
            let scale = want.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert_eq!(got.len(), want.len());
            assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-4 * scale));
        }
    }
}
