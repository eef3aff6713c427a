//! Rows of LongBench v2 (Y. Bai et al. 2024, arXiv 2412.15204): a question about a text with four
//! choices, of which the answer names one.

use super::rows::{LongBenchRow, id};
use crate::datasets::Record;
use crate::error::{Error, Result};
use crate::tasks::Part;

/// Its name as a data set of LongBench; rows do not have it.
pub(super) const NAME: &str = "longbench-v2";

/// Columns that its rows have and LongBench's have not. `domain`, `sub_domain` and `difficulty` say
/// nothing about the prompt.
pub(super) const KNOWN: [&str; 9] = [
    "question",
    CHOICES[0].1,
    CHOICES[1].1,
    CHOICES[2].1,
    CHOICES[3].1,
    "answer",
    "domain",
    "sub_domain",
    "difficulty",
];

/// The choices and their columns.
const CHOICES: [(&str, &str); 4] =
    [("A", "choice_A"), ("B", "choice_B"), ("C", "choice_C"), ("D", "choice_D")];

/// What rows call their length.
pub(super) const LENGTHS: [&str; 3] = ["short", "medium", "long"];

/// Whether a row has choices.
pub(super) fn is_of(record: &Record) -> bool {
    record.has(CHOICES[0].1)
}

/// A row, with question and choices as its input, without white space at their ends.
///
/// # Errors
/// [`Error::Data`] naming the row whose column is missing, empty or has something else in it.
pub(super) fn row(record: &Record) -> Result<LongBenchRow> {
    let mut input = record.filled_text("question")?.trim().to_owned();
    for (letter, column) in CHOICES {
        input.push_str(&format!("\n({letter}) {}", record.filled_text(column)?.trim()));
    }
    let one_of = |column: &str, names: &[&'static str]| {
        let text = record.text(column)?;
        names.iter().position(|name| *name == text).ok_or_else(|| {
            Error::data("a column has something else in it")
                .at(format!("{}: {column}", record.place()))
                .got(format!("{text:?}"))
                .expected(names.join(", "))
        })
    };
    let length = one_of("length", &LENGTHS)?;
    let answer = CHOICES[one_of("answer", &CHOICES.map(|(letter, _)| letter))?].0;
    Ok(LongBenchRow {
        id: id(record)?,
        input,
        context: record.filled_text("context")?.trim().to_owned(),
        answers: vec![answer.to_owned()],
        dataset: NAME.to_owned(),
        all_classes: Vec::new(),
        in_e: false,
        part: Some(Part::Class(length, LENGTHS[length])),
        place: record.place().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::LONGBENCH;
    use super::*;

    const LINE: &str = r#"{"_id":"x","domain":"d","sub_domain":"s","difficulty":"easy","length":"medium","question":"Who? ","choice_A":"Anna","choice_B":" Ben","choice_C":"C. D.","choice_D":"none","answer":"B","context":" Ben left.\n"}"#;

    fn read(line: &str) -> Result<LongBenchRow> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.json");
        std::fs::write(&path, format!("[{line}]")).unwrap();
        let mut notes = Vec::new();
        let rows = LongBenchRow::read(&path, &LONGBENCH, &mut notes)?;
        assert_eq!(notes, [""; 0]);
        Ok(rows[0].clone())
    }

    #[test]
    fn choices_are_a_part_of_the_question() {
        let row = read(LINE).unwrap();
        assert_eq!(row.input, "Who?\n(A) Anna\n(B) Ben\n(C) C. D.\n(D) none");
        assert_eq!((&*row.context, &*row.answers[0], &*row.id), ("Ben left.", "B", "x"));
        assert_eq!((&*row.dataset, row.part), (NAME, Some(Part::Class(1, "medium"))));
        assert!(LONGBENCH.find(&row.dataset).is_ok());
    }

    #[test]
    fn bad_rows_are_named() {
        for (from, to, part) in [
            ("\"B\"", "\"E\"", "row 1: answer"),
            ("\"medium\"", "\"7k\"", "row 1: length"),
            ("\" Ben\"", "\"\"", "nothing in its column choice_B"),
            ("choice_D", "choice_E", "no column choice_D"),
            ("\" Ben left.\\n\"", "\"\"", "nothing in its column context"),
        ] {
            let e = read(&LINE.replace(from, to)).unwrap_err();
            assert_eq!(e.exit_code(), 3);
            assert!(e.to_string().contains(part), "{e}");
        }
    }
}
