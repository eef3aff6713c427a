//! What a run writes and prints.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{
    HEADS, LAYERS, Run, checkpoint, fails, files_in, headprof, needles, records, run, scores,
};
use super::{stderr, text};

#[test]
fn every_file_is_there_and_nothing_else() {
    let root = run().dir.path();
    let files =
        ["head_score", "journal", "look", "plots", "probes.jsonl", "report.html", "two.jsonl"];
    assert_eq!(files_in(root), files);
    let mut expected: Vec<String> = scores()
        .iter()
        .flat_map(|s| ["json", "meta.json"].map(|e| format!("needle-llama_{s}_heads.{e}")))
        .collect();
    expected.sort();
    assert_eq!(files_in(&root.join("head_score")), expected);
    let mut expected: Vec<String> = scores()
        .iter()
        .map(|s| format!("{s}_heads"))
        .chain(["answers".into(), "curve".into()])
        .flat_map(|s| ["png", "svg"].map(|e| format!("needle-llama_{s}.{e}")))
        .collect();
    expected.sort();
    assert_eq!(files_in(&root.join("plots")), expected);
    for name in expected {
        let bytes = fs::read(root.join("plots").join(&name)).unwrap();
        let start: &[u8] = if name.ends_with("png") { b"\x89PNG" } else { b"<svg" };
        let head = &bytes[..bytes.len().min(200)];
        assert!(head.windows(start.len()).any(|w| w == start), "{name}");
    }
}

#[test]
fn a_head_score_file_is_one_line_in_row_major_order_with_a_value_per_probe() {
    for score in scores() {
        let content = run().head_score(score);
        assert_eq!(content.lines().count(), 1);
        assert!(content.ends_with('\n'));
        // The order in the text, not in a parsed map.
        let mut at = 0;
        for layer in 0..LAYERS {
            for head in 0..HEADS {
                let key = format!("\"{layer}-{head}\": [");
                at += content[at..].find(&key).unwrap_or_else(|| panic!("{score}: {key}"));
            }
        }
        let value: Value = serde_json::from_str(&content).unwrap();
        let heads = value.as_object().unwrap();
        assert_eq!(heads.len(), LAYERS * HEADS);
        for (key, values) in heads {
            let values = values.as_array().unwrap();
            assert_eq!(values.len(), 4, "{score} {key}");
            assert!(values.iter().all(|v| v.as_f64().is_some_and(|v| v >= 0.0)));
        }
    }
    // Attention is never 0, so some head gives the needle something.
    let sum: f64 = serde_json::from_str::<Value>(&run().head_score("lazy"))
        .unwrap()
        .as_object()
        .unwrap()
        .values()
        .flat_map(|v| v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()))
        .sum();
    assert!(sum > 0.0);
}

#[test]
fn the_counts_of_a_row_add_up_to_its_keys() {
    // diligent + subconscious + distracted + diffuse = keys of the row, averaged over the rows:
    // 256 for row 0, one more per row after it, 5 rows at most.
    let of = |score: &str| -> Value { serde_json::from_str(&run().head_score(score)).unwrap() };
    let counts = ["diligent", "subconscious", "distracted", "diffuse"].map(of);
    for layer in 0..LAYERS {
        for head in 0..HEADS {
            let key = format!("{layer}-{head}");
            for probe in 0..4 {
                let sum: f64 = counts.iter().map(|c| c[&key][probe].as_f64().unwrap()).sum();
                assert!((256.0..=260.0).contains(&sum), "{key} {probe}: {sum}");
            }
        }
    }
}

#[test]
fn the_meta_file_says_what_made_the_scores() {
    for score in scores() {
        let meta: Value = serde_json::from_str(
            &run().read(&format!("head_score/needle-llama_{score}_heads.meta.json")),
        )
        .unwrap();
        assert_eq!(meta["headprof"], env!("CARGO_PKG_VERSION"));
        assert_eq!(meta["score"]["name"], score);
        assert!(meta["command"].as_array().unwrap().iter().any(|a| a == "--needles"));
        assert_eq!(meta["model"]["name"], "needle-llama");
        assert_eq!((&meta["model"]["layers"], &meta["model"]["heads"]), (&6.into(), &8.into()));
        for hash in [&meta["model"]["sha256"], &meta["tokenizer"]["sha256"]] {
            assert_eq!(hash.as_str().unwrap().len(), 64);
        }
        assert_eq!(meta["haystack"]["files"].as_array().unwrap().len(), 15);
        assert_eq!(meta["haystack"]["cycles"], 1);
        assert_eq!(meta["needles"]["needles"][1]["id"], "boat");
        assert_eq!(meta["grid"]["context_lengths"], serde_json::json!([256]));
        assert_eq!(meta["grid"]["depths"], serde_json::json!([0.1, 0.9]));
        assert_eq!(meta["gate"]["name"], "none");
        assert!(meta["prompt"]["template"].as_str().unwrap().contains("{question}"));
        assert_eq!(meta["probes"]["accepted"], 4);
        assert_eq!((&meta["device"], &meta["dtype"]), (&"cpu".into(), &"f32".into()));
        let top = &meta["statistics"]["top"];
        assert_eq!(top.as_array().unwrap().len(), 10);
        assert!(top[0]["mean"].as_f64() >= top[9]["mean"].as_f64());
        assert!(top[0]["std_error"].is_number() && top[0]["interval_95"][1].is_number());
        assert!(meta["statistics"]["top_overlap_frac"].is_number());
        let created = meta["run"]["created"].as_str().unwrap();
        assert!(created.starts_with("20") && created.ends_with('Z'), "{created}");
        assert!(meta["run"]["seconds"]["total"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn probes_jsonl_has_a_line_per_probe() {
    let records = records(run());
    assert_eq!(records.len(), 4);
    let meta: Value =
        serde_json::from_str(&run().read("head_score/needle-llama_inf_heads.meta.json")).unwrap();
    for (i, r) in records.iter().enumerate() {
        assert_eq!(r["index"], i);
        assert_eq!(r["id"], meta["probes"]["accepted_ids"][i]);
        assert_eq!(r["needle_id"], ["code", "code", "boat", "boat"][i]);
        assert_eq!(r["depth_asked"], [0.1, 0.9][i % 2]);
        assert!((r["depth_reached"].as_f64().unwrap() - [0.1, 0.9][i % 2]).abs() < 0.2);
        assert_eq!((&r["context_length"], &r["prompt_tokens"]), (&256.into(), &256.into()));
        let span = &r["needle_spans"][0];
        assert!(span[0].as_u64() < span[1].as_u64());
        assert_eq!(r["status"], "accepted");
        assert!(r["reason"].is_null() && r["answer"].is_string());
        assert!((1..=5).contains(&r["generated_ids"].as_array().unwrap().len()));
        assert!(r["seconds"]["prefill"].as_f64().unwrap() > 0.0);
    }
}

/// Takes what may differ out of the lines of `probes.jsonl`.
fn without_seconds(run: &Run) -> Vec<Value> {
    let mut records = records(run);
    for r in &mut records {
        r.as_object_mut().unwrap().remove("seconds").expect("seconds");
    }
    records
}

#[test]
fn a_second_run_has_the_same_bytes() {
    let (first, second) = (run(), Run::new(&["--threads", "1"]));
    for score in scores() {
        assert_eq!(first.head_score(score), second.head_score(score));
        let name = format!("plots/needle-llama_{score}_heads.svg");
        assert_eq!(first.read(&name), second.read(&name));
    }
    assert_eq!(without_seconds(first), without_seconds(&second));
    let meta = |run: &Run| -> Value {
        let text = run.read("head_score/needle-llama_inf_heads.meta.json");
        let mut meta: Value = serde_json::from_str(&text).unwrap();
        // The folders of the two runs differ.
        for key in ["run", "command", "needles"] {
            meta.as_object_mut().unwrap().remove(key).expect(key);
        }
        meta
    };
    assert_eq!(meta(first), meta(&second));
}

#[test]
fn the_table_and_the_progress_are_for_people() {
    let run = run();
    for part in ["4 of 4 probes passed", "retrieval_reasoning", "top 10 kept", "head_score"] {
        assert!(run.stdout.contains(part), "no {part:?} in {}", run.stdout);
    }
    assert_eq!(run.stdout.lines().filter(|l| l.starts_with("10 ")).count(), 1, "{}", run.stdout);
    assert!(run.stderr.contains("4/4 probes, 4 passed"), "{}", run.stderr);
}

#[test]
fn json_is_one_object_and_quiet_is_quiet() {
    let run = Run::new(&["--json", "--quiet", "--scores", "inf,retrieval", "--no-plots"]);
    assert_eq!(run.stderr, "");
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(run.stdout.lines().count(), 1);
    assert_eq!((&value["probes"], &value["accepted"]), (&4.into(), &4.into()));
    let names: Vec<&str> =
        value["scores"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["retrieval", "inf"]);
    for file in value["files"].as_array().unwrap() {
        assert!(Path::new(file.as_str().unwrap()).is_file());
    }
    assert!(files_in(&run.dir.path().join("plots")).is_empty());
    let silent = Run::new(&["--quiet", "--scores", "inf", "--no-plots"]);
    assert_eq!((silent.stdout.as_str(), silent.stderr.as_str()), ("", ""));
}

#[test]
fn exported_probes_are_the_prompts_that_were_run() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prompts.jsonl");
    let run = Run::new(&["--export-probes", text(&file), "--no-plots", "--scores", "inf"]);
    let lines: Vec<Value> = fs::read_to_string(&file)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let records = records(&run);
    assert_eq!(lines.len(), records.len());
    for (line, record) in lines.iter().zip(&records) {
        assert_eq!(line["id"], record["id"]);
        assert_eq!(line["needle"], record["needle_spans"]);
        assert_eq!(line["ids"].as_array().unwrap().len(), 256);
        assert_eq!(line["max_new_tokens"], 5);
        assert!(!line["stop_ids"].as_array().unwrap().is_empty());
    }
}

#[test]
fn a_single_compat_sets_how_the_answers_come_about() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let args = ["--needles", text(&needles), "--lengths", "200", "--depths", "0.5"];
    let rest = ["--compat", "headkv-r2", "--gate", "none", "--scores", "retrieval_reasoning"];
    let output = headprof(&[&args[..], &rest, &["--no-plots", "--out", text(dir.path())]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let name = "head_score/needle-llama_retrieval_reasoning_heads.meta.json";
    let meta: Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join(name)).unwrap()).unwrap();
    assert_eq!(meta["score"]["compat"], "headkv-r2");
    assert!(meta["prompt"]["template"].as_str().unwrap().starts_with("Based on the content of"));
    assert!(meta["prompt"]["max_new_tokens"].is_null());
    // At most as many tokens as the expected answer has: "7." has two.
    let lines = fs::read_to_string(dir.path().join("probes.jsonl")).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(first["generated_ids"].as_array().unwrap().len() <= 2, "{first}");
}

#[test]
fn skipped_haystack_files_are_on_record() {
    let hay = tempfile::tempdir().unwrap();
    fs::write(hay.path().join("a.txt"), "One sentence is here. Another one follows it.").unwrap();
    fs::write(hay.path().join("b.txt"), b"Not \xff text.").unwrap();
    let options =
        ["--haystack_dir", text(hay.path()), "--skip-bad-files", "--no-plots", "--scores", "inf"];
    let run = Run::new(&options);
    let meta: Value =
        serde_json::from_str(&run.read("head_score/needle-llama_inf_heads.meta.json")).unwrap();
    assert_eq!(meta["haystack"]["skipped"][0]["name"], "b.txt");
    assert!(run.stderr.contains("b.txt is left out"), "{}", run.stderr);
    // A dozen tokens fill a context of 256.
    assert!(meta["haystack"]["cycles"].as_u64().unwrap() > 5);
}

#[test]
fn a_checkpoint_in_a_folder_gives_what_the_embedded_one_gives() {
    let dir = tempfile::tempdir().unwrap();
    let model = checkpoint(dir.path());
    let run = Run::new(&["--model_path", text(&model), "--no-plots"]);
    for score in scores() {
        let mine = run.read(&format!("head_score/my.model-1_{score}_heads.json"));
        assert_eq!(mine, super::run().head_score(score), "{score}");
    }
    let meta: Value =
        serde_json::from_str(&run.read("head_score/my.model-1_inf_heads.meta.json")).unwrap();
    assert!(meta["model"]["dir"].as_str().unwrap().ends_with("my.model-1"));
}

#[test]
fn help_names_every_option_and_shows_examples() {
    let help = String::from_utf8(headprof(&["--help"]).stdout).unwrap();
    for part in [
        "headprof --depths 0.1,0.5,0.9",
        "verify",
        "--min-len",
        "--context-intervals",
        "[default: 10]",
        "[default: cpu]",
        "Grid:",
        "Output:",
        "Exit codes",
    ] {
        assert!(help.contains(part), "no {part:?} in {help}");
    }
}

#[test]
fn a_compat_run_follows_its_reference_and_says_so() {
    let run = Run::new(&["--compat", "retrieval-head", "--no-plots"]);
    let text = run.read("head_score/needle-llama_retrieval_heads.meta.json");
    let meta: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(meta["prompt"]["stop"], "newline-token");
    assert_eq!(meta["score"]["compat"], "retrieval-head");
    // What is recorded is where the needle is, whatever the reference's search finds.
    let spans = |run: &Run| -> Vec<Value> {
        records(run).into_iter().map(|r| r["needle_spans"].clone()).collect()
    };
    assert_eq!(spans(&run).len(), 4);
    assert!(spans(&run).iter().all(|s| s[0][1].as_u64() > s[0][0].as_u64()));
}

/// All scores of 12 probes, with the beginnings of prompts run once and run every time.
#[test]
fn beginnings_that_are_run_once_change_no_score() {
    let grid = ["--repeats", "3", "--no-plots"];
    let run = |reuse| Run::new(&[&grid[..], &["--prefix-reuse", reuse]].concat());
    let (shared, whole) = (run("on"), run("off"));
    let told = "prompt tokens are run";
    assert!(shared.stderr.contains(told) && !whole.stderr.contains(told), "{}", shared.stderr);
    let (mine, theirs) = (records(&shared), records(&whole));
    assert_eq!(mine.len(), 12);
    let reused: u64 = mine.iter().map(|r| r["reused_tokens"].as_u64().unwrap()).sum();
    let tokens: u64 = mine.iter().map(|r| r["prompt_tokens"].as_u64().unwrap()).sum();
    // Of each four prompts: 0.9 once, 0.1 twice, but for the question at the end.
    assert!((tokens / 6..tokens / 3).contains(&reused), "{reused} of {tokens}");
    for (a, b) in mine.iter().zip(&theirs) {
        assert_eq!((&a["id"], &a["answer"]), (&b["id"], &b["answer"]));
        assert_eq!(b["reused_tokens"], 0);
    }
    same_scores(&shared, &whole, 12);
}

/// 12 probes one by one, and as many in a pass as there are in a part of them.
#[test]
fn probes_that_are_answered_together_have_the_same_scores() {
    let grid = ["--repeats", "3", "--no-plots"];
    let run = |batch| Run::new(&[&grid[..], &["--batch", batch]].concat());
    let (one, many) = (run("1"), run("8"));
    for (a, b) in records(&one).iter().zip(&records(&many)) {
        assert_eq!((&a["id"], &a["answer"]), (&b["id"], &b["answer"]));
    }
    // To the bit: what is answered beside a probe changes none of its numbers.
    for score in scores() {
        assert_eq!(one.head_score(score), many.head_score(score));
    }
    let batch = |run: &Run| -> Value {
        let text = run.read("head_score/needle-llama_inf_heads.meta.json");
        serde_json::from_str::<Value>(&text).unwrap()["run"]["batch"].clone()
    };
    assert_eq!((batch(&one), batch(&many)), (1.into(), 8.into()));
    // In parts, which threads take: one thread does the same, to the bit.
    let alone = Run::new(&[&grid[..], &["--batch", "1", "--threads", "1"]].concat());
    for score in scores() {
        assert_eq!(one.head_score(score), alone.head_score(score));
    }
    assert_eq!(without_seconds(&one), without_seconds(&alone));
    fails(&["--batch", "0"], 2, &["--batch", "1 or more"]);
    fails(&["--batch", "some"], 2, &["--batch", "some", "auto"]);
}

/// That all scores of `probes` probes are the same but for rounding.
fn same_scores(a: &Run, b: &Run, probes: usize) {
    for score in scores() {
        let numbers = |run: &Run| -> Vec<f64> {
            let heads: Value = serde_json::from_str(&run.head_score(score)).unwrap();
            let lists = heads.as_object().unwrap().values().cloned();
            lists
                .flat_map(|list| list.as_array().unwrap().clone())
                .map(|v| v.as_f64().unwrap())
                .collect()
        };
        let (a, b) = (numbers(a), numbers(b));
        assert_eq!(a.len(), probes * LAYERS * HEADS);
        let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-5, "{score}: {apart}");
    }
}
