//! The text metrics against numbers from NLTK, rouge-score and SQuAD's script: the fixture of this
//! crate (`tests/fixtures/text`, always) and the goldens in `HEADPROF_GOLDENS` (where present).

use super::normalize::normalize_answer;
use super::{Overlap, exact, f1, porter, rouge};
use serde_json::Value;
use std::path::Path;

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn fixture(name: &str) -> Value {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/text").join(name))
}

/// A golden file, where there are goldens.
fn golden(path: &str) -> Option<Value> {
    crate::goldens::find([path]).map(|[path]| read(&path))
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{key} is no string in {case}"))
}

fn cases<'a>(file: &'a Value, key: &str) -> &'a [Value] {
    let cases = file[key].as_array().unwrap_or_else(|| panic!("{key} is no list"));
    assert!(!cases.is_empty(), "{key} is empty");
    cases
}

#[track_caller]
fn assert_near(ours: f64, expected: &Value, what: &str, case: &Value) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("no number for {what} in {case}"));
    assert!((ours - expected).abs() <= 1e-6, "{what}: {ours}, expected {expected}, in {case}");
}

#[track_caller]
fn assert_overlap(ours: Overlap, expected: &Value, what: &str, case: &Value) {
    // [precision, recall, f1]
    assert_near(ours.precision, &expected[0], &format!("{what} precision"), case);
    assert_near(ours.recall, &expected[1], &format!("{what} recall"), case);
    assert_near(ours.f1, &expected[2], &format!("{what} f1"), case);
}

#[test]
fn stems_of_the_haystack_are_those_of_nltk() {
    let file = fixture("stems.json");
    let stems = file.as_object().expect("an object of word: stem");
    assert!(stems.len() >= 300, "only {} words", stems.len());
    let changed = stems.iter().filter(|(word, stem)| *word != *stem).count();
    assert!(changed * 2 > stems.len(), "most words must have a stem of their own");
    for (word, stem) in stems {
        assert_eq!(porter::stem(word), stem.as_str().expect("a string"), "{word}");
    }
}

#[test]
fn metrics_of_the_fixture() {
    let file = fixture("metrics.json");
    let pairs = cases(&file, "pairs");
    assert!(pairs.len() >= 30, "only {} pairs", pairs.len());
    for case in pairs {
        let (answer, gold) = (text(case, "answer"), text(case, "gold"));
        assert_overlap(rouge::rouge_1(answer, gold), &case["rouge_1"], "ROUGE-1", case);
        assert_overlap(f1::token_f1(answer, gold), &case["token_f1"], "token F1", case);
        assert_eq!(normalize_answer(answer), text(case, "normalized_answer"), "{case}");
        assert_eq!(case["exact"].as_bool(), Some(exact::exact_match(answer, gold)), "{case}");
    }
}

#[test]
fn golden_text_metrics() {
    let Some(file) = golden("scores/text_metrics.json") else { return };
    let rows = cases(&file, "rows");
    for case in rows {
        let (answer, gold) = (text(case, "hypothesis"), text(case, "reference"));
        let rouge_1 = ["rouge1_precision", "rouge1_recall", "rouge1_f"].map(|k| case[k].clone());
        assert_overlap(rouge::rouge_1(answer, gold), &rouge_1.to_vec().into(), "ROUGE-1", case);
        assert_near(f1::token_f1(answer, gold).f1, &case["qa_f1"], "token F1", case);
        assert_eq!(normalize_answer(answer), text(case, "normalized_hyp"));
    }
    println!("text_metrics.json: {} golden cases", rows.len());
}

#[test]
fn golden_rouge_tokens() {
    let Some(file) = golden("eviction/rouge_tokenize_stem.json") else { return };
    let cases = cases(&file, "cases");
    for case in cases {
        assert_eq!(Value::from(rouge::tokens(text(case, "text"))), case["tokens"]);
    }
    println!("rouge_tokenize_stem.json: {} golden cases", cases.len());
}

#[test]
fn golden_needle_metrics() {
    let Some(file) = golden("eviction/metrics_needle.json") else { return };
    let needle = text(&file, "needle");
    let cases = cases(&file, "cases");
    for case in cases {
        let answer = text(case, "response");
        let rouge_1 = rouge::rouge_1(answer, needle);
        assert_near(rouge_1.precision, &case["rouge1"]["p"], "ROUGE-1 precision", case);
        assert_near(rouge_1.recall, &case["rouge1"]["r"], "ROUGE-1 recall", case);
        assert_near(rouge_1.f1 * 10.0, &case["rouge1_f_x10"], "ROUGE-1 F x 10", case);
    }
    println!("metrics_needle.json: {} golden cases", cases.len());
}
