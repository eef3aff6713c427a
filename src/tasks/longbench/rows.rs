//! A row of LongBench.

use std::path::Path;

use crate::datasets::{Record, read_records, unique};
use crate::error::Result;

/// A row of LongBench or LongBench-E, as published (`THUDM/LongBench`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongBenchRow {
    /// `_id`; unique in a file.
    pub id: String,
    /// The question, or the last example; empty for summaries.
    pub input: String,
    /// The text to read.
    pub context: String,
    /// Expected answers, at least one: an answer counts for the one that it is nearest to.
    pub answers: Vec<String>,
    /// Length of the text, in words or, for Chinese, characters; what LongBench-E groups by.
    pub length: usize,
    /// The data set: `hotpotqa`. LongBench-E has the same names.
    pub dataset: String,
    /// All class names of a classification, empty elsewhere.
    pub all_classes: Vec<String>,
    /// Whether the row is of LongBench-E: its file is called `hotpotqa_e`.
    pub in_e: bool,
    /// The file and the row in it.
    pub place: String,
}

impl LongBenchRow {
    /// All rows of a file. At least one.
    ///
    /// # Errors
    /// [`crate::Error::Data`] as [`read_records`], naming the row whose column is missing or has
    /// something else in it, and if two rows have the same id.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        let in_e = path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("_e"));
        let row = |record: &Record| Self::from_record(record, in_e);
        let rows: Vec<Self> = read_records(path)?.iter().map(row).collect::<Result<_>>()?;
        unique(rows.iter().map(|row| (row.id.as_str(), row.place.as_str())))?;
        Ok(rows)
    }

    /// One row of a file; `in_e` by the file's name.
    pub(crate) fn from_record(record: &Record, in_e: bool) -> Result<Self> {
        Ok(Self {
            id: record.text("_id")?.to_owned(),
            input: record.text("input")?.to_owned(),
            context: record.text("context")?.to_owned(),
            answers: record.gold_texts("answers")?,
            length: record.number("length")?,
            dataset: record.text("dataset")?.to_owned(),
            all_classes: match record.has("all_classes") {
                true => record.texts("all_classes")?,
                false => Vec::new(),
            },
            in_e,
            place: record.place().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"input":"Who?","context":"Anna left.","answers":["Anna","she"],"length":2,"dataset":"trec","language":"en","all_classes":["x"],"_id":"a"}"#;

    fn read(text: &str) -> Result<Vec<LongBenchRow>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        std::fs::write(&path, text).unwrap();
        LongBenchRow::read(&path)
    }

    #[test]
    fn rows_of_json_lines() {
        let without = LINE.replace("[\"x\"]", "null").replace("\"a\"}", "\"b\"}");
        let rows = read(&format!("{LINE}\n{without}\n")).unwrap();
        assert_eq!(rows[0].answers, ["Anna", "she"]);
        assert_eq!((rows[0].length, rows[0].dataset.as_str()), (2, "trec"));
        assert_eq!((rows[0].all_classes.len(), rows[1].all_classes.len()), (1, 0));
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
            ("\"length\":2", "\"length\":-2", "the number -2"),
            ("\"context\"", "\"text\"", "no column context"),
            ("\"_id\":\"b\"", "\"_id\":\"a\"", "id a twice"),
        ] {
            let text = second(from, to);
            assert!(text.contains(part) && text.contains("rows.jsonl:2"), "{text}");
        }
    }

    #[test]
    fn published_rows_are_read() {
        let Some([folder]) = crate::goldens::find(["../data/longbench"]) else { return };
        let files = [("multi_news", 10), ("multifieldqa_zh", 5), ("passage_retrieval_zh", 5)];
        for (dataset, count) in files {
            let rows =
                LongBenchRow::read(&folder.join(format!("{dataset}_{count}.jsonl"))).unwrap();
            assert_eq!(rows.len(), count);
            assert!(rows.iter().all(|row| row.dataset == dataset));
        }
        println!("data/longbench: 20 rows of 3 files");
    }
}
