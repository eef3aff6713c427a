use std::path::PathBuf;

use super::*;

fn rows_of(path: PathBuf, tasks: Option<Vec<&'static str>>) -> PublishedRulerRows {
    PublishedRulerRows { path, tasks, samples: None, max_prompt_tokens: None }
}

type Read = Result<(Vec<RulerSet>, Vec<DataFile>)>;

/// What is read, and what the user is told.
fn read(path: PathBuf, tasks: Option<Vec<&'static str>>) -> (Read, Vec<String>) {
    let mut notes = Vec::new();
    (published(&rows_of(path, tasks), &mut notes), notes)
}

/// The path says the task; where it does not, a single name does.
#[test]
fn tasks_of_published_files() {
    let dir = tempfile::tempdir().unwrap();
    let line = r#"{"index":0,"input":"Which?","outputs":["12"],"length":40}"#;
    std::fs::create_dir(dir.path().join("8192")).unwrap();
    for name in ["vt.jsonl", "8192/vt.jsonl", "other.jsonl"] {
        std::fs::write(dir.path().join(name), line).unwrap();
    }
    let (found, notes) = read(dir.path().to_owned(), None);
    let (sets, files) = found.unwrap();
    let names: Vec<(&str, &str)> = sets.iter().map(|s| (&*s.task, &*s.name)).collect();
    assert_eq!((names, files.len()), (vec![("vt", "8192/vt"), ("vt", "vt")], 2));
    assert!(notes[0].contains("other.jsonl is left out"), "{notes:?}");
    let (found, notes) = read(dir.path().join("other.jsonl"), Some(vec!["cwe"]));
    let (sets, _) = found.unwrap();
    assert_eq!((&*sets[0].task, &*sets[0].name, notes.len()), ("cwe", "other", 0));
    for (path, tasks, part) in [
        (dir.path().join("other.jsonl"), None, "does not say"),
        (dir.path().join("vt.jsonl"), Some(vec!["cwe"]), "no row of cwe"),
        // One of two that are asked for is not there.
        (dir.path().to_owned(), Some(vec!["vt", "cwe"]), "no row of cwe"),
    ] {
        let e = read(path, tasks).0.err().unwrap();
        assert_eq!(e.exit_code(), 3);
        assert!(e.to_string().contains(part), "{e}");
    }
}

/// A file without rows is an error where it is asked for.
#[test]
fn an_empty_file_stops_only_who_asks_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let line = r#"{"input":"Which?","outputs":["12"]}"#;
    std::fs::write(dir.path().join("vt.jsonl"), line).unwrap();
    std::fs::write(dir.path().join("cwe.jsonl"), "").unwrap();
    let (found, _) = read(dir.path().to_owned(), Some(vec!["vt"]));
    assert_eq!(found.unwrap().0.len(), 1);
    let e = read(dir.path().to_owned(), Some(vec!["cwe"])).0.err().unwrap();
    assert!(e.to_string().contains("cwe.jsonl") && e.to_string().contains("no rows"), "{e}");
}

/// Answers that are the gold ones have the full score.
#[test]
fn gold_answers_of_published_rows_have_the_full_score() {
    let found = crate::goldens::find(["../data/ruler/niah_multikey_3_4096_20.jsonl"]);
    let Some([path]) = found else { return };
    let tokenizer = crate::tokenizer::samples::byte_level();
    let limits = TextPromptLimits {
        vocab: usize::MAX,
        max_prompt_tokens: 64,
        stop_ids: Vec::new(),
        chat: None,
    };
    let (sets, _) = read(path, None).0.unwrap();
    let mut task = RulerTask::new(&sets, tokenizer, limits, None).unwrap();
    for (i, row) in sets[0].rows.iter().enumerate() {
        let all = task.values(i, &row.outputs.join(", ")).unwrap();
        assert_eq!(all, [1.0, 1.0, 1.0], "{}", row.place);
    }
    assert_eq!(sets[0].rows.len(), 20);
    println!("data/ruler: the gold answers of {} rows have the full score", sets[0].rows.len());
}
