//! Rows of LooGLE, in the form of LongBench's.

use std::path::Path;

use serde_json::Value;

use crate::datasets::python_literal;
use crate::datasets::{Record, read_records, unique};
use crate::error::{Error, Result, json_kind};
use crate::tasks::longbench::rows::LongBenchRow;

/// The column with a document's questions; rows without it have LongBench's form.
const QA_PAIRS: &str = "qa_pairs";

/// All questions of a file of long-dependency questions. At least one.
///
/// Read as LooGLE distributes them, a document per row with its questions in `qa_pairs` (a list, or
/// the text that Python prints for one, of `Q`, `A`, `S` and `type`), and as HeadKV has them, a row
/// of LongBench's form per question. There the data set is the file's name where `dataset` does not
/// name one of `datasets`.
///
/// # Errors
/// [`Error::Data`] as [`LongBenchRow::read`], and naming the row and the question in it.
pub(crate) fn read_loogle(path: &Path, datasets: &[&str]) -> Result<Vec<LongBenchRow>> {
    let mut rows = Vec::new();
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    for (number, record) in read_records(path)?.iter().enumerate() {
        if record.has(QA_PAIRS) {
            rows.extend(document(record, number)?);
            continue;
        }
        let mut row = LongBenchRow::from_record(record, false)?;
        let named = |name: &str| datasets.contains(&name);
        if let Some(stem) = stem.as_ref().filter(|stem| !named(&row.dataset) && named(stem)) {
            row.dataset.clone_from(stem);
        }
        rows.push(row);
    }
    unique(rows.iter().map(|row| (row.id.as_str(), row.place.as_str())))?;
    Ok(rows)
}

/// The questions of one document, the `number`-th row of its file from 0.
fn document(record: &Record, number: usize) -> Result<Vec<LongBenchRow>> {
    let context = record.text("input")?;
    let length = context.split_whitespace().count();
    let column = format!("{}: {QA_PAIRS}", record.place());
    let printed;
    let pairs = match record.value(QA_PAIRS)? {
        Value::String(text) => {
            printed = python_literal::parse(text).map_err(|e| e.within(&column))?;
            &printed
        }
        value => value,
    };
    let pairs = pairs.as_array().ok_or_else(|| {
        let wrong = "the questions of a document are no list";
        Error::data(wrong).at(&column).got(json_kind(pairs)).expected("a list of objects")
    })?;
    let question = |(i, pair): (usize, &Value)| {
        let place = format!("{column}[{i}]");
        let text = |key: &str| match &pair[key] {
            Value::String(text) => Ok(text.clone()),
            // Answers of the computation questions may be bare numbers.
            Value::Number(number) => Ok(number.to_string()),
            other => Err(Error::data("a question lacks a text")
                .at(format!("{place}.{key}"))
                .got(json_kind(other))
                .expected("a string")),
        };
        Ok(LongBenchRow {
            id: format!("{number}-{i}"),
            input: text("Q")?,
            context: context.to_owned(),
            answers: vec![text("A")?],
            length,
            dataset: text("type")?,
            all_classes: Vec::new(),
            in_e: false,
            place,
        })
    };
    pairs.iter().enumerate().map(question).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: [&str; 2] = ["computation", "timeline_reorder"];

    fn read(name: &str, text: &str) -> Result<Vec<LongBenchRow>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        read_loogle(&path, &SETS)
    }

    #[test]
    fn documents_with_a_list_or_its_python_text() {
        let list = r#"[{"Q":"How many?","A":12,"S":["x"],"type":"computation"},{"Q":"In what order?","A":"1, 2","S":[],"type":"timeline_reorder"}]"#;
        let printed = r#""[{'Q': 'How many?', 'A': 12, 'S': ['x'], 'type': 'computation'}, {'Q': 'In what order?', 'A': '1, 2', 'S': [], 'type': 'timeline_reorder'}]""#;
        for pairs in [list, printed] {
            let line = format!(
                r#"{{"input":"One two three.","title":"t","qa_pairs":{pairs},"output":"none"}}"#
            );
            let rows = read("longdep_qa.jsonl", &format!("{line}\n{line}\n")).unwrap();
            assert_eq!(rows.len(), 4);
            let first = &rows[0];
            assert_eq!((first.dataset.as_str(), first.answers[0].as_str()), ("computation", "12"));
            assert_eq!((first.length, first.context.as_str()), (3, "One two three."));
            let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
            assert_eq!(ids, ["0-0", "0-1", "1-0", "1-1"]);
            assert_eq!(rows[3].input, "In what order?");
        }
    }

    #[test]
    fn rows_of_longbench_s_form_are_of_the_set_that_the_file_names() {
        let line = r#"{"input":"Q?","context":"Text.","answers":["A"],"length":1,"dataset":"SET","_id":"a"}"#;
        let of = |name: &str, dataset: &str| {
            read(name, &line.replace("SET", dataset)).unwrap()[0].dataset.clone()
        };
        assert_eq!(of("computation.jsonl", "longdep_qa"), "computation");
        assert_eq!(of("computation.jsonl", "timeline_reorder"), "timeline_reorder");
        assert_eq!(of("rows.jsonl", "longdep_qa"), "longdep_qa");
    }

    #[test]
    fn bad_questions_are_named() {
        for (pairs, part) in [
            (r#""[{'Q': 'x'""#, "rows.jsonl:1: qa_pairs: byte 10"),
            (r#""none""#, "rows.jsonl:1: qa_pairs: byte 0"),
            ("3", "a list of objects"),
            (r#"[{"Q":"x","A":"y"}]"#, "qa_pairs[0].type"),
            (r#"[{"Q":"x","A":["y"],"type":"computation"}]"#, "qa_pairs[0].A"),
            ("[7]", "qa_pairs[0].Q"),
        ] {
            let e = read("rows.jsonl", &format!(r#"{{"input":"T.","qa_pairs":{pairs}}}"#));
            let e = e.unwrap_err();
            assert_eq!(e.exit_code(), 3);
            assert!(e.to_string().contains(part), "{pairs}: {e}");
        }
    }
}
