use super::*;
use crate::tasks::TextPromptLimits;
use crate::tasks::longbench::{LONGBENCH, LongBenchDataset, LongBenchMetric};
use crate::tasks::loogle::LOOGLE;

/// Rows of one data set, in a file of that name.
fn write(dir: &Path, name: &str, dataset: &str, ids: &[&str]) {
    let line = |id: &&str| {
        format!(
            r#"{{"input":"q","context":"c","answers":["a"],"length":1,"dataset":"{dataset}","all_classes":null,"_id":"{id}"}}"#
        )
    };
    let lines: Vec<String> = ids.iter().map(line).collect();
    std::fs::write(dir.join(name), lines.join("\n")).unwrap();
}

fn source(path: &Path) -> LongBenchSource {
    LongBenchSource {
        suite: &LONGBENCH,
        path: path.to_owned(),
        datasets: None,
        prompts: Vec::new(),
        similarity: Similarity::Levenshtein,
        samples: None,
        max_prompt_tokens: None,
    }
}

/// Two data sets and LongBench-E's rows of one of them: samples are counted for each.
#[test]
fn samples_and_names_choose_rows() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "hotpotqa.jsonl", "hotpotqa", &["1", "2", "3"]);
    write(dir.path(), "hotpotqa_e.jsonl", "hotpotqa", &["1", "4"]);
    write(dir.path(), "qasper.jsonl", "qasper", &["1"]);
    let ids = |source: &LongBenchSource| -> Vec<(String, String, bool)> {
        let (found, _) = rows(source, &mut Vec::new()).unwrap();
        found.into_iter().map(|r| (r.dataset, r.id, r.in_e)).collect()
    };
    assert_eq!(ids(&source(dir.path())).len(), 6);
    let row = |set: &str, id: &str, in_e| (set.to_owned(), id.to_owned(), in_e);
    let one = LongBenchSource { samples: Some(1), ..source(dir.path()) };
    let expected = [row("hotpotqa", "1", false), row("hotpotqa", "1", true)];
    assert_eq!(ids(&one), [&expected[..], &[row("qasper", "1", false)]].concat());
    let datasets = Some(vec![LONGBENCH.find("qasper").unwrap()]);
    let named = LongBenchSource { datasets, ..source(dir.path()) };
    let (found, files) = rows(&named, &mut Vec::new()).unwrap();
    assert_eq!((found.len(), files.len(), files[0].rows), (1, 1, Some(1)));
    let datasets = Some(vec![LONGBENCH.find("lcc").unwrap()]);
    let e =
        rows(&LongBenchSource { datasets, ..source(dir.path()) }, &mut Vec::new()).err().unwrap();
    assert_eq!(e.exit_code(), 3);
    assert!(e.to_string().contains("no row of lcc"), "{e}");
}

/// A file that has nothing, or nothing that can be read, stops only those who ask for it.
#[test]
fn a_bad_file_stops_only_who_asks_for_it() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "hotpotqa.jsonl", "hotpotqa", &["1"]);
    let asked = |names: Option<&[&str]>| {
        let set = |name: &&str| LONGBENCH.parse(name).unwrap();
        let datasets = names.map(|names| names.iter().map(set).collect());
        let mut notes = Vec::new();
        let found = rows(&LongBenchSource { datasets, ..source(dir.path()) }, &mut notes);
        (found.map(|(rows, _)| rows.len()).map_err(|e| e.to_string()), notes)
    };
    for (name, text) in [("samsum.jsonl", ""), ("samsum_e.jsonl", "{"), ("other.jsonl", "\n")] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let (found, notes) = asked(Some(&["hotpotqa"]));
        assert_eq!((found, notes.len()), (Ok(1), 1), "{name}");
        assert!(notes[0].contains(name), "{notes:?}");
        let e = asked(None).0.unwrap_err();
        assert!(e.contains(name), "{e}");
        if name.starts_with("samsum") {
            let e = asked(Some(&["hotpotqa", "samsum"])).0.unwrap_err();
            assert!(e.contains(name), "{e}");
        }
        std::fs::remove_file(path).unwrap();
    }
    // A file whose name says nothing may have rows of what is asked.
    std::fs::write(dir.path().join("other.jsonl"), "{").unwrap();
    assert!(asked(Some(&["hotpotqa"])).0.unwrap_err().contains("other.jsonl"));
}

/// Columns that nobody reads are told of files with rows that are asked.
#[test]
fn unread_columns_of_asked_rows_are_told() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["hotpotqa", "qasper"] {
        let line = format!(
            r#"{{"input":"q","context":"c","answers":["a"],"dataset":"{name}","_id":"1","system":"s"}}"#
        );
        std::fs::write(dir.path().join(format!("{name}.jsonl")), line).unwrap();
    }
    let datasets = Some(vec![LONGBENCH.find("qasper").unwrap()]);
    let mut notes = Vec::new();
    rows(&LongBenchSource { datasets, ..source(dir.path()) }, &mut notes).unwrap();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("qasper.jsonl") && notes[0].contains("columns system"), "{notes:?}");
}

/// Answers that are the gold ones have the full score, whatever the data set's metric.
#[test]
fn gold_answers_have_the_full_score_by_every_metric() {
    let tokenizer = crate::tokenizer::samples::byte_level();
    let row = |dataset: &LongBenchDataset| LongBenchRow {
        id: "1".to_owned(),
        input: "q".to_owned(),
        context: "c".to_owned(),
        answers: vec![
            match dataset.metric {
                LongBenchMetric::QaF1 => "Anna Karenina",
                LongBenchMetric::RougeL => "Anna met him. He left by train.",
                LongBenchMetric::Classification => "City",
                LongBenchMetric::Retrieval => "Paragraph 7",
                LongBenchMetric::RetrievalZh => "段落7",
                LongBenchMetric::Count => "7",
                LongBenchMetric::CodeSim => "let x = f(y);",
                LongBenchMetric::Choice => "C",
            }
            .to_owned(),
        ],
        dataset: dataset.name.to_owned(),
        all_classes: vec!["City".to_owned(), "State".to_owned()],
        in_e: false,
        part: None,
        place: dataset.name.to_owned(),
    };
    let prompts = LongBenchPrompts::own();
    for suite in [&LONGBENCH, &LOOGLE] {
        let rows: Vec<LongBenchRow> = suite.datasets.iter().map(row).collect();
        for similarity in [Similarity::Levenshtein, Similarity::Difflib] {
            let limits = TextPromptLimits {
                vocab: usize::MAX,
                max_prompt_tokens: 64,
                stop_ids: Vec::new(),
                chat: None,
            };
            let mut task =
                LongBenchTask::new(suite, &rows, &prompts, tokenizer, limits, similarity).unwrap();
            for (i, row) in rows.iter().enumerate() {
                let gold = &row.answers[0];
                let answer = match suite.datasets[i].metric {
                    LongBenchMetric::Choice => format!("The correct answer is ({gold})"),
                    _ => gold.clone(),
                };
                let value = task.values(i, &answer).unwrap()[0];
                // F of ROUGE has a small number below its fraction bar.
                assert!((value - 1.0).abs() < 1e-6, "{}: {value}", row.dataset);
                assert_eq!(task.values(i, "").unwrap(), [0.0], "{}", row.dataset);
            }
        }
    }
}

/// A document with a question of each of two types: one data set is asked, or both; another
/// benchmark's rows are refused.
#[test]
fn questions_of_loogle_are_chosen_by_type() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("longdep_qa.jsonl");
    let line = r#"{"input":"Text.","qa_pairs":"[{'Q': 'a', 'A': 'b', 'type': 'computation'}, {'Q': 'c', 'A': 'd', 'type': 'timeline_reorder'}]"}"#;
    std::fs::write(&path, line).unwrap();
    let loogle = |names: Option<&[&str]>| LongBenchSource {
        suite: &LOOGLE,
        datasets: names.map(|names| {
            let set = |name: &&str| LOOGLE.parse(name).unwrap();
            names.iter().map(set).collect()
        }),
        ..source(&path)
    };
    let inputs = |source: &LongBenchSource| {
        let (found, _) = rows(source, &mut Vec::new()).unwrap();
        found.into_iter().map(|row| row.input).collect::<Vec<_>>()
    };
    assert_eq!(inputs(&loogle(None)), ["a", "c"]);
    assert_eq!(inputs(&loogle(Some(&["timeline_reorder"]))), ["c"]);

    write(dir.path(), "longdep_qa.jsonl", "qasper", &["1"]);
    let (found, _) = rows(&loogle(None), &mut Vec::new()).unwrap();
    let e = dataset(&LOOGLE, &found[0]).unwrap_err();
    assert!(e.to_string().contains("no such data set in LooGLE"), "{e}");
    assert!(e.to_string().contains("--task loogle:LIST"), "{e}");
}

/// A folder of LooGLE has other parts, which are left out; named, they are refused.
#[test]
fn other_parts_of_loogle_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let line = r#"{"input":"Text.","qa_pairs":"[{'Q': 'a', 'A': 'b', 'type': 'computation'}]"}"#;
    std::fs::write(dir.path().join("longdep_qa.jsonl"), line).unwrap();
    let short = line.replace(", 'type': 'computation'", "");
    std::fs::write(dir.path().join("shortdep_qa.jsonl"), short).unwrap();
    let loogle = |path: &Path| LongBenchSource { suite: &LOOGLE, ..source(path) };
    let mut notes = Vec::new();
    let (found, files) = rows(&loogle(dir.path()), &mut notes).unwrap();
    assert_eq!((found.len(), files.len(), notes.len()), (1, 1, 1));
    assert!(notes[0].contains("shortdep_qa.jsonl is left out"), "{notes:?}");
    let e = rows(&loogle(&dir.path().join("shortdep_qa.jsonl")), &mut notes).err().unwrap();
    assert!(e.to_string().contains("qa_pairs[0].type"), "{e}");
}

/// The same over the published rows of data sets that can be scored.
#[test]
fn gold_answers_of_published_rows_have_the_full_score() {
    let found = crate::goldens::find([
        "../data/longbench/multi_news_10.jsonl",
        "../data/longbench/passage_retrieval_zh_5.jsonl",
    ]);
    let Some(paths) = found else { return };
    let tokenizer = crate::tokenizer::samples::byte_level();
    let limits = TextPromptLimits {
        vocab: usize::MAX,
        max_prompt_tokens: 64,
        stop_ids: Vec::new(),
        chat: None,
    };
    let prompts = LongBenchPrompts::own();
    let mut checked = 0;
    for path in paths {
        let (found, _) = rows(&source(&path), &mut Vec::new()).unwrap();
        let similarity = Similarity::default();
        let mut task =
            LongBenchTask::new(&LONGBENCH, &found, &prompts, tokenizer, limits.clone(), similarity)
                .unwrap();
        for (i, row) in found.iter().enumerate() {
            for gold in &row.answers {
                let value = task.values(i, gold).unwrap()[0];
                assert!((value - 1.0).abs() < 1e-6, "{}: {value}", row.place);
            }
        }
        checked += found.len();
    }
    assert_eq!(checked, 15);
    println!("data/longbench: the gold answers of {checked} rows have the full score");
}
