//! `headprof cluster`: what is printed is run, with a program in headprof's place that says how it
//! was started.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::claims::read;
use super::{fails, headprof, stderr, text};

/// Words that shells, sbatch and YAML like to change.
const ODD: &str = "it's \"a\" $HOME `exit 7` $(exit 7) {} {.} \\ * # ; & |\nnext: line";

/// A program whose name has a space, and which prints its words, each before a NUL, and then the
/// number of shards it finds.
fn program(dir: &Path) -> PathBuf {
    let path = dir.join("head prof");
    let script = "#!/bin/sh\nprintf '%s\\0' \"$@\"; printf 'of %s' \"$HEADPROF_SHARDS\"\n";
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[track_caller]
fn printed(args: &[&str]) -> String {
    let output = headprof(&[&["cluster"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Lets bash check a script, then run it with `args` and the environment of no engine but this.
#[track_caller]
fn bash(dir: &Path, script: &str, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let file = dir.join("script.sh");
    fs::write(&file, script).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&file).output().unwrap();
    assert!(checked.status.success(), "{script}\n{}", stderr(&checked));
    let mut bash = Command::new("bash");
    bash.arg(&file).args(args).envs(variables.iter().copied()).env_remove("HEADPROF_SHARDS");
    bash.output().unwrap()
}

/// What [`program`] prints of these words.
fn said(words: &[&str], shards: usize) -> String {
    words.iter().map(|word| format!("{word}\0")).collect::<String>() + &format!("of {shards}")
}

#[track_caller]
fn prints(output: &Output, expected: &str) {
    assert!(output.status.success(), "{}", stderr(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn a_script_for_slurm_starts_the_shard_with_the_words_that_were_given() {
    let dir = tempfile::tempdir().unwrap();
    let program = program(dir.path());
    let start = ["slurm", "--shards", "3", "--program", text(&program), "--time", "1:00", "--"];
    let options = ["evaluate", "--model", ODD, "--out", "a b"];
    let script = printed(&[&start[..], &options].concat());
    let output = bash(dir.path(), &script, &[], &[]);
    prints(&output, &said(&[&options[..], &["--shard", "auto"]].concat(), 3));
    // sbatch reads its lines up to the first that is no comment.
    let head = script.lines().take_while(|line| line.is_empty() || line.starts_with('#'));
    let directives: Vec<&str> = head.filter(|line| line.starts_with("#SBATCH ")).collect();
    let all = script.lines().filter(|line| line.starts_with("#SBATCH ")).count();
    assert_eq!(directives.len(), all);
    for line in ["--array=1-3", "--time=1:00", "--signal=B:TERM@60", "--requeue"] {
        assert!(directives.contains(&&format!("#SBATCH {line}")[..]), "{line}: {script}");
    }
}

#[test]
fn the_docs_show_the_script_that_their_command_prints() {
    let start = ["slurm", "--shards", "8", "--time", "2:00:00", "--gpus-per-task", "1", "--"];
    let options = ["--model", "models/Llama-3.2-1B", "--device", "cuda", "--lengths", "1k,2k,4k"];
    let docs = read("docs/cluster.md");
    let command = format!("headprof cluster {} \\\n", start[..start.len() - 1].join(" "));
    let behind = format!("    -- {} --out results >job.sh\n", options.join(" "));
    assert!(docs.contains(&(command + &behind)));
    let script = printed(&[&start[..], &options, &["--out", "results"]].concat());
    assert!(docs.contains(&format!("```sh\n{script}```\n")), "{script}");
}

#[test]
fn the_merge_in_the_comment_is_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let program = program(dir.path());
    let out = "o'u\nt $x";
    let start = ["slurm", "--shards", "2", "--program", text(&program), "--", "--out", out];
    let script = printed(&start);
    // `sbatch --dependency=… --wrap COMMAND` gives COMMAND to a shell.
    let comment = script.split_once("sbatch --dependency=afterany:JOBID --wrap ").unwrap().1;
    let lines = comment.split_once("\n# While").unwrap().0.replace("\n#   ", "\n");
    let output = bash(dir.path(), &format!("sh -c {lines}\n"), &[], &[]);
    prints(&output, &said(&["merge", out], 2).replace("of 2", "of "));
}

#[test]
fn a_plain_script_runs_the_shard_that_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let program = program(dir.path());
    let start = ["plain", "--shards", "3", "--program", text(&program), "--"];
    let options = ["--model", ODD, "--out", "results"];
    let script = printed(&[&start[..], &options].concat());
    for (args, shard) in [(&["2"][..], "2/3"), (&[], "auto")] {
        let output = bash(dir.path(), &script, args, &[]);
        prints(&output, &said(&[&options[..], &["--shard", shard]].concat(), 3));
    }
    // Every form that is in the comment runs this file.
    for form in ["for i in $(seq 3); do bash FILE $i; done", "::: $(seq 3)", "--array 1-3"] {
        assert!(script.contains(form), "{form}: {script}");
    }
    let looped = script.lines().find_map(|line| line.strip_prefix("#   for ")).unwrap();
    let looped = format!("for {}", looped.replace("FILE", text(&dir.path().join("one.sh"))));
    fs::write(dir.path().join("one.sh"), &script).unwrap();
    let shards = ["1/3", "2/3", "3/3"];
    let each = shards.map(|shard| said(&[&options[..], &["--shard", shard]].concat(), 3));
    prints(&bash(dir.path(), &looped, &[], &[]), &each.concat());
}

#[test]
fn a_manifest_is_printed() {
    let start = ["kubernetes", "--shards", "3", "--image", "example.org/headprof:1", "--"];
    let text = printed(&[&start[..], &["--model", "$(HOME)", "--out", "results"]].concat());
    for part in [
        "kind: Job\n",
        "  completionMode: Indexed\n  completions: 3\n",
        "            - \"$$(HOME)\"\n",
        "            - \"--shard\"\n            - \"auto\"\n",
        "            - name: HEADPROF_SHARDS\n              value: \"3\"\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_no_shard_would_take_is_refused_before_anything_is_printed() {
    let start = ["cluster", "slurm", "--shards", "3"];
    let cases: [(&[&str], &[&str]); 7] = [
        (&["--", "--shard", "1/3"], &["the script says the shard by itself", "leave --shard out"]),
        (&["--", "--shard=auto"], &["the script says the shard"]),
        (&["--", "--modle", "x"], &["does not understand", "--modle"]),
        (&["--", "verify", "x"], &["cannot be divided", "verify"]),
        (&["--", "--dry-run"], &["cannot be divided", "--dry-run"]),
        (&["--partition", "a b", "--"], &["a line of #SBATCH", "--partition"]),
        (&["--at-once", "0", "--"], &["--at-once"]),
    ];
    for (options, says) in cases {
        let output = headprof(&[&start[..], options].concat());
        assert!(output.stdout.is_empty(), "{options:?}");
        fails(&[&start[..], options].concat(), 2, says);
    }
    fails(&["cluster", "plain", "--shards", "0"], 2, &["--shards", "1 to 100000"]);
    fails(&["cluster", "kubernetes", "--shards", "3"], 2, &["--image"]);
    let image = ["cluster", "kubernetes", "--shards", "3", "--image", "i"];
    let beside = ["--", "--out", "/tmp/x"];
    fails(&[&image[..], &beside].concat(), 2, &["gone with their pod", "/tmp/x"]);
}
