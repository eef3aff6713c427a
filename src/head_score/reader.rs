//! What reading a head_score file and placing its entries share: [`Reader`], which knows where an
//! error belongs, and [`Item`], a value of the file.

use std::cell::RefCell;

use serde::de;

use crate::error::Error;

/// A value of the file.
pub(super) enum Item {
    Number(f32),
    List(Vec<f32>),
    Map(Vec<(String, Item)>),
}

/// What all levels of one file share: its name, the key being read, the first failure.
pub(super) struct Reader<'a> {
    place: &'a str,
    key: RefCell<Option<String>>,
    failure: RefCell<Option<Error>>,
}

impl<'a> Reader<'a> {
    /// Of the file that errors call `place`.
    pub(super) fn new(place: &'a str) -> Self {
        Self { place, key: RefCell::default(), failure: RefCell::default() }
    }

    /// The value of `key` is read next.
    pub(super) fn at_key(&self, key: &str) {
        *self.key.borrow_mut() = Some(key.to_owned());
    }

    /// An error about the whole file.
    pub(super) fn error(&self, what: &str) -> Error {
        Error::data(what).at(self.place)
    }

    /// An error at `key`.
    pub(super) fn error_at(&self, what: &str, key: &str) -> Error {
        Error::data(what).at(format!("{}: key \"{}\"", self.place, shortened(key)))
    }

    /// An error at the key being read.
    pub(super) fn error_here(&self, what: &str) -> Error {
        match &*self.key.borrow() {
            Some(key) => self.error_at(what, key),
            None => self.error(what),
        }
    }

    /// Stops the parser with an error of our own.
    pub(super) fn stop<E: de::Error>(&self, error: Error) -> E {
        *self.failure.borrow_mut() = Some(error);
        E::custom("refused")
    }

    /// The error behind a parser that stopped: ours, or one of syntax.
    pub(super) fn failed(&self, syntax: &serde_json::Error) -> Error {
        self.failure.borrow_mut().take().unwrap_or_else(|| {
            self.error_here("a head_score file is not valid JSON")
                .got(syntax)
                .expected("JSON with finite numbers; NaN and Infinity are not JSON")
        })
    }
}

/// The beginning of a key, enough to find it.
pub(super) fn shortened(key: &str) -> String {
    const SHOWN: usize = 40;
    let mut text: String = key.chars().take(SHOWN).collect();
    if text.len() < key.len() {
        text.push_str("...");
    }
    text
}
