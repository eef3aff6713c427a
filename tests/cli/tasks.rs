//! `headprof evaluate --task longbench` and `--task ruler`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::{fails, files_in, headprof, stderr, text};

/// A row in the form of LongBench's.
fn row(dataset: &str, id: &str) -> Value {
    let context = "The ferry leaves at noon. A man sells bread on the quay. ".repeat(12);
    let classes = ["Time", "Place", "Person"];
    let (input, answers, classes) = match dataset {
        "trec" => ("Question: When does the ferry leave?\nType:", ["Time"], Some(classes)),
        _ => ("When does the ferry leave?", ["at noon"], None),
    };
    json!({
        "input": input, "context": context, "answers": answers, "length": 132,
        "dataset": dataset, "language": "en", "all_classes": classes, "_id": id,
    })
}

fn write_rows(path: &Path, rows: &[Value]) {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(path, lines.join("\n")).unwrap();
}

/// A comparison of FullKV and SnapKV, at a budget below and one above the prompts.
struct Evaluated {
    dir: tempfile::TempDir,
    stderr: String,
}

impl Evaluated {
    fn new(dir: tempfile::TempDir, args: &[&str]) -> Self {
        let common =
            ["evaluate", "--methods", "full,snapkv", "--budgets", "24,400", "--no-plots", "--out"];
        let output = headprof(&[&common[..], &[text(dir.path())], args].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        Self { stderr: stderr(&output), dir }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.dir.path().join(file)).unwrap()
    }

    fn results(&self) -> Value {
        serde_json::from_str(&self.read("evaluate.json")).unwrap()
    }

    fn answers(&self) -> Vec<Value> {
        let text = self.read("answers.jsonl");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Where the budget holds the prompt, SnapKV answers as FullKV does.
    #[track_caller]
    fn wide_budgets_change_nothing(&self, prompts: usize) {
        let answers = self.answers();
        let of = |method: &str, budget: Value| -> Vec<(&Value, &Value)> {
            let here = |a: &&Value| a["method"] == method && a["budget_tokens"] == budget;
            answers.iter().filter(here).map(|a| (&a["id"], &a["answer"])).collect()
        };
        assert_eq!(of("full", Value::Null).len(), prompts);
        assert_eq!(of("full", Value::Null), of("snapkv", 400.into()));
    }
}

fn longbench() -> &'static Evaluated {
    static LONGBENCH: OnceLock<Evaluated> = OnceLock::new();
    LONGBENCH.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        // One data set beside the two that are asked for, and one row more than the samples.
        write_rows(&data.join("hotpotqa.jsonl"), &[row("hotpotqa", "1"), row("hotpotqa", "2")]);
        write_rows(&data.join("trec_e.jsonl"), &[row("trec", "1")]);
        write_rows(&data.join("vcsum.jsonl"), &[row("vcsum", "1")]);
        let prompts = dir.path().join("prompts.json");
        fs::write(&prompts, r#"{"hotpotqa": "{context}\nQuestion: {input}\nAnswer:"}"#).unwrap();
        let lengths = dir.path().join("lengths.json");
        fs::write(&lengths, r#"{"hotpotqa": 6, "trec": 4}"#).unwrap();
        let files = format!("{},{}", text(&prompts), text(&lengths));
        let data = text(&data).to_owned();
        let task = ["--task", "longbench:hotpotqa,trec", "--samples", "1", "--task-data"];
        let rest = ["--prompts", &files, "--max-prompt-tokens", "120"];
        Evaluated::new(dir, &[&task[..], &[&data], &rest].concat())
    })
}

#[test]
fn longbench_reports_each_data_set() {
    let run = longbench();
    let results = run.results();
    assert_eq!((&results["task"], &results["prompts"]), (&"longbench".into(), &2.into()));
    assert_eq!(results["metrics"][0]["name"], "score");
    let judged = results["accuracy"].as_str().unwrap();
    assert!(judged.contains("hotpotqa (qa_f1_score, wording of "), "{judged}");
    assert!(judged.contains("trec (classification_score, headprof's own wording)"), "{judged}");
    let groups = results["groups"].as_array().unwrap();
    let names: Vec<(&Value, &Value)> = groups.iter().map(|g| (&g["group"], &g["part"])).collect();
    assert_eq!(names, [(&"hotpotqa".into(), &Value::Null), (&"trec_e".into(), &"0-4k".into()),]);
    // Mean times 100, of the one answer.
    let answers = run.answers();
    for group in groups {
        assert_eq!((&group["prompts"], group["scores"].as_array().unwrap().len()), (&1.into(), 3));
        for score in group["scores"].as_array().unwrap() {
            let of = |a: &&Value| {
                a["group"] == group["group"]
                    && a["method"] == score["method"]
                    && a["budget_tokens"] == score["budget_tokens"]
            };
            let value = answers.iter().find(of).unwrap()["values"]["score"].as_f64().unwrap();
            assert!((score["score"].as_f64().unwrap() - 100.0 * value).abs() <= 0.005, "{score}");
        }
    }
    let markdown = run.read("evaluate.md");
    assert!(
        markdown.contains("| method | budget | hotpotqa (1) | trec_e 0-4k (1) |"),
        "{markdown}"
    );
    run.wide_budgets_change_nothing(2);
}

#[test]
fn longbench_records_what_it_was_made_of() {
    let run = longbench();
    let results = run.results();
    assert!(run.stderr.contains("2 of 2 prompts are shortened in the middle to 120 tokens"));
    assert!(run.answers().iter().all(|a| a["prompt_tokens"] == 120));
    assert!(results.get("needles").is_none() && results.get("haystack").is_none());
    let files = results["data"]["files"].as_array().unwrap();
    let names: Vec<&str> = files.iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].ends_with("hotpotqa.jsonl") && names[1].ends_with("trec_e.jsonl"));
    assert!(files.iter().all(|f| f["sha256"].as_str().unwrap().len() == 64 && f["rows"] == 1));
    assert_eq!(results["data"]["samples"], 1);
    let prompt = &results["prompt"];
    assert_eq!(prompt["wording"].as_array().unwrap().len(), 2);
    assert_eq!((&prompt["max_prompt_tokens"], &prompt["stop"]), (&120.into(), &"eos".into()));
    assert_eq!(prompt["code_similarity"], "levenshtein");
    assert_eq!(results["model"]["name"], "needle-llama");
}

#[test]
fn ruler_is_made_to_each_length() {
    let args = ["--task", "ruler:niah_single_1", "--lengths", "256,320", "--samples", "2"];
    let run = Evaluated::new(
        tempfile::tempdir().unwrap(),
        &[&args[..], &["--max-new-tokens", "6"]].concat(),
    );
    let results = run.results();
    assert_eq!((&results["task"], &results["prompts"]), (&"ruler".into(), &4.into()));
    let metrics: Vec<&Value> =
        results["metrics"].as_array().unwrap().iter().map(|m| &m["name"]).collect();
    assert_eq!(metrics, ["string_match", "string_match_kvpress", "all_found"]);
    let groups = results["groups"].as_array().unwrap();
    let parts: Vec<(&Value, &Value)> = groups.iter().map(|g| (&g["group"], &g["part"])).collect();
    let task = Value::from("niah_single_1");
    assert_eq!(parts, [(&task, &"256".into()), (&task, &"320".into())]);
    for answer in run.answers() {
        let (tokens, part) = (answer["prompt_tokens"].as_u64().unwrap(), &answer["part"]);
        let most: u64 = part.as_str().unwrap().parse().unwrap();
        // As near to the length as words of the filler allow.
        assert!(tokens <= most && tokens > most - 6, "{answer}");
        assert!(answer["gold"].as_str().unwrap().len() == 7, "{answer}");
    }
    assert_eq!(results["data"]["context_lengths"], json!([256, 320]));
    assert_eq!(results["prompt"]["max_new_tokens"], 6);
    let essays = results["haystack"]["files"].as_array().unwrap();
    assert!(!essays.is_empty() && results["haystack"].get("cycles").is_none());
    run.wide_budgets_change_nothing(4);
    assert_eq!(
        files_in(run.dir.path()),
        ["answers.jsonl", "evaluate.csv", "evaluate.json", "evaluate.md", "journal", "report.html"]
    );
}

#[test]
fn published_rows_of_ruler_are_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("qa_1_300.jsonl");
    let input = format!("{}Which number was it? It was", "The number was 12. ".repeat(20));
    // The number of a row is the place of its answer: it repeats. One file has the begin of the
    // answer in the prompt, the other beside it.
    let apart = input.strip_suffix(" It was").unwrap();
    let old = json!({"index": 7, "input": input, "outputs": ["12"], "length": 9});
    let new = json!({"index": 7, "input": apart, "outputs": ["12"], "answer_prefix": " It was"});
    write_rows(&path, &[old.clone(), new, old]);
    let args = ["--task", "ruler", "--max-new-tokens", "4", "--samples", "2", "--task-data"];
    let path = text(&path).to_owned();
    let run = Evaluated::new(dir, &[&args[..], &[&path]].concat());
    let results = run.results();
    assert_eq!(results["groups"][0]["group"], "qa_1");
    assert_eq!((&results["prompts"], &results["data"]["files"][0]["rows"]), (&2.into(), &2.into()));
    let answers = run.answers();
    let full: Vec<&Value> = answers.iter().filter(|a| a["method"] == "full").collect();
    assert_eq!((&full[0]["id"], &full[1]["id"]), (&"qa_1_300-1".into(), &"qa_1_300-2".into()));
    assert_eq!(
        (&full[0]["prompt_tokens"], &full[0]["answer"]),
        (&full[1]["prompt_tokens"], &full[1]["answer"])
    );
    run.wide_budgets_change_nothing(2);
}

/// FullKV has no window that a prompt could be too short for; of the others the row is named.
#[test]
fn a_prompt_shorter_than_the_window_stops_only_who_has_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vt.jsonl");
    write_rows(&path, &[json!({"input": "A", "outputs": ["x"]})]);
    let args = ["evaluate", "--task", "ruler", "--task-data", text(&path), "--max-new-tokens", "2"];
    let out = ["--no-plots", "--out", text(dir.path())];
    fails(&[&args[..], &out].concat(), 2, &["--window-size", "vt.jsonl:1", "less than 2"]);
    let output = headprof(&[&args[..], &out, &["--methods", "full"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}

/// What ends an answer to samsum is not its first token, as in the reference.
#[test]
fn rules_of_a_data_set_about_ends_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("samsum.jsonl");
    write_rows(&data, &[row("samsum", "1")]);
    let lengths = dir.path().join("lengths.json");
    fs::write(&lengths, r#"{"samsum": 2}"#).unwrap();
    let (data, lengths) = (text(&data).to_owned(), text(&lengths).to_owned());
    let args = ["--task", "longbench", "--task-data", &data, "--prompts", &lengths];
    let run = Evaluated::new(dir, &args);
    let results = run.results();
    let prompt = &results["prompt"];
    let samsum = json!(["samsum"]);
    assert_eq!((&prompt["line_break_ends"], &prompt["never_empty"]), (&samsum, &samsum));
    assert!(longbench().results()["prompt"].get("never_empty").is_none());
    // The most likely first token is a line break. What transformers answers with min_length:
    let full = run.answers().into_iter().find(|a| a["method"] == "full").unwrap();
    assert_eq!(full["answer"].as_str().unwrap().trim(), "travelled from");
    run.wide_budgets_change_nothing(1);
}

/// Told before the weights are read: the model has none.
/// The folder as distributed has data sets that cannot be scored here.
#[test]
fn a_folder_leaves_out_what_cannot_be_scored_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write_rows(&dir.path().join("hotpotqa.jsonl"), &[row("hotpotqa", "1")]);
    write_rows(&dir.path().join("vcsum.jsonl"), &[row("vcsum", "1"), row("vcsum", "2")]);
    let out = dir.path().join("out");
    let output = headprof(&[
        "evaluate",
        "--task",
        "longbench",
        "--task-data",
        text(dir.path()),
        "--methods",
        "full",
        "--max-prompt-tokens",
        "120",
        "--no-plots",
        "--out",
        text(&out),
    ]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("2 rows of vcsum are left out"), "{said}");
    let results: Value =
        serde_json::from_str(&fs::read_to_string(out.join("evaluate.json")).unwrap()).unwrap();
    assert_eq!(results["prompts"], 1);
}

#[test]
fn bad_rows_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    let mut wrong = row("hotpotqa", "2");
    wrong["answers"] = "at noon".into();
    write_rows(&path("wrong.jsonl"), &[row("hotpotqa", "1"), wrong]);
    write_rows(&path("unknown.jsonl"), &[row("hotpotqa", "1"), row("hotpot", "2")]);
    write_rows(&path("words.jsonl"), &[row("dureader", "1")]);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arrow/stream.arrow");
    let arrow = fs::read(fixture).unwrap();
    fs::write(path("cut.arrow"), &arrow[..arrow.len() / 2]).unwrap();
    fs::create_dir(path("empty")).unwrap();
    fs::write(path("vt.jsonl"), r#"{"index": 0, "input": "x", "length": 3}"#).unwrap();
    fs::write(path("cwe.jsonl"), r#"{"index": 0, "input": "", "outputs": ["x"]}"#).unwrap();
    let out = path("out");
    let refuses = |task: &str, data: &str, code: i32, says: &[&str]| {
        let data = path(data);
        let task = ["evaluate", "--task", task, "--task-data", text(&data), "--out", text(&out)];
        fails(&[&task[..], &["--model", "/no/such/model"]].concat(), code, says);
    };
    refuses("longbench", "wrong.jsonl", 3, &["wrong.jsonl:2: answers", "a list of strings"]);
    refuses("longbench", "unknown.jsonl", 3, &["unknown.jsonl:2", "no such data set", "hotpotqa"]);
    refuses("longbench", "words.jsonl", 3, &["words.jsonl:1", "Chinese words"]);
    refuses("longbench", "cut.arrow", 3, &["cut.arrow"]);
    refuses("longbench", "empty", 3, &["empty", "no .jsonl file"]);
    refuses("longbench", "missing.jsonl", 3, &["missing.jsonl"]);
    refuses("longbench:lcc", "unknown.jsonl", 3, &["no row of lcc"]);
    refuses("ruler", "vt.jsonl", 3, &["vt.jsonl:1", "outputs"]);
    refuses("ruler", "cwe.jsonl", 3, &["cwe.jsonl:1", "nothing in its column input"]);
    refuses("ruler", "wrong.jsonl", 3, &["wrong.jsonl", "does not say"]);
    refuses("longbench:hotpot", "wrong.jsonl", 2, &["--task", "hotpot"]);
    refuses("ruler:niah", "vt.jsonl", 2, &["--task", "niah_single_1"]);
    refuses("longbensch", "wrong.jsonl", 2, &["--task", "longbench"]);
}

#[test]
fn what_does_not_fit_is_told_before_the_weights_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("hotpotqa.jsonl");
    write_rows(&data, &[row("hotpotqa", "1")]);
    let out = ["evaluate", "--no-plots", "--out", text(dir.path())];
    let refuses = |args: &[&str], says: &[&str]| fails(&[&out[..], args].concat(), 2, says);
    let longbench = ["--task", "longbench", "--task-data", text(&data)];
    refuses(
        &[&longbench[..], &["--max-prompt-tokens", "8"]].concat(),
        &["--window-size", "hotpotqa.jsonl:1", "than 8"],
    );
    refuses(&[&longbench[..], &["--max-prompt-tokens", "5000"]].concat(), &["4096"]);
    refuses(&["--task", "ruler:niah_single_2", "--lengths", "20"], &["niah_single_2", "at least"]);
    refuses(&["--task", "ruler:niah_single_2", "--lengths", "8k"], &["max_position_embeddings"]);
    assert!(!dir.path().join("evaluate.json").exists());
}
