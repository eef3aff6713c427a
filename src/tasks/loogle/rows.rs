//! Rows of LooGLE, in the form of LongBench's.

use std::path::Path;

use serde_json::Value;

use crate::datasets::python_literal;
use crate::datasets::{Record, read_records, unique, unread_columns};
use crate::error::{Error, Result, json_kind};
use crate::tasks::longbench::Suite;
use crate::tasks::longbench::rows::LongBenchRow;

/// The column with a document's questions.
const QA_PAIRS: &str = "qa_pairs";

/// The column with the question of a row that has one.
const QUESTION: &str = "question";

/// Where such a row may say of which type its question is.
const TYPES: [&str; 2] = ["type", "task"];

/// Columns that are read, and those that say nothing about the prompt: what a document is called,
/// the sentences that an answer follows from, and the summary that is asked for in another part.
const KNOWN: [&str; 18] = [
    QA_PAIRS,
    QUESTION,
    TYPES[0],
    TYPES[1],
    "input",
    "context",
    "answer",
    "answers",
    "dataset",
    "all_classes",
    "_id",
    "length",
    "language",
    "title",
    "output",
    "evidence",
    "doc_id",
    "id",
];

/// All questions of a file of long-dependency questions, at least one; what the user should know
/// goes to `notes`.
///
/// Read as LooGLE distributes them, a document per row with its questions in `qa_pairs` (a list, or
/// the text that Python prints for one, of `Q`, `A`, `S` and `type`) or a question per row; and as
/// HeadKV has them, a row of LongBench's form per question. There the data set is the file's name
/// where `dataset` does not name one of the `suite`.
///
/// # Errors
/// [`Error::Data`] as [`LongBenchRow::read`], and naming the row and the question in it.
pub fn read_loogle(
    path: &Path,
    suite: &Suite,
    notes: &mut Vec<String>,
) -> Result<Vec<LongBenchRow>> {
    let records = read_records(path)?;
    notes.extend(unread_columns(path, &records, &KNOWN));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut rows = Vec::new();
    for (number, record) in records.iter().enumerate() {
        if record.has(QA_PAIRS) {
            rows.extend(document(record, number)?);
        } else if record.has(QUESTION) {
            rows.push(question(record, suite)?);
        } else {
            let mut row = LongBenchRow::from_record(record, suite, &stem, false)?;
            if !suite.knows(&row.dataset) && suite.knows(&stem) {
                stem.as_ref().clone_into(&mut row.dataset);
            }
            rows.push(row);
        }
    }
    unique(rows.iter().map(|row| (row.id.as_str(), row.place.as_str())))?;
    Ok(rows)
}

/// A question about a document.
struct Asked {
    id: String,
    question: String,
    answer: String,
    dataset: String,
    place: String,
}

impl Asked {
    fn about(self, context: &str) -> LongBenchRow {
        LongBenchRow {
            id: self.id,
            input: self.question,
            context: context.to_owned(),
            answers: vec![self.answer],
            dataset: self.dataset,
            all_classes: Vec::new(),
            in_e: false,
            part: None,
            place: self.place,
        }
    }
}

/// The question of a row that has one.
fn question(record: &Record, suite: &Suite) -> Result<LongBenchRow> {
    let of_type = |column: &&str| {
        let text = record.has(column).then(|| record.text(column).ok()).flatten()?;
        let name = text.to_lowercase().replace(' ', "_");
        suite.knows(&name).then_some(name)
    };
    let dataset = TYPES.iter().find_map(of_type).ok_or_else(|| {
        Error::data("a row does not say of which type its question is")
            .at(record.place())
            .got(format!("no type of a long-dependency question in {}", TYPES.join(" or ")))
            .expected(suite.names().join(", "))
    })?;
    let asked = Asked {
        id: record.line().to_string(),
        question: record.filled_text(QUESTION)?.to_owned(),
        answer: record.label("answer")?,
        dataset,
        place: record.place().to_owned(),
    };
    Ok(asked.about(record.filled_text("context")?))
}

/// The questions of one document, the `number`-th row of its file from 0.
fn document(record: &Record, number: usize) -> Result<Vec<LongBenchRow>> {
    let context = record.filled_text("input")?;
    let column = format!("{}: {QA_PAIRS}", record.place());
    let printed;
    let pairs = match record.value(QA_PAIRS)? {
        Value::String(text) if text == "none" => {
            return Err(Error::data("a document has no questions")
                .at(&column)
                .got("none, as where a summary is asked for")
                .expected("long-dependency questions, as in longdep_qa.jsonl"));
        }
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
            Value::String(text) if !text.trim().is_empty() => Ok(text.clone()),
            // Answers of the computation questions may be bare numbers.
            Value::Number(number) => Ok(number.to_string()),
            other => Err(Error::data("a question lacks a text")
                .at(format!("{place}.{key}"))
                .got(if other.is_string() { "an empty text" } else { json_kind(other) })
                .expected("a text")
                .advice("questions that have a type are asked: those of longdep_qa.jsonl")),
        };
        let asked = Asked {
            id: format!("{number}-{i}"),
            question: text("Q")?,
            answer: text("A")?,
            dataset: text("type")?,
            place: place.clone(),
        };
        Ok(asked.about(context))
    };
    pairs.iter().enumerate().map(question).collect()
}

#[cfg(test)]
mod tests {
    use super::super::LOOGLE;
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<LongBenchRow>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut notes = Vec::new();
        let rows = read_loogle(&path, &LOOGLE, &mut notes)?;
        assert_eq!(notes, [""; 0]);
        Ok(rows)
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
            assert_eq!(first.context, "One two three.");
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

    /// The type may stand in two places, in two spellings; without one a row is of no data set.
    #[test]
    fn a_question_per_row() {
        let line = |field: &str| {
            format!(
                r#"{{"context":"Text.","question":"Q?","answer":3,"evidence":["e"],"title":"t","doc_id":"d",{field}}}"#
            )
        };
        let lines = [line(r#""type":"computation""#), line(r#""task":"Timeline reorder""#)];
        let rows = read("longdep_qa.jsonl", &lines.join("\n")).unwrap();
        let of: Vec<_> = rows.iter().map(|r| (&*r.id, &*r.dataset, &*r.answers[0])).collect();
        assert_eq!(of, [("1", "computation", "3"), ("2", "timeline_reorder", "3")]);
        let e = read("longdep_qa.jsonl", &line(r#""task":"longdep_qa""#)).unwrap_err();
        assert!(e.exit_code() == 3 && e.to_string().contains("longdep_qa.jsonl:1"), "{e}");
        assert!(e.to_string().contains("of which type"), "{e}");
    }

    #[test]
    fn bad_questions_are_named() {
        for (pairs, part) in [
            (r#""[{'Q': 'x'""#, "rows.jsonl:1: qa_pairs: byte 10"),
            (r#""nothing""#, "rows.jsonl:1: qa_pairs: byte 0"),
            (r#""none""#, "a document has no questions"),
            (r#"[{"Q":" ","A":"y","type":"computation"}]"#, "qa_pairs[0].Q"),
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
