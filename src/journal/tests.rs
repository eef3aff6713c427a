//! Journals as a whole: what is written is read, what is torn is dropped, what is another run's is
//! refused.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::plan::Shard;

/// A result with a time, which is no part of what it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Answer {
    text: String,
    secs: f64,
}

impl Finished for Answer {
    fn same(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

fn answer(index: usize, text: &str) -> Done<Answer> {
    let result = Answer { text: text.to_owned(), secs: 0.5 + index as f64 };
    Done { index, id: format!("id{index}"), failed: false, result }
}

fn failed(index: usize) -> Done<Answer> {
    Done { failed: true, ..answer(index, "no memory") }
}

const NOT_SHARDED: JournalOptions =
    JournalOptions { shard: None, fresh: false, allow_mixed: false };

fn sharded(index: usize, count: usize) -> JournalOptions {
    JournalOptions { shard: Shard::new(index, count), ..NOT_SHARDED }
}

/// A run of four probes on `device`.
fn new(model: &str, device: &str, shard_of: &[usize]) -> NewPlan {
    NewPlan {
        fingerprint: json!({"model": {"sha256": model}, "dtype": "f32"}),
        facts: json!({"a": 1}),
        probes: (0..4).map(|i| format!("id{i}")).collect(),
        shard_of: shard_of.to_vec(),
        on: ComputedOn {
            device: device.to_owned(),
            hardware: device.to_owned(),
            dtype: "f32".to_owned(),
        },
    }
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn claim(&self, options: &JournalOptions) -> Result<RunFolder> {
        RunFolder::claim(self.dir.path(), "test", options)
    }

    /// Begins the run of the model "m" on the processor.
    fn begin(&self) -> (RunFolder, Begun) {
        let mut folder = self.claim(&NOT_SHARDED).unwrap();
        let begun = folder.begin(new("m", "cpu", &[])).unwrap();
        (folder, begun)
    }

    fn path(&self, name: &str) -> PathBuf {
        folder_of(self.dir.path(), "test").join(name)
    }
}

fn indices(begun: &Begun) -> Vec<usize> {
    begun.collected::<Answer>().unwrap().done.iter().map(|done| done.index).collect()
}

#[test]
fn what_was_finished_is_there_for_the_next_in_the_order_of_the_plan() {
    let place = Place::new();
    let (folder, begun) = place.begin();
    assert_eq!(begun.todo().into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    begun.journal.append(&[answer(2, "c"), answer(0, "a")]).unwrap();
    drop((folder, begun));
    let (folder, begun) = place.begin();
    assert_eq!(begun.todo().into_iter().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(indices(&begun), [0, 2]);
    begun.journal.append(&[answer(3, "d"), answer(1, "b")]).unwrap();
    let collected = begun.collected::<Answer>().unwrap();
    assert_eq!(collected.done, [answer(0, "a"), answer(1, "b"), answer(2, "c"), answer(3, "d")]);
    assert_eq!((&*collected.device, collected.processes, collected.mixed), ("cpu", 2, false));
    assert!(collected.missing.is_empty());
    drop((folder, begun));
    // Complete: another look changes nothing on disk.
    let bytes = fs::read(place.path("1-of-1.jsonl")).unwrap();
    let (folder, begun) = place.begin();
    assert!(begun.todo().is_empty());
    drop((folder, begun));
    assert_eq!(fs::read(place.path("1-of-1.jsonl")).unwrap(), bytes);
}

#[test]
fn what_failed_is_tried_again_and_the_later_line_counts() {
    let place = Place::new();
    let (folder, begun) = place.begin();
    begun.journal.append(&[failed(0), answer(1, "b"), failed(2)]).unwrap();
    drop((folder, begun));
    let (_folder, begun) = place.begin();
    assert_eq!(begun.todo().into_iter().collect::<Vec<_>>(), [0, 2, 3]);
    begun.journal.append(&[answer(0, "a"), failed(2)]).unwrap();
    let done = begun.collected::<Answer>().unwrap().done;
    assert_eq!(done, [answer(0, "a"), answer(1, "b"), failed(2)]);
}

/// Cut at every byte: all that was whole is there, the rest is dropped, and the run goes on.
#[test]
fn a_torn_last_line_is_dropped() {
    let place = Place::new();
    let (folder, begun) = place.begin();
    begun.journal.append(&[answer(0, "a")]).unwrap();
    let first = fs::metadata(place.path("1-of-1.jsonl")).unwrap().len() as usize;
    begun.journal.append(&[answer(1, "b")]).unwrap();
    drop((folder, begun));
    let path = place.path("1-of-1.jsonl");
    let whole = fs::read(&path).unwrap();
    for cut in first..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (folder, begun) = place.begin();
        assert_eq!((begun.torn, begun.todo().len()), (cut > first, 3), "{cut}");
        begun.journal.append(&[answer(1, "b"), answer(2, "c")]).unwrap();
        assert_eq!(indices(&begun), [0, 1, 2]);
        drop((folder, begun));
    }
}

#[test]
fn a_flipped_bit_in_the_middle_is_named_by_its_line() {
    let place = Place::new();
    let (folder, begun) = place.begin();
    begun.journal.append(&[answer(0, "a"), answer(1, "b"), answer(2, "c")]).unwrap();
    drop((folder, begun));
    let path = place.path("1-of-1.jsonl");
    let whole = fs::read(&path).unwrap();
    // Lines: who begins, then three answers.
    let ends: Vec<usize> = (0..whole.len()).filter(|&i| whole[i] == b'\n').collect();
    for (line, at) in [(1, 20), (2, ends[0] + 30), (3, ends[2] - 3)] {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let e = place.claim(&NOT_SHARDED).unwrap().begin(new("m", "cpu", &[])).unwrap_err();
        assert_eq!(e.exit_code(), 3);
        assert!(e.to_string().contains(&format!("1-of-1.jsonl:{line}")), "{e}");
        // Nothing was repaired silently.
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn another_run_is_refused_and_fresh_starts_over() {
    let place = Place::new();
    let (folder, begun) = place.begin();
    begun.journal.append(&[answer(0, "a")]).unwrap();
    drop((folder, begun));
    let mut folder = place.claim(&NOT_SHARDED).unwrap();
    let e = folder.check(&new("n", "cpu", &[]).fingerprint, &[]).unwrap_err();
    assert_eq!(
        (e.exit_code(), folder.check(&json!({"dtype": "f32"}), &["model.sha256", "model"])),
        (2, Ok(()))
    );
    let e = folder.begin(new("n", "cpu", &[])).unwrap_err();
    assert!(e.exit_code() == 2 && e.to_string().contains("model.sha256: n, there m"), "{e}");
    drop(folder);
    let (folder, begun) = place.begin();
    assert_eq!(indices(&begun), [0]);
    drop((folder, begun));
    let fresh = JournalOptions { fresh: true, ..NOT_SHARDED };
    let mut folder = place.claim(&fresh).unwrap();
    // Until the run begins nothing is given up.
    assert!(place.path("1-of-1.jsonl").exists() && place.path("plan.json").exists());
    let begun = folder.begin(new("n", "cpu", &[])).unwrap();
    assert_eq!((indices(&begun).len(), begun.todo().len()), (0, 4));
    assert_eq!(begun.plan.fingerprint["model"]["sha256"], "n");
}

#[test]
fn another_device_is_refused_unless_that_is_allowed() {
    let place = Place::new();
    let (folder, begun) = place.begin();
    begun.journal.append(&[answer(0, "a")]).unwrap();
    drop((folder, begun));
    let e = place.claim(&NOT_SHARDED).unwrap().begin(new("m", "cuda:0", &[])).unwrap_err();
    assert_eq!(e.exit_code(), 2);
    for part in ["cuda:0, f32", "cpu, f32, as there", "--allow-mixed"] {
        assert!(e.to_string().contains(part), "{e}");
    }
    let mixed = JournalOptions { allow_mixed: true, ..NOT_SHARDED };
    let mut folder = place.claim(&mixed).unwrap();
    // The number type goes with the device.
    let mut other = new("m", "cuda:0", &[]);
    other.fingerprint["dtype"] = "bf16".into();
    other.fingerprint["model"]["weights_dtype"] = "bf16".into();
    let begun = folder.begin(other).unwrap();
    begun.journal.append(&[answer(1, "b")]).unwrap();
    let collected = begun.collected::<Answer>().unwrap();
    assert_eq!((&*collected.device, collected.mixed), ("cpu, cuda:0", true));
}

#[test]
fn one_process_at_a_time_writes_a_journal_and_shards_do_not_wait_for_each_other() {
    let place = Place::new();
    let first = place.claim(&sharded(1, 2)).unwrap();
    let e = place.claim(&sharded(1, 2)).unwrap_err();
    assert_eq!(e.exit_code(), 7);
    let second = place.claim(&sharded(2, 2)).unwrap();
    // Nobody starts over while another writes.
    let fresh = JournalOptions { fresh: true, ..NOT_SHARDED };
    assert_eq!(place.claim(&fresh).unwrap_err().exit_code(), 7);
    drop(second);
    drop(first);
    // Of a run that never began nothing stays.
    assert!(!place.dir.path().join(JOURNAL).exists());
}

#[test]
fn the_number_of_shards_is_frozen() {
    let place = Place::new();
    let shards = [1, 2, 1, 2];
    let mut folder = place.claim(&sharded(2, 2)).unwrap();
    let begun = folder.begin(new("m", "cpu", &shards)).unwrap();
    assert_eq!(begun.todo().into_iter().collect::<Vec<_>>(), [1, 3]);
    drop((folder, begun));
    for (options, says) in [(NOT_SHARDED, "no --shard"), (sharded(1, 3), "--shard 1/3")] {
        let e = place.claim(&options).unwrap_err();
        assert_eq!(e.exit_code(), 2);
        for part in [says, "in 2 shards", "--shard I/2"] {
            assert!(e.to_string().contains(part), "{e}");
        }
    }
}

/// Two shards of a run, and what puts them together.
#[test]
fn shards_are_put_together_in_the_order_of_the_plan() {
    let place = Place::new();
    let shards = [1, 2, 1, 2];
    let run = |index, answers: &[Done<Answer>]| {
        let mut folder = place.claim(&sharded(index, 2)).unwrap();
        let begun = folder.begin(new("m", "cpu", &shards)).unwrap();
        begun.journal.append(answers).unwrap();
    };
    let merged = || {
        let found = runs(place.dir.path()).unwrap().pop().unwrap();
        let reporter = crate::system::Reporter { quiet: true, json: false };
        let merge = Merge {
            out: place.dir.path(),
            folder: &found.folder,
            plan: &found.plan,
            identity: &found.identity,
            allow_mixed: false,
            plots: false,
            reporter: &reporter,
        };
        let command = ["headprof", "--out", "o", "--shard", "1/2"].map(str::to_owned);
        merge.collected::<Answer>(&command).map(|collected| collected.done)
    };
    assert_eq!(runs(place.dir.path()).unwrap_err().exit_code(), 2);
    run(1, &[answer(2, "c"), answer(0, "a")]);
    let e = merged().unwrap_err();
    assert_eq!(e.exit_code(), 6);
    for part in ["2 of 4 probes are missing", "shard 2/2: 2 of 2", "headprof --out o --shard 2/2"] {
        assert!(e.to_string().contains(part), "{e}");
    }
    run(2, &[answer(3, "d")]);
    assert!(merged().unwrap_err().to_string().contains("shard 2/2: 1 of 2"));
    run(2, &[answer(1, "b")]);
    let all = [answer(0, "a"), answer(1, "b"), answer(2, "c"), answer(3, "d")];
    assert_eq!(merged().unwrap(), all);
    // The same again is the same; something else is not.
    let twice = Done { result: Answer { secs: 9.0, ..answer(1, "b").result }, ..answer(1, "b") };
    run(2, &[twice]);
    assert_eq!(merged().unwrap(), all);
    let two = fs::read(place.path("2-of-2.jsonl")).unwrap();
    run(2, &[answer(1, "another")]);
    let e = merged().unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("different things"), "{e}");
    fs::write(place.path("2-of-2.jsonl"), two).unwrap();
    assert_eq!(merged().unwrap(), all);
    // Journals of other shards, and of other runs.
    fs::write(place.path("1-of-3.jsonl"), "").unwrap();
    let e = merged().unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("1-of-3.jsonl"), "{e}");
    fs::remove_file(place.path("1-of-3.jsonl")).unwrap();
    fs::copy(place.path("1-of-2.jsonl"), place.path("2-of-2.jsonl")).unwrap();
    let e = merged().unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("another shard"), "{e}");
    let other = Place::new();
    let mut folder = other.claim(&sharded(2, 2)).unwrap();
    let begun = folder.begin(new("n", "cpu", &shards)).unwrap();
    begun.journal.append(&[answer(1, "b"), answer(3, "d")]).unwrap();
    fs::copy(other.path("2-of-2.jsonl"), place.path("2-of-2.jsonl")).unwrap();
    let e = merged().unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("another plan"), "{e}");
}

#[test]
fn a_probe_that_the_plan_does_not_have_is_refused() {
    let place = Place::new();
    for stray in [answer(7, "x"), Done { id: "other".to_owned(), ..answer(1, "x") }] {
        let (folder, begun) = place.begin();
        begun.journal.append(&[answer(0, "a"), stray]).unwrap();
        assert_eq!(begun.collected::<Answer>().unwrap_err().exit_code(), 3);
        drop((folder, begun));
        let e = place.claim(&NOT_SHARDED).unwrap().begin(new("m", "cpu", &[])).unwrap_err();
        assert!(e.exit_code() == 3 && e.to_string().contains("plan does not have"), "{e}");
        fs::remove_file(place.path("1-of-1.jsonl")).unwrap();
    }
}

#[test]
fn lines_that_no_journal_has_are_refused() {
    let place = Place::new();
    let (folder, begun) = place.begin();
    begun.journal.append(&[answer(0, "a")]).unwrap();
    drop((folder, begun));
    let path = place.path("1-of-1.jsonl");
    let whole = fs::read(&path).unwrap();
    for record in [json!({}), json!({"done": {"index": -1}}), json!([1]), json!({"begin": 5})] {
        let strange = line::sealed(&record).unwrap();
        fs::write(&path, [&whole[..], &strange].concat()).unwrap();
        let e = place.claim(&NOT_SHARDED).unwrap().begin(new("m", "cpu", &[])).unwrap_err();
        assert!(e.exit_code() == 3 && e.to_string().contains("1-of-1.jsonl:3"), "{record}: {e}");
    }
}
