//! Shards, and what puts them together.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{BINARY, GRID, Place, answers, ended, fails, files_in, headprof, scores, stderr, text};

/// Runs all shards, one after the other, and puts them together.
fn sharded(place: &Place, out: &str, n: usize) -> Output {
    for i in 1..=n {
        let shard = format!("{i}/{n}");
        let output = place.profile(out, &["--shard", &shard]);
        assert!(output.status.success(), "{}", stderr(&output));
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains(&format!("shard {shard} is done")), "{told}");
        assert!(told.contains("headprof merge "), "{told}");
        assert_eq!(files_in(&place.out(out)), ["journal"]);
    }
    headprof(&["merge", text(&place.out(out)), "--no-plots"])
}

#[test]
fn merged_shards_have_the_bytes_of_one_process() {
    let place = Place::new();
    assert!(place.profile("whole", &[]).status.success());
    let whole = scores(&place.out("whole"));
    for n in [1, 2, 3, 7] {
        let out = format!("shards{n}");
        let merged = sharded(&place, &out, n);
        assert!(merged.status.success(), "{}", stderr(&merged));
        assert_eq!(scores(&place.out(&out)), whole, "{n} shards");
        // Again: the same.
        let again = headprof(&["merge", text(&place.out(&out)), "--no-plots", "--quiet"]);
        assert!(again.status.success() && again.stdout.is_empty());
        assert_eq!(scores(&place.out(&out)), whole);
    }
    // And without the sharing of beginnings.
    let other = ["--prefix-reuse", "off"];
    assert!(place.profile("off", &other).status.success());
    for i in ["1/2", "2/2"] {
        let shard = [&other[..], &["--shard", i]].concat();
        assert!(place.profile("off2", &shard).status.success());
    }
    let out = place.out("off2");
    assert!(headprof(&["merge", text(&out), "--no-plots"]).status.success());
    assert_eq!(scores(&out), scores(&place.out("off")));
}

#[test]
fn merged_shards_of_an_evaluation_have_its_answers() {
    let place = Place::new();
    assert!(place.evaluate("whole", &[]).status.success());
    for i in ["2/3", "1/3", "3/3"] {
        let output = place.evaluate("shards", &["--shard", i]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let out = place.out("shards");
    let merged = headprof(&["merge", text(&out)]);
    assert!(merged.status.success(), "{}", stderr(&merged));
    assert_eq!(answers(&out), answers(&place.out("whole")));
    assert!(out.join("evaluate.md").is_file() && out.join("plots").is_dir());
    let csv = |out: &Path| -> Vec<String> {
        // The last three columns are times.
        let text = fs::read_to_string(out.join("evaluate.csv")).unwrap();
        let cells = text.lines().map(|line| line.rsplitn(4, ',').last().unwrap().to_owned());
        cells.collect()
    };
    assert_eq!(csv(&out), csv(&place.out("whole")));
}

#[test]
fn utility_curves_go_on_and_are_merged_to_the_same_file() {
    let place = Place::new();
    let grid = ["utility", "--lengths", "128", "--depths", "0.2,0.8", "--gate", "none"];
    let grid = [&grid[..], &["--max-new-tokens", "4", "--needles", text(&place.needles)]].concat();
    let run = |out: &Path, extra: &[&str]| {
        let output = headprof(&[&grid[..], &["--out", text(out)], extra].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let (whole, shards) = (place.out("whole"), place.out("shards"));
    run(&whole, &[]);
    assert!(run(&whole, &[]).contains("nothing is run again"));
    run(&shards, &["--shard", "1/2"]);
    fails(&["merge", text(&shards)], 6, &["shard 2/2", "--shard 2/2"]);
    run(&shards, &["--shard", "2/2"]);
    assert!(headprof(&["merge", text(&shards)]).status.success());
    let name = "head_score/needle-llama_window_utility.json";
    assert_eq!(fs::read(shards.join(name)).unwrap(), fs::read(whole.join(name)).unwrap());
}

/// A missing shard is named with the command that makes it; nothing is written before.
#[test]
fn a_merge_says_what_is_missing_and_how_to_make_it() {
    let place = Place::new();
    for i in ["1/3", "3/3"] {
        assert!(place.profile("out", &["--shard", i]).status.success());
    }
    let out = place.out("out");
    let merge = ["merge", text(&out), "--no-plots"];
    let output = headprof(&merge);
    ended(&output, 6, &["not complete", "shard 2/3", "--shard 2/3", "--repeats 3"]);
    assert_eq!(files_in(&out), ["journal"]);
    // The command that is told does it.
    let told = stderr(&output);
    let line = told.lines().find(|line| line.contains("--shard 2/3")).unwrap();
    let command = line.trim_start().trim_start_matches("try").trim();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let made = headprof(&words);
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(headprof(&merge).status.success());
    fails(&["merge", text(&place.out("nothing"))], 2, &["no run to put together"]);
    fails(&["--shard", "2/3", "--fresh"], 2, &["--fresh"]);
    fails(&["--shard", "4/3"], 2, &["--shard"]);
    fails(&["--shard", "auto"], 2, &["--shard auto", "SLURM_ARRAY_TASK_ID"]);
}

/// The array task of a cluster says which shard it is.
#[test]
fn the_environment_says_which_shard_it_is() {
    let place = Place::new();
    let out = place.out("out");
    for (name, value) in [("HEADPROF_SHARD", "1/2"), ("SLURM_ARRAY_TASK_ID", "2")] {
        let mut command = Command::new(BINARY);
        command.args(place.args(&GRID, &out)).env(name, value);
        if name.starts_with("SLURM") {
            command.args(["--shard", "auto"]).env("HEADPROF_SHARDS", "2");
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
    }
    assert!(headprof(&["merge", text(&out), "--no-plots"]).status.success());
}
