//! Every target of the fuzzer, for seconds; `src/bin/fuzz.rs` does it for hours.

use headprof_tools::fuzz::heap::CountingHeap;
use headprof_tools::fuzz::{Campaign, Folder, Target, most_bytes, run_one, targets};

#[global_allocator]
static HEAP: CountingHeap = CountingHeap;

/// What any answer is, and a file that the next reader refuses.
const TAKE_ALL: [&str; 2] = ["answers", "tokenizer-class"];

/// Inputs per target.
const RUNS: u64 = 3000;

#[test]
fn no_reader_panics_or_takes_all_memory() {
    let out = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    // Panics are counted; those that readers catch themselves would be printed, too.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut tallies = Vec::new();
    for target in targets::registry() {
        let folder = out.path().to_owned();
        let tally = Campaign { target, runs: RUNS, seed: 1, threads: 2, folder }.run();
        tallies.push((target, tally));
    }
    std::panic::set_hook(hook);
    for (target, tally) in tallies {
        let tally = tally.unwrap();
        for fault in &tally.kept {
            told.push(format!("{}: {} for {:?}", target.name, fault.what, fault.input));
        }
        assert_eq!(tally.accepted + tally.refused + tally.faults, RUNS, "{}", target.name);
        // A target that takes nothing, or everything, is not reached by the edits.
        assert!(tally.accepted > RUNS / 100, "{} takes {}", target.name, tally.accepted);
        let refuses = !TAKE_ALL.contains(&target.name);
        assert_eq!(
            tally.refused > RUNS / 100,
            refuses,
            "{} refuses {}",
            target.name,
            tally.refused
        );
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

fn failing(name: &'static str, read: fn(&Folder, &[u8]) -> headprof::Result<()>) -> Target {
    Target { name, reads: "", seeds: || vec![b"seed".to_vec()], beside: Vec::new, read }
}

/// The fuzzer finds what it is for.
#[test]
fn faults_are_found() {
    let out = tempfile::tempdir().unwrap();
    let ended = |target: &Target, input: &[u8]| {
        let folder = Folder::new(out.path().join(target.name), target).unwrap();
        run_one(target, &folder, input).0
    };
    let panics = failing("panics", |_, input| {
        assert!(input.first() != Some(&b'x'), "an x");
        Ok(())
    });
    assert_eq!(ended(&panics, b"a"), Ok(true));
    assert!(ended(&panics, b"x").unwrap_err().contains("an x"));
    let refuses = failing("refuses", |_, _| Err(headprof::Error::data("bad")));
    assert_eq!(ended(&refuses, b"a"), Ok(false));
    let bug = failing("bug", |_, _| Err(headprof::Error::bug("odd")));
    assert!(ended(&bug, b"a").unwrap_err().contains("exit code 1"));
    let greedy = failing("greedy", |_, input| {
        let all = vec![1u8; most_bytes(input.len()) + 1];
        assert_eq!(std::hint::black_box(&all).last(), Some(&1));
        Ok(())
    });
    assert!(ended(&greedy, b"a").unwrap_err().contains("MiB for 1 bytes"));

    let rare = failing("rare", |_, input| {
        assert!(!input.contains(&b'{'), "a bracket");
        Ok(())
    });
    let folder = out.path().to_owned();
    let run = |threads| {
        let folder = folder.clone();
        let tally = Campaign { target: &rare, runs: 2000, seed: 7, threads, folder }.run().unwrap();
        let first = tally.kept.first().unwrap();
        (tally.runs, tally.accepted, tally.faults, first.number, first.input.clone())
    };
    let (runs, accepted, faults, _, input) = run(1);
    assert_eq!((runs, accepted + faults), (2000, 2000));
    assert!(faults > 10 && input.contains(&b'{'));
    let (.., same) = run(2);
    assert!(same.contains(&b'{'));
}
