//! Random damage: an error or a model, never a panic.

use headprof::model::NoRows;
use headprof::model::checkpoint::Checkpoint;
use headprof::model::{Compute, Llama, ModelConfig};
use proptest::prelude::*;

use super::tiny::{Tiny, file};

/// One change: a byte replaced, a run of bytes removed, a run doubled.
fn damaged(bytes: &[u8], edits: &[(usize, u8, u8)], within: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for (position, kind, value) in edits {
        if out.is_empty() {
            break;
        }
        let at = position % within.min(out.len());
        let end = (at + 1 + usize::from(*value) % 16).min(out.len());
        match kind % 5 {
            0 => out[at] = *value,
            1 => out[at] ^= 1 << (value % 8),
            2 => drop(out.drain(at..end)),
            3 => {
                let run = out[at..end].to_vec();
                out.splice(at..at, run);
            }
            // Digits and brackets, where random bytes would rarely parse.
            _ => out[at] = b"0123456789-.eE[]{}\",:"[usize::from(*value) % 21],
        }
    }
    out
}

/// Loads and runs what is left; whether it was accepted.
fn survives(config: &[u8], weights: Vec<u8>) -> bool {
    let compute = Compute::cpu();
    let Ok(config) = ModelConfig::parse(config, None, "config.json") else { return false };
    let checkpoint = Checkpoint::in_memory(weights, "fuzz", &compute);
    let Ok(checkpoint) = checkpoint else { return false };
    let Ok(model) = Llama::new(config, checkpoint, &compute) else { return false };
    // Whatever was accepted can be run: to logits, or to a refusal.
    let ids = [1, 2, 3];
    if let Err(e) = model.run(&ids, &mut model.new_cache(3), 2, 1, &mut NoRows) {
        assert_eq!(e.exit_code(), 4, "{e}");
    }
    true
}

fn edits() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6)
}

#[test]
fn undamaged_the_input_is_accepted() {
    let tiny = Tiny::default();
    assert!(survives(tiny.config.to_string().as_bytes(), file(&tiny.tensors)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_damaged_header_never_panics(edits in edits(), cut in any::<Option<usize>>()) {
        let tiny = Tiny::default();
        let whole = file(&tiny.tensors);
        let header = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
        let mut bytes = damaged(&whole, &edits, header);
        if let Some(cut) = cut {
            bytes.truncate(cut % (bytes.len() + 1));
        }
        survives(tiny.config.to_string().as_bytes(), bytes);
    }

    #[test]
    fn a_damaged_config_never_panics(edits in edits()) {
        let tiny = Tiny::default();
        let text = tiny.config.to_string();
        survives(&damaged(text.as_bytes(), &edits, text.len()), file(&tiny.tensors));
    }
}
