//! [`Task`]: prompts, and a measure of their answers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::longbench;
use crate::error::Result;
use crate::generate::Stop;
use crate::job::Extent;

/// A number that a task gives every answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// The name in files and tables.
    pub name: &'static str,
    /// One line for people.
    pub title: &'static str,
    /// The best value; the worst is 0.
    pub highest: f64,
}

/// A part of a group of prompts that is reported apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Prompts made to a length, in tokens.
    Tokens(usize),
    /// Prompts of one class: its place among the classes, and its name.
    Class(usize, &'static str),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(tokens) => write!(f, "{tokens}"),
            Self::Class(_, name) => f.write_str(name),
        }
    }
}

impl Part {
    /// What is written like this.
    fn named(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(tokens) => Some(Self::Tokens(tokens)),
            Err(_) => longbench::class(text),
        }
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let unknown = || serde::de::Error::custom(format!("there is no part {text:?}"));
        Self::named(&text).ok_or_else(unknown)
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its name, the same in every run with the same inputs.
    pub id: String,
    /// What it is about, for grouping: the needle's id, the subset of a benchmark.
    pub group: String,
    /// What it asks about: the needle's id, the story's, the row's. Answers about the same are
    /// alike, and no independent evidence.
    pub about: String,
    /// Which part of the group it is in, if the group has parts.
    pub part: Option<Part>,
    /// Token ids, `[T]`.
    pub prompt: Vec<u32>,
    /// How many of them stand before the question; `None` where that is not known.
    pub before_question: Option<usize>,
    /// The depths that were asked for and lead to this prompt, 0 to 1, the nearest first; none
    /// where the answer does not stand at one place.
    pub depths: Vec<f64>,
    /// The expected answer.
    pub gold: String,
    /// How often the haystack was used up for this prompt, from 1; 0 where there is none.
    pub haystack_cycles: usize,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Where an answer ends.
    pub stop: Stop,
}

impl Case {
    /// Where it stands in a grid of lengths and depths: prompts at one place are alike, too. One
    /// that is in no grid has a place of its own.
    pub fn place(&self) -> String {
        match (self.depths.first(), self.part) {
            (Some(depth), _) => format!("{}@{depth}", self.prompt.len()),
            (None, Some(Part::Tokens(tokens))) => tokens.to_string(),
            (None, _) => self.id.clone(),
        }
    }
}

/// Prompts with a measure of their answers.
pub trait Task {
    /// What makes an answer accurate, in words: `gate rouge > 0.5`.
    fn judged_by(&self) -> String;

    /// Number of prompts, at least 1.
    fn cases(&self) -> usize;

    /// Tokens of all prompts.
    fn prompt_tokens(&self) -> u64;

    /// How long prompts and answers are.
    fn extent(&self) -> Extent;

    /// Whether the groups are tasks or data sets, whose scores are reported one by one.
    fn has_reported_groups(&self) -> bool;

    /// Where the shortest prompt is from: its row, or its name.
    fn shortest(&self) -> String;

    /// What the user should know about the prompts.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The name of one prompt.
    fn id(&self, index: usize) -> String;

    /// One prompt. Assembled when asked for: all of them together may not fit the memory.
    ///
    /// # Errors
    /// If it cannot be assembled.
    fn case(&self, index: usize) -> Result<Case>;

    /// The value of each of the benchmark's metrics for an answer to `case(index)`.
    ///
    /// # Errors
    /// If the expected answer leaves nothing to compare with.
    fn values(&mut self, index: usize, answer: &str) -> Result<Vec<f64>>;
}

/// The names of all prompts of `task`, in order.
pub fn ids(task: &dyn Task) -> Vec<String> {
    (0..task.cases()).map(|index| task.id(index)).collect()
}

/// What LongBench reports of a data set: the mean times 100, to two decimals. `None` without
/// scores.
pub fn mean_score(scores: &[f64]) -> Option<f64> {
    match scores.len() {
        0 => None,
        n => Some(two_decimals(100.0 * scores.iter().sum::<f64>() / n as f64)),
    }
}

/// Rounded as Python's `round(x, 2)`: by the exact binary value.
pub(super) fn two_decimals(x: f64) -> f64 {
    format!("{x:.2}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_as_they_are_written() {
        for part in [Part::Tokens(512), Part::Class(0, "0-4k"), Part::Class(2, "long")] {
            let text = serde_json::to_string(&part).unwrap();
            assert_eq!(serde_json::from_str::<Part>(&text).unwrap(), part);
        }
        assert!(serde_json::from_str::<Part>("\"huge\"").is_err());
    }
}
