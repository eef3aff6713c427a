//! A line of a journal: one JSON object whose record is checked.
//!
//! ```text
//! {"check":"9f86d081884c7d65","record":{"done":{"index":0,"id":"…","result":{…}}}}
//! ```
//!
//! The check is the first eight bytes of the SHA-256 of the record's text as it stands there.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::system::digest::hex;

const OPEN: &[u8] = b"{\"check\":\"";
const BETWEEN: &[u8] = b"\",\"record\":";
/// Hex digits of the check.
const DIGITS: usize = 16;

fn check(record: &[u8]) -> String {
    hex(&Sha256::digest(record)[..DIGITS / 2])
}

/// `record` as a line, its line break included.
///
/// # Errors
/// [`Error::Bug`] if it has no form in JSON.
pub(super) fn sealed(record: &impl Serialize) -> Result<Vec<u8>> {
    let record = serde_json::to_vec(record)
        .map_err(|e| Error::bug("a result cannot be written as JSON").got(e))?;
    Ok(seal(&record))
}

/// The text of a record as a line, its line break included.
pub fn seal(record: &[u8]) -> Vec<u8> {
    let check = check(record);
    [OPEN, check.as_bytes(), BETWEEN, record, b"}\n"].concat()
}

/// The record of a line without its line break; `None` if the line is not as it was written.
pub(super) fn opened(line: &[u8]) -> Option<&[u8]> {
    let (digits, rest) = line.strip_prefix(OPEN)?.split_at_checked(DIGITS)?;
    let record = rest.strip_prefix(BETWEEN)?.strip_suffix(b"}")?;
    (check(record).as_bytes() == digits).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_and_says_whether_it_is_whole() {
        let line = sealed(&serde_json::json!({"a": "ü\n"})).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["record"]["a"], "ü\n");
        let line = line.strip_suffix(b"\n").unwrap();
        assert!(!line.contains(&b'\n'));
        assert_eq!(opened(line), Some(r#"{"a":"ü\n"}"#.as_bytes()));
        for cut in 0..line.len() {
            assert_eq!(opened(&line[..cut]), None, "{cut}");
        }
        for at in 0..line.len() {
            let mut flipped = line.to_vec();
            flipped[at] ^= 1;
            assert_eq!(opened(&flipped), None, "{at}");
        }
    }

    /// "abc" of FIPS 180-2.
    #[test]
    fn the_check_is_a_sha_256() {
        assert_eq!(check(b"abc"), "ba7816bf8f01cfea");
    }
}
