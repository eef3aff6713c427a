//! Nothing that was finished is lost: journals, resuming, locks, shards, signals, full disks.

mod disk;
mod shards;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{BINARY, ended, fails, files_in, headprof, needles, stderr, text};

/// Two needles x two lengths x two depths x three parts of the haystack; what prompts begin alike
/// with is run once, and two are answered together.
const GRID: [&str; 14] = [
    "--lengths",
    "256,512",
    "--depths",
    "0.2,0.8",
    "--repeats",
    "3",
    "--gate",
    "none",
    "--max-new-tokens",
    "5",
    "--batch",
    "2",
    "--threads",
    "2",
];
const PROBES: usize = 24;

/// A place for runs of one grid.
struct Place {
    dir: tempfile::TempDir,
    needles: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let needles = needles(dir.path());
        Self { needles, dir }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn args<'a>(&'a self, command: &[&'a str], out: &'a Path) -> Vec<&'a str> {
        let mut args = command.to_vec();
        args.extend(["--needles", text(&self.needles), "--no-plots", "--out", text(out)]);
        args
    }

    fn profile(&self, out: &str, extra: &[&str]) -> Output {
        let out = self.out(out);
        headprof(&[&self.args(&GRID, &out)[..], extra].concat())
    }

    fn evaluate(&self, out: &str, extra: &[&str]) -> Output {
        let out = self.out(out);
        headprof(&[&self.args(&EVALUATE, &out)[..], extra].concat())
    }

    fn spawn(&self, command: &[&str], out: &str) -> Child {
        let out = self.out(out);
        let mut child = Command::new(BINARY);
        child.args(self.args(command, &out)).stdin(Stdio::null());
        child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("headprof runs")
    }

    fn journal(&self, out: &str, kind: &str) -> PathBuf {
        self.out(out).join("journal").join(kind).join("1-of-1.jsonl")
    }
}

const EVALUATE: [&str; 17] = [
    "evaluate",
    "--lengths",
    "128,256",
    "--depths",
    "0.2,0.8",
    "--repeats",
    "3",
    "--gate",
    "exact",
    "--max-new-tokens",
    "5",
    "--methods",
    "full,snapkv,h2o",
    "--budgets",
    "32",
    "--seed",
    "1",
];

/// What decides: the score files, all bytes, and the records without times.
fn scores(out: &Path) -> Vec<(String, Vec<u8>)> {
    let folder = out.join("head_score");
    let names = files_in(&folder).into_iter().filter(|name| name.ends_with("_heads.json"));
    let mut all: Vec<(String, Vec<u8>)> =
        names.map(|name| (name.clone(), fs::read(folder.join(&name)).unwrap())).collect();
    all.push(("probes.jsonl".to_owned(), lines_without(&out.join("probes.jsonl"), "seconds")));
    assert!(all.len() > 5, "{folder:?}");
    all
}

/// The answers of an evaluation, times apart.
fn answers(out: &Path) -> Vec<u8> {
    lines_without(&out.join("answers.jsonl"), "seconds")
}

fn lines_without(path: &Path, key: &str) -> Vec<u8> {
    let mut all = String::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove(key).expect(key);
        all.push_str(&format!("{value}\n"));
    }
    assert!(!all.is_empty());
    all.into_bytes()
}

/// Finished probes in a journal; none where there is no journal.
fn finished(journal: &Path) -> usize {
    let bytes = fs::read(journal).unwrap_or_default();
    let lines = bytes.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n"));
    lines.filter(|line| line.windows(8).any(|w| w == b"{\"done\":")).count()
}

/// Waits until `n` probes are in the journal, or the process has ended.
fn wait_for(child: &mut Child, journal: &Path, n: usize) {
    let start = Instant::now();
    while finished(journal) < n && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "{} of {n}", finished(journal));
        sleep(Duration::from_millis(1));
    }
}

#[cfg(unix)]
fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Killed with -9 wherever it is, again and again: the same scores as in one go.
#[cfg(unix)]
#[test]
fn a_killed_run_goes_on_and_has_the_same_bytes() {
    let place = Place::new();
    assert!(place.profile("whole", &[]).status.success());
    let journal = place.journal("killed", "profile");
    let mut kills = 0;
    for at in [1, 2, 5, 9, 10, 14, 19, 23] {
        let mut child = place.spawn(&GRID, "killed");
        wait_for(&mut child, &journal, at);
        kills += usize::from(child.try_wait().unwrap().is_none());
        let before = finished(&journal);
        child.kill().unwrap();
        child.wait().unwrap();
        // What was in the journal is there.
        assert!(finished(&journal) >= before);
    }
    assert!(kills > 3, "{kills}");
    // Results are absent or complete: the run has not come to them.
    assert!(files_in(&place.out("killed").join("head_score")).is_empty());
    let before = finished(&journal);
    let last = place.profile("killed", &[]);
    assert!(last.status.success(), "{}", stderr(&last));
    if before < PROBES {
        let note = format!("{before} of {PROBES} probes are in");
        assert!(stderr(&last).contains(&note), "{}", stderr(&last));
    }
    assert_eq!(finished(&journal), PROBES);
    assert_eq!(scores(&place.out("killed")), scores(&place.out("whole")));
}

#[cfg(unix)]
#[test]
fn a_killed_evaluation_goes_on_and_has_the_same_answers() {
    let place = Place::new();
    assert!(place.evaluate("whole", &[]).status.success());
    let journal = place.journal("killed", "evaluate");
    for at in [1, 4, 11, 17] {
        let mut child = place.spawn(&EVALUATE, "killed");
        wait_for(&mut child, &journal, at);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(!place.out("killed").join("evaluate.json").exists());
    let last = place.evaluate("killed", &[]);
    assert!(last.status.success(), "{}", stderr(&last));
    assert!(stderr(&last).contains("the run goes on from there"), "{}", stderr(&last));
    assert_eq!(answers(&place.out("killed")), answers(&place.out("whole")));
}

#[test]
fn the_same_command_again_runs_nothing_and_writes_the_same() {
    let place = Place::new();
    assert!(place.profile("out", &[]).status.success());
    let first = scores(&place.out("out"));
    let journal = place.journal("out", "profile");
    let bytes = fs::read(&journal).unwrap();
    fs::remove_dir_all(place.out("out").join("head_score")).unwrap();
    let again = place.profile("out", &[]);
    assert!(again.status.success());
    assert!(stderr(&again).contains("nothing is run again"), "{}", stderr(&again));
    assert_eq!((scores(&place.out("out")), fs::read(&journal).unwrap()), (first, bytes));
    // Without a model, too.
    fs::remove_dir_all(place.out("out").join("head_score")).unwrap();
    let out = place.out("out");
    let merged = headprof(&["merge", text(&out), "--no-plots"]);
    assert!(merged.status.success(), "{}", stderr(&merged));
    assert!(String::from_utf8_lossy(&merged.stdout).contains("24 of 24 probes passed"));
    assert_eq!(scores(&out).len(), 10);
}

#[test]
fn another_run_is_refused_with_what_differs_and_fresh_starts_over() {
    let place = Place::new();
    assert!(place.profile("out", &[]).status.success());
    let before = scores(&place.out("out"));
    let out = place.out("out");
    let with = |changes: &[(&str, &str)]| -> Output {
        let mut args = place.args(&GRID, &out);
        for (option, value) in changes {
            match args.iter().position(|arg| arg == option) {
                Some(at) => args[at + 1] = value,
                None => args.extend([*option, *value]),
            }
        }
        headprof(&args)
    };
    let single = place.out("single.jsonl");
    let lines = fs::read_to_string(&place.needles).unwrap();
    fs::write(&single, lines.lines().next().unwrap()).unwrap();
    let model = super::checkpoint(place.dir.path());
    for (changes, differs) in [
        (&[("--depths", "0.2,0.9")][..], "grid.depths: [0.2,0.9], there [0.2,0.8]"),
        (&[("--lengths", "256")], "grid.context_lengths: [256], there [256,512]"),
        (&[("--gate", "rouge")], "gate.name: rouge, there none"),
        (&[("--needles", text(&single))], "needles.needles: 1, there 2"),
        (&[("--model", text(&model))], "model.name: my.model-1, there needle-llama"),
        (&[("--seed", "5")], "grid.seed: 5, there 0"),
        (&[("--scores", "inf")], "scores.names"),
        (&[("--chunk", "64")], "prompt.chunk_tokens: 64, there 256"),
    ] {
        let output = with(changes);
        ended(&output, 2, &["another run of this kind", differs, "--fresh", "--out"]);
    }
    // The weights are the same, and yet it is another model.
    let mine = place.out("mine");
    let args = [&place.args(&GRID, &mine)[..], &["--model", text(&model)]].concat();
    assert!(headprof(&args).status.success());
    let config = model.join("config.json");
    let theta = fs::read_to_string(&config).unwrap().replace("10000", "30000");
    assert_ne!(theta, fs::read_to_string(&config).unwrap());
    fs::write(&config, theta).unwrap();
    ended(&headprof(&args), 2, &["another run of this kind", "model.config_sha256"]);
    // A shard of it, too.
    ended(&with(&[("--shard", "1/2")]), 2, &["a run in one piece", "no --shard"]);
    assert_eq!(scores(&place.out("out")), before);
    // Stories are another kind of run.
    let stories = ["--task", "babilong:qa1", "--samples", "2", "--lengths", "300"];
    let rest = ["--gate", "none", "--max-new-tokens", "2", "--no-plots", "--out", text(&out)];
    let output = headprof(&[&stories[..], &rest].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(files_in(&out.join("journal")), ["profile", "profile_babilong"]);
    let mut args = place.args(&GRID, &out);
    args.extend(["--fresh", "--seed", "5"]);
    assert!(headprof(&args).status.success());
    assert_ne!(scores(&place.out("out")), before);
}

/// A grid that takes minutes.
fn long(repeats: &str) -> Vec<&str> {
    let mut grid = GRID.to_vec();
    let at = grid.iter().position(|arg| *arg == "--repeats").unwrap();
    grid[at + 1] = repeats;
    grid
}

/// Interrupted: what was found so far, how to go on, exit code 130.
#[cfg(unix)]
#[test]
fn an_interrupted_run_tells_what_it_has_and_how_to_go_on() {
    let place = Place::new();
    for (out, name) in [("int", "-INT"), ("term", "-TERM")] {
        let journal = place.journal(out, "profile");
        // The command that goes on does not start over.
        let mut child = place.spawn(&[&long("900")[..], &["--fresh"]].concat(), out);
        wait_for(&mut child, &journal, 6);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let n = finished(&journal);
        let says = ["what was finished is kept", "the same command goes on from there: "];
        ended(&output, 130, &says);
        ended(&output, 130, &[&format!("{n} of "), "--repeats 900"]);
        assert!(!stderr(&output).contains("--fresh"), "{}", stderr(&output));
        assert!(told.contains(&format!("so far, of {n} of ")), "{told}");
        assert!(told.contains("The ten best heads"), "{told}");
        assert_eq!(files_in(&place.out(out)), ["journal"]);
        assert_eq!(files_in(journal.parent().unwrap()), ["1-of-1.jsonl", "plan.json"]);
        // It goes on, and is interrupted again.
        let mut child = place.spawn(&long("900"), out);
        wait_for(&mut child, &journal, n + 4);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        ended(&output, 130, &[&format!("{n} of "), "the run goes on from there"]);
        assert!(finished(&journal) >= n + 4);
    }
}

/// A shard says how much of the shard is done, and the command names the shard, also where the
/// environment did.
#[cfg(unix)]
#[test]
fn an_interrupted_shard_names_itself() {
    let place = Place::new();
    let out = place.out("out");
    let mut command = Command::new(BINARY);
    command.args(place.args(&long("900"), &out)).arg("--json").env("HEADPROF_SHARD", "2/3");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let journal = out.join("journal/profile/2-of-3.jsonl");
    wait_for(&mut child, &journal, 4);
    signal(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    let n = finished(&journal);
    ended(&output, 130, &[&format!("{n} of "), "--shard 2/3"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let line = stderr(&output);
    let own: usize = line
        .split(&format!("{n} of "))
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .and_then(|own| own.parse().ok())
        .unwrap();
    assert_eq!(told["unfinished"], own - n);
}

/// An evaluation tells its table so far; JSON is one object.
#[cfg(unix)]
#[test]
fn an_interrupted_evaluation_tells_its_table() {
    let place = Place::new();
    let journal = place.journal("out", "evaluate");
    let mut grid = EVALUATE.to_vec();
    let at = grid.iter().position(|arg| *arg == "--repeats").unwrap();
    grid[at + 1] = "900";
    let mut child = place.spawn(&[&grid[..], &["--json"]].concat(), "out");
    wait_for(&mut child, &journal, 3);
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    ended(&output, 130, &["what was finished is kept", "headprof evaluate", "goes on from there"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let n = finished(&journal);
    assert!(told["unfinished"].as_u64().unwrap() > 1000);
    assert_eq!(told["rows"].as_array().unwrap().len(), 3);
    assert_eq!(told["rows"][0]["prompts"], n);
}

/// At once, and without a lock or an empty folder.
#[cfg(unix)]
#[test]
fn a_second_signal_ends_the_run_at_once() {
    let place = Place::new();
    let journal = place.journal("out", "profile");
    let mut child = place.spawn(&long("900"), "out");
    wait_for(&mut child, &journal, 1);
    signal(&child, "-TERM");
    signal(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(files_in(&place.out("out")), ["journal"]);
    assert_eq!(files_in(journal.parent().unwrap()), ["1-of-1.jsonl", "plan.json"]);
}

#[cfg(unix)]
#[test]
fn a_second_process_is_told_who_the_first_is() {
    let place = Place::new();
    let journal = place.journal("out", "profile");
    let mut first = place.spawn(&GRID, "out");
    let pid = first.id();
    wait_for(&mut first, &journal, 1);
    // Stopped, so that it is still there.
    signal(&first, "-STOP");
    let second = place.profile("out", &[]);
    let running = first.try_wait().unwrap().is_none();
    signal(&first, "-CONT");
    let output = first.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(running, "the first was done too early");
    let pid = format!("process {pid} on ");
    ended(&second, 7, &["another process is writing here", &pid, "1-of-1.lock"]);
    // Of locks nothing is left.
    assert_eq!(files_in(journal.parent().unwrap()), ["1-of-1.jsonl", "plan.json"]);
}

/// What is damaged is said with its line; what was never finished is dropped with a note.
#[test]
fn a_damaged_journal_is_named_and_a_torn_one_goes_on() {
    let place = Place::new();
    assert!(place.profile("out", &[]).status.success());
    let before = scores(&place.out("out"));
    let journal = place.journal("out", "profile");
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, &whole[..whole.len() - 20]).unwrap();
    let output = place.profile("out", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    for part in ["the last line is not whole", "23 of 24 probes are in"] {
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    assert_eq!(scores(&place.out("out")), before);
    let mut bytes = fs::read(&journal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    let line = bytes[..middle].iter().filter(|b| **b == b'\n').count() + 1;
    let says = format!("1-of-1.jsonl:{line}");
    let output = place.profile("out", &[]);
    ended(&output, 3, &["not as it was written", &says, "--fresh"]);
    let out = place.out("out");
    fails(&["merge", text(&out)], 3, &[&says]);
    assert_eq!(fs::read(&journal).unwrap(), bytes);
}

/// A probe that failed for lack of memory costs its own scores only: the run ends with 6, the same
/// command tries it again, and then everything is as if it had never failed.
#[test]
fn a_failed_probe_is_told_left_out_and_tried_again() {
    let place = Place::new();
    assert!(place.profile("out", &[]).status.success());
    let out = place.out("out");
    let before = scores(&out);
    let journal = place.journal("out", "profile");
    let lines = fs::read_to_string(&journal).unwrap();
    let mut failed = Vec::new();
    for line in lines.lines() {
        let mut record = serde_json::from_str::<Value>(line).unwrap()["record"].take();
        if record["done"]["index"] == 7 {
            record["done"]["failed"] = true.into();
            let result = &mut record["done"]["result"];
            result["record"]["status"] = "failed".into();
            result["record"]["reason"] = "no memory left on the device".into();
            result.as_object_mut().unwrap().remove("scores").expect("scores");
        }
        failed.extend(headprof::journal::seal(record.to_string().as_bytes()));
    }
    fs::write(&journal, failed).unwrap();
    let says =
        ["some probes failed", "1 of 24", "no memory left on the device", "tries those again"];
    ended(&headprof(&["merge", text(&out), "--no-plots"]), 6, &says);
    let without = scores(&out);
    assert_eq!(without.len(), before.len());
    for ((name, before), (_, without)) in before.iter().zip(&without) {
        assert_ne!(before, without, "{name}");
    }
    let output = place.profile("out", &[]);
    ended(&output, 0, &["one probe that failed before is tried again"]);
    assert_eq!(scores(&out), before);
}

/// A failed run leaves no folders, and a folder that cannot be written to is told before the model.
#[test]
fn a_failed_run_leaves_nothing_behind() {
    let place = Place::new();
    let out = place.out("a/b");
    let args = ["--out", text(&out), "--lengths", "64", "--depths", "0.5"];
    fails(&[&args[..], &["--model", "no/such/model"]].concat(), 4, &["there is no such model"]);
    fails(&[&args[..], &["--haystack-dir", "no/such"]].concat(), 3, &["no/such"]);
    let evaluate = ["evaluate", "--out", text(&out), "--lengths", "999999"];
    fails(&evaluate, 2, &["999999"]);
    assert!(!place.out("a").exists());
    let file = place.out("file");
    fs::write(&file, "kept").unwrap();
    for command in [&[][..], &["evaluate"], &["utility"]] {
        let args = [command, &["--out", text(&file), "--model", "no/such/model"]].concat();
        fails(&args, 2, &["cannot be written to", "--out"]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
}
