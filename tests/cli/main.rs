//! The program itself, run as a user runs it.
//!
//! Grids are tiny and the gate is `none` where answers do not matter, so that these tests hold
//! with any weights.

mod ablate;
mod allocate;
mod answers;
mod architecture;
mod attribution;
mod babilong;
mod bad_input;
mod bench;
mod chat;
mod claims;
mod cluster;
mod compare;
mod devices;
mod dry_run;
mod escaping;
mod evaluate;
mod foreign_files;
#[cfg(feature = "hub")]
mod hub;
mod journal;
mod look;
mod notes;
mod observe;
mod outputs;
#[cfg(target_os = "linux")]
mod paths;
mod question;
mod report;
#[cfg(feature = "semantic")]
mod semantic;
mod sensitivity;
mod stable;
mod tasks;
#[cfg(feature = "vulkan")]
mod vulkan;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_headprof");

/// The names of all scores that are computed where none are asked for.
fn scores() -> Vec<&'static str> {
    let usual = headprof::score::registry()
        .iter()
        .filter(|score| score.info().extra == headprof::score::Extra::Nothing);
    usual.map(|score| score.name()).collect()
}

/// Of those in the summary's table and in the curve.
fn main_scores() -> Vec<&'static str> {
    scores().into_iter().filter(|name| headprof::score::is_main(name)).collect()
}

/// Shape of needle-llama.
const LAYERS: usize = 6;

const HEADS: usize = 8;

fn headprof(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).stdin(Stdio::null()).output().expect("headprof runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// With this exit code, these words on standard error, and no panic.
#[track_caller]
fn ended(output: &Output, code: i32, says: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in says {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[track_caller]
fn fails(args: &[&str], code: i32, says: &[&str]) {
    let output = headprof(args);
    println!("{args:?}");
    ended(&output, code, says);
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

fn records(run: &Run) -> Vec<Value> {
    run.read("probes.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect()
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
