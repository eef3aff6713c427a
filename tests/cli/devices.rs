//! `--device` with several devices that share the layers: the processor stands in for GPUs.
//!
//! All of these are the same memory: a tensor that was left behind on another device is found by
//! `layers_on_different_devices_compute_the_same` of the library, on a Vulkan device.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Run, fails, headprof, needles, run, scores, stderr, text};

#[test]
fn devices_that_share_the_layers_compute_the_same() {
    let shared = Run::new(&["--device", "cpu,cpu", "--no-plots"]);
    for score in scores() {
        assert_eq!(shared.head_score(score), run().head_score(score), "{score}");
    }
    let meta = shared.read("head_score/needle-llama_inf_heads.meta.json");
    let meta: Value = serde_json::from_str(&meta).unwrap();
    assert_eq!(meta["device"], "cpu,cpu");
    for (list, says) in [
        ("cpu,cuda:0", "GPUs of CUDA alone"),
        ("cuda:0,cuda:0", "named twice"),
        ("cpu,", "not known"),
    ] {
        fails(&["--device", list], 2, &["--device", says]);
    }
    #[cfg(not(feature = "vulkan"))]
    fails(&["--device", "vulkan"], 2, &["without Vulkan", "--features vulkan"]);
}

/// Layer by layer and with caches of other lengths per head.
#[test]
fn comparisons_with_shared_layers_give_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let answers = |device: &str, name: &str| {
        let methods = ["--methods", "full,adakv,h2o,snapkv+vatp", "--budgets", "16"];
        let on = ["--device", device];
        answered(&needles, &dir.path().join(name), &[&methods[..], &on].concat()).1
    };
    let one = answers("cpu", "one");
    assert_eq!(one.len(), 2 * 4);
    assert_eq!(answers("cpu,cpu,cpu", "three"), one);
}

/// Settings that answer a prompt together, and each alone.
#[test]
fn settings_together_give_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let answers = |batch: &str| {
        let out = dir.path().join(batch);
        let methods =
            ["--methods", "full,adakv,h2o,snapkv,scissorhands+vatp", "--budgets", "16,40"];
        let together = ["--batch", batch];
        let (told, answers) = answered(&needles, &out, &[&methods[..], &together].concat());
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(told.contains("(--batch 1: alone)"), batch != "1", "{told}");
        let json: Value =
            serde_json::from_slice(&fs::read(out.join("evaluate.json")).unwrap()).unwrap();
        let most: u64 = json["run"]["batch"].as_u64().unwrap();
        assert_eq!(most, batch.parse().unwrap_or(9));
        answers
    };
    let mut alone = answers("1");
    assert_eq!(alone.len(), 2 * 9);
    assert_eq!(answers("auto"), alone);
    // Asked for, they may hold more at a time.
    let mut together = answers("9");
    for answer in alone.iter_mut().chain(&mut together) {
        answer.as_object_mut().unwrap().remove("kv_bytes_peak");
    }
    assert_eq!(together, alone);
    for wrong in ["0", "some"] {
        fails(&["evaluate", "--batch", wrong], 2, &["--batch"]);
    }
}

/// A comparison over `needles` in 256 tokens: what it tells, and what was answered and held,
/// without times.
pub(super) fn answered(needles: &Path, out: &Path, more: &[&str]) -> (String, Vec<Value>) {
    let grid = ["--lengths", "256", "--depths", "0.5", "--max-new-tokens", "6"];
    let files = ["--needles", text(needles), "--out", text(out)];
    let output = headprof(&[&["evaluate", "--no-plots"][..], &grid, &files, more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = fs::read_to_string(out.join("answers.jsonl")).unwrap();
    let mut lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    lines.iter_mut().for_each(without_times);
    (String::from_utf8(output.stdout).unwrap(), lines)
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| key != "seconds");
            map.values_mut().for_each(without_times);
        }
        Value::Array(all) => all.iter_mut().for_each(without_times),
        _ => (),
    }
}
