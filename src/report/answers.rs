//! [`Answers`]: `probes.jsonl` as the page shows it, and the places of its grid.

use std::path::Path;

use serde::Deserialize;

use super::data::{Answer, Place};
use super::read::unreadable;
use crate::error::Result;
use crate::system::text::json_lines;

/// Answers on a page, at most.
const MOST: usize = 2000;
/// Characters of an answer, at most.
const LONGEST: usize = 400;

/// The answers of a profile.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answers {
    /// The first of them, in the order of the probes.
    pub list: Vec<Answer>,
    /// Places of the grid, in the order in which they come.
    pub places: Vec<Place>,
    /// Of each accepted probe its name and place.
    pub accepted: Vec<(String, usize)>,
    /// Probes in all.
    pub probes: usize,
}

/// A line of `probes.jsonl`, as far as it is shown.
#[derive(Deserialize)]
struct Line {
    id: String,
    needle_id: String,
    #[serde(default)]
    task: Option<String>,
    context_length: usize,
    depth_asked: Option<f64>,
    answer: Option<String>,
    gold: String,
    gate_value: Option<f64>,
    status: String,
    reason: Option<String>,
}

impl Answers {
    /// The probes in the file at `path`; none where there is no such file.
    ///
    /// # Errors
    /// [`crate::Error::Data`] naming the line that is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(unreadable(path, &e.to_string())),
            Ok(text) => text,
        };
        let mut all = Self::default();
        let lines: Vec<Line> = json_lines(&text)
            .map_err(|(line, e)| unreadable(path, &format!("line {line}: {e}")))?;
        lines.into_iter().for_each(|line| all.add(line));
        Ok(all)
    }

    fn add(&mut self, line: Line) {
        let accepted = line.status == "accepted";
        let place = self.place(&line);
        self.places[place].probes += 1;
        self.probes += 1;
        if accepted {
            self.places[place].accepted += 1;
            self.accepted.push((line.id.clone(), place));
        }
        if self.list.len() < MOST {
            self.list.push(Answer {
                id: line.id,
                about: line.needle_id,
                length: line.context_length,
                depth: line.depth_asked,
                label: line.task,
                expected: shortened(&line.gold),
                answer: line.answer.as_deref().map(shortened),
                gate: line.gate_value,
                status: line.status,
                reason: line.reason,
            });
        }
    }

    /// The number of the line's place.
    fn place(&mut self, line: &Line) -> usize {
        let label = line.task.clone().filter(|_| line.depth_asked.is_none());
        let here = |p: &Place| {
            p.length == line.context_length && p.depth == line.depth_asked && p.label == label
        };
        self.places.iter().position(here).unwrap_or_else(|| {
            let (length, depth) = (line.context_length, line.depth_asked);
            self.places.push(Place { length, depth, label, probes: 0, accepted: 0 });
            self.places.len() - 1
        })
    }
}

/// The beginning of a text.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
