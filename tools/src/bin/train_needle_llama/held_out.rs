//! Which needles training must never see.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use headprof::{Error, Result};

/// One needle in [`HELD_OUT_SHARE`] is kept from training.
const HELD_OUT_SHARE: u64 = 16;

/// FNV-1a, 64 bits: the same on every machine and in every version
/// (<http://www.isthe.com/chongo/tech/comp/fnv/>).
pub fn fnv1a_64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The needles held out from training: those of the bundled needle files, and one in sixteen of
/// all others, by hash.
#[derive(Debug, Clone, Default)]
pub struct HeldOut {
    texts: HashSet<String>,
}

impl HeldOut {
    /// Reads the field `needle` of every line of every `*.jsonl` directly in `folder`; a folder
    /// that does not exist holds nothing.
    ///
    /// # Errors
    /// A file that cannot be read, or a line without a `needle`.
    pub fn load(folder: &Path) -> Result<Self> {
        let mut texts = HashSet::new();
        if !folder.is_dir() {
            return Ok(Self { texts });
        }
        let unreadable = |e: std::io::Error| {
            Error::data("the needles cannot be read").at(folder.display()).got(e)
        };
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_none_or(|e| e != "jsonl") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(unreadable)?;
            for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
                let place = format!("{}:{}", path.display(), number + 1);
                let value: serde_json::Value = serde_json::from_str(line)
                    .map_err(|e| Error::data("the line is not JSON").at(&place).got(e))?;
                let needle = value["needle"].as_str().ok_or_else(|| {
                    Error::data("the line has no needle").at(&place).expected("a string `needle`")
                })?;
                texts.insert(needle.trim().to_owned());
            }
        }
        Ok(Self { texts })
    }

    /// Whether training must not see this needle.
    pub fn is_held_out(&self, needle: &str) -> bool {
        fnv1a_64(needle.as_bytes()).is_multiple_of(HELD_OUT_SHARE) || self.texts.contains(needle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published test vectors of FNV-1a 64: "" , "a" and "foobar".
    #[test]
    fn fnv1a_matches_the_published_vectors() {
        assert_eq!(fnv1a_64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a_64(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a_64(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn needles_of_the_files_are_held_out() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = (0..)
            .map(|n| format!("Needle {n}."))
            .find(|t| !fnv1a_64(t.as_bytes()).is_multiple_of(HELD_OUT_SHARE));
        let free = free.expect("fifteen in sixteen are free");
        assert!(!HeldOut::default().is_held_out(&free));

        let line = serde_json::json!({ "needle": free, "question": "q", "answer": "a" });
        fs::write(folder.path().join("mine.jsonl"), format!("{line}\n")).expect("written");
        assert!(HeldOut::load(folder.path()).expect("loads").is_held_out(&free));
    }

    #[test]
    fn a_line_without_a_needle_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("bad.jsonl"), "\n{\"question\": \"q\"}\n").expect("written");
        let error = HeldOut::load(folder.path()).expect_err("no needle").to_string();
        assert!(error.contains("bad.jsonl:2"), "{error}");
    }
}
