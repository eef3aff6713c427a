//! Why a template does not render, and how much it may do.

use std::cell::Cell;

/// Steps of a template, and bytes that it builds by sixteens; real ones take a few thousand.
const FUEL: u64 = 1_000_000;

/// Why a template does not render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub what: String,
    /// Whether jinja2 knows what this implementation does not.
    pub unsupported: bool,
    /// Line of the template, from 1.
    pub line: Option<usize>,
}

/// What a step of a template comes to.
pub type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// What is an error in jinja2, too.
    pub fn raised(what: impl Into<String>) -> Self {
        Self { what: what.into(), unsupported: false, line: None }
    }

    /// What jinja2 would do.
    pub fn unsupported(what: impl std::fmt::Display) -> Self {
        let what = format!("{what} is not supported here");
        Self { what, unsupported: true, line: None }
    }

    /// In `line`, unless a line within is known already.
    pub fn at(self, line: usize) -> Self {
        Self { line: self.line.or(Some(line)), ..self }
    }
}

/// What a template may still do.
#[derive(Debug)]
pub struct Fuel {
    left: Cell<u64>,
    deep: Cell<usize>,
}

impl Fuel {
    /// Evaluations within each other, at most. The stack of [`super::render`] has room for them.
    const DEEPEST: usize = 4000;

    pub fn new() -> Self {
        Self { left: Cell::new(FUEL), deep: Cell::new(0) }
    }

    /// Takes `steps`.
    ///
    /// # Errors
    /// Where there are not as many left.
    pub fn spend(&self, steps: usize) -> Outcome<()> {
        match self.left.get().checked_sub(steps as u64) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(Fault::raised("the template runs on and on (out of fuel)")),
        }
    }

    /// Takes what a text of `bytes` costs.
    ///
    /// # Errors
    /// As [`Fuel::spend`].
    pub fn spend_bytes(&self, bytes: usize) -> Outcome<()> {
        self.spend(bytes / 16 + 1)
    }

    /// Runs `inner` one level deeper.
    ///
    /// # Errors
    /// Those of `inner`; where it would be too deep.
    pub fn deeper<T>(&self, inner: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        if self.deep.get() >= Self::DEEPEST {
            return Err(Fault::raised("the template calls itself too deeply"));
        }
        self.deep.set(self.deep.get() + 1);
        let outcome = inner();
        self.deep.set(self.deep.get() - 1);
        outcome
    }
}
