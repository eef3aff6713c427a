//! `--until-stable`: a run that ends early, and what becomes of it later.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use super::{fails, headprof, stderr, text};

/// Six needles x two lengths x five depths, some of which fall together: steps of ten probes.
struct Grid {
    dir: tempfile::TempDir,
    needles: PathBuf,
}

impl Grid {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = ["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn"];
        let line = |(i, name): (usize, &&str)| {
            format!(
                "{{\"id\": \"{name}\", \"needle\": \"The code of {name} is {i}.\", \
                 \"question\": \"What is the code of {name}?\", \"answer\": \"{i}.\"}}\n"
            )
        };
        let needles = dir.path().join("six.jsonl");
        fs::write(&needles, names.iter().enumerate().map(line).collect::<String>()).unwrap();
        Self { dir, needles }
    }

    fn at(&self, out: &str) -> PathBuf {
        self.dir.path().join(out)
    }

    fn run(&self, out: &str, extra: &[&str]) -> Output {
        let out = self.at(out);
        let mut args = vec!["--needles", text(&self.needles), "--lengths", "128,192"];
        args.extend(["--depths", "0.1,0.3,0.5,0.7,0.9", "--gate", "none", "--max-new-tokens", "3"]);
        args.extend(["--no-plots", "--out", text(&out)]);
        args.extend(extra);
        let output = headprof(&args);
        assert!(output.status.success(), "{}", stderr(&output));
        output
    }

    fn records(&self, out: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.at(out).join("probes.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn score(out: &Path) -> PathBuf {
    out.join("head_score/needle-llama_inf_heads.json")
}

fn sidecar(out: &Path) -> Value {
    let path = score(out).with_extension("meta.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_stable_run_ends_early_and_goes_on_where_it_is_asked_to() {
    let grid = Grid::new();
    let told = grid.run("early", &["--until-stable", "0.2"]);
    let notes = stderr(&told);
    grid.run("whole", &[]);
    let all = grid.records("whole").len();
    assert!(all > 40, "{all}");
    let first = format!("10 of {all} probes");
    assert!(notes.contains(&first) && notes.contains("are not needed"), "{notes}");
    let summary = String::from_utf8(told.stdout).unwrap();
    assert!(summary.contains(&format!("stable at 20 % after 20 of {all} probes")), "{summary}");
    let records = grid.records("early");
    assert_eq!(records.len(), 20);
    // Every needle and every length is among them, in even numbers.
    let count = |key: &str, value: &Value| records.iter().filter(|r| r[key] == *value).count();
    for name in ["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn"] {
        assert!((3..=4).contains(&count("needle_id", &name.into())), "{name}");
    }
    assert_eq!([128, 192].map(|length| count("context_length", &length.into())), [10, 10]);
    let until = &sidecar(&grid.at("early"))["until_stable"];
    let planned = until["planned"].as_u64();
    assert_eq!((planned, until["reached"].as_bool()), (Some(all as u64), Some(true)));
    assert_eq!(until["steps"].as_array().unwrap().len(), 2);

    // The same again runs nothing; without the option it goes on to the whole grid, whose scores are
    // those of a run in one go.
    let bytes = fs::read(score(&grid.at("early"))).unwrap();
    assert!(stderr(&grid.run("early", &["--until-stable", "0.2"])).contains("goes on from there"));
    assert_eq!(fs::read(score(&grid.at("early"))).unwrap(), bytes);
    grid.run("early", &[]);
    assert_eq!(grid.records("early").len(), all);
    let whole = fs::read(score(&grid.at("whole"))).unwrap();
    assert_eq!(fs::read(score(&grid.at("early"))).unwrap(), whole);
    assert_eq!(sidecar(&grid.at("whole")).get("until_stable"), None);
}

#[test]
fn a_run_that_is_never_stable_runs_the_whole_grid_and_says_so() {
    let grid = Grid::new();
    let told = grid.run("never", &["--until-stable", "0.99999"]);
    let summary = String::from_utf8(told.stdout).unwrap();
    assert!(summary.contains("not stable at 99.999 %"), "{summary}");
    let until = &sidecar(&grid.at("never"))["until_stable"];
    assert_eq!(until["reached"], false);
    assert_eq!(until["planned"].as_u64(), Some(grid.records("never").len() as u64));
}

#[test]
fn what_cannot_be_stable_is_refused() {
    fails(&["--until-stable", "1"], 2, &["--until-stable", "between 0 and 1"]);
    fails(&["--until-stable", "--scores", "diligent"], 2, &["--until-stable", "diligent"]);
    fails(&["--until-stable", "nan"], 2, &["--until-stable"]);
    fails(&["--until-stable", "0.9", "--shard", "1/2"], 2, &["--until-stable", "--shard"]);
}
