//! What scores look at beside the rows of the answer: passes of their own, run where one of them is
//! asked for.

use std::ops::Range;

use super::RowStats;
use crate::error::{Error, Result};
use crate::heads::HeadMatrix;

/// What has to be run for a score beside the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// Nothing: the rows of the answer are all it looks at.
    Nothing,
    /// The question once more, and "N/A" in its place.
    Question,
    /// The answer once more, its rows weighed by the lengths of values.
    Values(Weighing),
    /// All that stands before the question, written once more by the model.
    Replay,
    /// The expected answer, and back through it: gradients of its log-probability.
    Gradients,
    /// Random tokens that come twice, once for all probes.
    Kinds,
}

/// How long a token's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weighing {
    /// Sum of absolute entries, per KV head.
    L1,
    /// The same behind the output projection, per query head.
    Projected,
}

/// What extra passes have seen of one probe; `None` for those that were not run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extras {
    /// For [`Extra::Question`].
    pub question: Option<QuestionRows>,
    /// For [`Extra::Values`]: statistics of the answer's rows, each row multiplied by the lengths
    /// of the values and divided by its sum then; one row per generated token.
    pub weighed: Vec<(Weighing, Vec<RowStats>)>,
    /// For [`Extra::Replay`].
    pub replayed: Option<ReplayedTokens>,
    /// For [`Extra::Gradients`]: what every head's output does for the expected answer, `[L, H]` in
    /// nats.
    pub attribution: Option<HeadMatrix>,
    /// For [`Extra::Kinds`]: the share of attention behind the earlier copy of a token, `[L, H]`.
    pub induction: Option<HeadMatrix>,
}

/// What the rows of a prompt's question give to its facts, and what they give to them where "N/A"
/// is asked in the question's place.
#[derive(Debug, Clone, PartialEq)]
pub struct QuestionRows {
    /// The facts that the answer follows from, each by the places of its tokens among `tokens`.
    pub facts: Vec<Range<usize>>,
    /// The other facts, in the same way.
    pub distractors: Vec<Range<usize>>,
    /// How many tokens all of them have.
    pub tokens: usize,
    /// Mean over the rows of the question, `[L * H * tokens]`.
    pub asked: Vec<f32>,
    /// Mean over the rows of "N/A", `[L * H * tokens]`.
    pub null: Vec<f32>,
}

impl QuestionRows {
    /// What the question makes a head give to a token more than no question does.
    pub fn calibrated(&self, head: usize, token: usize) -> f64 {
        let at = head * self.tokens + token;
        f64::from(self.asked[at]) - f64::from(self.null[at])
    }
}

/// The most that any row of a replay gives to each token of what is replayed.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayedTokens {
    /// How many tokens are replayed.
    pub tokens: usize,
    /// Of each KV head, over the rows of all query heads that share it, `[L * G * tokens]`.
    pub most: Vec<f32>,
}

impl Extras {
    /// What heads looked at while they read the question; `heads` are all of the model, `L * H`.
    ///
    /// # Errors
    /// [`Error::Bug`] if that was not recorded, or is of another number of heads.
    pub fn question(&self, heads: usize) -> Result<&QuestionRows> {
        let rows = self.question.as_ref().ok_or_else(not_run)?;
        let expected = heads * rows.tokens;
        match rows.asked.len() == expected && rows.null.len() == expected {
            true => Ok(rows),
            false => Err(Error::bug("the question's rows are of other heads")
                .got(format!("{} and {}", rows.asked.len(), rows.null.len()))
                .expected(expected)),
        }
    }

    /// The answer's rows, weighed.
    ///
    /// # Errors
    /// [`Error::Bug`] if that was not recorded.
    pub fn weighed(&self, weighing: Weighing) -> Result<&[RowStats]> {
        let rows = self.weighed.iter().find(|(by, _)| *by == weighing);
        rows.map(|(_, rows)| &rows[..]).ok_or_else(not_run)
    }

    /// What a replay gives to each token.
    ///
    /// # Errors
    /// [`Error::Bug`] if that was not recorded.
    pub fn replayed(&self) -> Result<&ReplayedTokens> {
        self.replayed.as_ref().ok_or_else(not_run)
    }

    /// What every head's output does for the expected answer; `shape` is that of the model, `L, H`.
    ///
    /// # Errors
    /// [`Error::Bug`] if that was not computed, or is of other heads.
    pub fn attribution(&self, shape: (usize, usize)) -> Result<&HeadMatrix> {
        of_shape(&self.attribution, shape)
    }

    /// How much heads look behind an earlier copy of a token; `shape` is that of the model, `L, H`.
    ///
    /// # Errors
    /// [`Error::Bug`] if that was not looked at, or is of other heads.
    pub fn induction(&self, shape: (usize, usize)) -> Result<&HeadMatrix> {
        of_shape(&self.induction, shape)
    }

    /// With rows of a question alone.
    #[cfg(test)]
    pub(crate) fn asked(rows: QuestionRows) -> Self {
        Self { question: Some(rows), ..Self::default() }
    }
}

fn of_shape(matrix: &Option<HeadMatrix>, shape: (usize, usize)) -> Result<&HeadMatrix> {
    let matrix = matrix.as_ref().ok_or_else(not_run)?;
    match (matrix.layers(), matrix.heads()) == shape {
        true => Ok(matrix),
        false => Err(Error::bug("a number per head is of other heads")
            .got(format!("{} x {}", matrix.layers(), matrix.heads()))
            .expected(format!("{} x {}", shape.0, shape.1))),
    }
}

fn not_run() -> Error {
    Error::bug("a score asks for what was not run")
}
