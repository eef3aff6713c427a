//! Needles: a sentence to hide, a question about it, and the answer that counts.
//!
//! One JSON object per line, with the fields that Retrieval_Head (`needle`, `question`,
//! `real_needle`), HeadKV-R2 (these and `answer`) and DiliLazyKV (`needle`, `question`, `answer`)
//! write, so that their files load unchanged.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result, json_kind};
use crate::system::text::utf8_text;
use crate::tokenizer::{Encoded, Lead, Message, Tokenizer, before_word};

mod probe_text;

pub use probe_text::{ProbeText, PublishedContext, ScatteredFacts, SubTask};

/// The needles that come with headprof: our own, and the three of DiliLazyKV's table.
const BUNDLED: [(&str, &str); 2] = [
    ("bundled.jsonl", include_str!("../../needles/bundled.jsonl")),
    ("dililazykv.jsonl", include_str!("../../needles/dililazykv.jsonl")),
];

/// A needle, its question and its answer. Texts are without whitespace at their ends, and none is
/// empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    /// Unique among the needles loaded together.
    pub id: String,
    /// The text to hide.
    pub needle: String,
    /// The question whose answer is in it.
    pub question: String,
    /// The answer that the gate compares with; the file's `answer`, or else its `real_needle`.
    pub answer: String,
    /// The part of the needle that holds the answer, if the file names one.
    pub real_needle: Option<String>,
}

/// Where a needle is put, which decides how its text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The first text of a prompt, behind what the template puts before it.
    Start,
    /// The first thing after a line break.
    Line,
    /// After the full stop of another sentence.
    Sentence,
    /// After another sentence, without whitespace between the two, as Chinese is written.
    Joined,
}

impl Placement {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Start, Self::Line, Self::Sentence, Self::Joined];
}

/// The tokens of a needle in one placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedNeedle {
    /// Token ids, `[n]`; not empty.
    pub ids: Vec<u32>,
    /// Which of them are the needle in the sense of the scores: the tokens of `real_needle` where
    /// that is a part of the needle, all otherwise. Not empty.
    pub span: Range<usize>,
}

/// The tokens of a needle, ready to be put anywhere in a haystack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedleTokens {
    start: Placed,
    line: Placed,
    sentence: Placed,
    joined: Placed,
}

/// A needle in one placement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    needle: PlacedNeedle,
    /// With a blank line behind it, which may be one token with the needle's full stop.
    before_blank_line: PlacedNeedle,
}

impl NeedleTokens {
    /// The needle's tokens in one placement.
    pub fn placed(&self, placement: Placement) -> &PlacedNeedle {
        &self.of(placement).needle
    }

    /// The same with a blank line behind it.
    pub fn before_blank_line(&self, placement: Placement) -> &PlacedNeedle {
        &self.of(placement).before_blank_line
    }

    fn of(&self, placement: Placement) -> &Placed {
        match placement {
            Placement::Start => &self.start,
            Placement::Line => &self.line,
            Placement::Sentence => &self.sentence,
            Placement::Joined => &self.joined,
        }
    }
}

impl Needle {
    /// The needles that come with headprof.
    ///
    /// # Errors
    /// None in a build whose tests pass; the type is that of [`Needle::load`].
    pub fn bundled() -> Result<Vec<Needle>> {
        let mut needles = Vec::new();
        for (name, text) in BUNDLED {
            parse_lines(text, name, name.trim_end_matches(".jsonl"), &mut needles)?;
        }
        unique(needles)
    }

    /// Reads a `.jsonl` file, or all `*.jsonl` of a folder in the order of their names.
    ///
    /// # Errors
    /// [`Error::Data`] with file, line and field if a file cannot be read, if a line is not a JSON
    /// object, lacks `needle` or `question`, or has neither `answer` nor `real_needle`, if two
    /// needles have the same id, and if there are none.
    pub fn load(path: &Path) -> Result<Vec<Needle>> {
        let empty = |got: &str| {
            Error::data("there are no needles")
                .at(path.display())
                .got(got)
                .expected("one JSON object per line in a .jsonl file or a folder of such files")
        };
        let files = if path.is_dir() { jsonl_files(path)? } else { vec![path.to_owned()] };
        if files.is_empty() {
            return Err(empty("a folder without *.jsonl"));
        }
        let mut needles = Vec::new();
        for file in files {
            let place = file.display().to_string();
            let bytes = std::fs::read(&file).map_err(|e| unreadable(&file, e))?;
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            parse_lines(&utf8_text(&bytes, &place)?, &place, &stem, &mut needles)?;
        }
        if needles.is_empty() {
            return Err(empty("only blank lines"));
        }
        unique(needles)
    }

    /// The needle's tokens for every placement in a prompt that begins with `lead`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; [`Error::Data`] if the needle has no tokens.
    pub fn tokenise(&self, tokenizer: &Tokenizer, lead: &Lead) -> Result<NeedleTokens> {
        let after = |anchor| move |text: &str| tokenizer.encode_after(anchor, text);
        Ok(NeedleTokens {
            start: self.placed("", |text| lead.first(tokenizer, text))?,
            line: self.placed("", after("\n\n"))?,
            sentence: self.placed(" ", after("."))?,
            joined: self.placed("", after("。"))?,
        })
    }

    /// The needle behind another sentence with all that follows it: the `question` part, and
    /// `after`, the end of a chat template. A full stop and the line break behind it may be one
    /// token.
    ///
    /// # Errors
    /// As [`Needle::tokenise`].
    pub fn last(&self, tokenizer: &Tokenizer, question: &str, after: &str) -> Result<PlacedNeedle> {
        self.placed_before(question, " ", |text| {
            let Message { text, after, .. } = tokenizer.encode_between(".", text, after)?;
            let end = text.offsets.last().map_or(0, |o| o.1);
            let offsets = text.offsets.into_iter().chain(after.iter().map(|_| (end, end)));
            Ok(Encoded { offsets: offsets.collect(), ids: [text.ids, after].concat() })
        })
    }

    /// The needle with `space` before it, encoded by `encode`.
    fn placed(&self, space: &str, encode: impl Fn(&str) -> Result<Encoded>) -> Result<Placed> {
        Ok(Placed {
            needle: self.placed_before("", space, &encode)?,
            before_blank_line: self
                .placed_before("\n\n", space, |text| before_word(text, &encode))?,
        })
    }

    fn placed_before(
        &self,
        behind: &str,
        space: &str,
        encode: impl Fn(&str) -> Result<Encoded>,
    ) -> Result<PlacedNeedle> {
        let text = format!("{space}{}{behind}", self.needle);
        let encoded = encode(&text)?;
        let own = space.len()..text.len() - behind.len();
        let part = self.real_needle.as_ref();
        let part =
            part.and_then(|part| text[own.clone()].find(part.as_str()).zip(Some(part.len())));
        let part = part.map(|(at, length)| own.start + at..own.start + at + length);
        let span = part.and_then(|bytes| overlapping(&encoded.offsets, &bytes));
        let span = span.or_else(|| overlapping(&encoded.offsets, &own));
        let span = span.ok_or_else(|| without_tokens(&self.id, &self.needle))?;
        Ok(PlacedNeedle { ids: encoded.ids, span })
    }
}

impl ScatteredFacts {
    /// The tokens of each of the facts as it stands after a full stop.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; [`Error::Data`] if a fact has no tokens.
    pub fn tokenise(&self, tokenizer: &Tokenizer) -> Result<Vec<Vec<u32>>> {
        let tokens = |fact: &String| match tokenizer.encode_after(".", &format!(" {fact}"))?.ids {
            ids if ids.is_empty() => Err(without_tokens(&self.id, fact)),
            ids => Ok(ids),
        };
        self.facts.iter().map(tokens).collect()
    }
}

fn without_tokens(id: &str, text: &str) -> Error {
    Error::data("a needle has no tokens")
        .at(format!("needle {id}"))
        .got(format!("{text:?}"))
        .expected("text that the tokenizer has tokens for")
}

/// The tokens that share a byte with `bytes`; a token that brings the space before a word counts
/// to the word.
pub(crate) fn overlapping(
    offsets: &[(usize, usize)],
    bytes: &Range<usize>,
) -> Option<Range<usize>> {
    let inside = |o: &(usize, usize)| o.0 < bytes.end && o.1 > bytes.start;
    let first = offsets.iter().position(inside)?;
    let last = offsets.iter().rposition(inside)?;
    Some(first..last + 1)
}

fn unreadable(path: &Path, e: std::io::Error) -> Error {
    Error::data("the needles cannot be read")
        .at(path.display())
        .got(e)
        .expected("a .jsonl file or a folder of such files")
}

/// The `*.jsonl` of a folder, sorted by the bytes of their names.
fn jsonl_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect())
        .map_err(|e| unreadable(dir, e))?;
    files.retain(|p| p.extension().is_some_and(|e| e == "jsonl") && !p.is_dir());
    files.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(files)
}

/// A needle and the `file:line` it comes from.
type Located = (Needle, String);

/// Adds the needles of one file to `needles`. `place` names the file in errors, `stem` in ids.
fn parse_lines(text: &str, place: &str, stem: &str, needles: &mut Vec<Located>) -> Result<()> {
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let number = i + 1;
        let value: Value = serde_json::from_str(line).map_err(|e| {
            Error::data("a line of the needles is not JSON")
                .at(format!("{place}:{number}: column {}", e.column()))
                .got(e)
                .expected("one JSON object per line")
        })?;
        let Value::Object(fields) = value else {
            return Err(Error::data("a line of the needles is not an object")
                .at(format!("{place}:{number}"))
                .got(json_kind(&value))
                .expected("an object with the fields needle, question and answer"));
        };
        let line = Line { fields, place: format!("{place}:{number}") };
        needles.push((line.needle(format!("{stem}-{number}"))?, line.place));
    }
    Ok(())
}

/// One line of a needles file.
struct Line {
    fields: Map<String, Value>,
    place: String,
}

impl Line {
    fn needle(&self, default_id: String) -> Result<Needle> {
        let id = match self.fields.get("id") {
            Some(Value::Number(n)) => Some(n.to_string()),
            _ => self.text("id")?,
        };
        let real_needle = self.text("real_needle")?;
        let answer = self.text("answer")?.or_else(|| real_needle.clone());
        Ok(Needle {
            id: id.unwrap_or(default_id),
            needle: self.text("needle")?.ok_or_else(|| self.missing("needle"))?,
            question: self.text("question")?.ok_or_else(|| self.missing("question"))?,
            answer: answer.ok_or_else(|| {
                self.missing("answer").advice("add the field \"answer\" or \"real_needle\"")
            })?,
            real_needle,
        })
    }

    /// The text of a field; `None` if there is no such field, or nothing in it.
    fn text(&self, field: &str) -> Result<Option<String>> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(s)) => Ok(Some(s.trim().to_owned()).filter(|s| !s.is_empty())),
            Some(other) => Err(Error::data(format!("the needle's {field} is not a text"))
                .at(format!("{}: {field}", self.place))
                .got(json_kind(other))
                .expected("a string")),
        }
    }

    fn missing(&self, field: &str) -> Error {
        let found: Vec<&str> = self.fields.keys().map(String::as_str).collect();
        let got = match self.fields.get(field) {
            Some(_) => format!("an empty {field}"),
            None => format!("the fields {}", found.join(", ")),
        };
        Error::data(format!("the needle has no {field}"))
            .at(format!("{}: {field}", self.place))
            .got(got)
            .expected("a string that is not empty")
    }
}

/// Refuses two needles with one id: results are filed by it.
fn unique(needles: Vec<Located>) -> Result<Vec<Needle>> {
    let mut seen = BTreeMap::new();
    for (n, place) in &needles {
        if let Some(first) = seen.insert(n.id.as_str(), place) {
            return Err(Error::data("two needles have the same id")
                .at(format!("{first} and {place}"))
                .got(format!("id {} twice", n.id))
                .expected("every id once")
                .advice("rename one, or leave the ids out: then file name and line make them"));
        }
    }
    Ok(needles.into_iter().map(|(needle, _)| needle).collect())
}

#[cfg(test)]
mod tests;
