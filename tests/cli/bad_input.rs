//! What goes wrong ends with a sentence and the right exit code, and leaves nothing half done.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::{BINARY, checkpoint, fails, files_in, headprof, needles, stderr, text};

#[test]
fn bad_arguments_are_told_before_anything_is_read() {
    let nowhere = ["--model", "/no/such/model", "--out", "/no/such/out"];
    for (args, says) in [
        (["--depths", "50"], "did you mean 0.5?"),
        (["--depths", "1.5"], "\"1.5\""),
        (["--depths", "-0.1"], "\"-0.1\""),
        (["--depths", ""], "there are no depths"),
        (["--lengths", "1k..8k:0"], "1k..8k:0"),
        (["--scores", "retreival"], "retrieval_reasoning"),
        (["--gate", "cosine"], "rouge, f1, semantic, exact, label, none"),
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
    fails(&["verify", "/no/such/model", "--gpu", "3"], 2, &["cuda:3"]);
}

#[cfg(not(feature = "hub"))]
#[test]
fn a_build_without_the_hub_says_so() {
    fails(&["--model", "acme/tiny"], 4, &["built without support", "feature hub", "acme/tiny"]);
}

#[cfg(not(feature = "semantic"))]
#[test]
fn a_build_without_embeddings_says_so() {
    fails(&["--gate", "semantic"], 2, &["built without sentence embeddings", "feature semantic"]);
}

#[test]
fn what_does_not_fit_into_the_memory_allowed_is_refused_before_weights_are_read() {
    fails(&["--memory", "8"], 2, &["--memory", "8GiB"]);
    // Not in the current folder, where somebody may have a run.
    let out = tempfile::tempdir().unwrap();
    let grid = ["--lengths", "256", "--depths", "0.5", "--out", text(out.path())];
    let with = |more: &[&'static str]| [&grid[..], more].concat();
    let told = ["there is not enough memory", "40 MiB available", "more memory"];
    fails(&with(&["--memory", "40MiB"]), 5, &told);
    let evaluated = [&["evaluate", "--methods", "full"], &grid[..]].concat();
    fails(&[&evaluated[..], &["--memory", "40MiB"]].concat(), 5, &told);
    // One fits, 8 do not.
    let told = ["--batch 8", "67 MiB available", "--batch 2"];
    fails(&with(&["--memory", "67MiB", "--batch", "8"]), 5, &told);
}

#[test]
fn verify_takes_the_device_options_of_a_profile() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/qwen3");
    fails(&["verify", dir, "--dtype", "bf16"], 2, &["--dtype", "f32 with --device cpu"]);
    fails(&["verify", dir, "--threads", "0"], 2, &["--threads"]);
    fails(&["verify", dir, "--gpu", "0", "--device", "cpu"], 2, &["cannot be used with"]);
    let output = headprof(&["verify", dir, "--dtype", "f32", "--threads", "1"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    assert!(output.stdout.ends_with(b"computes what transformers computes.\n"));
}

#[cfg(not(feature = "cuda"))]
#[test]
fn the_automatic_device_says_why_it_is_the_cpu() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/qwen3");
    let output = headprof(&["verify", dir, "--device", "auto"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("note: computing on the CPU: "), "{}", stderr(&output));
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

    let elsewhere = dir.path().join("elsewhere");
    let common = ["--out", text(&elsewhere)];
    let long = ["--lengths", "4090"];
    fails(&[&common[..], &long].concat(), 2, &["max_position_embeddings = 4096", "--allow-ext"]);
    let beyond = ["--lengths", "18446744073709551615", "--allow-extrapolation"];
    fails(&[&common[..], &beyond].concat(), 2, &["--lengths", "at most 16777216"]);
    let beyond = ["--max-new-tokens", "18446744073709551615", "--allow-extrapolation"];
    fails(&[&common[..], &beyond].concat(), 2, &["--max-new-tokens", "at most 16777216"]);
    // With 400 layers, 16 Mi tokens need some terabytes of cache; the weights are not read.
    let model = checkpoint(dir.path());
    let config = model.join("config.json");
    let shape = fs::read_to_string(&config).unwrap();
    let deep = shape.replace("\"num_hidden_layers\": 6", "\"num_hidden_layers\": 400");
    assert_ne!(deep, shape);
    fs::write(&config, deep).unwrap();
    let huge = ["--model", text(&model), "--lengths", "16384k", "--allow-extrapolation"];
    // Every prompt is put together before the memory is looked at.
    let two = [&common[..], &huge, &["--needles", text(&needles), "--depths", "0.5"]].concat();
    fails(&two, 5, &["not enough memory", "lengths up to"]);
    let answer = ["--max-new-tokens", "16384000"];
    fails(&[&two[..], &answer].concat(), 5, &["not enough memory", "--max-new-tokens"]);
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

/// Every id ends an answer, so that every answer is empty.
#[test]
fn empty_answers_are_rejected_by_every_gate_that_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let model = checkpoint(dir.path());
    let config = model.join("config.json");
    let mut shape: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    shape["eos_token_id"] = (0..2048).collect::<Vec<u32>>().into();
    fs::write(&config, shape.to_string()).unwrap();
    let needles = needles(dir.path());
    for gate in ["rouge", "f1", "exact"] {
        let out = dir.path().join(gate);
        let args = ["--model", text(&model), "--needles", text(&needles), "--lengths", "200"];
        let rest = ["--depths", "0.5", "--gate", gate, "--out", text(&out)];
        fails(&[&args[..], &rest].concat(), 6, &["best value 0.0000", "\"\" for \"7.\""]);
        let lines = fs::read_to_string(out.join("probes.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), 2);
        for line in lines.lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!((&record["answer"], &record["status"]), (&"".into(), &"rejected".into()));
            assert_eq!(record["generated_ids"].as_array().unwrap().len(), 1);
        }
        assert!(files_in(&out.join("head_score")).is_empty());
    }
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
    fails(&args, 4, &["hidden_size = 4096", "which transformers assumes"]);
    fs::write(&config, good.replace("\"vocab_size\": 2048", "\"vocab_size\": 100")).unwrap();
    fails(&args, 4, &["a token that the model does not know", "ids below 100"]);
    fs::write(&config, good).unwrap();
    fs::remove_file(model.join("tokenizer.json")).unwrap();
    fails(&args, 4, &["tokenizer.json"]);
    assert!(files_in(&out.join("head_score")).is_empty());
    assert!(!out.join("probes.jsonl").exists());
}
