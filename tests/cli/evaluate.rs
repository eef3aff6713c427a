//! `headprof evaluate`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use super::{ended, fails, files_in, headprof, needles, run, stderr, text};

/// Shape of needle-llama's cache: layers, KV heads, and bytes of one key and one value.
const LISTS: u64 = 6 * 4;
const TOKEN_BYTES: u64 = 2 * 32 * 4;

/// Every kind of method at a budget above and one below the prompt of 256 tokens: two needles, one
/// length, two depths.
struct Evaluated {
    dir: tempfile::TempDir,
    stdout: String,
}

const METHODS: [&str; 9] = [
    "full",
    "streaming_llm",
    "h2o",
    "snapkv",
    "pyramidkv",
    "adakv",
    "headkv",
    "dililazykv",
    "snapkv+vatp",
];

fn evaluated() -> &'static Evaluated {
    static EVALUATED: OnceLock<Evaluated> = OnceLock::new();
    EVALUATED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let needles = needles(dir.path());
        let scores = run().dir.path().join("head_score/needle-llama_dili_heads.json");
        let methods = METHODS.join(",");
        let output = headprof(&[
            "evaluate",
            "--methods",
            &methods,
            "--budgets",
            "24,300",
            "--head-score",
            text(&scores),
            "--needles",
            text(&needles),
            "--lengths",
            "256",
            "--depths",
            "0.1,0.9",
            "--max-new-tokens",
            "5",
            "--out",
            text(dir.path()),
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        Evaluated { dir, stdout: String::from_utf8(output.stdout).unwrap() }
    })
}

fn read(file: &str) -> String {
    fs::read_to_string(evaluated().dir.path().join(file)).unwrap()
}

fn answers() -> Vec<Value> {
    read("answers.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_file_is_there_and_nothing_else() {
    let root = evaluated().dir.path();
    let tables = ["evaluate.csv", "evaluate.json", "evaluate.md"];
    let expected =
        [&["answers.jsonl"][..], &tables, &["journal", "plots", "report.html", "two.jsonl"]]
            .concat();
    assert_eq!(files_in(root), expected);
    let stems = ["accuracy_budget", "accuracy_bytes", "methods_24", "methods_300"];
    let expected: Vec<String> = stems
        .iter()
        .flat_map(|s| ["png", "svg"].map(|e| format!("needle-llama_needle_{s}.{e}")))
        .collect();
    assert_eq!(files_in(&root.join("plots")), expected);
}

/// 24 tokens per list, or all 256, to the byte.
#[test]
fn bytes_are_those_of_the_budget() {
    let lines = answers();
    assert_eq!(lines.len(), 4 * (1 + 2 * (METHODS.len() - 1)));
    for line in &lines {
        let tokens = match line["budget_tokens"].as_u64() {
            Some(24) => 24,
            _ => 256,
        };
        assert_eq!(line["kv_tokens"].as_u64(), Some(LISTS * tokens), "{line}");
        assert_eq!(line["kv_bytes"].as_u64(), Some(LISTS * tokens * TOKEN_BYTES), "{line}");
    }
}

/// Methods that evict while they answer stay at their budget; the others grow by the answer, whose
/// last token is not fed back.
#[test]
fn at_the_end_some_have_grown_by_the_answer() {
    let mut grown = 0;
    for line in answers().iter().filter(|line| line["budget_tokens"] == 24) {
        let fed_back = line["new_tokens"].as_u64().unwrap() - 1;
        let growth = match line["method"].as_str().unwrap() {
            "streaming_llm" | "h2o" => 0,
            _ => fed_back,
        };
        grown += growth;
        let end = LISTS * (24 + growth) * TOKEN_BYTES;
        assert_eq!(line["kv_bytes_end"].as_u64(), Some(end), "{line}");
        assert!(line["kv_bytes_allocated"].as_u64().unwrap() >= end, "{line}");
    }
    assert!(grown > 0, "every answer was a single token");
}

/// Where the budget holds the prompt, every method answers as FullKV does.
#[test]
fn a_budget_above_the_prompt_changes_nothing() {
    let lines = answers();
    for full in lines.iter().filter(|line| line["method"] == "full") {
        let same_prompt = lines.iter().filter(|line| line["id"] == full["id"]);
        let wide: Vec<&Value> = same_prompt.filter(|l| l["budget_tokens"] == 300).collect();
        assert_eq!(wide.len(), METHODS.len() - 1);
        for line in wide {
            assert_eq!(line["answer"], full["answer"], "{line}");
        }
    }
}

#[test]
fn the_table_is_the_same_in_every_form() {
    let json: Value = serde_json::from_str(&read("evaluate.json")).unwrap();
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1 + 2 * (METHODS.len() - 1));
    assert_eq!((&json["prompts"], &json["failed"]), (&4.into(), &0.into()));
    assert_eq!(json["model"]["name"], "needle-llama");
    let markdown = read("evaluate.md");
    assert_eq!(markdown.lines().count(), 2 + rows.len());
    let csv = read("evaluate.csv");
    assert_eq!(csv.lines().count(), 1 + rows.len() * json["metrics"].as_array().unwrap().len());
    for row in rows {
        let method = row["method"].as_str().unwrap();
        assert!(METHODS.contains(&method));
        assert!(evaluated().stdout.contains(method), "{}", evaluated().stdout);
        let mean = row["metrics"][0]["mean"].as_f64().unwrap();
        let of_answers: Vec<f64> = answers()
            .iter()
            .filter(|l| l["method"] == method && l["budget_tokens"] == row["budget_tokens"])
            .map(|l| l["values"]["accuracy"].as_f64().unwrap())
            .collect();
        assert_eq!(of_answers.len(), 4);
        assert!((mean - of_answers.iter().sum::<f64>() / 4.0).abs() < 1e-12);
        let share = row["kv_share"].as_f64().unwrap();
        let expected = if row["budget_tokens"] == 24 { 24.0 / 256.0 } else { 1.0 };
        assert!((share - expected).abs() < 1e-12, "{row}");
    }
}

/// Budgets by each of two scores in one run are what each alone gives, and stand beside each other.
#[test]
fn several_head_scores_are_compared_in_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let file = |score: &str| {
        let name = format!("head_score/needle-llama_{score}_heads.json");
        run().dir.path().join(name).to_str().unwrap().to_owned()
    };
    let both = format!("{},{}", file("retrieval"), file("dili"));
    let output = headprof(&[
        "evaluate",
        "--methods",
        "snapkv,headkv",
        "--budgets",
        "24",
        "--head-score",
        &both,
        "--needles",
        text(&needles),
        "--lengths",
        "256",
        "--depths",
        "0.1,0.9",
        "--max-new-tokens",
        "5",
        "--no-plots",
        "--out",
        text(dir.path()),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("headkv:dili") && table.contains("- retrieval"), "{table}");
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let lines = read("answers.jsonl");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |lines: &[Value], method: &str, score: Option<&str>| -> Vec<Value> {
        let same = |l: &&Value| {
            l["method"] == method && l["budget_tokens"] == 24 && l["head_score"].as_str() == score
        };
        lines.iter().filter(same).map(|l| l["answer"].clone()).collect()
    };
    assert_eq!(lines.len(), 4 * 3);
    let alone = answers();
    assert_eq!(of(&lines, "headkv", Some("dili")), of(&alone, "headkv", None));
    assert_eq!(of(&lines, "snapkv", None), of(&alone, "snapkv", None));
    assert_eq!(of(&lines, "headkv", Some("retrieval")).len(), 4);
    let json: Value = serde_json::from_str(&read("evaluate.json")).unwrap();
    let names: Vec<&Value> =
        json["rows"].as_array().unwrap().iter().map(|r| &r["head_score"]).collect();
    assert_eq!(names, [&Value::Null, &"retrieval".into(), &"dili".into()]);
    let rows = &json["rows"];
    assert!(rows[1]["against_first_score"].is_null() && rows[2]["against_first_score"].is_object());
    let used = &json["compression"];
    assert!(used["head_score"].is_null() && used["head_scores"][1]["sha256"].is_string(), "{used}");
    assert_eq!(used["head_scores"][0]["name"], "retrieval");
}

/// Shards keep which score a budget follows, and other scores are another run.
#[test]
fn several_head_scores_come_through_shards() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let scores: Vec<PathBuf> = ["retrieval", "dili"]
        .map(|score| {
            let name = format!("needle-llama_{score}_heads.json");
            let copy = dir.path().join(&name);
            fs::copy(run().dir.path().join("head_score").join(name), &copy).unwrap();
            copy
        })
        .into();
    let both = format!("{},{}", text(&scores[0]), text(&scores[1]));
    let out = dir.path().join("out");
    let shard = |shard: &str| {
        let what = ["evaluate", "--methods", "headkv", "--budgets", "24", "--head-score", &both];
        let grid = ["--needles", text(&needles), "--lengths", "256", "--depths", "0.5"];
        let rest = ["--max-new-tokens", "3", "--no-plots", "--shard", shard, "--out", text(&out)];
        headprof(&[&what[..], &grid, &rest].concat())
    };
    ended(&shard("1/2"), 0, &[]);
    ended(&shard("2/2"), 0, &[]);
    let merged = headprof(&["merge", text(&out), "--no-plots", "--json"]);
    let json: Value = serde_json::from_slice(&merged.stdout).unwrap();
    let names: Vec<&Value> =
        json["rows"].as_array().unwrap().iter().map(|row| &row["head_score"]).collect();
    assert_eq!(names, ["retrieval", "dili"]);
    fs::copy(run().dir.path().join("head_score/needle-llama_lazy_heads.json"), &scores[1]).unwrap();
    ended(&shard("1/2"), 2, &["another run of this kind", "head_scores"]);
}

#[test]
fn query_heads_of_their_own_cost_the_group_as_many_times() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let output = headprof(&[
        "evaluate",
        "--methods",
        "snapkv,full,h2o+vatp",
        "--value-norm",
        "projected",
        "--budgets",
        "24",
        "--granularity",
        "query_head",
        "--needles",
        text(&needles),
        "--lengths",
        "256",
        "--depths",
        "0.5",
        "--max-new-tokens",
        "2",
        "--no-plots",
        "--json",
        "--out",
        text(dir.path()),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Eight query heads instead of four KV heads; FullKV stays what the model holds.
    let rows = &json["rows"];
    let bytes = (LISTS * 256 * TOKEN_BYTES) as f64;
    assert_eq!(rows[0]["kv_bytes"].as_f64(), Some(bytes));
    assert_eq!(rows[1]["kv_bytes"].as_f64(), Some((2 * LISTS * 24 * TOKEN_BYTES) as f64));
    assert_eq!(rows[1]["kv_share"].as_f64(), Some(2.0 * 24.0 / 256.0));
    assert_eq!(
        (&rows[0]["against_full"], &rows[1]["against_snapkv"]),
        (&Value::Null, &Value::Null)
    );
    // Values behind the output projection, of the prompt and of the new token.
    assert_eq!(rows[2]["method"], "h2o+vatp");
    assert_eq!(rows[2]["kv_bytes_end"], rows[2]["kv_bytes"]);
    let file = fs::read_to_string(dir.path().join("evaluate.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file["compression"]["value_norm"], "projected");
    assert!(!dir.path().join("plots").exists());
}

#[test]
fn what_cannot_be_compared_is_refused_before_the_model_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let refuses = |args: &[&str], code: i32, says: &[&str]| {
        let out = ["evaluate", "--out", text(dir.path())];
        fails(&[&out, args].concat(), code, says);
    };
    refuses(&["--methods", "snapvk"], 2, &["--methods", "snapvk", "streaming_llm"]);
    refuses(&["--budgets", "4"], 2, &["smaller than the window"]);
    refuses(&["--beta", "1"], 2, &["--beta"]);
    refuses(&["--value-norm", "output"], 2, &["--value-norm", "projected"]);
    refuses(&["--methods", "headkv"], 2, &["--head-score"]);
    let scores = dir.path().join("other_inf_heads.json");
    let write = |text: &str| fs::write(&scores, text).unwrap();
    let with = |path: &Path| ["--head-score".to_owned(), path.to_str().unwrap().to_owned()];
    let args = with(&scores);
    let args = [args[0].as_str(), args[1].as_str()];
    refuses(&args, 3, &["other_inf_heads.json"]);
    write(r#"{"0-0": [1], "0-1": [2]}"#);
    refuses(&args, 3, &["1 layers x 2 heads", "6 layers x 8 heads"]);
    let zeros: Vec<String> = (0..48).map(|i| format!("\"{}-{}\": [0]", i / 8, i % 8)).collect();
    write(&format!("{{{}}}", zeros.join(", ")));
    refuses(&[&args[..], &["--lengths", "256", "--depths", "0.5"]].concat(), 3, &["zero"]);
    // A sidecar that names another model.
    write(&format!("{{{}}}", zeros.join(", ").replace("[0]", "[1]")));
    let meta = serde_json::json!({"model": {
        "name": "other", "layers": 6, "heads": 8, "kv_heads": 4
    }});
    fs::write(scores.with_extension("meta.json"), meta.to_string()).unwrap();
    refuses(&args, 3, &["other", "needle-llama", "--force"]);
    assert!(!dir.path().join("evaluate.json").exists());
}

/// Curves are recorded, and lukv divides a budget by them, to the token.
#[test]
fn utility_curves_are_what_lukv_follows() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let grid = ["--needles", text(&needles), "--lengths", "256", "--max-new-tokens", "4"];
    let out = ["--out", text(dir.path())];
    let record = ["utility", "--depths", "0.5", "--gate", "none"];
    let output = headprof(&[&record[..], &grid, &out].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 of 2 probes"));
    let curves = dir.path().join("head_score/needle-llama_window_utility.json");
    let evaluate = ["evaluate", "--methods", "lukv,dililazykv_variance", "--budgets", "24"];
    let scores = run().dir.path().join("head_score/needle-llama_dili_heads.json");
    let evidence = ["--utility", text(&curves), "--head-score", text(&scores)];
    let rest = ["--depths", "0.9", "--no-plots", "--json"];
    let output = headprof(&[&evaluate[..], &evidence, &rest, &grid, &out].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("2 of 2 needles"), "{}", stderr(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    for row in json["rows"].as_array().unwrap() {
        assert_eq!(row["kv_bytes"].as_f64(), Some((LISTS * 24 * TOKEN_BYTES) as f64), "{row}");
    }
    // Curves of another order of tokens, and a window that leaves nothing to choose.
    let other = fs::read_to_string(&curves).unwrap().replace("\"window\"", "\"column_sums\"");
    fs::write(&curves, other).unwrap();
    let lukv = ["evaluate", "--methods", "lukv", "--utility", text(&curves)];
    fails(&[&lukv[..], &grid, &out].concat(), 3, &["column_sums", "window", "--force"]);
    let wide = ["utility", "--window-size", "256"];
    fails(&[&wide[..], &grid, &out].concat(), 2, &["--window-size", "less than 256"]);
    fails(&[&["utility", "--method", "full"][..], &out].concat(), 2, &["--method"]);
}
