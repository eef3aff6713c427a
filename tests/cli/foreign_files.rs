//! Files that other people, systems and programs wrote.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{checkpoint, ended, fails, headprof, needles, stderr, text};

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Eleven depths in 64 tokens are a few prompts: each is one probe, and the run says so everywhere.
#[test]
fn depths_that_make_the_same_prompt_are_one_probe() {
    let dir = tempfile::tempdir().unwrap();
    let (needles, out) = (needles(dir.path()), dir.path().join("out"));
    let depths = "0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1";
    let grid = ["--needles", text(&needles), "--lengths", "64", "--depths", depths];
    let common = ["--max-new-tokens", "2", "--out", text(&out)];
    let profile = headprof(&[&grid[..], &common, &["--gate", "none", "--no-plots"]].concat());
    ended(&profile, 0, &["22 places of the grid make", "different prompts", "more than 5 %"]);

    let probes = lines(&out.join("probes.jsonl"));
    let twins = |probe: &Value| probe["same_prompt"].as_array().map_or(0, Vec::len);
    assert!((4..16).contains(&probes.len()), "{}", probes.len());
    assert_eq!(probes.iter().map(|p| 1 + twins(p)).sum::<usize>(), 22);
    let sidecar = fs::read(out.join("head_score/needle-llama_inf_heads.meta.json")).unwrap();
    let sidecar: Value = serde_json::from_slice(&sidecar).unwrap();
    assert_eq!(sidecar["grid"]["places"], 22);
    assert_eq!(sidecar["grid"]["prompts"], probes.len());
    assert_eq!(sidecar["probes"]["accepted"], probes.len());
    assert!(sidecar["grid"]["far_from_depth"]["largest"].as_f64().unwrap() > 0.05);

    let methods = ["--methods", "full", "--budgets", "32"];
    let evaluate = [&["evaluate"][..], &grid, &methods, &common].concat();
    ended(&headprof(&evaluate), 0, &["22 places of the grid make"]);
    let answers = lines(&out.join("answers.jsonl"));
    assert_eq!(answers.len(), probes.len());
    let twins = |a: &Value| a["same_prompt_depths"].as_array().map_or(0, Vec::len);
    assert_eq!(answers.iter().map(|a| 1 + twins(a)).sum::<usize>(), 22);
}

/// The ids of the first prompt over a haystack of these bytes.
fn exported(dir: &Path, haystack: &[u8]) -> Value {
    let (needles, folder) = (needles(dir), dir.join("haystack"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.txt"), haystack).unwrap();
    let (out, prompts) = (dir.join("out"), dir.join("prompts.jsonl"));
    let texts = ["--needles", text(&needles), "--haystack-dir", text(&folder), "--lengths", "128"];
    let rest = ["--depths", "0.5", "--gate", "none", "--max-new-tokens", "1", "--no-plots"];
    let files = ["--out", text(&out), "--fresh", "--export-probes", text(&prompts)];
    ended(&headprof(&[&texts[..], &rest, &files].concat()), 0, &[]);
    lines(&prompts)[0]["ids"].clone()
}

#[test]
fn line_ends_of_every_system_make_the_same_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let text = "The boats are in.\nIt is late\nand dark.\n\nNobody speaks. ".repeat(9);
    let unix = exported(dir.path(), text.as_bytes());
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(exported(dir.path(), windows.as_bytes()), unix);
    assert_eq!(exported(dir.path(), text.replace('\n', "\r").as_bytes()), unix);
}

#[test]
fn an_output_on_another_or_on_an_input_is_refused_before_anything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (needles, out) = (needles(dir.path()), dir.path().join("out"));
    let before = fs::read(&needles).unwrap();
    let probes = out.join("probes.jsonl");
    let twice = ["--out", text(&out), "--export-probes", text(&probes)];
    fails(&twice, 2, &["two outputs would be one file", "--export-probes and --out"]);
    assert!(!out.exists());
    let over = ["--needles", text(&needles), "--export-probes", text(&needles)];
    fails(&over, 2, &["an output would replace what is read", "--needles"]);
    assert_eq!(fs::read(&needles).unwrap(), before);
    // Rows called as the answers are, in the output folder.
    let rows = dir.path().join("answers.jsonl");
    fs::write(&rows, "").unwrap();
    let task = ["evaluate", "--task", "ruler:vt", "--task-data", text(&rows)];
    let args = [&task[..], &["--out", text(dir.path())]].concat();
    fails(&args, 2, &["an output would replace what is read", "--task-data"]);
    let folder = ["--needles", text(dir.path()), "--out", text(dir.path())];
    fails(&folder, 2, &["would be read by the next run", "--needles"]);
}

/// What config.json says is enough; reading a tokenizer takes seconds.
#[test]
fn what_the_configuration_refuses_is_refused_before_the_tokenizer_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let model = checkpoint(dir.path());
    fs::write(model.join("tokenizer.json"), "no tokenizer").unwrap();
    let model = ["--model", text(&model)];
    let with = |args: &[&'static str]| [args, &model].concat();
    let long = "longer than the model is made for";
    fails(&with(&["--lengths", "64k"]), 2, &[long, "4096"]);
    fails(&with(&["evaluate", "--lengths", "64k", "--methods", "full"]), 2, &[long]);
    let ruler = ["evaluate", "--task", "ruler:vt", "--lengths", "64k", "--methods", "full"];
    fails(&with(&ruler), 2, &[long]);
    fails(&with(&["observe", "--layer", "99", "--head", "0"]), 2, &["no such layer"]);
    fails(&with(&["observe", "--all", "--length", "64k"]), 2, &[long]);
    let scores = dir.path().join("scores.json");
    fs::write(&scores, "{\"0-0\": [1.0]}").unwrap();
    let scored = ["evaluate", "--methods", "full,headkv", "--head-score", text(&scores)];
    fails(&[&scored[..], &model].concat(), 3, &["scores.json"]);
    fails(&with(&["--lengths", "64"]), 4, &["tokenizer.json"]);
}

/// Other programs put a BOM before JSON.
#[test]
fn a_bom_before_json_is_no_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let model = checkpoint(dir.path());
    for file in ["config.json", "tokenizer.json"] {
        let path = model.join(file);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, [b"\xef\xbb\xbf", &bytes[..]].concat()).unwrap();
    }
    let (needles, out) = (needles(dir.path()), dir.path().join("out"));
    let run = ["--model", text(&model), "--needles", text(&needles), "--out", text(&out)];
    let grid = ["--lengths", "64", "--depths", "0.5", "--gate", "none", "--max-new-tokens", "1"];
    ended(&headprof(&[&run[..], &grid, &["--no-plots"]].concat()), 0, &[]);

    let scores = dir.path().join("scores.json");
    fs::write(&scores, "\u{feff}{\"0-0\": [0.5], \"0-1\": [0.25]}").unwrap();
    let allocate = ["allocate", "--method", "headkv", "--budget", "64"];
    ended(&headprof(&[&allocate[..], &["--head-score", text(&scores)]].concat()), 0, &[]);
}

/// A file that does not flag its special tokens, and a haystack that spells them.
#[test]
fn text_that_spells_the_begin_of_a_sequence_is_text() {
    let dir = tempfile::tempdir().unwrap();
    let model = checkpoint(dir.path());
    let path = model.join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let added = tokenizer["added_tokens"].as_array_mut().unwrap();
    added.iter_mut().for_each(|token| token["special"] = json!(false));
    let spelled: Vec<String> =
        added.iter().map(|token| token["content"].as_str().unwrap().to_owned()).collect();
    fs::write(&path, tokenizer.to_string()).unwrap();
    let haystack = dir.path().join("haystack");
    fs::create_dir(&haystack).unwrap();
    let sentence = format!("It costs {} forty {}. ", spelled[0], spelled[spelled.len() - 1]);
    fs::write(haystack.join("a.txt"), sentence.repeat(40)).unwrap();
    let (needles, out) = (needles(dir.path()), dir.path().join("out"));
    let run = ["--model", text(&model), "--needles", text(&needles), "--out", text(&out)];
    let texts = ["--haystack-dir", text(&haystack), "--lengths", "128", "--depths", "0.5"];
    let answer = ["--gate", "none", "--max-new-tokens", "1", "--no-plots"];
    let output = headprof(&[&run[..], &texts, &answer].concat());
    ended(&output, 0, &[]);
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
}
