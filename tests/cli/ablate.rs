//! `headprof ablate`: heads whose work is known, files, resuming, shards, mistakes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use headprof::model::planted;
use serde_json::Value;

use super::{ended, fails, files_in, headprof, needles, stderr, text};

/// The planted model with its text and needles in a folder.
struct Planted {
    dir: tempfile::TempDir,
    roles: planted::Roles,
}

impl Planted {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = planted::build(1).unwrap();
        made.save(&dir.path().join("planted")).unwrap();
        let haystack = dir.path().join("haystack");
        fs::create_dir(&haystack).unwrap();
        fs::write(haystack.join("planted.txt"), planted::haystack_text(1, 4000)).unwrap();
        // Of words that come again in the text, each followed by another word.
        let needle = |seed: u64| {
            let other = planted::haystack_text(seed + 100, 400).replace('.', "");
            let mut words: Vec<&str> = Vec::new();
            for word in other.split_whitespace() {
                if !words.contains(&word) {
                    words.push(word);
                }
            }
            let (beginning, rest) = (words[..4].join(" "), words[4..24].join(" "));
            let line = serde_json::json!({
                "id": format!("planted-{seed}"),
                "needle": format!("{beginning} {rest}."),
                "real_needle": rest,
                "question": beginning,
                "answer": rest,
            });
            format!("{line}\n")
        };
        let lines: String = (1..=5).map(needle).collect();
        fs::write(dir.path().join("needles.jsonl"), lines).unwrap();
        Self { dir, roles: made.roles }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Twenty prompts.
    fn ablate(&self, out: &str, extra: &[&str]) -> Output {
        self.ablate_at("0.1,0.4,0.6,0.9", out, extra)
    }

    /// Five prompts for each depth.
    fn ablate_at(&self, depths: &str, out: &str, extra: &[&str]) -> Output {
        let (model, haystack) = (self.at("planted"), self.at("haystack"));
        let (needles, out) = (self.at("needles.jsonl"), self.at(out));
        let mut args = vec!["ablate", "--model", text(&model), "--haystack-dir", text(&haystack)];
        args.extend(["--needles", text(&needles), "--template", "{question}", "--lengths", "1024"]);
        args.extend(["--depths", depths, "--gate", "exact", "--out", text(&out)]);
        args.extend(extra);
        headprof(&args)
    }

    /// A head_score file by which `(layer, head)` is the best.
    fn only(&self, (layer, head): (usize, usize)) -> PathBuf {
        let path = self.at(&format!("only-{layer}-{head}.json"));
        let value = |l, h| if (l, h) == (layer, head) { "1" } else { "0" };
        let all = (0..8).map(|i| format!("\"{}-{}\": [{}]", i / 4, i % 4, value(i / 4, i % 4)));
        fs::write(&path, format!("{{{}}}\n", all.collect::<Vec<_>>().join(", "))).unwrap();
        path
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Without the retrieval head, or one that it reads from, there is no answer; without any other
/// there is.
#[test]
fn a_planted_answer_needs_three_heads_and_no_other() {
    let place = Planted::new();
    let roles = &place.roles;
    let needed = [roles.previous_token, roles.second_previous, roles.retrieval];
    for head in (0..8).map(|i| (i / 4, i % 4)) {
        let (scores, name) = (place.only(head), format!("{}-{}", head.0, head.1));
        let options = ["--head-score", text(&scores), "--k", "1", "--draws", "0", "--no-plots"];
        let output = place.ablate(&name, &options);
        assert!(output.status.success(), "{}", stderr(&output));
        let found = json(&place.at(&name).join("ablate.json"));
        let rows = found["rows"].as_array().unwrap();
        let chosen: Vec<&str> = rows.iter().map(|row| row["chosen"].as_str().unwrap()).collect();
        assert_eq!(chosen, ["none", "top", "bottom"]);
        assert_eq!(rows[1]["heads"], serde_json::json!([[head.0, head.1]]));
        let accuracy = |row: usize| rows[row]["accuracy"]["mean"].as_f64().unwrap();
        let drop = rows[1]["drop"]["mean"].as_f64().unwrap();
        assert_eq!((accuracy(0), rows[0]["prompts"].as_u64()), (1.0, Some(20)));
        match needed.contains(&head) {
            true => assert!(accuracy(1) <= 0.05 && drop > 20.0, "{head:?}: {}", accuracy(1)),
            false => assert!(accuracy(1) >= 0.95 && drop < 0.5, "{head:?}: {}", accuracy(1)),
        }
        assert!(rows[1]["draws_as_low"].is_null(), "there are no draws");
        let lost = if needed.contains(&head) { 20 } else { 0 };
        assert_eq!(rows[1]["lost_and_gained"], serde_json::json!([lost, 0]), "{head:?}");
    }
}

/// The score says the same, in the form of every other score.
#[test]
fn each_head_alone_is_a_score() {
    let place = Planted::new();
    let output = place.ablate("out", &["--each"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("20 of 20 prompts") && told.contains("the answer needs 3"), "{told}");
    let scores = place.at("out/head_score");
    let name = "planted_ablation_heads";
    assert_eq!(files_in(&scores), [format!("{name}.json"), format!("{name}.meta.json")]);
    assert_eq!(files_in(&place.at("out/plots")), [format!("{name}.png"), format!("{name}.svg")]);
    let line = fs::read_to_string(scores.join(format!("{name}.json"))).unwrap();
    let lists: BTreeMap<String, Vec<f64>> = serde_json::from_str(&line).unwrap();
    assert!(lists.values().all(|list| list.len() == 20 && list.iter().all(|v| *v >= 0.0)));
    let mean =
        |head: (usize, usize)| lists[&format!("{}-{}", head.0, head.1)].iter().sum::<f64>() / 20.0;
    let roles = &place.roles;
    for head in [roles.previous_token, roles.second_previous, roles.retrieval] {
        assert!(mean(head) > 20.0, "{head:?}");
    }
    for head in roles.diffuse.iter().chain([&roles.sink, &roles.local]) {
        assert!(mean(*head) < 0.5, "{head:?}: {}", mean(*head));
    }
    // Budgets can follow it.
    let scores = scores.join(format!("{name}.json"));
    let allocated =
        headprof(&["allocate", "--method", "headkv", "--head-score", text(&scores), "--json"]);
    assert!(allocated.status.success(), "{}", stderr(&allocated));
    // Nothing that is wrong is hidden by a gate that nothing passes.
    let output = place.ablate("none", &["--each", "--max-new-tokens", "1"]);
    ended(&output, 6, &["no answer is right"]);
    assert!(!place.at("none/head_score").exists());
}

/// The masking of Retrieval_Head is that of the answer's queries; a head that copies is needed then,
/// and heads that only prepare for it in the prompt are not.
#[test]
fn heads_that_are_off_for_the_answer_alone_have_read_the_prompt() {
    let place = Planted::new();
    let accuracy = |head: (usize, usize), options: &[&str]| {
        let scores = place.only(head);
        let name = format!("{}-{}-{}", head.0, head.1, options.join(""));
        let mut all = vec!["--head-score", text(&scores), "--k", "1", "--draws", "0", "--no-plots"];
        all.extend(options);
        let output = place.ablate_at("0.5", &name, &all);
        assert!(output.status.success(), "{}", stderr(&output));
        json(&place.at(&name).join("ablate.json"))["rows"][1]["accuracy"]["mean"].as_f64().unwrap()
    };
    let retrieval = place.roles.retrieval;
    for off in ["zero", "mean", "uniform"] {
        for when in ["all", "question", "answer"] {
            let found = accuracy(retrieval, &["--off", off, "--when", when]);
            assert!(found <= 0.05, "{off} {when}: {found}");
        }
    }
    // What came two tokens before is written at the needle's own tokens while the prompt is read.
    let second = place.roles.second_previous;
    assert!(accuracy(second, &["--when", "answer"]) >= 0.95);
    assert!(accuracy(second, &["--when", "all"]) <= 0.05);
}

/// needle-llama with its own scores: every file, twice the same, and from shards.
fn small(out: &Path, needles: &Path, scores: &Path, k: &str, extra: &[&str]) -> Output {
    let mut args = vec!["ablate", "--lengths", "128", "--depths", "0.2,0.8", "--repeats", "2"];
    args.extend(["--draws", "2", "--max-new-tokens", "5", "--gate", "exact"]);
    args.extend(["--needles", text(needles), "--head-score", text(scores), "--out", text(out)]);
    args.extend(["--k", k]);
    args.extend(extra);
    headprof(&args)
}

fn scores(dir: &Path) -> PathBuf {
    let path = dir.join("scores.json");
    let one = |i: usize| format!("\"{}-{}\": [{}]", i / 8, i % 8, (i * 29 % 48) as f64 / 48.0);
    fs::write(&path, format!("{{{}}}\n", (0..48).map(one).collect::<Vec<_>>().join(", "))).unwrap();
    path
}

#[test]
fn files_are_complete_and_shards_make_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (needles, scores) = (needles(dir.path()), scores(dir.path()));
    let at = |name: &str| dir.path().join(name);
    let run = |name: &str, extra: &[&str]| {
        let output = small(&at(name), &needles, &scores, "1,4", extra);
        assert!(output.status.success(), "{}", stderr(&output));
        output
    };
    let output = run("whole", &[]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("heads off") && told.contains("random") && told.contains("bottom"));
    assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
    let files = [
        "ablate.csv",
        "ablate.json",
        "ablate.jsonl",
        "ablate.md",
        "journal",
        "plots",
        "report.html",
    ];
    assert_eq!(files_in(&at("whole")), files);
    let pictures = files_in(&at("whole/plots"));
    let stem = "needle-llama_needle_ablation";
    let names = ["accuracy", "probability"]
        .map(|what| [format!("{stem}_{what}.png"), format!("{stem}_{what}.svg")]);
    assert_eq!(pictures, names.concat());
    // Eight prompts, each with all heads on and with 2 x (best, two draws, worst) off.
    let answers = fs::read_to_string(at("whole/ablate.jsonl")).unwrap();
    assert_eq!(answers.lines().count(), 8 * (1 + 2 * 4));
    let found = json(&at("whole/ablate.json"));
    assert_eq!(found["rows"].as_array().unwrap().len(), 1 + 2 * 3);
    assert_eq!((found["off"].as_str(), found["when"].as_str()), (Some("zero"), Some("all")));

    assert!(stderr(&run("whole", &[])).contains("nothing is run again"));
    assert_eq!(fs::read_to_string(at("whole/ablate.jsonl")).unwrap(), answers);
    // Sets alone: the same answers, and the same probabilities but for rounding.
    run("alone", &["--batch", "1"]);
    let alone = fs::read_to_string(at("alone/ablate.jsonl")).unwrap();
    for (alone, together) in alone.lines().zip(answers.lines()) {
        let [alone, together] =
            [alone, together].map(|line| -> Value { serde_json::from_str(line).unwrap() });
        assert_eq!(alone["answer"], together["answer"]);
        let [a, b] = [alone, together].map(|line| line["log_probability"].as_f64().unwrap());
        assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{a} {b}");
    }
    run("shards", &["--shard", "2/2"]);
    fails(&["merge", text(&at("shards"))], 6, &["shard 1/2"]);
    run("shards", &["--shard", "1/2"]);
    assert!(headprof(&["merge", text(&at("shards"))]).status.success());
    for file in ["ablate.jsonl", "ablate.csv", "ablate.md"] {
        let read = |folder: &str| fs::read_to_string(at(folder).join(file)).unwrap();
        assert_eq!(read("shards"), read("whole"), "{file}");
    }
    let dry = run("dry", &["--dry-run"]);
    assert!(
        String::from_utf8(dry.stdout).unwrap().contains("probes            72 "),
        "all runs are counted"
    );
    assert!(!at("dry").exists());
}

/// Scores that were made with the same needles are told.
#[test]
fn needles_that_the_scores_have_seen_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let profiled = dir.path().join("profiled");
    let mut args = vec!["--needles", text(&needles), "--lengths", "128", "--depths", "0.5"];
    args.extend([
        "--gate",
        "none",
        "--max-new-tokens",
        "3",
        "--no-plots",
        "--out",
        text(&profiled),
    ]);
    assert!(headprof(&args).status.success());
    let scores = profiled.join("head_score/needle-llama_lazy_heads.json");
    let output = small(&dir.path().join("out"), &needles, &scores, "1", &["--no-plots"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: 2 of 2 needles"), "{}", stderr(&output));
}

#[test]
fn mistakes_are_told_before_the_weights_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (needles, scores) = (needles(dir.path()), scores(dir.path()));
    let out = dir.path().join("out");
    ended(&small(&out, &needles, &scores, "25", &[]), 2, &["--k", "at most 24"]);
    ended(&small(&out, &needles, &scores, "1", &["--each"]), 2, &["--each", "--head-score"]);
    let other = dir.path().join("other.json");
    fs::write(&other, "{\"0-0\": [1]}\n").unwrap();
    ended(&small(&out, &needles, &other, "1", &[]), 3, &["other.json"]);
    let zero = dir.path().join("zero.json");
    let all: Vec<String> = (0..48).map(|i| format!("\"{}-{}\": [0]", i / 8, i % 8)).collect();
    fs::write(&zero, format!("{{{}}}\n", all.join(", "))).unwrap();
    ended(&small(&out, &needles, &zero, "1", &[]), 3, &["zero.json"]);
    // Of one head with a score three are not the best of anything.
    let one = dir.path().join("one.json");
    let value = |i: usize| format!("\"{}-{}\": [{}]", i / 8, i % 8, i / 47);
    let all: Vec<String> = (0..48).map(value).collect();
    fs::write(&one, format!("{{{}}}\n", all.join(", "))).unwrap();
    ended(&small(&out, &needles, &one, "3", &[]), 2, &["--k", "at most 1"]);
    fails(&["ablate", "--out", text(&out)], 2, &["--head-score", "--each"]);
    assert!(!out.exists());
}
