//! A row of RULER.

use std::path::Path;

use crate::datasets::{Record, read_records};
use crate::error::Result;

/// A row of RULER, as its generator writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulerRow {
    /// The row's number in its file, from 0.
    pub index: usize,
    /// The whole prompt.
    pub input: String,
    /// Texts that an answer should have in it, at least one.
    pub outputs: Vec<String>,
    /// Length of the prompt and the answer, in tokens of whoever made the file.
    pub length: usize,
    /// The file and the row in it.
    pub place: String,
}

impl RulerRow {
    /// All rows of a file. At least one.
    ///
    /// # Errors
    /// [`crate::Error::Data`] as [`read_records`], or naming the row whose column is missing or has
    /// something else in it.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        read_records(path)?.iter().map(Self::from_record).collect()
    }

    fn from_record(record: &Record) -> Result<Self> {
        Ok(Self {
            index: record.number("index")?,
            input: record.text("input")?.to_owned(),
            outputs: record.gold_texts("outputs")?,
            length: record.number("length")?,
            place: record.place().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_bad_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        let line = r#"{"index":0,"input":"Which?","outputs":["12","13"],"length":40}"#;
        std::fs::write(&path, line).unwrap();
        let rows = RulerRow::read(&path).unwrap();
        assert_eq!((rows[0].outputs.len(), rows[0].length), (2, 40));
        std::fs::write(&path, line.replace("outputs", "answers")).unwrap();
        let e = RulerRow::read(&path).unwrap_err();
        assert_eq!(e.exit_code(), 3);
        assert!(e.to_string().contains("rows.jsonl:1"), "{e}");
        assert!(e.to_string().contains("answers, index, input, length"), "{e}");
    }

    #[test]
    fn published_rows_are_read() {
        let found = crate::goldens::find(["../data/ruler/niah_multikey_3_4096_20.jsonl"]);
        let Some([path]) = found else { return };
        let rows = RulerRow::read(&path).unwrap();
        assert_eq!(rows.len(), 20);
        // The answer is in the prompt, once.
        assert!(rows.iter().all(|r| r.input.matches(&r.outputs[0]).count() == 1));
        println!("data/ruler: {} rows", rows.len());
    }
}
