//! The haystack: the text that needles are hidden in.
//!
//! Plain `.txt` files, in the order of their names, joined by blank lines; a text shorter than the
//! context is repeated. The references append raw files in the file system's order until there
//! are enough *words*; here the order is that of the names, and the length is counted in tokens.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::system::digest::sha256;
use crate::system::text::utf8_text;

mod borders;
mod head;
mod tokens;

pub use borders::{Border, BorderKind, Gap};
pub use head::Heads;
pub use tokens::HaystackTokens;
pub(crate) use tokens::pieces;

/// The essays that come with headprof, in the order of their names.
const BUNDLED: [(&str, &str); 15] = [
    ("01-harbour.txt", include_str!("../../haystack/01-harbour.txt")),
    ("02-bread.txt", include_str!("../../haystack/02-bread.txt")),
    ("03-maps.txt", include_str!("../../haystack/03-maps.txt")),
    ("04-bridges.txt", include_str!("../../haystack/04-bridges.txt")),
    ("05-bees.txt", include_str!("../../haystack/05-bees.txt")),
    ("06-glass.txt", include_str!("../../haystack/06-glass.txt")),
    ("07-rivers.txt", include_str!("../../haystack/07-rivers.txt")),
    ("08-clocks.txt", include_str!("../../haystack/08-clocks.txt")),
    ("09-libraries.txt", include_str!("../../haystack/09-libraries.txt")),
    ("10-wool.txt", include_str!("../../haystack/10-wool.txt")),
    ("11-mountains.txt", include_str!("../../haystack/11-mountains.txt")),
    ("12-trains.txt", include_str!("../../haystack/12-trains.txt")),
    ("13-gardens.txt", include_str!("../../haystack/13-gardens.txt")),
    ("14-sound.txt", include_str!("../../haystack/14-sound.txt")),
    ("15-salt.txt", include_str!("../../haystack/15-salt.txt")),
];

/// One text of the haystack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaystackFile {
    /// Path inside the folder.
    pub name: String,
    /// SHA-256 of the file's bytes, in hex.
    pub sha256: String,
    /// Number of words, separated by whitespace.
    pub words: usize,
    /// The text, without BOM and without whitespace at its ends.
    text: String,
}

impl HaystackFile {
    /// The text, without BOM and without whitespace at its ends.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A file that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedFile {
    /// Path inside the folder.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Texts in the order in which they are read; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Haystack {
    files: Vec<HaystackFile>,
    skipped: Vec<SkippedFile>,
}

impl Haystack {
    /// The bundled essays.
    ///
    /// # Errors
    /// None in a build whose tests pass; the type is that of [`Haystack::load_dir`].
    pub fn bundled() -> Result<Self> {
        let files = BUNDLED
            .iter()
            .map(|(name, text)| file(name, text.as_bytes(), name))
            .collect::<Result<_>>()?;
        Ok(Self { files, skipped: Vec::new() })
    }

    /// All `*.txt` under `dir`, sub-folders included, sorted by the bytes of their paths. With
    /// `skip_bad`, files that cannot be used are left out and listed by [`Haystack::skipped`].
    ///
    /// # Errors
    /// [`Error::Data`] if the folder cannot be read or has no usable `*.txt`, and, without
    /// `skip_bad`, if a file cannot be read, is empty, is not UTF-8 or holds NUL.
    pub fn load_dir(dir: &Path, skip_bad: bool) -> Result<Self> {
        let mut paths = Vec::new();
        collect_txt(dir, &mut BTreeSet::new(), &mut paths)?;
        paths
            .sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));

        let (mut files, mut skipped) = (Vec::new(), Vec::new());
        for path in &paths {
            let name = path.strip_prefix(dir).unwrap_or(path).display().to_string();
            let place = path.display().to_string();
            let read = std::fs::read(path)
                .map_err(|e| Error::data("a haystack file cannot be read").at(&place).got(e));
            match read.and_then(|bytes| file(&name, &bytes, &place)) {
                Ok(file) => files.push(file),
                Err(e) if skip_bad => skipped.push(SkippedFile { name, reason: e.to_string() }),
                Err(e) => {
                    return Err(e.advice("repair the file, or leave it out with --skip-bad-files"));
                }
            }
        }
        if files.is_empty() {
            let got = match skipped.len() {
                0 => "no such file".to_owned(),
                n => {
                    format!("{n} such files, none of them usable; the first: {}", skipped[0].reason)
                }
            };
            return Err(Error::data("the haystack is empty")
                .at(dir.display())
                .got(got)
                .expected("*.txt files in this folder or its sub-folders")
                .advice("name a folder of plain text files, or leave out --haystack-dir"));
        }
        Ok(Self { files, skipped })
    }

    /// The texts, in the order in which they are read.
    pub fn files(&self) -> &[HaystackFile] {
        &self.files
    }

    /// The files that were left out.
    pub fn skipped(&self) -> &[SkippedFile] {
        &self.skipped
    }

    /// Number of words in all files.
    pub fn words(&self) -> usize {
        self.files.iter().map(|f| f.words).sum()
    }
}

/// Checks the bytes of one file and makes a text of them; `place` names it in errors.
fn file(name: &str, bytes: &[u8], place: &str) -> Result<HaystackFile> {
    let text = utf8_text(bytes, place)?;
    let text = text.trim();
    let words = text.split_whitespace().count();
    if words == 0 {
        return Err(Error::data("a haystack file is empty")
            .at(place)
            .got(format!("{} bytes without a word", bytes.len()))
            .expected("text"));
    }
    let sha256 = sha256(bytes);
    Ok(HaystackFile { name: name.to_owned(), sha256, words, text: text.to_owned() })
}

/// Puts every `*.txt` under `dir` into `paths`. `seen` has the real paths of the folders that
/// were entered: no folder is entered twice, so links cannot lead round in circles.
fn collect_txt(dir: &Path, seen: &mut BTreeSet<PathBuf>, paths: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::data("the haystack folder cannot be read")
            .at(dir.display())
            .got(e)
            .expected("a folder of *.txt files")
    };
    if !seen.insert(dir.canonicalize().map_err(failed)?) {
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(failed)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<std::io::Result<_>>()
        .map_err(failed)?;
    // Which of two links to one folder is followed must not depend on the file system.
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect_txt(&path, seen, paths)?;
        } else if path.extension().is_some_and(|e| e == "txt") {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        dir
    }

    fn names(h: &Haystack) -> Vec<&str> {
        h.files().iter().map(|f| f.name.as_str()).collect()
    }

    #[test]
    fn the_bundled_list_is_the_folder() {
        let bundled = Haystack::bundled().unwrap();
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("haystack");
        assert_eq!(bundled, Haystack::load_dir(&dir, false).unwrap());
        assert_eq!(bundled.files().len(), 15);
        assert!(bundled.words() >= 12_000, "{}", bundled.words());
    }

    #[test]
    fn files_are_sorted_by_path_bytes_whatever_their_order_on_disk() {
        // '.' (0x2e) < '/' (0x2f) < 'Z' < 'a'.
        let files: [(&str, &[u8]); 5] = [
            ("b.txt", b"b"),
            ("a/z.txt", b"z"),
            ("a.txt", b"a"),
            ("Z.txt", b"Z"),
            ("a/n.md", b"n"),
        ];
        let forward = folder(&files);
        let mut reversed = files;
        reversed.reverse();
        let backward = folder(&reversed);
        let h = Haystack::load_dir(forward.path(), false).unwrap();
        assert_eq!(names(&h), ["Z.txt", "a.txt", "a/z.txt", "b.txt"]);
        assert_eq!(h, Haystack::load_dir(backward.path(), false).unwrap());
    }

    #[test]
    fn an_empty_folder_says_what_was_looked_for() {
        let dir = folder(&[("notes.md", b"text")]);
        let e = Haystack::load_dir(dir.path(), false).unwrap_err();
        assert_eq!(e.exit_code(), 3);
        let text = e.to_string();
        assert!(
            text.contains(&dir.path().display().to_string()) && text.contains("*.txt"),
            "{text}"
        );
        let e = Haystack::load_dir(&dir.path().join("missing"), false).unwrap_err();
        assert_eq!(e.exit_code(), 3);
        assert!(e.to_string().contains("missing"), "{e}");
    }

    #[test]
    fn bad_files_are_errors_with_their_byte_offset_or_are_skipped_and_listed() {
        // (bytes, what the error says)
        let cases: [(&[u8], &str); 4] = [
            (b"abc\xff", "bad.txt: byte 3"),
            (b"\xef\xbb\xbfab\0c", "bad.txt: byte 5"),
            (b"", "0 bytes"),
            (b" \n\t", "3 bytes"),
        ];
        for (bytes, says) in cases {
            let dir = folder(&[("bad.txt", bytes), ("good.txt", b"One. Two.")]);
            let e = Haystack::load_dir(dir.path(), false).unwrap_err();
            assert_eq!(e.exit_code(), 3);
            assert!(e.to_string().contains(says), "{e}");
            assert!(e.to_string().contains("bad.txt"), "{e}");
            let h = Haystack::load_dir(dir.path(), true).unwrap();
            assert_eq!(names(&h), ["good.txt"]);
            assert_eq!(h.skipped().len(), 1);
            assert_eq!(h.skipped()[0].name, "bad.txt");
            assert!(h.skipped()[0].reason.contains(says), "{:?}", h.skipped());
        }
        let dir = folder(&[("bad.txt", b"")]);
        let e = Haystack::load_dir(dir.path(), true).unwrap_err();
        assert!(e.to_string().contains("1 such files"), "{e}");
    }

    #[test]
    fn a_bom_is_dropped_and_the_hash_is_of_the_bytes() {
        let bytes = b"\xef\xbb\xbfOne two.\r\n";
        let dir = folder(&[("a.txt", bytes)]);
        let h = Haystack::load_dir(dir.path(), false).unwrap();
        assert_eq!(h.files()[0].text(), "One two.");
        assert_eq!(h.files()[0].words, 2);
        assert_eq!(h.files()[0].sha256, sha256(bytes));
    }

    #[test]
    fn line_ends_of_every_system_are_one() {
        let dir = folder(&[("a.txt", b"one\r\ntwo\rthree\nfour\r\n\r\nfive")]);
        let h = Haystack::load_dir(dir.path(), false).unwrap();
        assert_eq!(h.files()[0].text(), "one\ntwo\nthree\nfour\n\nfive");
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_lead_round_in_circles() {
        let dir = folder(&[("a/one.txt", b"One."), ("b/two.txt", b"Two.")]);
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(dir.path().join(to), dir.path().join(name)).unwrap();
        };
        link(".", "a/up");
        link("b", "a/other");
        link("a", "b/other");
        link("nowhere", "b/gone");
        let h = Haystack::load_dir(dir.path(), false).unwrap();
        // "a" is entered first, and reaches "b" by its link.
        assert_eq!(names(&h), ["a/one.txt", "a/other/two.txt"]);
        // A broken link that is called *.txt is a file that cannot be read.
        link("nowhere", "gone.txt");
        assert!(
            Haystack::load_dir(dir.path(), false).unwrap_err().to_string().contains("gone.txt")
        );
        assert_eq!(Haystack::load_dir(dir.path(), true).unwrap().skipped()[0].name, "gone.txt");
    }
}
