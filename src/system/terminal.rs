//! Standard output for results, standard error for everything else.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use crate::error::{Error, Result};

/// Prints a line to standard error, [`harmless`]. Who has closed it does not want to know.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", harmless(text));
}

/// `text` with what a terminal would obey spelled out: files that other people wrote are quoted in
/// errors and notes. These are the control characters, but for the ends of lines, and those that
/// turn the order of what follows around.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len());
    for c in text.chars() {
        match obeyed(c) {
            true => spelled.extend(c.escape_default()),
            false => spelled.push(c),
        }
    }
    Cow::Owned(spelled)
}

/// Prints to standard output. Whoever closed it (`headprof | head -1`) has read enough.
///
/// # Errors
/// [`Error::Resources`] if it cannot be written to for another reason.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::resources("standard output cannot be written to").got(e))
        }
        _ => Ok(()),
    }
}

/// `text` with its spaces turned into line breaks where a line would be longer than `width`
/// characters; a longer word stands alone.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// `rows` of a table under one another, two spaces between columns: the first flush left, the
/// others flush right.
pub fn aligned(rows: &[impl AsRef<[String]>]) -> String {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &[String]| {
        let cells =
            row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(|row| line(row.as_ref())).collect()
}

/// One JSON object on a line of its own.
///
/// # Errors
/// [`Error::Bug`] if the value has no form in JSON.
pub fn json_line(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(value);
    text.map(|t| t + "\n").map_err(|e| Error::bug("a result cannot be written as JSON").got(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_spelled_out() {
        let text = "a \u{1b}[31m\u{7}\r\t\u{9b}\u{7f}\0\nb \u{202e}c\u{2066}d";
        let spelled = "a \\u{1b}[31m\\u{7}\\r\\t\\u{9b}\\u{7f}\\u{0}\nb \\u{202e}c\\u{2066}d";
        assert_eq!(harmless(text), spelled);
        let fine = "שלום, 模型 é\n🦀";
        assert!(matches!(harmless(fine), Cow::Borrowed(same) if same == fine));
    }

    #[test]
    fn lines_are_broken_at_spaces_alone() {
        assert_eq!(wrapped("one two three four", 9), "one two\nthree\nfour");
        assert_eq!(wrapped("one two", 7), "one two");
        assert_eq!(wrapped("a verylongword b", 6), "a\nverylongword\nb");
        assert_eq!(wrapped("", 5), "");
    }
}
