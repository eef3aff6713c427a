//! `headprof sensitivity`: the runs, what their files say, going on, mistakes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use super::{ended, fails, files_in, headprof, needles, stderr, text};

/// Two needles x one length x three depths x two repetitions.
struct Small {
    dir: tempfile::TempDir,
    needles: PathBuf,
}

impl Small {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let needles = needles(dir.path());
        Self { dir, needles }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn profile(&self, command: &[&str], out: &str, extra: &[&str]) -> Output {
        let out = self.at(out);
        let mut args = command.to_vec();
        args.extend(["--needles", text(&self.needles), "--lengths", "192", "--gate", "none"]);
        args.extend(["--depths", "0.1,0.5,0.9", "--repeats", "2", "--max-new-tokens", "3"]);
        args.extend(["--scores", "retrieval_reasoning,inf", "--out", text(&out)]);
        args.extend(extra);
        headprof(&args)
    }

    fn run(&self, out: &str, extra: &[&str]) -> Output {
        let output = self.profile(&["sensitivity"], out, extra);
        assert!(output.status.success(), "{}", stderr(&output));
        output
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A factor of the first score.
fn factor<'a>(found: &'a Value, name: &str) -> &'a Value {
    let factors = found["scores"][0]["factors"].as_array().unwrap();
    factors.iter().find(|factor| factor["factor"] == name).unwrap()
}

/// Rank of every value; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |v: &f64| {
        let below = values.iter().filter(|other| *other < v).count() as f64;
        let equal = values.iter().filter(|other| *other == v).count() as f64;
        below + (equal - 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let moment = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    moment(&a, &b) / (moment(&a, &a) * moment(&b, &b)).sqrt()
}

/// The lists of a score file, one per head.
fn lists(out: &Path, score: &str) -> Vec<Vec<f64>> {
    let name = format!("head_score/needle-llama_{score}_heads.json");
    let lists: BTreeMap<String, Vec<f64>> = serde_json::from_value(json(&out.join(name))).unwrap();
    lists.into_values().collect()
}

/// Means over the probes of which `is` holds, in f32 as the program has them.
fn means(lists: &[Vec<f64>], is: impl Fn(usize) -> bool) -> Vec<f64> {
    let mean = |list: &Vec<f64>| {
        let own: Vec<f64> = (0..list.len()).filter(|&i| is(i)).map(|i| list[i]).collect();
        f64::from((own.iter().sum::<f64>() / own.len() as f64) as f32)
    };
    lists.iter().map(mean).collect()
}

#[test]
fn what_is_told_follows_from_the_files_of_the_profiles() {
    let small = Small::new();
    let output = small.run("out", &["--score", "inf"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.starts_with("needle-llama · inf · "), "{told}");
    assert!(told.contains("by chance") && told.contains("one length (192)"), "{told}");
    let out = small.at("out");
    let folders = ["base", "plots", "rows-decode", "rows-last-prompt"];
    let files = ["sensitivity.csv", "sensitivity.json", "top-k-20", "top-k-5"];
    // The embedded model has no chat template, which is told; every answer counts, so that no other
    // gate needs a run.
    assert_eq!(files_in(&out), [&folders[..], &files[..]].concat());
    let stem = "needle-llama_inf_sensitivity";
    assert_eq!(files_in(&out.join("plots")), [format!("{stem}.png"), format!("{stem}.svg")]);
    let found = json(&out.join("sensitivity.json"));
    assert_eq!(
        (found["model"].as_str(), found["draws"].as_u64()),
        (Some("needle-llama"), Some(200))
    );
    let note = |name: &str| factor(&found, name)["note"].as_str().unwrap_or_default().to_owned();
    assert!(note("length").contains("nothing to compare"), "{}", note("length"));
    assert!(note("chat").contains("no chat template"), "{}", note("chat"));

    // One correlation of a depth, computed anew from the score file and the probes beside it.
    let base = out.join("base");
    // Nobody asked for pages of the runs, or for the looks on them.
    for run in [&base, &out.join("top-k-5")] {
        assert!(!run.join("report.html").exists() && !run.join("look").exists());
    }
    let probes = fs::read_to_string(base.join("probes.jsonl")).unwrap();
    let probes: Vec<Value> =
        probes.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let inf = lists(&base, "inf");
    assert_eq!(inf[0].len(), probes.len());
    let depths = factor(&found, "depth")["levels"].as_array().unwrap();
    assert_eq!(depths.len(), 3);
    for level in depths {
        let depth: f64 = level["level"].as_str().unwrap().parse().unwrap();
        let is = |i: usize| probes[i]["depth_asked"] == depth;
        assert_eq!(
            level["probes"].as_u64().unwrap() as usize,
            (0..probes.len()).filter(|&i| is(i)).count()
        );
        let expected = spearman(&means(&inf, is), &means(&inf, |i| !is(i)));
        let rho = level["rho"].as_f64().unwrap();
        assert!((rho - expected).abs() < 1e-9, "{depth}: {rho} {expected}");
        let chance = &level["chance"];
        let [low, mean, high] =
            ["rho_low", "rho_mean", "rho_high"].map(|key| chance[key].as_f64().unwrap());
        assert!(low <= mean && mean <= high, "{chance}");
        assert_eq!(level["differs"].as_bool(), Some(rho < low));
    }
    // One of a variant, against the base.
    let level = &factor(&found, "top-k")["levels"][1];
    let wide = lists(&out.join("top-k-20"), "inf");
    let expected = spearman(&means(&wide, |_| true), &means(&inf, |_| true));
    assert_eq!(level["level"], "20");
    assert!((level["rho"].as_f64().unwrap() - expected).abs() < 1e-9, "{level} {expected}");
    let runs = found["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1 + 4);
    assert_eq!(runs[2]["changed"], "--top-k-infscore 20");
    assert_eq!(fs::read_to_string(out.join("sensitivity.csv")).unwrap().lines().count(), 1 + 13);

    // The same command runs nothing again and says the same; the base is an ordinary profile.
    let without_times = |mut found: Value| {
        found.as_object_mut().unwrap().remove("run");
        found.as_object_mut().unwrap().remove("command");
        found
    };
    let again = small.run("out", &["--score", "inf"]);
    let notes = stderr(&again);
    assert_eq!(notes.matches("nothing is run again").count(), 5, "{notes}");
    let second = json(&out.join("sensitivity.json"));
    assert_eq!(without_times(second), without_times(found.clone()));
    let base = small.profile(&[], "out/base", &[]);
    assert!(stderr(&base).contains("nothing is run again"), "{}", stderr(&base));
    // Without the model, of all that is there.
    let from = headprof(&["sensitivity", "--from", text(&out), "--score", "inf", "--json", "-q"]);
    assert!(from.status.success(), "{}", stderr(&from));
    let told: Value = serde_json::from_slice(&from.stdout).unwrap();
    for name in ["needle", "depth", "gate", "top-k", "rows"] {
        assert_eq!(factor(&told, name), factor(&found, name), "{name}");
    }
}

/// Some answers pass, some do not: what other gates would have let through is judged anew.
#[test]
fn gates_are_judged_from_the_answers_of_one_more_run() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let grid = ["--lengths", "256", "--depths", "0.2,0.8", "--no-plots", "--gate", "exact"];
    let vary = ["--vary", "gate,needle", "--scores", "retrieval_reasoning", "--out", text(&out)];
    let output = headprof(&[&["sensitivity"][..], &grid, &vary].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(files_in(&out), ["base", "gate-none", "sensitivity.csv", "sensitivity.json"]);
    let found = json(&out.join("sensitivity.json"));
    let factors = found["scores"][0]["factors"].as_array().unwrap();
    assert_eq!(factors.len(), 2);
    let gate = factor(&found, "gate");
    assert_eq!(gate["base"], "exact");
    let probes = |name: &str| {
        let levels = gate["levels"].as_array().unwrap();
        levels.iter().find(|l| l["level"] == name).unwrap()["probes"].as_u64().unwrap()
    };
    let runs = &found["runs"];
    assert_eq!(probes("none"), runs[1]["accepted"].as_u64().unwrap());
    let accepted = runs[0]["accepted"].as_u64().unwrap();
    // What is exact has all words; ROUGE lets more through than F1, which lets more than `exact`.
    let [rouge, f1] = ["rouge > 0.5", "f1 > 0.5"].map(probes);
    assert!(accepted <= f1 && f1 <= probes("none") && accepted <= rouge, "{gate}");
    assert!(accepted > 1 && accepted < probes("none"), "{gate}");
    let none = &gate["levels"][0];
    assert!(none["rho"].as_f64().is_some() && none["chance"]["draws"] == 200, "{none}");
}

#[test]
fn a_dry_run_says_what_would_be_run_and_writes_nothing() {
    let small = Small::new();
    let output = small.run("out", &["--score", "inf", "--dry-run"]);
    let told = String::from_utf8(output.stdout).unwrap();
    for wanted in ["base", "top-k-5", "top-k-20", "rows-decode", "chat-*", "peak memory"] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert!(!told.contains("gate-none"), "all answers count: {told}");
    assert!(!small.at("out").exists());
    // Top k and rows do not touch this score.
    let output = small.run("out", &["--dry-run", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["runs"].as_array().unwrap().len(), 2, "{told}");
    assert_eq!(told["each"]["probes"], 12);
}

#[test]
fn an_ordinary_profile_can_be_looked_at() {
    let small = Small::new();
    let output = small.profile(&[], "own", &["--no-plots"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let own = small.at("own");
    let from = headprof(&["sensitivity", "--from", text(&own), "--quiet"]);
    assert!(from.status.success() && from.stdout.is_empty(), "{}", stderr(&from));
    let found = json(&own.join("sensitivity.json"));
    assert_eq!(found["scores"][0]["score"], "retrieval_reasoning");
    assert_eq!(found["runs"].as_array().unwrap().len(), 1);
    assert!(factor(&found, "needle")["levels"][0]["rho"].as_f64().is_some());
    let note = |name: &str| factor(&found, name)["note"].as_str().unwrap().to_owned();
    assert!(note("chat").contains("not run"), "{}", note("chat"));
    assert!(note("top-k").contains("does not depend"), "{}", note("top-k"));

    // Scores of other probes, a line that is none, and no profile at all.
    let probes = own.join("probes.jsonl");
    let lines = fs::read_to_string(&probes).unwrap();
    let (first, rest) = lines.split_once('\n').unwrap();
    let look = || headprof(&["sensitivity", "--from", text(&own), "--no-plots"]);
    fs::write(&probes, rest).unwrap();
    ended(&look(), 3, &["not those of the probes", "probes.jsonl"]);
    fs::write(&probes, format!("{first}\n{{}}\n")).unwrap();
    ended(&look(), 3, &["probes.jsonl:2"]);
    fs::write(&probes, lines.replace("\"accepted\"", "\"rejected\"")).unwrap();
    ended(&look(), 6, &["no accepted probe"]);
    fs::remove_file(&probes).unwrap();
    ended(&look(), 3, &["probes.jsonl"]);
}

#[test]
fn a_variant_of_another_base_is_refused() {
    let small = Small::new();
    small.run("out", &["--vary", "rows", "--score", "inf", "--no-plots"]);
    let other = small.profile(&[], "out/rows-decode", &["--seed", "5", "--fresh", "--no-plots"]);
    assert!(other.status.success(), "{}", stderr(&other));
    let out = small.at("out");
    fails(&["sensitivity", "--from", text(&out), "--score", "inf"], 3, &["rows-decode", "grid"]);
    // Nor does a run of other options go on there.
    let again = small.profile(&["sensitivity"], "out", &["--vary", "rows", "--seed", "5"]);
    ended(&again, 2, &["seed", "--fresh"]);
}

#[test]
fn mistakes_are_told_before_anything_is_run() {
    let small = Small::new();
    let refused = |extra: &[&str], code: i32, says: &[&str]| {
        ended(&small.profile(&["sensitivity"], "out", extra), code, says);
        assert!(!small.at("out").exists(), "{extra:?}");
    };
    refused(&["--vary", "needle,weather"], 2, &["--vary", "weather", "top-k"]);
    refused(&["--vary", ","], 2, &["--vary", "empty"]);
    refused(&["--score", "inv"], 2, &["--score", "inv"]);
    refused(&["--score", "lazy"], 2, &["--score", "lazy", "retrieval_reasoning, inf"]);
    refused(&["--shard", "1/2"], 2, &["--shard", "--from"]);
    refused(&["--until-stable"], 2, &["--until-stable"]);
    refused(&["--top-k-infscore", "0"], 2, &["--top-k-infscore"]);
    refused(&["--from", "there"], 2, &["--from"]);
    let nowhere = small.at("nowhere");
    fails(&["sensitivity", "--from", text(&nowhere)], 2, &["--from", "nowhere"]);
    assert!(!nowhere.exists());
}
