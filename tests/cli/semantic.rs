//! `--gate semantic`: with a real ONNX Runtime and a small BERT that is made here, whose cosines
//! are also computed by hand; and what is said where the library or the model is not there.
//!
//! The library is that of `HEADPROF_TEST_ONNXRUNTIME`, or else of `ORT_DYLIB_PATH`. Without one the
//! tests that need it say so and pass, unless `HEADPROF_REQUIRE_ONNXRUNTIME` is set.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use headprof::gate::onnxruntime::RuntimePlaces;
use headprof::gate::semantic::{EmbeddingSource, SemanticConfig};
use headprof::gate::{AnswerGate, Expected, GateConfig, GateKind};
use serde_json::Value;
use sha2::{Digest, Sha256};

#[path = "../common/onnx.rs"]
mod onnx;
#[path = "../common/tiny_bert.rs"]
mod tiny_bert;

use super::{BINARY, ended, files_in, needles, stderr, text};
use tiny_bert::TinyBert;

/// Between f32 on the one side and f64 on the other.
const TOLERANCE: f64 = 1e-5;

fn runtime() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let found = set("HEADPROF_TEST_ONNXRUNTIME").or_else(|| set("ORT_DYLIB_PATH"));
    if found.is_none() {
        let wanted = set("HEADPROF_REQUIRE_ONNXRUNTIME");
        assert!(wanted.is_none(), "HEADPROF_TEST_ONNXRUNTIME does not name a library");
        println!("no ONNX Runtime: skipped");
    }
    found.map(PathBuf::from)
}

/// The gate in this process, with its own threshold.
fn gate(dir: &Path, runtime: PathBuf) -> headprof::Result<Box<dyn AnswerGate>> {
    let semantic = SemanticConfig {
        model: EmbeddingSource::Dir(dir.to_owned()),
        runtime: RuntimePlaces { option: Some(runtime), ..RuntimePlaces::default() },
        weights: true,
    };
    let gate = GateConfig::new(GateKind::Semantic, None)?;
    GateConfig { semantic: Some(semantic), ..gate }.open()
}

fn headprof(args: &[&str], variable: Option<&str>) -> Output {
    let mut command = Command::new(BINARY);
    command.args(args).stdin(Stdio::null()).env_remove("ORT_DYLIB_PATH");
    command.envs(variable.map(|path| ("ORT_DYLIB_PATH", path)));
    command.output().expect("headprof runs")
}

/// Two probes of two needles, judged by the model in `model`.
fn two_probes<'a>(needles: &'a Path, out: &'a Path, model: &'a str) -> Vec<&'a str> {
    let grid = ["--lengths", "128", "--depths", "0.5", "--max-new-tokens", "6", "--stop-newline"];
    let gate = ["off", "--gate", "semantic", "--gate-model", model, "--needles", text(needles)];
    [&grid[..], &gate, &["--no-plots", "--out", text(out)]].concat()
}

#[test]
fn cosines_are_those_of_the_model_computed_by_hand() {
    let Some(runtime) = runtime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let bert = TinyBert::new();
    bert.write(dir.path());
    let gate = gate(dir.path(), runtime).unwrap();
    let value = |answer: &str, gold: &str| {
        gate.value(answer, &Expected { gold, question: "", labels: &[] }).unwrap()
    };
    // 80 words, of which 62 fit.
    let long = ["Ben", "has", "a", "red", "boat", "house", "7", "was"].repeat(10).join(" ");
    let cut = long.split(' ').take(62).collect::<Vec<_>>().join(" ");
    let mut spread = (f64::MAX, f64::MIN);
    for (answer, gold) in [
        ("a red boat", "A red boat."),
        ("The code of Ada is 7.", "7."),
        ("Ben said: not the boat, the house!", "the house"),
        ("x", "seven"),
        (&long, "a red house"),
        ("a red house", &long),
    ] {
        let (got, expected) = (value(answer, gold), bert.cosine(answer, gold));
        assert!((got - expected).abs() < TOLERANCE, "{answer} / {gold}: {got}, {expected}");
        assert_eq!(got, value(answer, gold), "not the same again");
        spread = (spread.0.min(got), spread.1.max(got));
    }
    // The model tells texts apart, or the above would say little.
    assert!(spread.1 - spread.0 > 0.2, "{spread:?}");
    assert_eq!(value(&long, "seven"), value(&cut, "seven"));
    assert!(value("a red boat", "a red boat") > 0.999_999);
    for empty in ["", " \n"] {
        assert_eq!(value(empty, "a red boat"), 0.0);
    }
    assert!(gate.passes(0.21) && !gate.passes(0.2));
    let e = gate.value("x", &Expected { gold: " ", question: "", labels: &[] }).unwrap_err();
    assert_eq!(e.exit_code(), 3);
}

#[test]
fn runs_record_what_they_compared_with() {
    let Some(runtime) = runtime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (needles, out, model) =
        (needles(dir.path()), dir.path().join("out"), dir.path().join("bert"));
    let bert = TinyBert::new();
    bert.write(&model);
    let args = two_probes(&needles, &out, text(&model));
    let accept = ["--gate-threshold", "-0.999", "--onnxruntime", text(&runtime)];
    let output = headprof(&[&args[..], &accept].concat(), None);
    ended(&output, 0, &["note: --gate semantic > -0.999 judges the topic", "docs/gates.md"]);

    let records = fs::read_to_string(out.join("probes.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 2);
    for line in records.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let (answer, gold) = (record["answer"].as_str().unwrap(), record["gold"].as_str().unwrap());
        let (got, expected) = (record["gate_value"].as_f64().unwrap(), bert.cosine(answer, gold));
        assert!((got - expected).abs() < TOLERANCE, "{line}: {expected}");
    }
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let meta = read(&out.join("head_score/needle-llama_inf_heads.meta.json"));
    let gate = &meta["gate"];
    assert_eq!((&gate["name"], &gate["threshold"]), (&"semantic".into(), &(-0.999).into()));
    let onnx = fs::read(model.join("model.onnx")).unwrap();
    assert_eq!(gate["model"]["sha256"], format!("{:x}", Sha256::digest(onnx)));
    let full = model.canonicalize().unwrap();
    assert_eq!((&gate["model"]["dir"], gate["model"].get("hub")), (&text(&full).into(), None));
    let minor = gate["onnxruntime"]["version"].as_str().and_then(|v| v.strip_prefix("1."));
    assert!(minor.unwrap().parse::<u32>().unwrap() >= 24, "{gate}");
    assert!(gate["onnxruntime"]["build"].as_str().unwrap().contains("commit"), "{gate}");
    assert_eq!(gate["onnxruntime"]["library"], text(&runtime));

    // The other commands, with the library by the variable.
    let library = Some(text(&runtime));
    let tasks = [&args[..], &accept[..2], &["--quiet"]].concat();
    let evaluate = [&["evaluate", "--methods", "full"][..], &tasks].concat();
    let output = headprof(&evaluate, library);
    ended(&output, 0, &[]);
    assert_eq!(stderr(&output), "");
    let evaluated = read(&out.join("evaluate.json"));
    assert_eq!(evaluated["accuracy"], "gate semantic > -0.999");
    assert_eq!(evaluated["gate"], *gate);
    let utility: Vec<&str> =
        ["utility"].into_iter().chain(tasks).filter(|arg| *arg != "--no-plots").collect();
    ended(&headprof(&utility, library), 0, &[]);

    // Nothing passes: the reason says by which gate.
    let other = dir.path().join("other.jsonl");
    let line =
        r#"{"needle": "Ben has a red boat.", "question": "What has Ben?", "answer": "Not 7."}"#;
    fs::write(&other, line).unwrap();
    let strict = ["--gate-threshold", "0.9999", "--onnxruntime", text(&runtime)];
    let none = dir.path().join("none");
    let args = [&two_probes(&other, &none, text(&model))[..], &strict].concat();
    let output = headprof(&args, None);
    ended(&output, 6, &["gate semantic > 0.9999", "the best value"]);
    assert!(!stderr(&output).contains("judges the topic"), "{}", stderr(&output));
}

#[test]
fn a_library_that_cannot_be_used_is_told_before_any_model_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let no_library = dir.path().join("text.so");
    fs::write(&no_library, "this is a text").unwrap();
    let run = |library: &str, variable: Option<&str>| {
        let gate = ["--gate", "semantic", "--gate-model", "/no/such/bert", "--onnxruntime"];
        let model = ["--model", "/no/such/llama", "--out", text(dir.path())];
        let gate = if library.is_empty() { &gate[..4] } else { &gate[..] };
        let library = (!library.is_empty()).then_some(library);
        let args = gate.iter().copied().chain(library).chain(model);
        headprof(&args.collect::<Vec<_>>(), variable)
    };
    let what = "ONNX Runtime, which --gate semantic needs, cannot be loaded";
    let advice = ["ONNX Runtime 1.24 or later", "pip install onnxruntime", "--gate rouge"];
    let missing = ["/no/such/ort.so (--onnxruntime): no such file", what];
    ended(&run("/no/such/ort.so", None), 4, &[&missing[..], &advice].concat());
    ended(&run("", Some("/no/other.so")), 4, &["/no/other.so (ORT_DYLIB_PATH): no such file"]);
    // The option goes first, and is not replaced by what the variable names.
    let named = format!("{} (--onnxruntime): ", no_library.display());
    let output = run(text(&no_library), Some("/no/other.so"));
    ended(&output, 4, &[&named, what]);
    assert!(!stderr(&output).contains("/no/"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("dlopen failed"), "no reason: {}", stderr(&output));
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        let says = "libm.so.6 (--onnxruntime): a library, but not ONNX Runtime";
        ended(&run("libm.so.6", None), 4, &[says]);
    }
    assert_eq!(files_in(dir.path()), ["text.so"]);
    let dry = ["--dry-run", "--gate", "semantic", "--onnxruntime", "/no/such/ort.so"];
    ended(&headprof(&dry, None), 4, &missing);
}

#[test]
fn a_model_that_cannot_be_used_is_told_before_the_language_model_is_read() {
    let Some(runtime) = runtime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("bert");
    let bert = TinyBert::new();
    let run = |model: &Path, extra: &[&str]| {
        let args = ["--gate", "semantic", "--gate-model", text(model), "--out", text(dir.path())];
        headprof(&[&args[..], extra].concat(), Some(text(&runtime)))
    };
    let llama = ["--model", "/no/such/llama"];
    let no_folder = ["no such folder of an embedding model", "--gate-model", "ORG/NAME"];
    ended(&run(&model, &llama), 4, &no_folder);
    bert.write(&model);
    ended(&run(&model, &llama), 4, &["there is no such model", "/no/such/llama"]);
    for (name, content, says) in [
        ("model.onnx", "no graph", "does not work"),
        ("tokenizer.json", "{", "tokenizer.json"),
        ("tokenizer_config.json", "{}", "model_max_length"),
    ] {
        fs::write(model.join(name), content).unwrap();
        ended(&run(&model, &llama), 4, &[says, "--gate-model", text(&model)]);
        bert.write(&model);
    }
    // A dry run looks whether everything is there, but does not load it.
    let small = ["--dry-run", "--lengths", "128", "--depths", "0.5"];
    ended(&run(&model, &small), 0, &[]);
    fs::remove_file(model.join("model.onnx")).unwrap();
    for extra in [&llama[..], &small] {
        ended(&run(&model, extra), 4, &["is not complete", "no model.onnx"]);
    }
}

#[cfg(feature = "hub")]
#[test]
fn the_model_of_the_gate_comes_from_the_hub() {
    use super::hub::headprof;
    use super::hub::hub_server::{COMMIT, HubServer};

    let Some(runtime) = runtime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (needles, home, out) =
        (needles(dir.path()), dir.path().join("home"), dir.path().join("out"));
    let files = TinyBert::new().files();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, c)| (*n, c.as_slice())).collect();
    let server = HubServer::new("acme/bert", &files);
    let args = two_probes(&needles, &out, "acme/bert");
    let rest = ["--gate-threshold", "-0.999", "--onnxruntime", text(&runtime)];
    let run = |extra: &[&str]| {
        headprof(&home, &server.endpoint, &[], &[&args[..], &rest, extra].concat())
    };
    let asked_for = |name: &str| server.requests().iter().any(|request| request.contains(name));
    ended(&run(&["--offline"]), 4, &["acme/bert is not in the cache"]);
    ended(&run(&["--dry-run"]), 0, &["downloading acme/bert: tokenizer.json"]);
    assert!(!asked_for("model.onnx"));
    ended(&run(&[]), 0, &["downloading acme/bert: model.onnx"]);
    assert!(asked_for("model.onnx"));
    ended(&run(&["--offline", "--quiet"]), 0, &[]);
    assert_eq!(server.requests(), [""; 0]);
    let path = out.join("head_score/needle-llama_inf_heads.meta.json");
    let meta: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let origin = serde_json::json!({"id": "acme/bert", "revision": "main", "commit": COMMIT});
    let model = &meta["gate"]["model"];
    assert_eq!((&model["hub"], &model["dir"]), (&origin, &Value::Null));
}
