//! No path that stands in a data file is opened, wherever a string from a file might reach the
//! file system. Written to are the files that the command line names, and those beside them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{checkpoint, ended, fails, files_in, headprof, needles, text};

#[path = "../common/trap.rs"]
mod trap;

use trap::Trap;

/// A short run of `model` and `needles`, which writes to `out`.
fn profile<'a>(model: &'a Path, needles: &'a Path, out: &'a Path) -> Vec<&'a str> {
    let files = ["--model", text(model), "--needles", text(needles), "--out", text(out)];
    let grid = ["--lengths", "200", "--depths", "0.5", "--gate", "none", "--max-new-tokens", "1"];
    [&files[..], &grid, &["--no-plots"]].concat()
}

/// Changes the JSON file at `path`.
fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

#[test]
fn a_shard_of_the_index_that_lies_elsewhere_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (model, needles) = (checkpoint(dir.path()), needles(dir.path()));
    fs::remove_file(model.join("model.safetensors")).unwrap();
    let out = dir.path().join("out");
    let link = model.join("link.safetensors");
    for (number, name) in
        ["../trap-0", "../../trap", "/absolute", "link.safetensors"].iter().enumerate()
    {
        let trap = Trap::new(dir.path().join(format!("trap-{number}")));
        let name = match *name {
            "/absolute" => text(trap.path()).to_owned(),
            "../../trap" => {
                format!("../../{}/trap-{number}", dir.path().file_name().unwrap().display())
            }
            name => name.to_owned(),
        };
        std::os::unix::fs::symlink(trap.path(), &link).unwrap();
        assert!(dir.path().join("my.model-1").join(&name).exists(), "{name} leads nowhere");
        let map = json!({"weight_map": {"model.norm.weight": name}});
        fs::write(model.join("model.safetensors.index.json"), map.to_string()).unwrap();
        fails(&profile(&model, &needles, &out), 4, &["outside the checkpoint's folder"]);
        assert!(!trap.was_opened(), "{name}");
        fs::remove_file(&link).unwrap();
    }
    assert!(files_in(&out.join("head_score")).is_empty());
}

/// Templates of Jinja can name others to be included; there are none.
#[test]
fn a_chat_template_cannot_include_files() {
    let dir = tempfile::tempdir().unwrap();
    let (model, needles) = (checkpoint(dir.path()), needles(dir.path()));
    let out = dir.path().join("out");
    let profile = profile(&model, &needles, &out);
    for tag in ["include", "extends", "import", "from"] {
        let trap = Trap::new(model.join(tag));
        for name in [tag.to_owned(), format!("./{tag}"), text(trap.path()).to_owned()] {
            let rest = match tag {
                "import" => " as x",
                "from" => " import x",
                _ => "",
            };
            let body = "{% for m in messages %}{{ m.content }}{% endfor %}";
            let template = format!("{{% {tag} '{name}'{rest} %}}{body}");
            fs::write(model.join("chat_template.jinja"), template).unwrap();
            let args = [&profile[..], &["--chat", "always"]].concat();
            fails(&args, 4, &["the chat template cannot be rendered", "chat_template.jinja"]);
        }
        assert!(!trap.was_opened(), "{tag}");
    }
}

/// A template that is a path is a text; so is a class, or a file that a tokenizer came from.
#[test]
fn paths_in_the_files_of_a_checkpoint_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (model, needles) = (checkpoint(dir.path()), needles(dir.path()));
    let trap = Trap::new(dir.path().join("trap"));
    let path = text(trap.path()).to_owned();
    change(&model.join("config.json"), |config| {
        for key in ["_name_or_path", "tokenizer_class", "auto_map", "tokenizer_file"] {
            config[key] = path.as_str().into();
        }
    });
    let config = json!({"tokenizer_class": path, "name_or_path": path, "tokenizer_file": path,
        "vocab_file": path, "chat_template": path});
    fs::write(model.join("tokenizer_config.json"), config.to_string()).unwrap();
    fs::write(model.join("special_tokens_map.json"), json!({"bos_token": path}).to_string())
        .unwrap();
    let generation = json!({"_from_model_config": path, "assistant": path, "eos_token_id": 0});
    fs::write(model.join("generation_config.json"), generation.to_string()).unwrap();
    let out = dir.path().join("out");
    let profile = profile(&model, &needles, &out);
    fails(&profile, 4, &["does not show the user's message once"]);
    ended(&headprof(&[&profile[..], &["--chat", "never"]].concat()), 0, &[]);
    assert!(!trap.was_opened());
}

/// Ids of needles become parts of records, never of file names.
#[test]
fn paths_in_needles_are_texts() {
    let dir = tempfile::tempdir().unwrap();
    let trap = Trap::new(dir.path().join("trap"));
    let path = text(trap.path());
    let lines = dir.path().join("paths.jsonl");
    let needle = |id: &str| {
        json!({"id": id, "needle": path, "question": path, "answer": path, "real_needle": path,
            "file": path})
    };
    // Two needles with one text would be one probe.
    let mut second = needle(path);
    second["needle"] = format!("{path} again").into();
    fs::write(&lines, format!("{}\n{second}", needle("../../../escaped"))).unwrap();
    let out = dir.path().join("sub/sub/out");
    let args = ["--needles", text(&lines), "--out", text(&out), "--lengths", "400"];
    let rest = ["--depths", "0.5", "--gate", "none", "--max-new-tokens", "1"];
    ended(&headprof(&[&args[..], &rest].concat()), 0, &[]);
    assert!(!trap.was_opened());
    assert_eq!(files_in(dir.path()), ["paths.jsonl", "sub", "trap"]);
    assert_eq!(files_in(&dir.path().join("sub")), ["sub"]);
    assert_eq!(files_in(&dir.path().join("sub/sub")), ["out"]);
    let names = files_in(&out.join("plots"));
    assert!(names.iter().all(|name| name.starts_with("needle-llama_")), "{names:?}");
}

#[test]
fn paths_in_sidecars_and_utility_curves_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let trap = Trap::new(dir.path().join("trap"));
    let path = text(trap.path());
    let scores = dir.path().join("m_inf_heads.json");
    fs::write(&scores, "{\"0-0\": [0.5], \"0-1\": [0.25]}").unwrap();
    let sidecar = json!({
        "command": ["headprof", "--model", path],
        "model": {"name": path, "dir": path, "layers": 1, "heads": 2, "kv_heads": 1,
            "sha256": path},
        "tokenizer": {"file": path, "sha256": path},
        "needles": {"source": path, "needles": [{"id": path, "sha256": path}]},
        "haystack": {"source": path, "files": [{"name": path, "sha256": path}]},
    });
    fs::write(dir.path().join("m_inf_heads.meta.json"), sidecar.to_string()).unwrap();
    let allocate = ["allocate", "--budget", "64", "--head-score", text(&scores)];
    ended(&headprof(&allocate), 0, &[]);
    fails(&[&allocate[..], &["--model", "m"]].concat(), 3, &["another model", path]);
    ended(&headprof(&[&allocate[..], &["--model", "m", "--force"]].concat()), 0, &[]);

    let curves = dir.path().join("curves.json");
    let utility = json!({"format": "headprof-utility", "version": 1, "model": path,
        "token_score": path, "granularity": "kv_head", "fractions": [0.5, 1.0],
        "utilities": [[[0.5, 1.0], [0.5, 1.0]]]});
    fs::write(&curves, utility.to_string()).unwrap();
    let lukv = ["allocate", "--method", "lukv", "--prompt-tokens", "100", "--budget", "64"];
    let lukv = [&lukv[..], &["--utility", text(&curves)]].concat();
    ended(&headprof(&lukv), 0, &[]);
    assert!(!trap.was_opened());
    assert_eq!(
        files_in(dir.path()),
        ["curves.json", "m_inf_heads.json", "m_inf_heads.meta.json", "trap"]
    );
}

/// Names of data sets in rows, and those in files of prompts.
#[test]
fn paths_in_rows_and_prompts_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let trap = Trap::new(dir.path().join("trap"));
    let path = text(trap.path());
    let rows = dir.path().join("rows.jsonl");
    let out = dir.path().join("out");
    let row = json!({"_id": path, "input": path, "context": path, "answers": [path],
        "length": 3, "dataset": path, "all_classes": null});
    fs::write(&rows, row.to_string()).unwrap();
    let evaluate = ["evaluate", "--methods", "full", "--task", "longbench"];
    let files = ["--task-data", text(&rows), "--out", text(&out), "--no-plots"];
    let evaluate = [&evaluate[..], &files].concat();
    fails(&evaluate, 3, &[path]);

    let mut known = row.clone();
    known["dataset"] = "hotpotqa".into();
    fs::write(&rows, known.to_string()).unwrap();
    let prompts = dir.path().join("prompts.json");
    let told = json!({"hotpotqa": format!("{path} {{context}} {{input}}")});
    fs::write(&prompts, told.to_string()).unwrap();
    let with_prompts = [&evaluate[..], &["--prompts", text(&prompts)]].concat();
    ended(&headprof(&with_prompts), 0, &[]);
    assert!(!trap.was_opened());
    assert_eq!(files_in(dir.path()), ["out", "prompts.json", "rows.jsonl", "trap"]);
}

/// `golden.json`, which `verify` reads.
#[test]
fn paths_in_a_golden_file_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let trap = Trap::new(dir.path().join("trap"));
    let path = text(trap.path());
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/qwen3");
    let golden = dir.path().join("golden.json");
    fs::copy(Path::new(model).join("golden.json"), &golden).unwrap();
    change(&golden, |golden| {
        for key in ["transformers", "model", "source"] {
            golden[key] = path.into();
        }
    });
    ended(&headprof(&["verify", model, text(&golden)]), 0, &[]);
    assert!(!trap.was_opened());
}
