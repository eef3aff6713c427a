//! [`HeadTypes`]: what kind of head it is, in the words of the mechanistic literature.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::HeadMatrix;
use crate::error::Result;

/// A kind of head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeadType {
    /// Looks at the token before.
    PreviousToken,
    /// Looks at where the same token stood before.
    DuplicateToken,
    /// Looks at what came behind the same token before.
    Induction,
}

impl fmt::Display for HeadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PreviousToken => "previous token",
            Self::DuplicateToken => "duplicate token",
            Self::Induction => "induction",
        })
    }
}

/// Where heads look in random tokens that come a second time, as shares of their attention,
/// `[L][H]` each, rounded to thousandths; the mean over the tokens of the second time.
///
/// Sources: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits",
/// <https://transformer-circuits.pub/2021/framework/index.html>; Olsson et al. 2022, "In-context
/// Learning and Induction Heads", <https://arxiv.org/abs/2209.11895>; the patterns are those of
/// TransformerLens's `head_detector`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadTypes {
    /// On the token before.
    pub previous_token: Vec<Vec<f32>>,
    /// On the same token, the first time.
    pub duplicate_token: Vec<Vec<f32>>,
    /// On the token that came behind it the first time.
    pub induction: Vec<Vec<f32>>,
}

impl HeadTypes {
    /// A head has a type if more than this share of its attention is where the type looks; so it
    /// has one at most.
    pub const LEAST: f32 = 0.5;

    /// [`HeadTypes::induction`] as a matrix, `[L, H]`.
    ///
    /// # Errors
    /// As [`HeadMatrix::new`].
    pub fn induction_scores(&self) -> Result<HeadMatrix> {
        let heads = self.induction.first().map_or(0, Vec::len);
        HeadMatrix::new(self.induction.len(), heads, self.induction.concat())
    }

    /// Whether these are shares of so many layers and heads.
    pub fn fit(&self, layers: usize, heads: usize) -> bool {
        let share = |share: &f32| (0.0..=1.0).contains(share);
        let row = |row: &Vec<f32>| row.len() == heads && row.iter().all(share);
        [&self.previous_token, &self.duplicate_token, &self.induction]
            .into_iter()
            .all(|rows| rows.len() == layers && rows.iter().all(row))
    }

    /// The type of a head; `None` for a head that looks elsewhere, and for one that is not there.
    pub fn of(&self, layer: usize, head: usize) -> Option<HeadType> {
        let all = [
            (&self.previous_token, HeadType::PreviousToken),
            (&self.duplicate_token, HeadType::DuplicateToken),
            (&self.induction, HeadType::Induction),
        ];
        let share = |rows: &Vec<Vec<f32>>| rows.get(layer).and_then(|row| row.get(head)).copied();
        let found = all.into_iter().find(|(rows, _)| share(rows).is_some_and(|s| s > Self::LEAST));
        found.map(|(_, of_type)| of_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_the_attention_is_a_type() {
        let types = HeadTypes {
            previous_token: vec![vec![0.9, 0.5, 0.0]],
            duplicate_token: vec![vec![0.0, 0.4, 0.2]],
            induction: vec![vec![0.0, 0.1, 0.7]],
        };
        assert_eq!(types.of(0, 0), Some(HeadType::PreviousToken));
        assert_eq!(types.of(0, 1), None);
        assert_eq!(types.of(0, 2).map(|t| t.to_string()), Some("induction".to_owned()));
        assert_eq!((types.of(0, 3), types.of(1, 0)), (None, None));
        assert!(types.fit(1, 3) && !types.fit(1, 2) && !types.fit(2, 3));
        assert!(!HeadTypes { induction: vec![vec![0.0, 1.5, 0.0]], ..types }.fit(1, 3));
    }
}
