//! [`ProbeText`]: what one probe hides and asks for, whichever benchmark it is from.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};

use super::Needle;

/// One of the tasks of a benchmark: `qa1` of BABILong.
#[derive(Debug, Clone, Copy)]
pub struct SubTask {
    /// Its place among the benchmark's tasks, by which they are listed.
    pub number: usize,
    /// Its name in files and on the command line.
    pub name: &'static str,
    /// Every answer that there is, where the task chooses one of a few; else empty.
    pub labels: &'static [&'static str],
}

impl SubTask {
    fn key(&self) -> (usize, &'static str) {
        (self.number, self.name)
    }
}

impl PartialEq for SubTask {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for SubTask {}

impl PartialOrd for SubTask {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SubTask {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Display for SubTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

impl Serialize for SubTask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

/// Facts to be scattered over a haystack, and a question about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScatteredFacts {
    /// Unique among the texts of a run.
    pub id: String,
    /// The task that the question is of.
    pub task: SubTask,
    /// One sentence each, in the order in which they happened.
    pub facts: Vec<String>,
    /// Indices of the facts that the answer follows from; ascending, at least one.
    pub supporting: Vec<usize>,
    /// The question.
    pub question: String,
    /// The answer that the gate compares with.
    pub answer: String,
}

/// A published context that already has its facts in it, and a question about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedContext {
    /// Unique among the texts of a run.
    pub id: String,
    /// The task that the question is of.
    pub task: SubTask,
    /// The file and the row in it.
    pub place: String,
    /// Everything the model may read.
    pub text: String,
    /// The bytes of the facts that the answer follows from, ascending; empty where they are not
    /// known.
    pub supporting: Vec<Range<usize>>,
    /// The bytes of the other facts, ascending.
    pub distractors: Vec<Range<usize>>,
    /// The question.
    pub question: String,
    /// The answer that the gate compares with.
    pub answer: String,
}

/// What a probe hides and asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeText {
    /// One sentence, at a depth.
    Needle(Needle),
    /// Several, at depths of their own.
    Facts(ScatteredFacts),
    /// A context that has them.
    Context(PublishedContext),
}

impl ProbeText {
    /// Unique among the texts of a run.
    pub fn id(&self) -> &str {
        match self {
            Self::Needle(needle) => &needle.id,
            Self::Facts(facts) => &facts.id,
            Self::Context(context) => &context.id,
        }
    }

    /// The question.
    pub fn question(&self) -> &str {
        match self {
            Self::Needle(needle) => &needle.question,
            Self::Facts(facts) => &facts.question,
            Self::Context(context) => &context.question,
        }
    }

    /// The answer that the gate compares with.
    pub fn answer(&self) -> &str {
        match self {
            Self::Needle(needle) => &needle.answer,
            Self::Facts(facts) => &facts.answer,
            Self::Context(context) => &context.answer,
        }
    }

    /// All that is hidden, as one text.
    pub fn hidden(&self) -> Cow<'_, str> {
        match self {
            Self::Needle(needle) => Cow::Borrowed(&needle.needle),
            Self::Facts(facts) => Cow::Owned(facts.facts.join(" ")),
            Self::Context(context) => Cow::Borrowed(&context.text),
        }
    }

    /// The part of a needle that holds the answer, where the needle names one; else empty.
    pub fn real_needle(&self) -> &str {
        match self {
            Self::Needle(needle) => needle.real_needle.as_deref().unwrap_or_default(),
            Self::Facts(_) | Self::Context(_) => "",
        }
    }

    /// The task of its benchmark; `None` for a needle.
    pub fn task(&self) -> Option<SubTask> {
        match self {
            Self::Needle(_) => None,
            Self::Facts(facts) => Some(facts.task),
            Self::Context(context) => Some(context.task),
        }
    }

    /// Where it is from, for errors: the file and the row, or its id.
    pub fn place(&self) -> String {
        match self {
            Self::Context(context) => context.place.clone(),
            Self::Needle(_) | Self::Facts(_) => format!("needle {}", self.id()),
        }
    }
}

impl From<Needle> for ProbeText {
    fn from(needle: Needle) -> Self {
        Self::Needle(needle)
    }
}
