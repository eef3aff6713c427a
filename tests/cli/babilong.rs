//! Reason in a haystack: `headprof --task babilong` and `headprof evaluate --task babilong`.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use super::{Run, fails, files_in, headprof, main_scores, scores, stderr, text};

/// Two tasks x two stories x two lengths = 8 probes, all accepted, beside a profile with needles.
struct Stories {
    needles: Run,
    summary: Value,
}

fn stories() -> &'static Stories {
    static STORIES: OnceLock<Stories> = OnceLock::new();
    STORIES.get_or_init(|| {
        let needles = Run::new(&[]);
        let out = needles.dir.path();
        let output = headprof(
            &[
                &["--probe", "babilong", "--tasks", "qa6,qa1", "--samples", "2", "--gate", "none"]
                    [..],
                &["--lengths", "256,320", "--max-new-tokens", "4", "--out", text(out), "--json"],
                &["--export-probes", text(&out.join("exported.jsonl"))],
            ]
            .concat(),
        );
        assert!(output.status.success(), "{}", stderr(&output));
        Stories { needles, summary: serde_json::from_slice(&output.stdout).unwrap() }
    })
}

fn lines(name: &str) -> Vec<Value> {
    stories().needles.read(name).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn scores_and_pictures_are_there_for_all_stories_and_for_each_task() {
    let root = stories().needles.dir.path();
    let mut expected: Vec<String> = scores().iter().map(|s| format!("babilong_{s}")).collect();
    for task in ["qa1", "qa6"] {
        expected.extend(main_scores().iter().map(|s| format!("babilong-{task}_{s}")));
    }
    let heads = expected.iter().map(|name| format!("needle-llama_{name}_heads"));
    let is_ours = |name: &String| name.contains("babilong");
    let found = |folder: &str| -> Vec<String> {
        files_in(&root.join(folder)).into_iter().filter(is_ours).collect()
    };
    let mut files: Vec<String> =
        heads.clone().flat_map(|s| ["json", "meta.json"].map(|e| format!("{s}.{e}"))).collect();
    files.sort();
    assert_eq!(found("head_score"), files);
    let others =
        ["answers", "beside_needles", "curve"].map(|s| format!("needle-llama_babilong_{s}"));
    let mut files: Vec<String> =
        heads.chain(others).flat_map(|s| ["png", "svg"].map(|e| format!("{s}.{e}"))).collect();
    files.sort();
    assert_eq!(found("plots"), files);
}

#[test]
fn a_tasks_file_has_the_values_of_its_own_probes() {
    let read = |name: &str| -> Value {
        let path = format!("head_score/needle-llama_{name}_heads.json");
        serde_json::from_str(&stories().needles.read(&path)).unwrap()
    };
    let (all, qa1, qa6) =
        (read("babilong_inf"), read("babilong-qa1_inf"), read("babilong-qa6_inf"));
    for (head, values) in all.as_object().unwrap() {
        // In the order of the plan: first the stories of qa1.
        let both: Vec<&Value> =
            [&qa1, &qa6].into_iter().flat_map(|t| t[head].as_array().unwrap()).collect();
        assert_eq!(values.as_array().unwrap().iter().collect::<Vec<_>>(), both, "{head}");
        assert_eq!(both.len(), 8);
    }
    let meta: Value = serde_json::from_str(
        &stories().needles.read("head_score/needle-llama_babilong-qa6_inf_heads.meta.json"),
    )
    .unwrap();
    assert_eq!(meta["task"], "qa6");
    let ids: Vec<Value> = lines("probes.jsonl")
        .iter()
        .filter(|r| r["task"] == "qa6")
        .map(|r| r["id"].clone())
        .collect();
    assert_eq!(meta["probes"]["accepted_ids"], Value::from(ids));
}

#[test]
fn records_tell_supporting_facts_from_distractors() {
    let (records, exported) = (lines("probes.jsonl"), lines("exported.jsonl"));
    assert_eq!(records.len(), 8);
    for (record, exported) in records.iter().zip(&exported) {
        assert!(record["depth_asked"].is_null());
        assert!((0.0..=1.0).contains(&record["depth_reached"].as_f64().unwrap()));
        let spans = |name: &str| -> Vec<(u64, u64)> {
            let spans = record[name].as_array().map_or(&[][..], |a| a);
            spans.iter().map(|s| (s[0].as_u64().unwrap(), s[1].as_u64().unwrap())).collect()
        };
        let (needle, others) = (spans("needle_spans"), spans("distractor_spans"));
        assert!(!needle.is_empty());
        let mut all: Vec<(u64, u64)> = needle.iter().chain(&others).copied().collect();
        all.sort_unstable();
        // No two overlap, and all are inside the prompt.
        assert!(all.windows(2).all(|w| w[0].1 <= w[1].0), "{all:?}");
        assert!(all.last().unwrap().1 <= record["context_length"].as_u64().unwrap());
        assert_eq!(exported["ids"].as_array().unwrap().len() as u64, record["context_length"]);
        assert_eq!(exported["needle"], record["needle_spans"]);
    }
    // The same stories at both lengths.
    let golds = |length: u64| -> Vec<&Value> {
        records.iter().filter(|r| r["context_length"] == length).map(|r| &r["gold"]).collect()
    };
    assert_eq!(golds(256), golds(320));
}

#[test]
fn the_summary_ranks_against_the_needles() {
    let summary = &stories().summary;
    assert_eq!(summary["by_task"][0]["task"], "qa1");
    assert_eq!(summary["by_task"][1]["probes"], 4);
    let rankings = summary["rankings"].as_array().unwrap();
    // Five scores, for all stories and for each of two tasks.
    assert_eq!(rankings.len(), 15);
    for ranking in rankings {
        assert!(ranking["top_heads"].as_u64().unwrap() <= 5);
        assert!((-1.0..=1.0).contains(&ranking["spearman"].as_f64().unwrap_or(0.0)));
        assert!((0.0..=1.0).contains(&ranking["top_overlap_frac"].as_f64().unwrap_or(0.0)));
    }
    // Over needles there is nothing to rank against.
    assert!(!stories().needles.stdout.contains("Against the needle scores"));
}

/// A finished profile is not lost to a file that it is only compared with.
#[test]
fn needle_scores_that_cannot_be_read_are_told_and_the_rest_is_written() {
    let out = tempfile::tempdir().unwrap();
    let scores = out.path().join("head_score");
    fs::create_dir(&scores).unwrap();
    fs::write(scores.join("needle-llama_inf_heads.json"), "{\"0-0\": [").unwrap();
    let output = headprof(
        &[
            &["--task", "babilong:qa1", "--samples", "1", "--gate", "none"][..],
            &["--lengths", "256", "--max-new-tokens", "4", "--no-plots", "--out", text(out.path())],
        ]
        .concat(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("not compared with"), "{}", stderr(&output));
    assert!(scores.join("needle-llama_babilong_inf_heads.json").exists());
}

#[test]
fn the_same_command_tells_the_same_stories() {
    let again = tempfile::tempdir().unwrap();
    let output = headprof(
        &[
            &["--task", "babilong:qa1", "--samples", "1", "--gate", "none"][..],
            &[
                "--lengths",
                "256",
                "--max-new-tokens",
                "4",
                "--no-plots",
                "--out",
                text(again.path()),
            ],
        ]
        .concat(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let line = fs::read_to_string(again.path().join("probes.jsonl")).unwrap();
    let one: Value = serde_json::from_str(line.trim()).unwrap();
    let first = &lines("probes.jsonl")[0];
    for field in ["id", "needle_id", "needle_spans", "gold", "answer"] {
        assert_eq!(one[field], first[field], "{field}");
    }
}

#[test]
fn stories_are_evaluated_as_a_task() {
    let dir = tempfile::tempdir().unwrap();
    let output = headprof(
        &[
            &["evaluate", "--task", "babilong:qa1,qa6", "--samples", "2", "--lengths", "256"][..],
            &["--methods", "full,snapkv", "--budgets", "32,300", "--max-new-tokens", "12"],
            &["--out", text(dir.path())],
        ]
        .concat(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("4 prompts of the task babilong"), "{table}");
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let results: Value = serde_json::from_str(&read("evaluate.json")).unwrap();
    assert_eq!(results["accuracy"], "gate label");
    let metrics: Vec<&Value> =
        results["metrics"].as_array().unwrap().iter().map(|m| &m["name"]).collect();
    assert_eq!(metrics, ["accuracy", "official"]);
    let answers: Vec<Value> =
        read("answers.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    // A budget beyond the prompt keeps everything.
    let of = |method: &str, budget: Value| -> Vec<&Value> {
        let here = |a: &&Value| a["method"] == method && a["budget_tokens"] == budget;
        answers.iter().filter(here).map(|a| &a["answer"]).collect()
    };
    assert_eq!(of("full", Value::Null).len(), 4);
    assert_eq!(of("full", Value::Null), of("snapkv", 300.into()));
    assert!(Path::new(dir.path()).join("plots/needle-llama_babilong_methods_32.png").exists());
}

/// qa1 has a prompt of its own and qa6 has not: the words are in the answers' prompts, and the file
/// is recorded.
#[test]
fn a_prompts_file_is_put_around_the_stories_of_its_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let prompts = dir.path().join("prompts.json");
    let texts = r#"{"qa1": {"instruction": "Mind the rooms.", "post_prompt": "Be short."}}"#;
    fs::write(&prompts, texts).unwrap();
    let exported = dir.path().join("exported.jsonl");
    let told = |prompts: &str| {
        let tasks = ["--probe", "babilong", "--tasks", "qa1,qa6", "--samples", "1"];
        let rest = ["--lengths", "256", "--gate", "none", "--max-new-tokens", "2", "--no-plots"];
        let files = ["--out", text(dir.path()), "--fresh", "--export-probes", text(&exported)];
        let given = ["--prompts", prompts];
        let given = if prompts.is_empty() { &given[..0] } else { &given[..] };
        let output = headprof(&[&tasks[..], &rest, &files, given].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let lines = fs::read_to_string(&exported).unwrap();
        lines
            .lines()
            .map(|line| {
                let probe: Value = serde_json::from_str(line).unwrap();
                assert_eq!(probe["ids"].as_array().unwrap().len(), 256);
                probe["ids"].clone()
            })
            .collect::<Vec<Value>>()
    };
    let (plain, with) = (told(""), told(text(&prompts)));
    assert_ne!(plain[0], with[0]);
    // What differs of qa6 is the part of the haystack, which the fingerprint decides: the question
    // behind it is the same.
    let tail = |ids: &Value| ids.as_array().unwrap()[240..].to_vec();
    assert_eq!(tail(&plain[1]), tail(&with[1]));
    assert_ne!(tail(&plain[0]), tail(&with[0]));
    let meta = dir.path().join("head_score/needle-llama_babilong_inf_heads.meta.json");
    let meta: Value = serde_json::from_str(&fs::read_to_string(meta).unwrap()).unwrap();
    assert_eq!(meta["prompt"]["prompts"][0]["path"], text(&prompts));

    fs::write(&prompts, r#"{"qa1": {"examples": 3}}"#).unwrap();
    let args = ["--probe", "babilong", "--prompts", text(&prompts)];
    fails(&args, 3, &["prompts.json: qa1: examples", "a string"]);
    fails(&["--prompts", text(&prompts)], 2, &["--task babilong"]);
}

#[test]
fn mistakes_are_told_before_the_weights_are_read() {
    let stories = ["--probe", "babilong", "--model", "/no/such/model"];
    for (args, says) in [
        (&["--tasks", "qa99"][..], "qa99"),
        (&["--tasks", "qa3..qa1"], "backwards"),
        (&["--tasks", ""], "there are no tasks"),
        (&["--samples", "0"], "--samples"),
        (&["--depths", "0.5"], "scattered"),
        (&["--needles", "x.jsonl"], "--needles is for other tasks"),
        (&["--compat", "headkv-r2"], "--compat is for other tasks"),
    ] {
        fails(&[&stories[..], args].concat(), 2, &[says]);
    }
    fails(&["--tasks", "qa1"], 2, &["--task needle alone", "babilong:qa1..qa5"]);
    fails(&["--task", "needle:qa1"], 2, &["--task needle alone"]);
    fails(
        &["--task", "ruler"],
        2,
        &["where in the prompt the answer stands", "needle or babilong"],
    );
    fails(&["--task", "babi"], 2, &["no such task", "needle or babilong"]);
    fails(&["evaluate", "--task", "babi"], 2, &["no such task", "longbench"]);
    let twice = ["--task", "babilong:qa1", "--tasks", "qa2"];
    fails(&twice, 2, &["two lists", "qa1", "qa2"]);
    fails(&["--gate", "label"], 2, &["needles have no labels"]);
    fails(&["--task", "babilong:qa2", "--lengths", "128"], 2, &["at least"]);
    fails(&["--probe", "babilong", "--tasks", "qa4", "--samples", "100000"], 2, &["--samples"]);
}
