//! [`Reporter`]: what a command tells beside its result, and the result itself.

use std::fmt::Display;

use serde::Serialize;

use super::terminal;
use crate::error::Result;

/// Where notes, warnings and results go: the first two to standard error unless `quiet`, the result
/// to standard output. Every "note:" and "warning:" of a command is written here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reporter {
    /// Errors only: no note, no warning, no progress and no table.
    pub quiet: bool,
    /// The result as one JSON object.
    pub json: bool,
}

impl Reporter {
    /// Something that the user should know.
    pub fn note(&self, text: &str) {
        self.line("note: ", text);
    }

    /// Something that may be wrong.
    pub fn warning(&self, text: &str) {
        self.line("warning: ", text);
    }

    /// What is going on.
    pub fn progress(&self, text: &str) {
        self.line("", text);
    }

    /// Prints a result: as a JSON object if that is asked for, else, unless `quiet`, as its text.
    ///
    /// # Errors
    /// As [`terminal::print`] and [`terminal::json_line`].
    pub fn result<T: Serialize + Display>(&self, result: &T) -> Result<()> {
        match (self.json, self.quiet) {
            (true, _) => terminal::print(&terminal::json_line(result)?),
            (false, false) => terminal::print(&terminal::harmless(&result.to_string())),
            (false, true) => Ok(()),
        }
    }

    fn line(&self, kind: &str, text: &str) {
        if !self.quiet {
            terminal::note(&format!("{kind}{text}"));
        }
    }
}
