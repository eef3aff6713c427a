//! Where a needle stands, and how answers end.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{BINARY, checkpoint, ended, files_in, headprof, needles, text};

fn records(out: &Path) -> Vec<Value> {
    let lines = fs::read_to_string(out.join("probes.jsonl")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A model without an end of its answers, which it therefore never gives.
#[test]
fn an_answer_without_an_end_stops_at_max_new_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let (model, needles) = (checkpoint(dir.path()), needles(dir.path()));
    let path = model.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["eos_token_id"] = json!([]);
    fs::write(&path, config.to_string()).unwrap();
    let out = dir.path().join("out");
    let files = ["--model", text(&model), "--needles", text(&needles), "--out", text(&out)];
    let grid = ["--lengths", "200", "--depths", "0.5", "--gate", "none", "--no-plots"];
    let answer = ["--stop-newline", "off", "--max-new-tokens", "7"];
    ended(&headprof(&[&files[..], &grid, &answer].concat()), 0, &[]);
    let records = records(&out);
    assert_eq!(records.len(), 2);
    for record in records {
        assert_eq!(record["generated_ids"].as_array().unwrap().len(), 7, "{record}");
    }
}

/// At depth 0 the needle is the first of the haystack, at depth 1 the last; what is given twice is
/// once there, and said.
#[test]
fn the_ends_of_the_haystack_are_depths_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let (needles, out) = (needles(dir.path()), dir.path().join("out"));
    let files = ["--needles", text(&needles), "--out", text(&out), "--no-plots"];
    let grid = ["--lengths", "256", "--depths", "0,1,0.0,1.00", "--gate", "none"];
    let output = headprof(&[&files[..], &grid, &["--max-new-tokens", "1"]].concat());
    ended(&output, 0, &["4 depths given, 2 of them different: 0, 1"]);
    let records = records(&out);
    assert_eq!(records.len(), 4);
    let span = |record: &Value| {
        let ends = record["needle_spans"][0].as_array().unwrap();
        [ends[0].as_u64().unwrap(), ends[1].as_u64().unwrap()]
    };
    for pair in records.chunks(2) {
        assert_eq!(
            (&pair[0]["depth_asked"], &pair[0]["depth_reached"]),
            (&json!(0.0), &json!(0.0))
        );
        assert_eq!(
            (&pair[1]["depth_asked"], &pair[1]["depth_reached"]),
            (&json!(1.0), &json!(1.0))
        );
        let (first, last) = (span(&pair[0]), span(&pair[1]));
        assert!(first[1] < last[0] && last[1] <= 256, "{first:?} {last:?}");
    }
}

/// Whoever reads no more than a line has read enough, of every command.
#[test]
fn a_closed_pipe_is_no_error_of_any_command() {
    let dir = tempfile::tempdir().unwrap();
    let scores = dir.path().join("m_inf_heads.json");
    fs::write(&scores, "{\"0-0\": [0.5], \"0-1\": [0.25]}").unwrap();
    let (needles, out) = (needles(dir.path()), dir.path().join("out"));
    let allocate = ["allocate", "--budget", "64", "--head-score", text(&scores)];
    let observe = ["observe", "--all", "--length", "32", "--out", text(&out)];
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/qwen3");
    let dry = ["--dry-run", "--needles", text(&needles), "--lengths", "200", "--out", text(&out)];
    let run = ["--lengths", "128", "--depths", "0.5", "--needles", text(&needles)];
    let run = [&run[..], &["--out", text(&out)]].concat();
    let evaluate = [&["evaluate", "--methods", "full"][..], &run].concat();
    let utility = [&["utility"][..], &run].concat();
    let cluster = ["cluster", "plain", "--shards", "2", "--", "--no-plots"];
    for args in [
        &allocate[..],
        &observe,
        &["verify", model],
        &dry,
        &evaluate,
        &utility,
        &["merge", text(&out)],
        &cluster,
    ] {
        let mut command = std::process::Command::new(BINARY);
        let mut child =
            command.args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}");
    }
}

/// A needles file with one bad line is no shorter file: nothing is left out without a word.
#[test]
fn a_bad_line_among_good_needles_ends_the_run_and_names_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("n.jsonl"), dir.path().join("out"));
    let good = |id: &str| {
        json!({"id": id, "needle": format!("{id} is red."), "question": "Which?", "answer": "red"})
            .to_string()
    };
    for (line, says) in [
        ("{\"needle\": \"a\"", "n.jsonl:2: column"),
        ("[]", "n.jsonl:2"),
        (&good("a"), "id a"),
        ("{\"needle\": \"\", \"question\": \"b\", \"answer\": \"c\"}", "n.jsonl:2: needle"),
        ("{\"needle\": \"a\", \"question\": \"b\"}", "n.jsonl:2: answer"),
    ] {
        fs::write(&path, format!("{}\n{line}\n{}\n", good("a"), good("c"))).unwrap();
        let output = headprof(&["--needles", text(&path), "--out", text(&out)]);
        ended(&output, 3, &["n.jsonl", says]);
        assert!(files_in(&out.join("head_score")).is_empty());
        assert!(!out.join("probes.jsonl").exists());
    }
}
