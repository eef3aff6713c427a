//! A row of BABILong: a story in a haystack, a question about it, its answer.

use std::path::Path;

use crate::datasets::{Record, read_records, unread_columns};
use crate::error::Result;

/// Columns that are read.
const KNOWN: [&str; 3] = ["input", "question", "target"];

/// A row of BABILong, as published (`RMT-team/babilong`: `input`, `question`, `target`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BabilongRow {
    /// The context: the facts of the story, in order, among other text.
    pub input: String,
    /// The question. Many end with a space.
    pub question: String,
    /// The expected answer: one label of the task, or several with commas between them (qa8).
    pub target: String,
    /// The file and the row in it.
    pub place: String,
}

impl BabilongRow {
    /// All rows of a file: JSON lines, a JSON list, or an Arrow stream, at least one; what the user
    /// should know goes to `notes`.
    ///
    /// # Errors
    /// [`crate::Error::Data`] as [`read_records`], or naming the row whose column is missing, empty
    /// or has something else in it.
    pub fn read(path: &Path, notes: &mut Vec<String>) -> Result<Vec<Self>> {
        let records = read_records(path)?;
        notes.extend(unread_columns(path, &records, &KNOWN));
        records.iter().map(Self::from_record).collect()
    }

    fn from_record(record: &Record) -> Result<Self> {
        Ok(Self {
            target: record.filled_text("target")?.to_owned(),
            input: record.filled_text("input")?.to_owned(),
            question: record.filled_text("question")?.to_owned(),
            place: record.place().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arrow").join(name)
    }

    #[test]
    fn a_target_that_is_not_there_names_the_row() {
        let e = BabilongRow::read(&fixture("stream.arrow"), &mut Vec::new()).unwrap_err();
        assert_eq!(e.exit_code(), 3);
        let text = e.to_string();
        assert!(text.contains("stream.arrow: row 2: target") && text.contains("null"), "{text}");
    }

    #[test]
    fn rows_of_json_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qa1.json");
        let line = r#"{"input":"Anna left.","question":"Who left? ","target":"Anna"}"#;
        std::fs::write(&path, format!("{line}\n{line}\n")).unwrap();
        let mut notes = Vec::new();
        let rows = BabilongRow::read(&path, &mut notes).unwrap();
        assert_eq!((rows.len(), notes.len()), (2, 0));
        assert_eq!((rows[0].question.as_str(), rows[0].target.as_str()), ("Who left? ", "Anna"));
        assert!(rows[1].place.ends_with("qa1.json:2"), "{}", rows[1].place);
        std::fs::write(&path, line.replace('}', r#","facts":[]}"#)).unwrap();
        BabilongRow::read(&path, &mut notes).unwrap();
        assert!(notes[0].contains("columns facts"), "{notes:?}");
        for column in ["input", "question", "target"] {
            let bare: serde_json::Value = serde_json::from_str(line).unwrap();
            let mut bare = bare.as_object().unwrap().clone();
            bare.insert(column.to_owned(), " ".into());
            let text = serde_json::to_string(&bare).unwrap();
            std::fs::write(&path, format!("{line}\n{text}")).unwrap();
            let e = BabilongRow::read(&path, &mut notes).unwrap_err().to_string();
            assert!(e.contains("qa1.json:2") && e.contains(&format!("column {column}")), "{e}");
        }
    }

    #[test]
    fn published_rows_are_read() {
        let Some([folder]) = crate::goldens::find(["../data/babilong"]) else { return };
        let files = std::fs::read_dir(folder).unwrap();
        let (mut count, mut of_rows) = (0, 0);
        for file in files.map(|f| f.unwrap().path()) {
            if file.extension().is_some_and(|e| e == "jsonl" || e == "arrow") {
                of_rows += BabilongRow::read(&file, &mut Vec::new()).unwrap().len();
                count += 1;
            }
        }
        // 15 files of 20 rows, 15 of 5, and the Arrow file of 100.
        assert_eq!((count, of_rows), (31, 475));
        println!("data/babilong: {of_rows} rows of {count} files");
    }
}
