//! `headprof allocate`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{fails, files_in, headprof, run, stderr, text};

/// Scores of 2 layers x 4 heads.
const SCORES: &str = r#"{"0-0": [1], "0-1": [2], "0-2": [0], "0-3": [1], "1-0": [0], "1-1": [4], "1-2": [8], "1-3": [0]}"#;

fn scores(dir: &Path) -> PathBuf {
    let path = dir.join("m_inf_heads.json");
    fs::write(&path, SCORES).unwrap();
    path
}

/// Writes what a head_score file's sidecar says of its model, and more, as a profile does.
fn sidecar(scores: &Path, name: &str, heads: usize, kv_heads: usize) {
    let model = serde_json::json!({
        "name": name, "layers": 2, "heads": heads, "kv_heads": kv_heads, "head_dim": 4
    });
    let meta = serde_json::json!({"headprof": "0.1.0", "model": model});
    fs::write(scores.with_extension("meta.json"), meta.to_string()).unwrap();
}

#[track_caller]
fn json(args: &[&str]) -> Value {
    let output = headprof(&[&["allocate", "--json"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn refuses(args: &[&str], code: i32, says: &[&str]) {
    fails(&[&["allocate"], args].concat(), code, says);
}

#[test]
fn a_budget_is_json_without_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let file = scores(dir.path());
    // B = 24 - 8 = 16, q = 16 // 2 = 8, pool 64, scores 1 2 0 1 0 4 8 0 of 16: 4 each over 8.
    let args = ["--head-score", text(&file), "--max-capacity-prompts", "24", "--beta", "2"];
    let got = json(&args);
    assert_eq!(got["capacities"], serde_json::json!([[12, 16, 8, 12], [8, 24, 40, 8]]));
    assert_eq!((got["sum"].as_u64(), got["window"].as_u64()), (Some(128), Some(8)));
    assert_eq!(got["method"], "headkv");
    let parameters = &got["parameters"];
    assert_eq!(parameters["max_capacity_prompts"], 24);
    assert_eq!((&parameters["beta"], &parameters["form"]), (&2.0.into(), &"fair".into()));
    assert_eq!(parameters["granularity"], "query_head");
    // Every name of the options, and of the method.
    let same = json(&[
        "--method",
        "ReasonKV",
        "--head_score",
        text(&file),
        "--max_capacity_prompts",
        "24",
        "--window_size",
        "8",
        "--beta",
        "2",
        "--temp",
        "1",
        "--compat",
        "reference",
    ]);
    assert_eq!(same["capacities"], got["capacities"]);
    assert_eq!(same["parameters"]["form"], "reference");
    let again = headprof(&[&["allocate", "--json"], &args[..]].concat());
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap(), got);
    assert!(stderr(&again).contains("no sidecar"), "{}", stderr(&again));
}

#[test]
fn the_table_says_what_is_held_against_the_even_budget() {
    let dir = tempfile::tempdir().unwrap();
    let file = scores(dir.path());
    let args = ["allocate", "--head-score", text(&file), "--budget", "24", "--beta", "2"];
    let output = headprof(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    for line in [
        "    0         8        12.0        16          48",
        "    1         8        20.0        40          80",
        "  all         8        16.0        40         128",
        "  1-2        40      2.50",
        "held      192 tokens with the windows; the even budget is 192",
        "exactly the same",
    ] {
        assert!(table.contains(line), "no {line:?} in\n{table}");
    }
    // PyramidKV's published rounding spends more: B = 16, from 2 * B - B // 20 = 32 down with the
    // step of 32 / 3 rounded down: 32 22 12 2, 68 of 64.
    let args = ["allocate", "--method", "pyramidkv", "--layers", "4", "--heads", "1"];
    let output = headprof(&[&args[..], &["--budget", "24", "--compat", "reference"]].concat());
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("held      100 tokens with the windows; the even budget is 96"),
        "{table}"
    );
    assert!(table.contains("+4 tokens, +4.17 %"), "{table}");
}

#[test]
fn kv_heads_share_what_their_query_heads_score() {
    let dir = tempfile::tempdir().unwrap();
    let file = scores(dir.path());
    let args = ["--head-score", text(&file), "--budget", "24", "--beta", "2"];
    // Means 1.5 .5 | 2 4 of 8, pool 8 * 4 = 32 over 8.
    let by_option = json(&[&args[..], &["--kv-heads", "2"]].concat());
    assert_eq!(by_option["capacities"], serde_json::json!([[14, 10], [16, 24]]));
    assert_eq!(by_option["parameters"]["granularity"], "kv_head");
    let query = json(&[&args[..], &["--kv-heads", "2", "--granularity", "query_head"]].concat());
    assert_eq!(query["capacities"][1].as_array().unwrap().len(), 4);
    // Maxima 2 1 | 4 8 of 15: 4.27 2.13 8.53 17.07.
    let largest = json(&[&args[..], &["--kv-heads", "2", "--reduce", "max"]].concat());
    assert_eq!(largest["capacities"], serde_json::json!([[12, 10], [17, 25]]));
    // The sidecar knows.
    sidecar(&file, "m", 4, 2);
    let output = headprof(&[&["allocate", "--json"], &args[..]].concat());
    assert_eq!(stderr(&output), "");
    let by_meta: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(by_meta["capacities"], by_option["capacities"]);
}

#[test]
fn a_head_choice_is_looked_up_by_model() {
    let dir = tempfile::tempdir().unwrap();
    let file = scores(dir.path());
    let found = |args: &[&str]| json(&[args, &["--head-score-dir", text(dir.path())]].concat());
    let inf = found(&["--head-choice", "inf", "--model", "m"]);
    assert_eq!(inf["parameters"]["file"], text(&file));
    for (choice, name) in [
        ("copy", "m_retrieval_heads.json"),
        ("reason", "m_retrieval_reasoning_heads.json"),
        ("dili", "m_dili_heads.json"),
        ("lazy", "m_lazy_heads.json"),
    ] {
        let model = ["--model", "m", "--head-score-dir", text(dir.path())];
        refuses(&[&["--head-choice", choice], &model[..]].concat(), 3, &[name]);
        fs::copy(&file, dir.path().join(name)).unwrap();
        let got = found(&["--head_choice", choice, "--model", "m"]);
        assert_eq!(got["capacities"], inf["capacities"]);
    }
    assert_eq!(json(&["--head-choice", text(&file)])["capacities"], inf["capacities"]);
    let empty = dir.path().join("empty");
    let args = ["--head-choice", "inf", "--head-score-dir", text(&empty)];
    refuses(&args, 3, &["empty/needle-llama_inf_heads.json", "profile it"]);
}

#[test]
fn what_a_profile_writes_is_what_allocate_reads() {
    let dir = run().dir.path().join("head_score");
    let output =
        headprof(&["allocate", "--head-choice", "inf", "--head-score-dir", text(&dir), "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    let got: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(got["parameters"]["granularity"], "kv_head");
    let layers = got["capacities"].as_array().unwrap();
    let heads: u64 = layers.iter().map(|layer| layer.as_array().unwrap().len() as u64).sum();
    assert_eq!(layers.len(), super::LAYERS);
    assert_eq!(got["sum"].as_u64().unwrap(), heads * 120);
}

#[test]
fn scores_of_another_model_are_refused_unless_forced() {
    let dir = tempfile::tempdir().unwrap();
    let file = scores(dir.path());
    sidecar(&file, "other", 4, 2);
    let args = ["--head-score", text(&file), "--model", "m"];
    refuses(&args, 3, &["another model", "other", "--force"]);
    let output = headprof(&[&["allocate", "--force"], &args[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("is of other, not of m"), "{}", stderr(&output));
    let plain = ["--head-score", text(&file)];
    sidecar(&file, "m", 8, 2);
    refuses(&plain, 3, &["differ in size", "2 layers x 8 heads"]);
    fs::write(file.with_extension("meta.json"), "{\"model\": 3}").unwrap();
    refuses(&plain, 3, &["m_inf_heads.meta.json", "--force"]);
    assert!(headprof(&[&["allocate", "--force"], &plain[..]].concat()).status.success());
}

#[test]
fn bad_options_are_told_before_a_file_is_read() {
    let nowhere = ["--head-score", "/no/such/file.json"];
    for (args, says) in [
        (&["--budget", "4"][..], "smaller than the window"),
        (&["--budget", "0"], "from 1 to"),
        (&["--beta", "1"], "--beta"),
        (&["--beta", "-3"], "--beta"),
        (&["--beta", "nan"], "--beta"),
        (&["--temp", "0"], "--temp"),
        (&["--temp", "inf"], "--temp"),
        (&["--method", "pyramidkv", "--pyramid-beta", "0"], "out of range"),
        (&["--prompt-tokens", "0"], "--prompt-tokens"),
        (&["--method", "headkvv"], "dililazykv_variance"),
        (&["--method", "AdativeKV"], "token scores"),
        (&["--utility", "x"], "lukv"),
        (&["--compat", "snapkv"], "reference"),
        (&["--head-choice", "inf"], "cannot be used with"),
    ] {
        refuses(&[&nowhere[..], args].concat(), 2, &[says]);
    }
    refuses(&[], 2, &["headkv needs head scores", "--head-choice"]);
    // Not one of the methods that read it can be asked for here.
    for alpha in ["0.5", "1.5", "-0.1"] {
        refuses(&["--alpha", alpha], 2, &["headkv does not read --alpha", "adakv, ada_pyramidkv"]);
    }
    for (method, option, says) in [
        ("uniform", "--beta", "--method headkv, dililazykv, dililazykv_variance"),
        ("pyramidkv", "--temp", "--method headkv, dililazykv, dililazykv_variance"),
        ("headkv", "--pyramid-beta", "--method pyramidkv"),
        ("lukv", "--beta", "leave the option out"),
    ] {
        let does_not = format!("{method} does not read {option}");
        refuses(&["--method", method, option, "2"], 2, &[&does_not, says]);
    }
    refuses(&["--method", "uniform"], 2, &["--layers", "--heads"]);
    refuses(&["--method", "uniform", "--layers", "4"], 2, &["--heads"]);
    let size = ["--method", "uniform", "--layers", "4", "--heads", "6"];
    refuses(&[&size[..], &["--kv-heads", "4"]].concat(), 2, &["a divisor of 6"]);
    refuses(&[&size[..], &["--kv-heads", "0"]].concat(), 2, &["a divisor of 6"]);
    refuses(&[&size[..], &["--granularity", "kv_head"]].concat(), 2, &["--kv-heads"]);
    let huge = ["--method", "uniform", "--layers", "18446744073709551615", "--heads", "4"];
    refuses(&huge, 2, &["--layers"]);
    refuses(&["--method", "lukv", "--prompt-tokens", "9"], 2, &["--utility"]);
    refuses(&["--method", "lukv", "--utility", "x"], 2, &["--prompt-tokens"]);
}

#[test]
fn bad_scores_are_told_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.json");
    let args = ["--head-score", text(&path)];
    refuses(&args, 3, &["h.json", "--head-score"]);
    for value in ["NaN", "[Infinity]", "null", "\"1\"", "[-1]", "[]", "1e400"] {
        fs::write(&path, format!("{{\"0-0\": [1], \"0-1\": {value}}}")).unwrap();
        refuses(&args, 3, &["h.json", "0-1"]);
    }
    fs::write(&path, format!("{{\"0-0\": {}", "[".repeat(1_000_000))).unwrap();
    refuses(&args, 3, &["h.json"]);
    fs::write(&path, "{\"0-0\": [0, 0], \"0-1\": 0}").unwrap();
    for method in ["headkv", "dililazykv", "dililazykv_variance"] {
        refuses(&[&args[..], &["--method", method]].concat(), 3, &["all head scores are 0"]);
    }
    fs::write(&path, SCORES).unwrap();
    refuses(&[&args[..], &["--layers", "2", "--heads", "8"]].concat(), 3, &["2 layers x 4 heads"]);
    refuses(&[&args[..], &["--layers", "3"]].concat(), 3, &["--layers 3"]);
    refuses(&[&args[..], &["--kv-heads", "3"]].concat(), 2, &["a divisor of 4"]);
    // Shuffled: placed by key, and said.
    fs::write(&path, "{\"0-1\": 3, \"0-0\": 1}").unwrap();
    let output = headprof(&["allocate", "--json", "--head-score", text(&path), "--beta", "2"]);
    assert!(stderr(&output).contains("placed by key"), "{}", stderr(&output));
    let got: Value = serde_json::from_slice(&output.stdout).unwrap();
    // B = 120, q = 60: 60 + 30 and 60 + 90.
    assert_eq!(got["capacities"], serde_json::json!([[90, 150]]));
}

#[test]
fn a_short_prompt_limits_every_head_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = scores(dir.path());
    let args = ["--head-score", text(&file), "--budget", "24", "--beta", "2", "--prompt-tokens"];
    let got = json(&[&args[..], &["32"]].concat());
    // 24 before the window, a base of 8, so 16 more at most. Score 8 asks for 32, is full and
    // leaves 48 to 1 2 1 4; 4 asks for 24 and leaves 32 to 1 2 1: 8 16 8.
    assert_eq!(got["capacities"], serde_json::json!([[16, 24, 8, 16], [8, 24, 24, 8]]));
    let got = json(&[&args[..], &["10"]].concat());
    assert_eq!(got["capacities"], serde_json::json!([[2, 2, 2, 2], [2, 2, 2, 2]]));
    let got = json(&[&args[..], &["3"]].concat());
    assert_eq!((got["sum"].as_u64(), got["window"].as_u64()), (Some(0), Some(3)));
}

#[test]
fn pictures_and_tables_are_written_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = scores(dir.path());
    let out = dir.path().join("new/pictures");
    let args = ["allocate", "--head-score", text(&file), "--out", text(&out)];
    let output = headprof(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    let names = ["m_inf_heads_headkv_budget.png", "m_inf_heads_headkv_budget.svg"];
    assert_eq!(files_in(&out), names);
    assert!(String::from_utf8_lossy(&output.stdout).contains(names[0]));
    let svg = fs::read_to_string(out.join(names[1])).unwrap();
    assert!(svg.contains("tokens before the window") && svg.contains("query heads"), "{svg}");
    assert!(fs::read(out.join(names[0])).unwrap().starts_with(b"\x89PNG"));
    refuses(&["--head-score", text(&file), "--out", text(&file)], 2, &["--out", "a file"]);

    let curves = dir.path().join("curves.json");
    fs::write(
        &curves,
        r#"{"format": "headprof-utility", "version": 1, "model": "m", "token_score": "snapkv",
            "granularity": "kv_head", "fractions": [0.5, 1.0],
            "utilities": [[[0.875, 1.0], [0.5, 1.0]], [[0.125, 0.25], [0.0, 0.0]]]}"#,
    )
    .unwrap();
    let table = dir.path().join("table.npy");
    let lukv = ["--method", "lukv", "--utility", text(&curves), "--prompt-tokens", "108"];
    let got = json(&[&lukv[..], &["--budget", "58", "--prune-table", text(&table)]].concat());
    // 100 before the window, 50 each. Half of 0-0 is worth most (1.75 per whole), then 0-1 (1);
    // the 50 that are left are shared by what is worth .25: 50 of 0-0 and 100 of 1-0, a third each.
    assert_eq!(got["capacities"], serde_json::json!([[67, 100], [33, 0]]));
    let bytes = fs::read(&table).unwrap();
    assert_eq!(bytes.len(), 128 + 99 * 4 * 4);
    assert!(String::from_utf8_lossy(&bytes[10..128]).contains("'shape': (99, 2, 2,)"));
    refuses(&[&lukv[..], &["--model", "n"]].concat(), 3, &["another model"]);
    refuses(&[&lukv[..], &["--granularity", "query_head"]].concat(), 3, &["kv_head"]);
    refuses(&[&lukv[..], &["--layers", "3"]].concat(), 3, &["2 layers x 2 heads"]);
}
