//! `headprof compare`.

use std::fs;

use serde_json::Value;

use super::{ended, fails, files_in, headprof, run, stderr, text};

fn json(args: &[&str]) -> Value {
    let output = headprof(&[&["compare", "--json"], args].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn near(value: &Value, expected: f64, within: f64) {
    let value = value.as_f64().unwrap();
    assert!((value - expected).abs() <= within, "{value}, not {expected}");
}

/// A score of two layers x three heads.
const ROW_MAJOR: &str =
    r#"{"0-0": [0.9], "0-1": [0.8], "0-2": [0.7], "1-0": [0.6], "1-1": [0.5], "1-2": [0]}"#;

#[test]
fn files_of_all_forms_are_compared_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let written = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let plain = written("m_inf_heads.json", ROW_MAJOR);
    // The same with its keys the other way round, as numbers, under a key of its own.
    let turned =
        r#"{"inf": {"1-2": 0, "1-1": 0.5, "1-0": 0.6, "0-2": 0.7, "0-1": 0.8, "0-0": 0.9}}"#;
    let turned = written("turned.json", turned);
    let out = ["--out", text(dir.path())];
    let compared = json(&[&[text(&plain), text(&turned)][..], &out].concat());
    let pair = &compared["pairs"][0];
    for coefficient in ["pearson", "spearman", "kendall"] {
        near(&pair[coefficient], 1.0, 1e-12);
    }
    assert_eq!(pair["shared"][0]["heads"], 5);
    assert!(pair["shared"][0]["interval_95"].is_null() && pair["moved"][0].is_null());
    assert!(compared["files"][0]["by_position"].is_null());
    // Of six heads in the opposite order.
    near(&compared["files"][1]["by_position"]["pearson"], -1.0, 0.3);
    let name = "turned_less_m_inf";
    assert_eq!(files_in(&dir.path().join("plots")), [format!("{name}.png"), format!("{name}.svg")]);

    let args = ["compare", text(&plain), text(&turned), "--no-plots"];
    let output = headprof(&args);
    ended(&output, 0, &["not in layer-head order"]);
    let table = String::from_utf8(output.stdout).unwrap();
    for said in ["A  m_inf: 2 layers x 3 heads, one value per head", "B by position", "1.000"] {
        assert!(table.contains(said), "{table}");
    }
}

#[test]
fn scores_of_a_profile_say_how_sure_the_shared_heads_are() {
    let scores = run().dir.path().join("head_score");
    let file = |score: &str| scores.join(format!("needle-llama_{score}_heads.json"));
    let (inf, dili, lazy) = (file("inf"), file("dili"), file("lazy"));
    let three = [text(&inf), text(&dili), text(&lazy), "--no-plots", "--top", "5,10"];
    let compared = json(&three);
    let pairs = compared["pairs"].as_array().unwrap();
    let numbers: Vec<(u64, u64)> = pairs
        .iter()
        .map(|p| (p["first"].as_u64().unwrap(), p["second"].as_u64().unwrap()))
        .collect();
    assert_eq!(numbers, [(0, 1), (0, 2), (1, 2)]);
    assert_eq!(compared["files"][0]["score"], "inf");
    for shared in pairs.iter().flat_map(|pair| pair["shared"].as_array().unwrap()) {
        let (low, high) = (&shared["interval_95"][0], &shared["interval_95"][1]);
        assert!(low.as_u64() <= high.as_u64() && high.as_u64() <= shared["top"].as_u64());
        near(&shared["by_chance"], shared["top"].as_f64().unwrap().powi(2) / 48.0, 1e-9);
    }
}

/// The mean of a score with a sign is that of its sidecar; a picture for each file beside the first.
#[test]
fn signs_come_from_sidecars_and_every_other_file_has_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let written = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    };
    let first = written("m_inf_heads.json", ROW_MAJOR);
    let signed = r#"{"0-0": [0], "0-1": [0], "0-2": [0], "1-0": [0.6], "1-1": [0.5], "1-2": [0]}"#;
    let second = written("a/m_attribution_heads.json", signed);
    let meta = r#"{"score": {"name": "attribution"},
        "heads": {"mean": [[-0.9, -0.8, -0.7], [-0.6, -0.5, 0.0]]}}"#;
    written("a/m_attribution_heads.meta.json", meta);
    let third = written("b/m_attribution_heads.json", ROW_MAJOR);
    // One of another shape is no sidecar of this file.
    written("b/m_attribution_heads.meta.json", r#"{"heads": {"mean": [[-1.0]]}}"#);
    let files = [text(&first), text(&second), text(&third), "--out", text(dir.path())];
    let compared = json(&files);
    near(&compared["pairs"][0]["pearson"], -1.0, 1e-6);
    near(&compared["pairs"][1]["pearson"], 1.0, 1e-6);
    assert_eq!(compared["pictures"].as_array().unwrap().len(), 4);
    assert_eq!(files_in(&dir.path().join("plots")).len(), 4);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.json"), dir.path().join("b.json"));
    fs::write(&a, ROW_MAJOR).unwrap();
    fs::write(&b, r#"{"0-0": [1], "0-1": [0.5]}"#).unwrap();
    let two = ["compare", text(&a), text(&b)];
    let out = ["--out", text(dir.path())];
    fails(&[&two[..], &out].concat(), 3, &["b.json", "1 layers x 2 heads", "2 layers x 3 heads"]);
    fails(&["compare", text(&a)], 2, &["2 values required"]);
    fails(&[&two[..], &["--top", "0"]].concat(), 2, &["--top", "10,20,30"]);
    fails(&["compare", text(&a), "no-such-model"], 2, &["no-such-model"]);
    fails(&["compare", text(&a), "no/such.json"], 3, &["no/such.json"]);
    assert!(!dir.path().join("plots").exists());
}
