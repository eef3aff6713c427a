//! Disks that are full or read-only, and readers that leave.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{
    BINARY, GRID, PROBES, Place, ended, fails, files_in, finished, headprof, scores, stderr, text,
};

/// A file system of a few hundred KiB; none where the tests may not mount one.
#[cfg(target_os = "linux")]
struct Small(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Small {
    fn new(kib: usize) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k");
        let args = ["-t", "tmpfs", "-o", &size, "tmpfs", text(dir.path())];
        let mounted = Command::new("mount").args(args).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(dir))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// While probes are journaled, and while results are written: exit code 5, nothing half written,
/// and it goes on when there is space again.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing() {
    let place = Place::new();
    assert!(place.profile("whole", &[]).status.success());
    let whole = scores(&place.out("whole"));
    let needed = fs::metadata(place.journal("whole", "profile")).unwrap().len() / 1024;
    let Some(disk) = Small::new(needed as usize + 400) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let out = disk.0.path().join("out");
    let filler = disk.0.path().join("filler");
    let fill = |leave_kib: u64| {
        let _ = fs::remove_file(&filler);
        let taken = used_kib(disk.0.path()) + leave_kib;
        let left = (needed + 400).saturating_sub(taken);
        fs::write(&filler, vec![7; (left * 1024) as usize]).unwrap();
    };
    let run = || headprof(&place.args(&GRID, &out));
    // Room for the plan and about half of the journal.
    fill(needed / 2 + 32);
    let output = run();
    ended(&output, 5, &["the journal cannot be written", "free some disk space"]);
    let journal = out.join("journal/profile/1-of-1.jsonl");
    let kept = finished(&journal);
    assert!((1..PROBES).contains(&kept), "{kept}");
    // Room for the rest, but for few of the results.
    fill(needed - fs::metadata(&journal).unwrap().len() / 1024 + 32);
    let output = run();
    ended(&output, 5, &["could not be written", "free some disk space"]);
    let score_files = files_in(&out.join("head_score"));
    assert!(score_files.iter().all(|name| !name.contains("tmp")), "{score_files:?}");
    assert_eq!(finished(&journal), PROBES);
    fs::remove_file(&filler).unwrap();
    let output = run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing is run again"), "{}", stderr(&output));
    assert_eq!(scores(&out), whole);
}

#[cfg(target_os = "linux")]
fn used_kib(folder: &Path) -> u64 {
    let output = Command::new("du").args(["-sk", text(folder)]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Whoever runs as root writes everywhere but on what is mounted read-only.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder_is_told_before_the_model_is_read() {
    let Some(disk) = Small::new(100) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let root = disk.0.path();
    let remount = ["-o", "remount,ro", text(root)];
    assert!(Command::new("mount").args(remount).status().unwrap().success());
    for command in [&[][..], &["evaluate"], &["utility"]] {
        let args = [command, &["--out", text(root), "--model", "no/such/model"]].concat();
        fails(&args, 2, &["cannot be written to"]);
    }
}

/// `headprof | head -1` has read enough.
#[cfg(unix)]
#[test]
fn who_stops_reading_is_no_failure() {
    let place = Place::new();
    let out = place.out("out");
    let mut command = Command::new(BINARY);
    command.args(place.args(&GRID, &out)).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = [0; 1];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    assert!(child.wait().unwrap().success());
}
