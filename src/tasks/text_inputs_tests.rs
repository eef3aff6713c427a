use super::*;
use crate::config::ModelChoice;
use crate::tasks::longbench::{DATASETS, LongBenchDataset, LongBenchMetric};
use std::path::PathBuf;

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
        benchmark: Benchmark::LongBench,
        path: path.to_owned(),
        datasets: None,
        prompts: Vec::new(),
        similarity: Similarity::Levenshtein,
        samples: None,
        max_prompt_tokens: None,
    }
}

fn published(path: PathBuf, tasks: Option<Vec<&'static str>>) -> PublishedRuler {
    PublishedRuler { path, tasks, samples: None, max_prompt_tokens: None, max_new_tokens: None }
}

/// Two data sets and LongBench-E's rows of one of them: samples are counted for each.
#[test]
fn samples_and_names_choose_rows() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "hotpotqa.jsonl", "hotpotqa", &["1", "2", "3"]);
    write(dir.path(), "hotpotqa_e.jsonl", "hotpotqa", &["1", "4"]);
    write(dir.path(), "qasper.jsonl", "qasper", &["1"]);
    let ids = |source: &LongBenchSource| -> Vec<(String, String, bool)> {
        let (rows, _) = longbench_rows(source, &mut Vec::new()).unwrap();
        rows.into_iter().map(|r| (r.dataset, r.id, r.in_e)).collect()
    };
    assert_eq!(ids(&source(dir.path())).len(), 6);
    let row = |set: &str, id: &str, in_e| (set.to_owned(), id.to_owned(), in_e);
    let one = LongBenchSource { samples: Some(1), ..source(dir.path()) };
    let expected = [row("hotpotqa", "1", false), row("hotpotqa", "1", true)];
    assert_eq!(ids(&one), [&expected[..], &[row("qasper", "1", false)]].concat());
    let datasets = Some(vec![LongBenchDataset::find(Benchmark::LongBench, "qasper").unwrap()]);
    let named = LongBenchSource { datasets, ..source(dir.path()) };
    let (rows, files) = longbench_rows(&named, &mut Vec::new()).unwrap();
    assert_eq!((rows.len(), files.len(), files[0].rows), (1, 1, Some(1)));
    let datasets = Some(vec![LongBenchDataset::find(Benchmark::LongBench, "lcc").unwrap()]);
    let e = longbench_rows(&LongBenchSource { datasets, ..source(dir.path()) }, &mut Vec::new())
        .err()
        .unwrap();
    assert_eq!(e.exit_code(), 3);
    assert!(e.to_string().contains("no row of the data sets"), "{e}");
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
    let of = |path: PathBuf, tasks: Option<Vec<&'static str>>| ruler_sets(&published(path, tasks));
    let (sets, files) = of(dir.path().to_owned(), None).unwrap();
    let names: Vec<(&str, &str)> = sets.iter().map(|s| (&*s.task, &*s.name)).collect();
    assert_eq!((names, files.len()), (vec![("vt", "8192/vt"), ("vt", "vt")], 2));
    let (sets, _) = of(dir.path().join("other.jsonl"), Some(vec!["cwe"])).unwrap();
    assert_eq!((&*sets[0].task, &*sets[0].name), ("cwe", "other"));
    for (path, tasks, part) in [
        (dir.path().join("other.jsonl"), None, "does not say"),
        (dir.path().join("vt.jsonl"), Some(vec!["cwe"]), "no row of the tasks"),
    ] {
        let e = of(path, tasks).err().unwrap();
        assert_eq!(e.exit_code(), 3);
        assert!(e.to_string().contains(part), "{e}");
    }
}

/// needle-llama has 4096 positions.
#[test]
fn prompts_have_the_room_beside_the_answer() {
    let mut probes = ProbeConfig::new(
        &crate::cli::ProbeArgs { repeats: 1, ..Default::default() },
        crate::config::ProbeSource::Needles,
        crate::score::CompatSet::default(),
    )
    .unwrap()
    .0;
    let model = ModelFiles::open(&ModelChoice::NeedleLlama).unwrap();
    let most = |probes: &ProbeConfig, asked, answer| {
        limits(probes, &model, asked, answer).map(|limits| limits.max_prompt_tokens)
    };
    assert_eq!(most(&probes, None, 96).unwrap(), 4000);
    assert_eq!(most(&probes, Some(9), 96).unwrap(), 9);
    for (asked, answer) in [(Some(4001), 96), (None, 4096)] {
        let e = most(&probes, asked, answer).unwrap_err();
        assert_eq!(e.exit_code(), 2);
        assert!(e.to_string().contains("4096 of needle-llama"), "{e}");
    }
    probes.allow_extrapolation = true;
    assert_eq!(most(&probes, None, 96).unwrap(), usize::MAX);
    assert_eq!(most(&probes, Some(5000), 96).unwrap(), 5000);
}

/// Answers that are the gold ones have the full score, whatever the data set's metric.
#[test]
fn gold_answers_have_the_full_score_by_every_metric() {
    let tokenizer = crate::tokenizer::samples::byte_level();
    let row = |dataset: &&LongBenchDataset| LongBenchRow {
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
            }
            .to_owned(),
        ],
        length: 1,
        dataset: dataset.name.to_owned(),
        all_classes: vec!["City".to_owned(), "State".to_owned()],
        in_e: false,
        place: dataset.name.to_owned(),
    };
    let prompts = LongBenchPrompts::own();
    for benchmark in [Benchmark::LongBench, Benchmark::LooGle] {
        let sets = DATASETS.iter().filter(|d| d.benchmark == benchmark);
        let rows: Vec<LongBenchRow> = sets.map(|dataset| row(&dataset)).collect();
        for similarity in [Similarity::Levenshtein, Similarity::Difflib] {
            let limits =
                TextPromptLimits { max_prompt_tokens: 64, stop_ids: Vec::new(), chat: None };
            let mut task =
                LongBenchTask::new(benchmark, &rows, &prompts, tokenizer, limits, similarity)
                    .unwrap();
            assert_eq!(task.name(), benchmark.name());
            for (i, row) in rows.iter().enumerate() {
                let value = task.values(i, &row.answers[0]).unwrap()[0];
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
        benchmark: Benchmark::LooGle,
        datasets: names.map(|names| {
            let set = |name: &&str| LongBenchDataset::parse(Benchmark::LooGle, name).unwrap();
            names.iter().map(set).collect()
        }),
        ..source(&path)
    };
    let inputs = |source: &LongBenchSource| {
        let (rows, _) = longbench_rows(source, &mut Vec::new()).unwrap();
        rows.into_iter().map(|row| row.input).collect::<Vec<_>>()
    };
    assert_eq!(inputs(&loogle(None)), ["a", "c"]);
    assert_eq!(inputs(&loogle(Some(&["timeline_reorder"]))), ["c"]);

    write(dir.path(), "longdep_qa.jsonl", "qasper", &["1"]);
    let (rows, _) = longbench_rows(&loogle(None), &mut Vec::new()).unwrap();
    let e = crate::tasks::longbench::task::dataset(Benchmark::LooGle, &rows[0]).unwrap_err();
    assert!(e.to_string().contains("no such data set in LooGLE"), "{e}");
    assert!(e.to_string().contains("--task loogle:LIST"), "{e}");
}

/// The same over the published rows of data sets that can be scored.
#[test]
fn gold_answers_of_published_rows_have_the_full_score() {
    let found = crate::goldens::find([
        "../data/longbench/multi_news_10.jsonl",
        "../data/longbench/passage_retrieval_zh_5.jsonl",
        "../data/ruler/niah_multikey_3_4096_20.jsonl",
    ]);
    let Some([news, passages, keys]) = found else { return };
    let tokenizer = crate::tokenizer::samples::byte_level();
    let limits = TextPromptLimits { max_prompt_tokens: 64, stop_ids: Vec::new(), chat: None };
    let prompts = LongBenchPrompts::own();
    let mut checked = 0;
    for path in [news, passages] {
        let (rows, _) = longbench_rows(&source(&path), &mut Vec::new()).unwrap();
        let (set, similarity) = (Benchmark::LongBench, Similarity::default());
        let mut task =
            LongBenchTask::new(set, &rows, &prompts, tokenizer, limits.clone(), similarity)
                .unwrap();
        for (i, row) in rows.iter().enumerate() {
            for gold in &row.answers {
                let value = task.values(i, gold).unwrap()[0];
                assert!((value - 1.0).abs() < 1e-6, "{}: {value}", row.place);
            }
        }
        checked += rows.len();
    }
    let (sets, _) = ruler_sets(&published(keys, None)).unwrap();
    let mut task = RulerTask::new(&sets, tokenizer, limits, None).unwrap();
    for (i, row) in sets[0].rows.iter().enumerate() {
        let all = task.values(i, &row.outputs.join(", ")).unwrap();
        assert_eq!(all, [1.0, 1.0, 1.0], "{}", row.place);
    }
    checked += sets[0].rows.len();
    assert_eq!(checked, 35);
    println!("data/longbench, data/ruler: the gold answers of {checked} rows have the full score");
}
