//! A row of LongBench.

use std::path::Path;

use super::dataset::Suite;
use super::score::{LENGTH_GROUPS, group_of_length};
use super::version_2;
use crate::datasets::{Record, read_records, unique, unread_columns};
use crate::error::{Error, Result};
use crate::tasks::Part;

/// Columns that are read, and `language`, which says nothing about the prompt.
const KNOWN: [&str; 8] =
    ["_id", "input", "context", "answers", "length", "dataset", "all_classes", "language"];

/// A row of LongBench or LongBench-E, as published (`THUDM/LongBench`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongBenchRow {
    /// `_id`, unique in a file; where a row has none, its line.
    pub id: String,
    /// The question, or the last example; empty for summaries.
    pub input: String,
    /// The text to read.
    pub context: String,
    /// Expected answers, at least one: an answer counts for the one that it is nearest to.
    pub answers: Vec<String>,
    /// The data set: `hotpotqa`. LongBench-E has the same names.
    pub dataset: String,
    /// All class names of a classification, empty elsewhere.
    pub all_classes: Vec<String>,
    /// Whether the row is of LongBench-E: its file is called `hotpotqa_e`.
    pub in_e: bool,
    /// Rows of its length, where they are reported apart: in LongBench-E by words or, for Chinese,
    /// characters.
    pub part: Option<Part>,
    /// The file and the row in it.
    pub place: String,
}

impl LongBenchRow {
    /// All rows of a file of `suite`, at least one; what the user should know goes to `notes`.
    ///
    /// # Errors
    /// [`Error::Data`] as [`read_records`], naming the row whose column is missing, empty or has
    /// something else in it, and if two rows have the same `_id`.
    pub fn read(path: &Path, suite: &Suite, notes: &mut Vec<String>) -> Result<Vec<Self>> {
        let records = read_records(path)?;
        let known = [&KNOWN[..], &version_2::KNOWN].concat();
        notes.extend(unread_columns(path, &records, &known));
        let (name, in_e) = file_name(path);
        let row = |record: &Record| match version_2::is_of(record) {
            true => version_2::row(record),
            false => Self::from_record(record, suite, &name, in_e),
        };
        let rows: Vec<Self> = records.iter().map(row).collect::<Result<_>>()?;
        unique(rows.iter().map(|row| (row.id.as_str(), row.place.as_str())))?;
        Ok(rows)
    }

    /// One row of a file that is called `name`, or `name` and `_e`.
    pub(crate) fn from_record(
        record: &Record,
        suite: &Suite,
        name: &str,
        in_e: bool,
    ) -> Result<Self> {
        Ok(Self {
            id: id(record)?,
            input: record.text("input")?.to_owned(),
            context: record.filled_text("context")?.to_owned(),
            answers: record.gold_texts("answers")?,
            dataset: dataset_name(record, suite, name)?,
            all_classes: match record.has("all_classes") {
                true => record.texts("all_classes")?,
                false => Vec::new(),
            },
            in_e,
            part: match in_e {
                true => Some(length_part(record.number("length")?)),
                false => None,
            },
            place: record.place().to_owned(),
        })
    }
}

/// `_id`, or the line where there is none.
///
/// # Errors
/// [`Error::Data`] if it is something else than a text or a number.
pub(super) fn id(record: &Record) -> Result<String> {
    match record.has("_id") {
        true => record.label("_id"),
        false => Ok(record.line().to_string()),
    }
}

/// The data set that a row says it is of; where it says none, that of its file's name.
fn dataset_name(record: &Record, suite: &Suite, name: &str) -> Result<String> {
    match record.has("dataset") {
        true => Ok(record.text("dataset")?.to_owned()),
        false if suite.knows(name) => Ok(name.to_owned()),
        false => Err(Error::data("a row does not say which data set it is of")
            .at(record.place())
            .got(format!("no column dataset, in a file called {name}"))
            .expected("a column dataset, or a file that is called as a data set")),
    }
}

/// The name of a file without its extension and without `_e`, and whether it had that.
pub(super) fn file_name(path: &Path) -> (String, bool) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match stem.strip_suffix("_e") {
        Some(name) => (name.to_owned(), true),
        None => (stem.into_owned(), false),
    }
}

/// The class of LongBench-E that a text of so many words is in.
fn length_part(words: usize) -> Part {
    let class = group_of_length(words);
    Part::Class(class, LENGTH_GROUPS[class])
}

#[cfg(test)]
mod tests {
    use super::super::LONGBENCH;
    use super::*;

    const LINE: &str = r#"{"input":"Who?","context":"Anna left.","answers":["Anna","she"],"length":2,"dataset":"trec","language":"en","all_classes":["x"],"_id":"a"}"#;

    fn read_as(name: &str, text: &str) -> (Result<Vec<LongBenchRow>>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut notes = Vec::new();
        (LongBenchRow::read(&path, &LONGBENCH, &mut notes), notes)
    }

    fn read(text: &str) -> Result<Vec<LongBenchRow>> {
        read_as("rows.jsonl", text).0
    }

    #[test]
    fn rows_of_json_lines() {
        let without = LINE.replace("[\"x\"]", "null").replace("\"a\"}", "\"b\"}");
        let (rows, notes) = read_as("rows.jsonl", &format!("{LINE}\n{without}\n"));
        let rows = rows.unwrap();
        assert_eq!(rows[0].answers, ["Anna", "she"]);
        assert_eq!((rows[0].part, rows[0].dataset.as_str()), (None, "trec"));
        assert_eq!((rows[0].all_classes.len(), rows[1].all_classes.len()), (1, 0));
        assert_eq!(notes, [""; 0]);
    }

    /// The line is the name of a row without one, the file's name that of its data set; a length
    /// counts in LongBench-E alone, by whose classes rows are reported.
    #[test]
    fn what_is_missing_comes_from_the_file() {
        let bare = LINE
            .replace("\"_id\":\"a\"", "\"_id\":null")
            .replace("\"dataset\":\"trec\",", "")
            .replace("\"length\":2,", "");
        let rows = read_as("trec.jsonl", &format!("\n{bare}\n{bare}")).0.unwrap();
        let of: Vec<_> = rows.iter().map(|r| (&*r.id, &*r.dataset, r.in_e)).collect();
        assert_eq!(of, [("2", "trec", false), ("3", "trec", false)]);
        let number = read(&LINE.replace("\"_id\":\"a\"", "\"_id\":17")).unwrap();
        assert_eq!(number[0].id, "17");
        let e = read(&bare).unwrap_err().to_string();
        assert!(e.contains("which data set") && e.contains("a file called rows"), "{e}");
        let e = read_as("trec_e.jsonl", &bare).0.unwrap_err().to_string();
        assert!(e.contains("no column length"), "{e}");
        let rows = read_as("trec_e.jsonl", &LINE.replace(":2,", ":4000,")).0.unwrap();
        assert_eq!((rows[0].in_e, rows[0].part), (true, Some(Part::Class(1, "4-8k"))));
    }

    #[test]
    fn an_unknown_column_is_told() {
        let (rows, notes) = read_as("rows.jsonl", &LINE.replace("language", "system"));
        assert!(rows.is_ok() && notes.len() == 1);
        assert!(notes[0].contains("columns system"), "{notes:?}");
    }

    #[test]
    fn bad_rows_are_named() {
        let second = |from: &str, to: &str| {
            let bad = LINE.replace("\"_id\":\"a\"", "\"_id\":\"b\"").replace(from, to);
            let e = read(&format!("{LINE}\n{bad}\n")).unwrap_err();
            assert_eq!(e.exit_code(), 3);
            e.to_string()
        };
        for (from, to, part) in [
            ("[\"Anna\",\"she\"]", "[]", "an empty list"),
            ("[\"Anna\",\"she\"]", "\"Anna\"", "a list of strings"),
            ("\"Anna left.\"", "\" \"", "nothing in its column context"),
            ("\"context\"", "\"text\"", "no column context"),
            ("\"_id\":\"b\"", "\"_id\":\"a\"", "id a twice"),
            ("\"_id\":\"b\"", "\"_id\":[]", "a text or a whole number"),
        ] {
            let text = second(from, to);
            assert!(text.contains(part) && text.contains("rows.jsonl:2"), "{text}");
        }
    }

    #[test]
    fn published_rows_are_read() {
        let Some([folder]) = crate::goldens::find(["../data/longbench"]) else { return };
        let files = [("multi_news", 10), ("multifieldqa_zh", 5), ("passage_retrieval_zh", 5)];
        let mut notes = Vec::new();
        for (dataset, count) in files {
            let path = folder.join(format!("{dataset}_{count}.jsonl"));
            let rows = LongBenchRow::read(&path, &LONGBENCH, &mut notes).unwrap();
            assert_eq!(rows.len(), count);
            assert!(rows.iter().all(|row| row.dataset == dataset));
        }
        assert_eq!(notes, [""; 0]);
        println!("data/longbench: 20 rows of 3 files");
    }
}
