//! The program on a Vulkan device, which may be one in software: what runs on GPUs, end to end,
//! beside the processor.
//!
//! `HEADPROF_REQUIRE_VULKAN=1` makes a missing device a failure; without it the tests then print
//! that they were skipped.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::devices::answered;
use super::{Run, ended, headprof, needles, run, scores, stderr, text};

/// Whether there is a device.
fn found() -> bool {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/qwen3");
    let output = headprof(&["verify", text(&model), "--device", "vulkan", "--dtype", "f32"]);
    let missing = stderr(&output).contains("no device computes by way of Vulkan");
    let required = std::env::var_os("HEADPROF_REQUIRE_VULKAN").is_some_and(|v| v == "1");
    assert!(!(missing && required), "{}", stderr(&output));
    if missing {
        eprintln!("skipped: {}", stderr(&output));
    } else {
        ended(&output, 0, &[]);
    }
    !missing
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Number(number) => vec![number.as_f64().unwrap()],
        Value::Array(all) => all.iter().flat_map(numbers).collect(),
        Value::Object(all) => all.values().flat_map(numbers).collect(),
        _ => vec![],
    }
}

#[track_caller]
fn close(got: &[f64], want: &[f64], within: f64) {
    assert_eq!(got.len(), want.len());
    assert!(want.iter().any(|x| *x != 0.0));
    for (a, b) in got.iter().zip(want) {
        assert!((a - b).abs() <= within * b.abs().max(1.0), "{a} {b}");
    }
}

/// Three probes together, and the fourth alone.
#[test]
fn a_profile_has_the_scores_of_the_processor() {
    if !found() {
        return;
    }
    let here = Run::new(&["--device", "vulkan", "--batch", "3", "--no-plots"]);
    for score in scores() {
        let [got, want] = [&here, run()]
            .map(|run| numbers(&serde_json::from_str(&run.head_score(score)).unwrap()));
        match want.iter().all(|x| *x == 0.0) {
            true => assert_eq!(got, want, "{score}"),
            false => close(&got, &want, 1e-4),
        }
    }
    let meta = here.read("head_score/needle-llama_inf_heads.meta.json");
    let meta: Value = serde_json::from_str(&meta).unwrap();
    assert_eq!((&meta["device"], &meta["dtype"]), (&"vulkan".into(), &"f32".into()));
    assert_eq!(meta["run"]["batch"], 3);
}

#[test]
fn comparisons_give_the_answers_of_the_processor() {
    if !found() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let answers = |device: &str| {
        let methods = "full,streaming_llm,adakv,pyramidkv,h2o,scissorhands,snapkv+vatp";
        let settings = ["--methods", methods, "--budgets", "16", "--device", device];
        let (_, answers) = answered(&needles, &dir.path().join(device), &settings);
        let text = |answer: &Value| answer["answer"].as_str().unwrap().to_owned();
        answers.iter().map(text).collect::<Vec<_>>()
    };
    let want = answers("cpu");
    assert_eq!(want.len(), 2 * 7);
    assert_eq!(answers("vulkan"), want);
}

#[test]
fn windows_and_sinks_are_those_of_the_processor() {
    if !found() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (needles, context) = (needles(dir.path()), dir.path().join("text.txt"));
    fs::write(&context, "The harbour was quiet, and the boats were not. ".repeat(40)).unwrap();
    let both = |device: &str| {
        let out = dir.path().join(device);
        let on = ["--device", device, "--out", text(&out)];
        let lengths = ["--lengths", "256", "--depths", "0.5", "--needles", text(&needles)];
        let utility = headprof(&[&["utility", "--gate", "none"][..], &lengths, &on].concat());
        assert!(utility.status.success(), "{}", stderr(&utility));
        let observe = ["observe", "--all", "--length", "96", "--context", text(&context)];
        let observe = headprof(&[&observe[..], &on].concat());
        assert!(observe.status.success(), "{}", stderr(&observe));
        let curves = fs::read(out.join("head_score/needle-llama_window_utility.json")).unwrap();
        let curves: Value = serde_json::from_slice(&curves).unwrap();
        let sinks = fs::read_to_string(out.join("observe/needle-llama_sinks.csv")).unwrap();
        let cells = sinks.lines().skip(1).flat_map(|line| line.split(','));
        (
            numbers(&curves["utilities"]),
            cells.filter_map(|cell| cell.parse().ok()).collect::<Vec<f64>>(),
        )
    };
    let ((curves, sinks), (want_curves, want_sinks)) = (both("vulkan"), both("cpu"));
    close(&curves, &want_curves, 1e-4);
    close(&sinks, &want_sinks, 1e-3);
}

#[test]
fn what_it_has_not_is_refused() {
    if !found() {
        return;
    }
    let output = headprof(&["--device", "vulkan", "--dtype", "bf16", "--lengths", "256"]);
    ended(&output, 2, &["does not compute in that type", "bf16", "--dtype f32"]);
    let output = headprof(&["--device", "vulkan", "--memory", "1MiB", "--lengths", "256"]);
    ended(&output, 5, &["the weights do not fit", "vulkan", "--device cpu"]);
    assert!(!stderr(&output).contains("cuda"), "{}", stderr(&output));
}
