//! Scores that look at more than the answer: at the question (`qr`, `core`), at values, at a replay.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{fails, files_in, headprof, needles, stderr, text};

/// A profile over two short lengths, of every answer.
pub(super) fn profile(out: &Path, needles: &Path, extra: &[&str]) {
    let mut args = vec!["--lengths", "192,256", "--depths", "0.1,0.5,1", "--gate", "none"];
    args.extend(["--max-new-tokens", "3", "--no-plots", "--out", text(out)]);
    args.extend(["--needles", text(needles)]);
    args.extend(extra);
    let output = headprof(&args);
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Where the score called `name` is.
pub(super) fn score(out: &Path, name: &str) -> PathBuf {
    out.join(format!("head_score/needle-llama_{name}_heads.json"))
}

fn lists(path: &Path) -> BTreeMap<String, Vec<f64>> {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// However probes are put together, and beside whatever other score: the same to the bit.
#[test]
fn extra_passes_do_not_depend_on_what_runs_beside_them() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let at = |name: &str| dir.path().join(name);
    let extra = ["kvzip", "retrieval_reasoning_l1", "inf_projected"];
    let all = format!("retrieval,qr,inf,{}", extra.join(","));
    profile(&at("all"), &needles, &["--scores", &all, "--batch", "3"]);
    profile(&at("without"), &needles, &["--scores", "retrieval,inf", "--batch", "3"]);
    let read = |out: &str, name: &str| fs::read(score(&at(out), name)).unwrap();
    for name in ["retrieval", "inf"] {
        assert_eq!(read("all", name), read("without", name), "{name}");
    }
    for name in extra {
        profile(&at(name), &needles, &["--scores", name, "--batch", "1"]);
        assert_eq!(read(name, name), read("all", name), "{name}");
        let own = lists(&score(&at(name), name));
        let (smallest, largest) = own.values().flatten().fold((1f64, 0f64), |(s, l), v| {
            assert!(v.is_finite() && *v >= 0.0, "{name}: {v}");
            (s.min(*v), l.max(*v))
        });
        assert!(smallest < 0.3 * largest && largest > 0.01, "{name}: {smallest} {largest}");
    }
    // What is weighed differs from what is not.
    assert_ne!(read("all", "inf_projected"), read("all", "inf"));
    // needle-llama's query heads share KV heads in pairs.
    let kvzip = lists(&score(&at("kvzip"), "kvzip"));
    assert!(kvzip["2-0"] == kvzip["2-1"] && kvzip["2-0"] != kvzip["2-2"]);
}

/// What is measured once is the same for every probe, in one piece and from shards.
#[test]
fn induction_is_what_every_sidecar_says_of_kinds() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let at = |name: &str| dir.path().join(name);
    let scores = ["--scores", "retrieval,induction"];
    profile(&at("whole"), &needles, &scores);
    let path = score(&at("whole"), "induction");
    let sidecar = fs::read(path.with_extension("meta.json")).unwrap();
    let sidecar: serde_json::Value = serde_json::from_slice(&sidecar).unwrap();
    let kinds: Vec<Vec<f64>> =
        serde_json::from_value(sidecar["heads"]["types"]["induction"].clone()).unwrap();
    let lists = lists(&path);
    assert_eq!(lists.len(), 48);
    for (head, list) in lists {
        let (layer, head) = head.split_once('-').unwrap();
        let (layer, head): (usize, usize) = (layer.parse().unwrap(), head.parse().unwrap());
        assert_eq!(list.len(), 12);
        assert!(list.iter().all(|v| (v - kinds[layer][head]).abs() < 1e-6), "{layer}-{head}");
    }
    for shard in ["1/2", "2/2"] {
        profile(&at("shards"), &needles, &[&scores[..], &["--shard", shard]].concat());
    }
    let merged = headprof(&["merge", text(&at("shards")), "--no-plots"]);
    assert!(merged.status.success(), "{}", stderr(&merged));
    assert_eq!(fs::read(score(&at("shards"), "induction")).unwrap(), fs::read(path).unwrap());
    // Whoever merges has no weights to look with.
    assert!(at("shards/report.html").is_file() && !at("shards/look").exists());
}

#[test]
fn qr_does_not_depend_on_what_runs_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let at = |name: &str| dir.path().join(name);
    profile(&at("both"), &needles, &["--scores", "retrieval,qr,inf", "--batch", "3"]);
    profile(&at("alone"), &needles, &["--scores", "qr", "--batch", "1"]);
    profile(&at("without"), &needles, &["--scores", "retrieval,inf", "--batch", "3"]);
    let qr = fs::read(score(&at("both"), "qr")).unwrap();
    assert_eq!(fs::read(score(&at("alone"), "qr")).unwrap(), qr);
    assert_eq!(files_in(&at("alone/head_score")).len(), 2);
    // The other scores do not see that the question was run again.
    for name in ["retrieval", "inf"] {
        let [with, without] =
            ["both", "without"].map(|out| fs::read(score(&at(out), name)).unwrap());
        assert_eq!(with, without, "{name}");
    }
    let lists = lists(&score(&at("both"), "qr"));
    assert_eq!(lists.len(), 48);
    let probes = lists["0-0"].len();
    assert!((8..=12).contains(&probes), "{probes}");
    assert!(lists.values().flatten().all(|v| (0.0..=1.0).contains(v)));
    assert!(lists.values().flatten().any(|v| *v > 0.01), "no head looks at the needle");
}

#[test]
fn core_needs_distractors() {
    fails(&["--scores", "core"], 2, &["--scores core", "babilong"]);
    // Both facts of such a story are what the answer follows from.
    let all_support = ["--task", "babilong:qa17", "--samples", "2", "--lengths", "512"];
    fails(&[&all_support[..], &["--scores", "retrieval,core"]].concat(), 2, &["qa17"]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut args = vec!["--task", "babilong:qa2", "--samples", "3", "--lengths", "512"];
    args.extend(["--gate", "none", "--max-new-tokens", "2", "--no-plots", "--out", text(&out)]);
    args.extend(["--scores", "qr,core"]);
    let output = headprof(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    let core = lists(&out.join("head_score/needle-llama_babilong_core_heads.json"));
    assert!(core.values().flatten().all(|v| (0.0..=1.0).contains(v)));
    // Two supporting facts of several: a head that looks nowhere gives them their share.
    assert!(core.values().flatten().any(|v| *v < 0.9));
}
