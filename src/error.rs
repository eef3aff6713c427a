//! The one error type: a sentence in up to five parts, and the exit code it leads to.
//!
//! Every error says *what* went wrong, *where* (a path with its line, or a key), what it *got*
//! against what it *expected*, and what to *try*. The variant decides the exit code.

use std::fmt;

/// What [`crate`] functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// The text of an error: what, where, got against expected, what to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    what: String,
    place: Option<String>,
    got: Option<String>,
    expected: Option<String>,
    advice: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let parts = [
            ("where", &self.place),
            ("got", &self.got),
            ("expected", &self.expected),
            ("try", &self.advice),
        ];
        for (label, text) in parts {
            if let Some(text) = text {
                write!(f, "\n  {label:<9} {}", text.replace('\n', "\n            "))?;
            }
        }
        Ok(())
    }
}

/// Every way in which headprof can fail; [`Error::exit_code`] beside each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A bug in headprof itself (exit code 1).
    #[error("{0}")]
    Bug(Box<Report>),
    /// A wrong argument or configuration (exit code 2).
    #[error("{0}")]
    Usage(Box<Report>),
    /// Bad data: haystack, needles, head_score or task files (exit code 3).
    #[error("{0}")]
    Data(Box<Report>),
    /// A bad model or tokenizer (exit code 4).
    #[error("{0}")]
    Model(Box<Report>),
    /// Not enough memory, disk or device (exit code 5).
    #[error("{0}")]
    Resources(Box<Report>),
    /// The run finished, but the evidence is too thin for a result (exit code 6).
    #[error("{0}")]
    Evidence(Box<Report>),
    /// Another process is writing to the output folder (exit code 7).
    #[error("{0}")]
    Busy(Box<Report>),
    /// Interrupted by the user (exit code 130).
    #[error("{0}")]
    Interrupted(Box<Report>),
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $variant:ident),* $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(what: impl Into<String>) -> Self {
            Self::$variant(Box::new(Report { what: what.into(), ..Report::default() }))
        }
    )*};
}

impl Error {
    constructors! {
        /// A bug in headprof itself.
        bug => Bug,
        /// A wrong argument or configuration.
        usage => Usage,
        /// Bad data in a file that the user gave.
        data => Data,
        /// A bad model or tokenizer.
        model => Model,
        /// Memory, disk or device is not enough.
        resources => Resources,
        /// The run finished without enough evidence.
        evidence => Evidence,
        /// Another process is writing to the output folder.
        busy => Busy,
        /// Interrupted by the user.
        interrupted => Interrupted,
    }

    /// All parts in one line, for records.
    pub fn one_line(&self) -> String {
        let text = self.to_string();
        let lines = text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>().join("; ")
    }

    /// Where it happened: a path with its line or byte, or a key.
    pub fn at(self, place: impl fmt::Display) -> Self {
        self.with(|r| r.place = Some(place.to_string()))
    }

    /// The file that the place so far is in.
    pub fn within(self, file: impl fmt::Display) -> Self {
        self.with(|r| {
            r.place = Some(match r.place.take() {
                Some(place) => format!("{file}: {place}"),
                None => file.to_string(),
            });
        })
    }

    /// What was found.
    pub fn got(self, got: impl fmt::Display) -> Self {
        self.with(|r| r.got = Some(got.to_string()))
    }

    /// What should have been there.
    pub fn expected(self, expected: impl fmt::Display) -> Self {
        self.with(|r| r.expected = Some(expected.to_string()))
    }

    /// What the user can do about it.
    pub fn advice(self, advice: impl fmt::Display) -> Self {
        self.with(|r| r.advice = Some(advice.to_string()))
    }

    fn with(mut self, change: impl FnOnce(&mut Report)) -> Self {
        match &mut self {
            Self::Bug(r)
            | Self::Usage(r)
            | Self::Data(r)
            | Self::Model(r)
            | Self::Resources(r)
            | Self::Evidence(r)
            | Self::Busy(r)
            | Self::Interrupted(r) => change(r),
        }
        self
    }

    /// The exit code of the process for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Bug(_) => 1,
            Self::Usage(_) => 2,
            Self::Data(_) => 3,
            Self::Model(_) => 4,
            Self::Resources(_) => 5,
            Self::Evidence(_) => 6,
            Self::Busy(_) => 7,
            Self::Interrupted(_) => 130,
        }
    }
}

/// What a JSON value is, for errors about values of another kind.
pub(crate) fn json_kind(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_every_part_on_its_own_line() {
        let e = Error::data("the line has no answer")
            .at("needles.jsonl:3: answer")
            .got("nothing")
            .expected("a string")
            .advice("add the field \"answer\"");
        assert_eq!(
            e.to_string(),
            "the line has no answer\n  where     needles.jsonl:3: answer\n  got       nothing\n  \
             expected  a string\n  try       add the field \"answer\""
        );
        assert_eq!(e.exit_code(), 3);
    }

    #[test]
    fn a_place_within_a_file_is_named_with_the_file() {
        let place = |e: Error| e.to_string();
        let line = "\n  where     ";
        assert_eq!(
            place(Error::data("x").at("layer 1").within("a.json")),
            format!("x{line}a.json: layer 1")
        );
        assert_eq!(place(Error::data("x").within("a.json")), format!("x{line}a.json"));
    }
}
