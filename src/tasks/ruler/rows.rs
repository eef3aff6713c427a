//! A row of RULER.

use std::path::Path;

use crate::datasets::{Record, read_records, unread_columns};
use crate::error::{Error, Result};
use crate::tasks::PromptText;

/// What RULER's scripts keep the begin of the answer under, and lm-evaluation-harness's.
const PREFIXES: [&str; 2] = ["answer_prefix", "gen_prefix"];

/// Columns that are read, and those that say nothing about the prompt: `index` is the row's number
/// in its task, or the place of the answer in the text, where it repeats and may be -1; lengths
/// count tokens of whoever made the file.
const KNOWN: [&str; 11] = [
    "input",
    "outputs",
    PREFIXES[0],
    PREFIXES[1],
    "index",
    "length",
    "length_w_model_temp",
    "max_length",
    "token_position_answer",
    "truncation",
    "others",
];

/// A row of RULER, as its generator writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulerRow {
    /// The row's line in its file, from 1; of a row that is made here its number, from 0.
    pub line: usize,
    /// The prompt. Old files have the begin of the answer at its end.
    pub input: String,
    /// What stands between the prompt and the begin of the answer, where no chat template does.
    pub joint: &'static str,
    /// How the answer begins; the model goes on from there. Empty where the prompt has it.
    pub answer_prefix: String,
    /// Texts that an answer should have in it, at least one.
    pub outputs: Vec<String>,
    /// The file and the row in it.
    pub place: String,
}

impl RulerRow {
    /// All rows of a file, at least one; what the user should know goes to `notes`.
    ///
    /// # Errors
    /// [`Error::Data`] as [`read_records`], or naming the row whose column is missing, empty or has
    /// something else in it.
    pub fn read(path: &Path, notes: &mut Vec<String>) -> Result<Vec<Self>> {
        let records = read_records(path)?;
        notes.extend(unread_columns(path, &records, &KNOWN));
        records.iter().map(Self::from_record).collect()
    }

    fn from_record(record: &Record) -> Result<Self> {
        let input = record.filled_text("input")?.to_owned();
        let outputs = record.gold_texts("outputs")?;
        if outputs.iter().any(String::is_empty) {
            // It is a part of every answer.
            return Err(record.nothing("outputs", "an empty text", "texts to look for"));
        }
        let prefix = |column: &str| match record.has(column) {
            true => record.text(column),
            false => Ok(""),
        };
        let (joint, answer_prefix) = match PREFIXES.map(prefix) {
            [own, other] => match (own?, other?) {
                (own, "") => ("", own),
                ("", other) => (joint(&input, other), other),
                _ => {
                    return Err(Error::data("a row says twice how its answer begins")
                        .at(record.place())
                        .got(PREFIXES.join(" and "))
                        .expected("one of them"));
                }
            },
        };
        Ok(Self {
            line: record.line(),
            joint,
            answer_prefix: answer_prefix.to_owned(),
            input,
            outputs,
            place: record.place().to_owned(),
        })
    }

    /// What is asked. Rows are no chat messages, unless all prompts are.
    pub fn prompt(&self) -> PromptText<'_> {
        let Self { input, joint, answer_prefix, .. } = self;
        PromptText { answer_prefix, joint, ..PromptText::whole(input, false) }
    }
}

/// lm-evaluation-harness drops the space before the begin of an answer, and puts it back.
fn joint(input: &str, prefix: &str) -> &'static str {
    match input.ends_with(char::is_whitespace) || prefix.starts_with(char::is_whitespace) {
        true => "",
        false => " ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"index":0,"input":"Which?","outputs":["12","13"],"length":40}"#;

    fn read(text: &str) -> (Result<Vec<RulerRow>>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        std::fs::write(&path, text).unwrap();
        let mut notes = Vec::new();
        (RulerRow::read(&path, &mut notes), notes)
    }

    /// A number that repeats, is -1 or is missing is no name; the line is.
    #[test]
    fn rows_are_named_by_their_lines() {
        let lines = [
            LINE.to_owned(),
            LINE.to_owned(),
            String::new(),
            LINE.replace(":0,", ":-1,"),
            LINE.replace("\"index\":0,", ""),
            LINE.replace(",\"length\":40", ""),
        ];
        let (rows, notes) = read(&lines.join("\n"));
        let rows = rows.unwrap();
        let lines: Vec<usize> = rows.iter().map(|row| row.line).collect();
        assert_eq!((lines, notes), (vec![1, 2, 4, 5, 6], Vec::new()));
        assert!(rows.iter().all(|row| row.outputs.len() == 2 && row.prompt().plain() == "Which?"));
    }

    /// The prompt without the begin of the answer is another prompt.
    #[test]
    fn the_begin_of_the_answer_stands_behind_the_prompt() {
        let text = |field: &str| {
            let (rows, notes) = read(&LINE.replace("\"length\":40", field));
            assert_eq!(notes, [""; 0]);
            rows.map(|rows| rows[0].prompt().plain().into_owned()).map_err(|e| e.to_string())
        };
        assert_eq!(text(r#""answer_prefix":" It is""#).unwrap(), "Which? It is");
        // RULER cuts one text in two, wherever that is.
        assert_eq!(text(r#""answer_prefix":"x""#).unwrap(), "Which?x");
        assert_eq!(text(r#""gen_prefix":"It is""#).unwrap(), "Which? It is");
        assert_eq!(text(r#""gen_prefix":" It is""#).unwrap(), "Which? It is");
        assert_eq!(text(r#""answer_prefix":null,"gen_prefix":"""#).unwrap(), "Which?");
        let both = text(r#""answer_prefix":"a","gen_prefix":"b""#).unwrap_err();
        assert!(both.contains("rows.jsonl:1") && both.contains("gen_prefix"), "{both}");
        let number = text(r#""answer_prefix":3"#).unwrap_err();
        assert!(number.contains("rows.jsonl:1: answer_prefix"), "{number}");
    }

    #[test]
    fn bad_rows_are_named() {
        for (from, to, part) in [
            ("outputs", "answers", "answers, index, input, length"),
            ("\"Which?\"", "\" \"", "nothing in its column input"),
            ("\"13\"", "\"\"", "nothing in its column outputs"),
            ("[\"12\",\"13\"]", "[]", "nothing in its column outputs"),
        ] {
            let e = read(&format!("{LINE}\n{}", LINE.replace(from, to))).0.unwrap_err();
            assert_eq!(e.exit_code(), 3);
            assert!(e.to_string().contains("rows.jsonl:2"), "{e}");
            assert!(e.to_string().contains(part), "{e}");
        }
    }

    #[test]
    fn an_unknown_column_is_told() {
        let (rows, notes) = read(&LINE.replace("length", "system_prompt"));
        assert!(rows.is_ok() && notes.len() == 1);
        assert!(notes[0].contains("columns system_prompt"), "{notes:?}");
    }

    #[test]
    fn published_rows_are_read() {
        let found = crate::goldens::find([
            "../data/ruler/niah_multikey_3_4096_20.jsonl",
            "../cases/rows/ruler_index_repeats.jsonl",
        ]);
        let Some(paths) = found else { return };
        let mut notes = Vec::new();
        let [old, new] = paths.map(|path| RulerRow::read(&path, &mut notes).unwrap());
        assert_eq!((old.len(), new.len(), notes.len()), (20, 12, 0));
        // The answer is in the prompt, once.
        let once = |r: &RulerRow| r.prompt().plain().matches(&r.outputs[0]).count() == 1;
        assert!(old.iter().chain(&new).all(once));
        assert!(old.iter().all(|row| row.answer_prefix.is_empty()));
        let apart =
            |row: &RulerRow| row.prompt().plain() == [&*row.input, &*row.answer_prefix].concat();
        assert!(new.iter().all(|row| !row.answer_prefix.is_empty() && apart(row)));
        println!("data/ruler, cases/rows: {} rows", old.len() + new.len());
    }
}
