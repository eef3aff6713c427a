//! `induction`: how much a head looks behind an earlier copy of the token that it stands on.
//!
//! Source: Olsson et al. 2022, "In-context Learning and Induction Heads",
//! <https://arxiv.org/abs/2209.11895>, by the pattern of TransformerLens's `head_detector`. It is
//! measured once, on random tokens that come a second time: no needle, no question, no answer. All
//! probes have the same values, so that intervals over probes have no width.

use super::{Extra, HeadScore, Observation, Reference, ScoreInfo, ScoreOptions};
use crate::error::Result;
use crate::heads::HeadMatrix;

/// The score.
pub struct Induction;

static INFO: ScoreInfo = ScoreInfo {
    name: "induction",
    aliases: &[],
    title: "share of attention behind the earlier copy of a token, in random tokens that come twice",
    formula: "mean over tokens t of the second time of a_t[j + 1], j = where the same token stood before",
    source: "Olsson et al. 2022, Induction Heads, https://arxiv.org/abs/2209.11895",
    reference: Reference::RetrievalHead,
    range: 0.0..=1.0,
    main: true,
    extra: Extra::Kinds,
    strong: false,
};

impl HeadScore for Induction {
    fn info(&self) -> &ScoreInfo {
        &INFO
    }

    fn score(&self, observation: &Observation, _: &ScoreOptions) -> Result<HeadMatrix> {
        observation.check()?;
        let shape = (observation.layers, observation.heads);
        observation.extras.induction(shape).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Extras;

    #[test]
    fn what_was_measured_once_is_every_probes_score() {
        let small = Observation::small();
        let matrix =
            HeadMatrix::new(small.layers, small.heads, vec![0.25; small.layers * small.heads]);
        let matrix = matrix.unwrap();
        let with = |induction| Observation {
            extras: Extras { induction, ..Extras::default() },
            ..Observation::small()
        };
        let options = ScoreOptions::default();
        let score = |induction| Induction.score(&with(induction), &options);
        assert_eq!(score(Some(matrix.clone())).unwrap(), matrix);
        assert_eq!(score(None).unwrap_err().exit_code(), 1);
        let other = HeadMatrix::zeros(small.layers + 1, small.heads);
        assert_eq!(score(Some(other)).unwrap_err().exit_code(), 1);
    }
}
