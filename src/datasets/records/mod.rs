//! A data file as records: named fields per row, whatever the file's format.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

use super::arrow;
use crate::error::{Error, Result, json_kind};
use crate::system::text::utf8_text;

/// What is read, for errors.
const FORMATS: &str = "JSON lines, a JSON list of objects, {\"data\": [...]}, or an Arrow stream";

/// The key under which some files have their list of rows.
const DATA_KEY: &str = "data";

/// One row of a data file.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    fields: Map<String, Value>,
    /// The file and the row in it, or the line, from 1.
    place: String,
    /// That line or row.
    line: usize,
}

/// All rows of a file; at least one. The format is found by the file's first bytes.
///
/// # Errors
/// [`Error::Data`] naming file and row: if it cannot be read, is empty or has no rows, is none of
/// the formats, is cut off, or has a row that is no object.
pub fn read_records(path: &Path) -> Result<Vec<Record>> {
    let place = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| {
        Error::data("a data file cannot be read").at(&place).got(e).expected(FORMATS)
    })?;
    parse(&bytes, &place)
}

/// As [`read_records`], of a file's bytes; `place` names it in errors.
pub(super) fn parse(bytes: &[u8], place: &str) -> Result<Vec<Record>> {
    if let Some(name) = foreign_format(bytes) {
        return Err(Error::data("a data file has a format that is not read here")
            .at(place)
            .got(name)
            .expected(FORMATS)
            .advice("convert it, for instance with `datasets`: Dataset.to_json(\"rows.jsonl\")"));
    }
    let rows = match arrow::is_arrow(bytes) {
        true => numbered(arrow::read(bytes).map_err(|e| e.within(place))?, place),
        false => json_rows(&utf8_text(bytes, place)?, place)?,
    };
    if rows.is_empty() {
        return Err(Error::data("a data file has no rows")
            .at(place)
            .got(format!("{} bytes", bytes.len()))
            .expected(FORMATS)
            .advice(
                "take it out of the folder, or name what is asked behind the colon of --task",
            ));
    }
    Ok(rows)
}

/// Whether there is nothing in a file but white space.
pub(crate) fn is_blank(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.iter().all(u8::is_ascii_whitespace))
}

/// What the user should know of columns that some of the rows of a file have and nobody reads:
/// what stands in them may belong into the prompt.
pub(crate) fn unread_columns(path: &Path, records: &[Record], read: &[&str]) -> Option<String> {
    let columns: BTreeSet<&str> =
        records.iter().flat_map(|record| record.fields.keys().map(String::as_str)).collect();
    let unread: Vec<&str> = columns.into_iter().filter(|column| !read.contains(column)).collect();
    (!unread.is_empty()).then(|| {
        format!(
            "{}: nothing is read from the columns {}; what stands in them is in no prompt",
            path.display(),
            unread.join(", ")
        )
    })
}

/// The name of a format that people have such data in, by its first bytes.
fn foreign_format(bytes: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 3] =
        [(b"PAR1", "Parquet"), (b"\x1f\x8b", "gzip"), (b"PK\x03\x04", "a zip archive")];
    known.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, name)| *name)
}

fn numbered(rows: Vec<Map<String, Value>>, place: &str) -> Vec<Record> {
    let record =
        |(i, fields)| Record { fields, place: format!("{place}: row {}", i + 1), line: i + 1 };
    rows.into_iter().enumerate().map(record).collect()
}

/// The rows of a JSON text: a list, an object with a list in it, or an object per line.
fn json_rows(text: &str, place: &str) -> Result<Vec<Record>> {
    // JSON lines are no JSON text: the second line is what ends the first value.
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(rows)) => objects(rows, place),
        Ok(Value::Object(mut fields)) if fields.get(DATA_KEY).is_some_and(Value::is_array) => {
            match fields.remove(DATA_KEY) {
                Some(Value::Array(rows)) => objects(rows, &format!("{place}: {DATA_KEY}")),
                _ => Err(Error::bug("a list is gone").at(place)),
            }
        }
        Ok(Value::Object(fields)) => {
            Ok(vec![Record { fields, place: format!("{place}:1"), line: 1 }])
        }
        Ok(other) => Err(no_object(&other, place)),
        Err(e) if text.trim_start().starts_with('[') => Err(Error::data("a data file is not JSON")
            .at(format!("{place}:{}: column {}", e.line(), e.column()))
            .got(e)
            .expected(FORMATS)),
        Err(_) => json_lines(text, place),
    }
}

fn json_lines(text: &str, place: &str) -> Result<Vec<Record>> {
    let mut rows = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{place}:{}", i + 1);
        let value: Value = serde_json::from_str(line).map_err(|e| {
            Error::data("a line of a data file is not JSON")
                .at(format!("{place}: column {}", e.column()))
                .got(e)
                .expected(FORMATS)
        })?;
        match value {
            Value::Object(fields) => rows.push(Record { fields, place, line: i + 1 }),
            other => return Err(no_object(&other, &place)),
        }
    }
    Ok(rows)
}

fn objects(rows: Vec<Value>, place: &str) -> Result<Vec<Record>> {
    let object = |row| match row {
        (_, Value::Object(fields)) => Ok(fields),
        (i, other) => Err(no_object(&other, &format!("{place}: row {}", i + 1))),
    };
    let rows = rows.into_iter().enumerate().map(object).collect::<Result<_>>()?;
    Ok(numbered(rows, place))
}

fn no_object(value: &Value, place: &str) -> Error {
    Error::data("a row is not an object").at(place).got(json_kind(value)).expected("named fields")
}

impl Record {
    /// Where the row stands: its file with the row or the line.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The number of its line in the file, or of the row where rows have no lines, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The text of a column.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no such column, or no string in it.
    pub fn text(&self, column: &str) -> Result<&str> {
        match self.value(column)? {
            Value::String(text) => Ok(text),
            other => Err(self.wrong(column, other, "a string")),
        }
    }

    /// As [`Record::text`], and not blank.
    ///
    /// # Errors
    /// As [`Record::text`]; [`Error::Data`] if there is nothing but white space in it.
    pub fn filled_text(&self, column: &str) -> Result<&str> {
        match self.text(column)? {
            blank if blank.trim().is_empty() => {
                Err(self.nothing(column, "an empty text", "a text"))
            }
            text => Ok(text),
        }
    }

    /// The texts of a column with a list.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no such column, no list in it, or something else than strings in
    /// the list.
    pub fn texts(&self, column: &str) -> Result<Vec<String>> {
        let expected = "a list of strings";
        let Value::Array(values) = self.value(column)? else {
            return Err(self.wrong(column, self.value(column)?, expected));
        };
        let text = |(i, value): (usize, &Value)| match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(self.wrong(&format!("{column}[{i}]"), other, expected)),
        };
        values.iter().enumerate().map(text).collect()
    }

    /// As [`Record::texts`], and not empty: there is something to compare an answer with.
    ///
    /// # Errors
    /// As [`Record::texts`]; [`Error::Data`] if the list is empty.
    pub fn gold_texts(&self, column: &str) -> Result<Vec<String>> {
        match self.texts(column)? {
            none if none.is_empty() => {
                Err(self.nothing(column, "an empty list", "at least one expected answer"))
            }
            texts => Ok(texts),
        }
    }

    /// There is nothing in a column that needs something.
    pub(crate) fn nothing(&self, column: &str, got: &str, expected: &str) -> Error {
        Error::data(format!("a row has nothing in its column {column}"))
            .at(&self.place)
            .got(got)
            .expected(expected)
    }

    /// Whether the column is there and not null.
    pub fn has(&self, column: &str) -> bool {
        self.fields.get(column).is_some_and(|value| !value.is_null())
    }

    /// The number of a column, a whole one from 0.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no such column, or something else in it.
    pub fn number(&self, column: &str) -> Result<usize> {
        let value = self.value(column)?;
        value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| self.wrong(column, value, "a whole number from 0"))
    }

    /// A text or a whole number as a text: what something is called.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no such column, or something else in it.
    pub fn label(&self, column: &str) -> Result<String> {
        match self.value(column)? {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) if !number.is_f64() => Ok(number.to_string()),
            other => Err(self.wrong(column, other, "a text or a whole number")),
        }
    }

    /// The value of a column, whatever it is.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no such column.
    pub(crate) fn value(&self, column: &str) -> Result<&Value> {
        self.fields.get(column).ok_or_else(|| {
            let found: Vec<&str> = self.fields.keys().map(String::as_str).collect();
            Error::data(format!("a row has no column {column}"))
                .at(&self.place)
                .got(format!("the columns {}", found.join(", ")))
                .expected(column)
        })
    }

    fn wrong(&self, column: &str, value: &Value, expected: &str) -> Error {
        let got = match value {
            Value::Number(number) => format!("the number {number}"),
            other => json_kind(other).to_owned(),
        };
        Error::data("a column has something else in it")
            .at(format!("{}: {column}", self.place))
            .got(got)
            .expected(expected)
    }
}

/// Refuses two rows with one id: answers are filed by it. `ids` are in the order of the rows.
///
/// # Errors
/// [`Error::Data`] naming both rows.
pub(crate) fn unique<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
    let mut seen = BTreeMap::new();
    for (id, place) in rows {
        if let Some(first) = seen.insert(id, place) {
            return Err(Error::data("two rows have the same id")
                .at(format!("{first} and {place}"))
                .got(format!("id {id} twice"))
                .expected("every id once"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
