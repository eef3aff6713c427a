//! Finished profiles, which `headprof sensitivity --from` reads.

use std::path::Path;

use headprof::Result;
use headprof::commands::sensitivity;
use serde_json::{Value, json};

use super::seeds::bytes;
use crate::fuzz::Target;
use crate::fuzz::target::Folder;

const PROBES: &str = "probes.jsonl";
const SCORES: &str = "head_score/m_inf_heads.json";
const SIDECAR: &str = "head_score/m_inf_heads.meta.json";

/// Two needles at two depths; one answer does not count.
fn probes() -> Vec<u8> {
    let one = |id: &str, needle: &str, depth: f64, status: &str| {
        let line: Value = json!({
            "id": id, "needle_id": needle, "context_length": 64, "depth_asked": depth,
            "answer": "a b", "gold": "a b", "status": status,
        });
        format!("{line}\n")
    };
    let lines = [
        one("a", "n", 0.1, "accepted"),
        one("b", "n", 0.9, "accepted"),
        one("c", "m", 0.1, "accepted"),
        one("d", "m", 0.5, "rejected"),
        one("e", "m", 0.9, "accepted"),
    ];
    lines.concat().into_bytes()
}

fn scores() -> Vec<u8> {
    br#"{"0-0": [0.5, 1, 0, 0.25], "0-1": [0.25, 0, 1, 1], "1-0": [1, 1, 1, 0], "1-1": [0, 0, 0, 0.5]}"#.to_vec()
}

fn sidecar() -> Vec<u8> {
    bytes(&json!({
        "task": null, "score": {"score_rows": "all", "top_k_infscore": 10, "compat": "none"},
        "model": {"name": "m", "sha256": "ab"}, "gate": {"name": "rouge", "threshold": 0.5},
        "grid": {"context_lengths": [64], "depths": [0.1, 0.9], "repeats": 1, "seed": 3},
        "prompt": {"chat": null}, "probes": {"accepted_ids": ["a", "b", "c", "e"]}, "needles": {},
    }))
}

fn read(folder: &Folder, files: [(&str, &[u8]); 3]) -> Result<()> {
    let scores = folder.path().join(Path::new(SCORES).parent().unwrap_or(Path::new("")));
    if let Err(e) = std::fs::create_dir_all(&scores) {
        panic!("the fuzzer cannot make {}: {e}", scores.display());
    }
    for (name, content) in files {
        folder.put(name, content);
    }
    let found = sensitivity::of_profile(folder.path())?;
    let rho = found.iter().flat_map(|of| &of.factors).flat_map(|factor| &factor.levels);
    for alike in rho.filter_map(|level| level.alike) {
        assert!((-1.001..=1.001).contains(&alike.rho), "a rank correlation of {}", alike.rho);
    }
    Ok(())
}

/// What became of its probes.
pub static RECORDS: Target = Target {
    name: "probes",
    reads: "probes.jsonl of a profile",
    seeds: || vec![probes()],
    beside: crate::fuzz::target::alone,
    read: |folder, input| {
        read(folder, [(PROBES, input), (SCORES, &scores()), (SIDECAR, &sidecar())])
    },
};

/// What made it.
pub static META: Target = Target {
    name: "profile-sidecar",
    reads: "sidecar of a profile",
    seeds: || vec![sidecar()],
    beside: crate::fuzz::target::alone,
    read: |folder, input| {
        read(folder, [(PROBES, &probes()), (SCORES, &scores()), (SIDECAR, input)])
    },
};
