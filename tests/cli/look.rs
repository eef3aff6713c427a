//! `headprof look`, and the looks of a profile.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{ended, fails, files_in, headprof, needles, records, run, stderr, text};

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Two answers of the shortest prompts, about different needles, on the page too.
#[test]
fn a_profile_looks_at_two_of_its_answers() {
    let root = run().dir.path();
    let files = files_in(&root.join("look"));
    assert_eq!(files.len(), 2);
    let records = records(run());
    let shortest = records.iter().filter(|r| r["status"] == "accepted");
    let shortest = shortest.map(|r| r["prompt_tokens"].as_u64().unwrap()).min().unwrap();
    let mut about = Vec::new();
    for file in &files {
        let look = json(&root.join("look").join(file));
        let record = records.iter().find(|r| r["id"] == look["id"]).unwrap();
        assert_eq!(
            (&record["status"], &record["prompt_tokens"]),
            (&"accepted".into(), &shortest.into())
        );
        let tokens = look["tokens"].as_array().unwrap();
        assert_eq!(tokens.len() as u64, shortest);
        let needle: Vec<usize> = serde_json::from_value(look["needle"][0].clone()).unwrap();
        let said: String =
            tokens[needle[0]..needle[1]].iter().map(|t| t.as_str().unwrap()).collect();
        let gold = record["gold"].as_str().unwrap().trim_end_matches('.').to_lowercase();
        assert!(said.to_lowercase().contains(&gold), "{said:?}, {gold:?}");
        assert_eq!(look["heads"].as_array().unwrap().len(), 3);
        let steps = look["heads"][0]["steps"].as_array().unwrap();
        assert_eq!(steps.len(), record["generated_ids"].as_array().unwrap().len());
        assert!(steps.iter().any(|step| step["max"].as_f64().unwrap() > 0.1));
        about.push(look["about"].clone());
    }
    assert_ne!(about[0], about[1]);
    let page = fs::read_to_string(root.join("report.html")).unwrap();
    assert!(page.contains("\"looks\":[{\"model\""));
}

#[test]
fn a_probe_is_looked_at_with_the_profiles_own_options() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let out = dir.path().join("out");
    let grid = ["--lengths", "96,128", "--depths", "0.5", "--gate", "none", "--no-plots"];
    let files = ["--needles", text(&needles), "--max-new-tokens", "3", "--out", text(&out)];
    let profile = [&grid[..], &files, &["--no-report"]].concat();
    ended(&headprof(&profile), 0, &[]);
    assert!(!out.join("look").exists());
    let lines = fs::read_to_string(out.join("probes.jsonl")).unwrap();
    let record: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    let id = record["id"].as_str().unwrap();

    let look = ["look", text(&out), "--probe", &id[..6], "--head", "3-1,5-7"];
    let output = headprof(&look);
    ended(&output, 0, &[]);
    let told = String::from_utf8(output.stdout).unwrap();
    for said in ["head 3-1", "head 5-7", "on the needle", id, "report.html"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    let output = headprof(&[&look[..], &["--json"]].concat());
    let look: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&look["id"], &look["answer"]), (&record["id"], &record["answer"]));
    assert_eq!((&look["heads"][1]["layer"], &look["heads"][1]["head"]), (&5.into(), &7.into()));
    assert!(out.join(format!("look/needle-llama_{id}.json")).is_file());
    // By its needle, and the best heads.
    let by_needle =
        ["look", text(&out), "--probe", record["needle_id"].as_str().unwrap(), "--json"];
    let output = headprof(&by_needle);
    let look: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e} {}", stderr(&output)));
    assert_eq!(look["heads"].as_array().unwrap().len(), 3);

    let at = ["look", text(&out)];
    let with = |more: &[&'static str]| [&at[..], more].concat();
    fails(&with(&["--probe", "zzz"]), 2, &["--probe zzz", "probes.jsonl"]);
    fails(&with(&["--head", "3"]), 2, &["--head", "18-6"]);
    fails(&with(&["--head", "6-0"]), 2, &["no such head", "5-7"]);
    fails(&["look", text(dir.path())], 2, &["no finished profile"]);
    // Counts alone have no best head.
    let counts = dir.path().join("counts");
    let files = ["--needles", text(&needles), "--max-new-tokens", "3", "--out", text(&counts)];
    let profile = [&grid[..], &files, &["--no-report", "--scores", "diligent"]].concat();
    ended(&headprof(&profile), 0, &[]);
    fails(&["look", text(&counts)], 2, &["--head", "none is the best"]);
    assert!(!counts.join("look").exists());
    // What the plan says of gates and libraries is not followed: nothing is loaded.
    let plan_path = out.join("journal/profile/plan.json");
    let mut plan = json(&plan_path);
    let command = plan["facts"]["command"].as_array_mut().unwrap();
    let gate = command.iter().position(|word| word == "--gate").unwrap() + 1;
    command[gate] = "semantic".into();
    command.extend(["--gate-model", "nowhere", "--onnxruntime", "no.so"].map(Value::from));
    fs::write(&plan_path, plan.to_string()).unwrap();
    ended(&headprof(&[&at[..], &["--head", "3-1"]].concat()), 0, &[]);
    // Other needles than those of the profile.
    let changed =
        fs::read_to_string(&needles).unwrap().replacen("\"needle\": \"", "\"needle\": \"Now ", 1);
    assert_ne!(changed, fs::read_to_string(&needles).unwrap());
    fs::write(&needles, changed).unwrap();
    fails(&at, 2, &["another run", "needles"]);
}
