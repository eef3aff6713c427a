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

/// Layers on the processor and on another device, in both orders: a tensor that stayed behind would
/// end the process.
#[cfg(feature = "kernels")]
#[test]
fn layers_on_different_devices_compute_the_same() {
    use crate::eviction::{QueryRows, Wanted};
    use crate::model::capture::StatsCapture;
    use crate::score::NeedleMask;

    let Some(gpu) = Compute::of_kernels() else { return };
    let ids: Vec<u32> = (0..90).map(|i| 10 + i * 37 % 400).collect();
    let rows = [QueryRows::All, QueryRows::Last(7)].into_iter().collect();
    let wanted = Wanted { row_sums: rows, value_norms: true, projected_norms: true, replay: false };
    let run = |compute: &Compute| {
        let model = needle_llama(compute).unwrap();
        let mut cache = model.new_cache(ids.len() + 1);
        let (logits, stats) = model.prefill(&ids, &mut cache, 40, &wanted).unwrap();
        let needle = NeedleMask::new(&[20..26, 40..43]).unwrap();
        let mut capture = StatsCapture::new(&needle, 5);
        let next = model.run(&[77], &mut cache, 1, 1, &mut capture).unwrap();
        capture.finish_row().unwrap();
        let masses = capture.into_rows()[0].heads.iter().map(|head| head.needle_mass).collect();
        let by_layer = model.prefill_by_layer(&ids, 40, &wanted, &mut |_, _, _| Ok(())).unwrap();
        let sums: Vec<f32> =
            (0..6).flat_map(|l| stats.row_sums(QueryRows::All, l).unwrap().to_vec()).collect();
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

/// A prompt and an answer with matrices as saved, and widened: the same but for the order of
/// additions.
#[test]
fn weights_as_saved_compute_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models");
    for (name, saved) in
        [("llama-sharded-bf16", DType::BF16), ("llama-linear-tied-f16", DType::F16)]
    {
        let (dir, compute) = (folder.join(name), Compute::cpu());
        let config = ModelConfig::from_dir(&dir).unwrap();
        assert_eq!(config.saved, saved, "{name}");
        let logits = |checkpoint: Checkpoint, held: DType| {
            let model = Llama::new(config.clone(), checkpoint, &compute).unwrap();
            assert_eq!(model.decoder().output_projection(0).dtype(), held, "{name}");
            assert!(model.decoder().weights().iter().all(|(_, w)| w.dtype() == DType::F32));
            let mut cache = model.new_cache(42);
            let ids: Vec<u32> = (0..40).map(|i| i * 37 % 90).collect();
            let mut all = model.run(&ids, &mut cache, 40, 0, &mut NoRows).unwrap();
            all.extend(model.run(&[7], &mut cache, 1, 0, &mut NoRows).unwrap());
            all
        };
        let open = || Checkpoint::open(&dir, &compute).unwrap();
        let (got, want) = (logits(open(), saved), logits(open().in_one_type(), DType::F32));
        let scale = want.iter().fold(0f32, |m, v| m.max(v.abs()));
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() <= 1e-6 * scale, "{name}: {got} {want}");
        }
    }
}

/// Matrices that are asked for in 16 bits are rounded to them, and nothing else is.
#[test]
fn weights_are_held_in_the_type_that_is_asked_for() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama-mha");
    let logits = |weights: Option<DType>| {
        let compute = Compute { weights, ..Compute::cpu() };
        let model = Llama::from_dir(&dir, &compute).unwrap();
        let held = model.decoder().output_projection(0).dtype();
        assert_eq!(held, weights.unwrap_or(DType::F32));
        model.run(&[1, 20, 3], &mut model.new_cache(3), 3, 0, &mut NoRows).unwrap()
    };
    let exact = logits(None);
    assert_eq!(logits(Some(DType::F32)), exact);
    let scale = exact.iter().fold(0f32, |m, v| m.max(v.abs()));
    for (dtype, most) in [(DType::BF16, 2e-2), (DType::F16, 3e-3)] {
        let off =
            logits(Some(dtype)).iter().zip(&exact).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(off > 0.0 && off <= most * scale, "{dtype:?}: {}", off / scale);
    }
}

/// Before the weights are here, `config.json` tells their type; damaged ones do not end anything
/// yet.
#[test]
fn the_type_of_weights_is_known_before_they_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models");
    let text = std::fs::read_to_string(folder.join("llama-mha/config.json")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let saved = |key: &str, name: &str| {
        let text = text.replace("\"dtype\": \"float32\"", &format!("\"{key}\": \"{name}\""));
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        ModelConfig::from_dir(dir.path()).unwrap().saved
    };
    assert_eq!(saved("dtype", "bfloat16"), DType::BF16);
    assert_eq!(saved("torch_dtype", "float16"), DType::F16);
    assert_eq!(saved("torch_dtype", "float64"), DType::F32);
    std::fs::write(dir.path().join("model.safetensors"), b"no weights").unwrap();
    assert_eq!(saved("dtype", "bfloat16"), DType::BF16);
    // What is there counts more.
    let weights = folder.join("llama-mha/model.safetensors");
    std::fs::copy(weights, dir.path().join("model.safetensors")).unwrap();
    assert_eq!(saved("dtype", "bfloat16"), DType::F32);
}
