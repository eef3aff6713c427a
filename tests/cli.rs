//! The program itself, run as a user runs it.
//!
//! Grids are tiny and the gate is `none` where answers do not matter, so that these tests hold
//! with any weights.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_headprof");
const SCORES: [&str; 9] = [
    "retrieval",
    "retrieval_reasoning",
    "dili",
    "lazy",
    "inf",
    "diligent",
    "subconscious",
    "distracted",
    "diffuse",
];
/// Shape of needle-llama.
const LAYERS: usize = 6;
const HEADS: usize = 8;

fn headprof(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).stdin(Stdio::null()).output().expect("headprof runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn fails(args: &[&str], code: i32, says: &[&str]) {
    let output = headprof(args);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    for part in says {
        assert!(text.contains(part), "{args:?}: no {part:?} in {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// Two needles with short texts.
fn needles(dir: &Path) -> PathBuf {
    let path = dir.join("two.jsonl");
    let lines = [
        r#"{"id": "code", "needle": "The code of Ada is 7.", "question": "What is the code of Ada?", "answer": "7."}"#,
        r#"{"id": "boat", "needle": "Ben has a red boat.", "question": "What does Ben have?", "answer": "A red boat."}"#,
    ];
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

/// Two needles x one length x two depths = 4 probes, all accepted.
struct Run {
    dir: tempfile::TempDir,
    stdout: String,
    stderr: String,
}

impl Run {
    fn new(extra: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let needles = needles(dir.path());
        let mut args = vec!["--needles", text(&needles), "--lengths", "256", "--depths", "0.1,0.9"];
        args.extend(["--gate", "none", "--max-new-tokens", "5", "--out", text(dir.path())]);
        args.extend(extra);
        let output = headprof(&args);
        let errors = stderr(&output);
        assert!(output.status.success(), "{errors}");
        Self { stdout: String::from_utf8(output.stdout).unwrap(), stderr: errors, dir }
    }

    fn read(&self, file: &str) -> String {
        let path = self.dir.path().join(file);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    fn head_score(&self, score: &str) -> String {
        self.read(&format!("head_score/needle-llama_{score}_heads.json"))
    }
}

/// One run for all tests that only look.
fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| Run::new(&[]))
}

fn files_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .map(|entries| {
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn every_file_is_there_and_nothing_else() {
    let root = run().dir.path();
    assert_eq!(files_in(root), ["head_score", "plots", "probes.jsonl", "two.jsonl"]);
    let mut expected: Vec<String> = SCORES
        .iter()
        .flat_map(|s| ["json", "meta.json"].map(|e| format!("needle-llama_{s}_heads.{e}")))
        .collect();
    expected.sort();
    assert_eq!(files_in(&root.join("head_score")), expected);
    let mut expected: Vec<String> = SCORES
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
    for score in SCORES {
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
    for score in SCORES {
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

fn records(run: &Run) -> Vec<Value> {
    run.read("probes.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect()
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
    for score in SCORES {
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
fn bad_arguments_are_told_before_anything_is_read() {
    let nowhere = ["--model", "/no/such/model", "--out", "/no/such/out"];
    for (args, says) in [
        (["--depths", "50"], "did you mean 0.5?"),
        (["--depths", "1.5"], "\"1.5\""),
        (["--depths", "-0.1"], "\"-0.1\""),
        (["--depths", ""], "there are no depths"),
        (["--lengths", "1k..8k"], "a range has no step"),
        (["--scores", "retreival"], "retrieval_reasoning"),
        (["--gate", "cosine"], "rouge, f1, exact, none"),
        (["--device", "tpu"], "cuda:N"),
        (["--compat", "snapkv"], "headkv-r2"),
        (["--gpu", "x"], "--gpu"),
    ] {
        fails(&[&nowhere[..], &args].concat(), 2, &[says]);
    }
    fails(&["--gpu", "0", "--device", "cpu"], 2, &["cannot be used with"]);
    fails(&["--lengths", "512", "--min_len", "256"], 2, &["cannot be used with"]);
    fails(&["--no-such-option"], 2, &["--no-such-option"]);
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_build_without_cuda_says_so() {
    fails(&["--device", "cuda"], 2, &["built without CUDA", "--device cpu", "--features cuda"]);
    fails(&["--gpu", "3"], 2, &["cuda:3"]);
}

#[test]
fn an_output_folder_that_cannot_be_used_is_told_before_the_model_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("taken");
    fs::write(&file, "mine").unwrap();
    fails(&["--model", "/no/such/model", "--out", text(&file)], 2, &["taken", "a file", "--out"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn bad_texts_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (out, hay) = (dir.path().join("out"), dir.path().join("hay"));
    fs::create_dir(&hay).unwrap();
    let common = ["--out", text(&out), "--haystack-dir", text(&hay)];
    fails(&common, 3, &["the haystack is empty", text(&hay), "*.txt"]);
    fs::write(hay.join("a.txt"), b"Fine text.").unwrap();
    fs::write(hay.join("b.txt"), b"Not \xff text.").unwrap();
    fails(&common, 3, &["b.txt: byte 4", "--skip-bad-files"]);
    let bad = dir.path().join("bad.jsonl");
    fs::write(&bad, "{\"needle\": \"A.\", \"question\": \"Q?\"}\n").unwrap();
    fails(&["--out", text(&out), "--needles", text(&bad)], 3, &["bad.jsonl:1", "answer"]);
    assert!(!out.join("probes.jsonl").exists());
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
    // A dozen tokens fill a context of 256.
    assert!(meta["haystack"]["cycles"].as_u64().unwrap() > 5);
}

#[test]
fn contexts_that_cannot_work_are_told_at_plan_time() {
    let dir = tempfile::tempdir().unwrap();
    let common = ["--out", text(dir.path())];
    let needles = needles(dir.path());
    let short = ["--needles", text(&needles), "--lengths", "20"];
    fails(&[&common[..], &short].concat(), 2, &["at least", "tokens", "--min-len"]);
    // The smallest length that it names is one that works.
    let told = stderr(&headprof(&[&common[..], &short].concat()));
    let least = told.split("at least ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let quick = ["--depths", "0.5", "--gate", "none", "--max-new-tokens", "1", "--no-plots"];
    let least = ["--needles", text(&needles), "--lengths", &least];
    let output = headprof(&[&common[..], &least, &quick].concat());
    assert!(output.status.success(), "{}", stderr(&output));

    let long = ["--lengths", "4090"];
    fails(&[&common[..], &long].concat(), 2, &["max_position_embeddings = 4096", "--allow-ext"]);
    let huge = ["--lengths", "1000000k", "--allow-extrapolation"];
    fails(&[&common[..], &huge].concat(), 5, &["not enough memory", "lengths up to"]);
}

#[test]
fn no_accepted_probe_is_exit_6_without_scores() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("absurd.jsonl");
    let needle = r#"{"needle": "The sky is low.", "question": "How is it?", "answer": "Qwxzy vuhtg 91 kjplm."}"#;
    fs::write(&path, needle).unwrap();
    let args = ["--needles", text(&path), "--lengths", "200", "--depths", "0,0.5,1"];
    let rest = ["--max-new-tokens", "4", "--out", text(dir.path()), "--gate", "exact"];
    fails(&[&args[..], &rest].concat(), 6, &["gate exact", "best value 0.0000", "Qwxzy vuhtg 91"]);
    let told = stderr(&headprof(&[&args[..], &rest].concat()));
    assert_eq!(told.matches(" for \"Qwxzy").count(), 3, "{told}");
    assert!(files_in(&dir.path().join("head_score")).is_empty());
    let lines = fs::read_to_string(dir.path().join("probes.jsonl")).unwrap();
    assert_eq!(lines.matches("\"status\":\"rejected\"").count(), 3);
}

#[test]
fn probes_without_a_row_to_score_have_failed() {
    // One new token leaves no decode rows.
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let args = ["--needles", text(&needles), "--lengths", "200", "--depths", "0.5"];
    let rest = ["--gate", "none", "--score-rows", "decode", "--max-new-tokens", "1"];
    let out = ["--out", text(dir.path())];
    fails(&[&args[..], &rest, &out].concat(), 6, &["every probe failed", "no decode rows"]);
    let lines = fs::read_to_string(dir.path().join("probes.jsonl")).unwrap();
    assert_eq!(lines.matches("\"status\":\"failed\"").count(), 2, "{lines}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let mut child = Command::new(BINARY)
        .args(["--needles", text(&needles), "--lengths", "200", "--depths", "0.5"])
        .args(["--gate", "none", "--max-new-tokens", "2", "--no-plots", "--quiet", "--json"])
        .args(["--out", text(dir.path())])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(dir.path().join("probes.jsonl").exists());
    let mut child = Command::new(BINARY).arg("--help").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_writes_nothing_and_exits_130() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(BINARY)
        .args(["--lengths", "512", "--repeats", "50", "--gate", "none", "--out"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // 9000 probes: the first report comes after some hundreds of them; do not wait for it, only
    // until the folders are there, which is after the handler.
    while !dir.path().join("plots").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::yield_now();
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let errors: Vec<String> =
        BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{errors:?}");
    assert!(errors.join("\n").contains("interrupted"), "{errors:?}");
    assert!(files_in(&dir.path().join("head_score")).is_empty());
    assert!(!dir.path().join("probes.jsonl").exists());
}

/// A copy of needle-llama in a folder, as a user has it.
fn checkpoint(dir: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/needle-llama");
    let to = dir.join("my.model-1");
    fs::create_dir(&to).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    to
}

#[test]
fn a_checkpoint_in_a_folder_gives_what_the_embedded_one_gives() {
    let dir = tempfile::tempdir().unwrap();
    let model = checkpoint(dir.path());
    let run = Run::new(&["--model_path", text(&model), "--no-plots"]);
    for score in SCORES {
        let mine = run.read(&format!("head_score/my.model-1_{score}_heads.json"));
        assert_eq!(mine, self::run().head_score(score), "{score}");
    }
    let meta: Value =
        serde_json::from_str(&run.read("head_score/my.model-1_inf_heads.meta.json")).unwrap();
    assert!(meta["model"]["dir"].as_str().unwrap().ends_with("my.model-1"));
}

#[test]
fn bad_checkpoints_are_exit_4_and_leave_no_scores() {
    let dir = tempfile::tempdir().unwrap();
    let model = checkpoint(dir.path());
    let needles = needles(dir.path());
    let out = dir.path().join("out");
    let args = ["--model", text(&model), "--out", text(&out), "--needles", text(&needles)];
    let rest = ["--lengths", "200", "--depths", "0.5", "--gate", "none"];
    let args = [&args[..], &rest].concat();
    let weights = model.join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();

    fs::write(&weights, &bytes[..bytes.len() - 1]).unwrap();
    fails(&args, 4, &["model.safetensors"]);
    // The last two bytes of the file are a weight: make it NaN.
    let mut nan = bytes.clone();
    let end = nan.len();
    nan[end - 2..].copy_from_slice(&0x7e00_u16.to_le_bytes());
    fs::write(&weights, nan).unwrap();
    fails(&args, 4, &["not finite"]);
    fs::write(&weights, bytes).unwrap();

    let config = model.join("config.json");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, good.replace("hidden_size", "hidden_sice")).unwrap();
    fails(&args, 4, &["config.json: hidden_size"]);
    fs::write(&config, good.replace("\"vocab_size\": 2048", "\"vocab_size\": 100")).unwrap();
    fails(&args, 4, &["more ids than the embedding"]);
    fs::write(&config, good).unwrap();
    fs::remove_file(model.join("tokenizer.json")).unwrap();
    fails(&args, 4, &["tokenizer.json"]);
    assert!(files_in(&out.join("head_score")).is_empty());
    assert!(!out.join("probes.jsonl").exists());
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
