//! `attribution`: what a head's output does for the expected answer, to first order.
//!
//! The gradient of the answer's log-probability to the head's output, times that output, added up
//! over the rows that produce the answer: by how much it would drop without them, if it went on as
//! it begins. One pass up and one down for all heads, where switching off each takes a pass per
//! head (`headprof ablate --each --when answer`).
//!
//! Source: Michel, Levy and Neubig 2019, "Are Sixteen Heads Really Better than One?",
//! <https://arxiv.org/abs/1905.10650>, with its sign; Nanda 2023, "Attribution Patching",
//! <https://www.neelnanda.io/mechanistic-interpretability/attribution-patching>, against zero.

use super::{Extra, HeadScore, Observation, Reference, ScoreInfo, ScoreOptions};
use crate::error::Result;
use crate::heads::HeadMatrix;

/// The score.
pub struct Attribution;

static INFO: ScoreInfo = ScoreInfo {
    name: "attribution",
    aliases: &["atp"],
    title: "what a head's output does for the expected answer, by its gradient",
    formula: "sum_t sum_d (d ln p(answer) / d o_t[d]) o_t[d]; o_t: the head's output in row t",
    source: "Michel et al. 2019, https://arxiv.org/abs/1905.10650; Nanda 2023, attribution patching",
    reference: Reference::RetrievalHead,
    range: f32::MIN..=f32::MAX,
    main: true,
    extra: Extra::Gradients,
    strong: false,
};

impl HeadScore for Attribution {
    fn info(&self) -> &ScoreInfo {
        &INFO
    }

    fn score(&self, observation: &Observation, _: &ScoreOptions) -> Result<HeadMatrix> {
        observation.check()?;
        observation.extras.attribution((observation.layers, observation.heads)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Extras;

    /// The values of the observation with their signs; none where they were not computed, or are of
    /// other heads.
    #[test]
    fn is_what_was_observed() {
        let of = |attribution| {
            let extras = Extras { attribution, ..Extras::default() };
            let observation = Observation { extras, ..Observation::small() };
            Attribution.score(&observation, &ScoreOptions::default())
        };
        let one = HeadMatrix::new(1, 1, vec![-0.25]).unwrap();
        assert_eq!(of(Some(one.clone())), Ok(one));
        assert_eq!(of(None).unwrap_err().exit_code(), 1);
        assert_eq!(of(Some(HeadMatrix::zeros(2, 1))).unwrap_err().exit_code(), 1);
    }
}
