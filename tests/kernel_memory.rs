//! What a run takes of a device's memory: a program of its own, as others would take some beside
//! it.
//!
//! On the device that this build has kernels for; without one the test prints that it was skipped,
//! or with `HEADPROF_REQUIRE_VULKAN=1` (`HEADPROF_REQUIRE_CUDA=1`) fails.
#![cfg(feature = "kernels")]

use std::path::Path;

use burn::tensor::DType;
use headprof::generate::{Question, Settings, Stop, generate_batch};
use headprof::model::NoRows;
use headprof::model::{Compute, Devices, Llama};

fn device() -> Option<Compute> {
    let (name, required) = match cfg!(feature = "vulkan") {
        true => ("vulkan", "HEADPROF_REQUIRE_VULKAN"),
        false => ("cuda", "HEADPROF_REQUIRE_CUDA"),
    };
    match Compute::open(&name.parse::<Devices>().unwrap()) {
        Ok(mut compute) => {
            compute.dtype = DType::F32;
            Some(compute)
        }
        Err(e) => {
            assert!(std::env::var_os(required).is_none_or(|v| v != "1"), "{e}");
            eprintln!("skipped: {e}");
            None
        }
    }
}

/// Bytes that are in use on the device, and those that its pools hold.
fn in_use_and_reserved(compute: &Compute) -> (u64, u64) {
    compute.device.sync().unwrap();
    let usage = compute.device.memory_pool_usage().expect("this device knows its memory");
    (usage.bytes_in_use, usage.bytes_reserved)
}

fn reserved(compute: &Compute) -> u64 {
    in_use_and_reserved(compute).1
}

#[test]
fn kernel_devices_take_no_more_than_they_need() {
    let Some(compute) = device() else { return };
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/mistral-window");
    let model = Llama::from_dir(&dir, &compute).unwrap();
    probes_take_nothing_more(&model);
    a_cache_is_written_where_it_lies(&model);
}

/// Prompts of all lengths, alone and together, with their rows.
fn probes_take_nothing_more(model: &Llama) {
    let mut caches = [model.new_cache(200), model.new_cache(200)];
    let settings = Settings { stop: Stop::default(), chunk: 32, top_k: 5 };
    let mut ask = |i: usize| {
        let prompt: Vec<u32> = (0..40 + i % 10 * 14).map(|t| ((t * 31 + i) % 96) as u32).collect();
        let needle = [3..7];
        let question =
            Question { prompt: &prompt, shared: 0, fork: 0, needle: &needle, max_new_tokens: 3 };
        let together = 1 + i % 2;
        caches[0].rewind(0);
        let (caches, questions) = (&mut caches[..together], &[question; 2][..together]);
        generate_batch(model, caches, questions, &settings, &mut || Ok(())).unwrap();
    };
    // All lengths once: the pools grow, and on a GPU the fastest kernels are looked for.
    (0..10).for_each(&mut ask);
    let (in_use, held) = in_use_and_reserved(model.compute());
    (10..40).for_each(&mut ask);
    let now = in_use_and_reserved(model.compute());
    // A row of attention of each of them would be more.
    let most = 30 * 40 * 4;
    assert!(now.0 < in_use + most && now.1 < held + most, "{now:?} after {in_use}, {held}");
}

fn a_cache_is_written_where_it_lies(model: &Llama) {
    let mut cache = model.new_cache(1 << 18);
    // Kernels read and write a first time.
    model.run(&[1, 2, 3], &mut cache, 2, 0, &mut NoRows).unwrap();
    let one = cache.allocated_bytes() / 4;
    assert!(one >= 16 << 20);
    let before = reserved(model.compute());
    assert!(before >= 4 * one, "{before} bytes are less than a cache's");
    for id in 0..10 {
        model.run(&[id, id + 1], &mut cache, 1 + id as usize % 2, 0, &mut NoRows).unwrap();
    }
    let grown = reserved(model.compute()).saturating_sub(before);
    assert!(grown < one / 2, "{grown} bytes more, where keys of a layer are {one}");
    // Unless others need what lies there.
    let fork = cache.clone();
    model.run(&[1], &mut cache, 1, 0, &mut NoRows).unwrap();
    let grown = reserved(model.compute()).saturating_sub(before);
    assert!(grown >= 4 * one, "{grown} bytes more, where a copy is {}", 4 * one);
    assert_eq!(fork.len() + 1, cache.len());
}
