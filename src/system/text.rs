//! Text as other systems and programs write it: BOM, line ends.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

const BOM: &str = "\u{feff}";

/// The text of a file: UTF-8 without NUL; a BOM is dropped, and all line ends are `\n`, as Python
/// reads text.
///
/// # Errors
/// [`Error::Data`] with the first bad byte's offset in the file.
pub fn utf8_text<'a>(bytes: &'a [u8], place: &str) -> Result<Cow<'a, str>> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let at = e.valid_up_to();
        Error::data("a file is not UTF-8")
            .at(format!("{place}: byte {at}"))
            .got(format!("byte 0x{:02x}", bytes[at]))
            .expected("UTF-8 text")
    })?;
    if let Some(at) = text.find('\0') {
        return Err(Error::data("a file is not plain text")
            .at(format!("{place}: byte {at}"))
            .got("NUL")
            .expected("UTF-8 text"));
    }
    Ok(universal_newlines(text.strip_prefix(BOM).unwrap_or(text)))
}

/// `text` with `\n` for `\r\n` and for `\r`.
pub fn universal_newlines(text: &str) -> Cow<'_, str> {
    match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(text),
    }
}

/// The values of JSON lines, a BOM left out.
///
/// # Errors
/// The number of the first line that is none, from 1, and what is wrong with it.
pub fn json_lines<T: DeserializeOwned>(
    text: &str,
) -> std::result::Result<Vec<T>, (usize, serde_json::Error)> {
    let lines = text.strip_prefix(BOM).unwrap_or(text).lines().enumerate();
    lines.map(|(i, line)| serde_json::from_str(line).map_err(|e| (i + 1, e))).collect()
}

/// `bytes` without the BOM that some programs put before JSON.
pub fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BOM.as_bytes()).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_bom_are_those_of_one_system() {
        assert_eq!(universal_newlines("a\r\nb\rc\n\r\n\rd"), "a\nb\nc\n\n\nd");
        assert!(matches!(universal_newlines("a\nb"), Cow::Borrowed("a\nb")));
        assert_eq!(utf8_text(b"\xef\xbb\xbfa\r\n", "p").unwrap(), "a\n");
        assert_eq!(without_bom(b"\xef\xbb\xbf{}"), b"{}");
        assert_eq!(without_bom(b"{}"), b"{}");
    }

    #[test]
    fn the_first_line_that_is_none_is_counted_from_one() {
        assert_eq!(json_lines::<u8>("\u{feff}1\n2\n").unwrap(), [1, 2]);
        assert_eq!(json_lines::<u8>("1\n2\nx\ny\n").unwrap_err().0, 3);
        assert!(json_lines::<u8>("").unwrap().is_empty());
    }
}
