//! Scores of rows in which every weight is multiplied by the length of the token's value.
//!
//! Source: Guo et al. 2024, "Attention Score is not All You Need for Token Importance Indicator in
//! KV Cache Reduction: Value Also Matters" (VATP), <https://arxiv.org/abs/2406.12335>, for the
//! weight `a_i |v_i|` of a token. A head puts out a sum of values: a token that gets half of the
//! attention and has a value near 0, as sinks have, is hardly a part of it. The rows are divided by
//! their sums, so that they are shares as attention is; each score is what it is by definition, of
//! these shares.

use std::ops::RangeInclusive;

use super::{
    Extra, Extras, HeadScore, Observation, Reference, ScoreInfo, ScoreOptions, Weighing, dili, inf,
    lazy, retrieval, retrieval_reasoning,
};
use crate::error::Result;
use crate::heads::HeadMatrix;

/// A score of weighed rows.
pub struct Weighted {
    info: ScoreInfo,
    of: &'static dyn HeadScore,
    weighing: Weighing,
}

/// The score `$of`, called `$name`, of rows weighed by `$length`, called `$suffix` in names.
macro_rules! weighted {
    ($weighing:expr, $suffix:literal, $length:literal; $of:expr, $name:literal, $range:expr, $reference:expr) => {
        Weighted {
            info: ScoreInfo {
                name: concat!($name, "_", $suffix),
                aliases: &[],
                title: concat!($name, " of attention times the length of values, ", $length),
                formula: concat!($name, " of a_i ", $length, " / sum_j a_j ", $length),
                source: "Guo et al. 2024, VATP, https://arxiv.org/abs/2406.12335",
                reference: $reference,
                range: $range,
                main: true,
                extra: Extra::Values($weighing),
                strong: matches!($reference, Reference::DililazyKv),
            },
            of: &$of,
            weighing: $weighing,
        }
    };
    ($weighing:expr, $suffix:literal, $length:literal) => {
        [
            weighted!($weighing, $suffix, $length; retrieval::Retrieval, "retrieval", SHARE,
                Reference::RetrievalHead),
            weighted!($weighing, $suffix, $length; retrieval_reasoning::RetrievalReasoning,
                "retrieval_reasoning", 0.0..=f32::INFINITY, Reference::HeadkvR2),
            weighted!($weighing, $suffix, $length; dili::Dili, "dili", SHARE, Reference::DililazyKv),
            weighted!($weighing, $suffix, $length; lazy::Lazy, "lazy", SHARE, Reference::DililazyKv),
            weighted!($weighing, $suffix, $length; inf::Inf, "inf", SHARE, Reference::DililazyKv),
        ]
    };
}

const SHARE: RangeInclusive<f32> = 0.0..=1.0;

/// By the sum of absolute entries of a value, `|v_i|_1`, per KV head.
pub static L1: [Weighted; 5] = weighted!(Weighing::L1, "l1", "|v_i|_1");

/// By the same behind the output projection, `|W_o v_i|_1`, per query head.
pub static PROJECTED: [Weighted; 5] = weighted!(Weighing::Projected, "projected", "|W_o v_i|_1");

impl HeadScore for Weighted {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    fn score(&self, observation: &Observation, options: &ScoreOptions) -> Result<HeadMatrix> {
        observation.check()?;
        let weighed = Observation {
            layers: observation.layers,
            heads: observation.heads,
            prompt: observation.prompt.clone(),
            needle: observation.needle.clone(),
            generated: observation.generated.clone(),
            stopped: observation.stopped,
            rows: observation.extras.weighed(self.weighing)?.to_vec(),
            top_k: observation.top_k,
            extras: Extras::default(),
        };
        self.of.score(&weighed, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{HeadStats, RowStats};

    /// The weighed rows are what counts, not those of attention, each kind for its own scores.
    #[test]
    fn each_score_is_its_own_of_the_weighed_rows() {
        let row = |mass: f32| RowStats {
            keys: 4,
            heads: vec![HeadStats {
                argmax: 1,
                top_k_in_needle: 1,
                top_k_mass: 0.9,
                top_k_needle_mass: mass,
                top_n_needle_mass: mass,
                needle_mass: mass,
            }],
        };
        let weighed = vec![(Weighing::L1, vec![row(0.3)]), (Weighing::Projected, vec![row(0.45)])];
        let observation = Observation {
            rows: vec![row(0.1)],
            extras: Extras { weighed, ..Extras::default() },
            ..Observation::small()
        };
        let of = |score: &Weighted| {
            score.score(&observation, &ScoreOptions::default()).unwrap().get(0, 0)
        };
        assert_eq!((of(&L1[1]), of(&PROJECTED[1])), (0.3, 0.45));
        assert!((of(&L1[2]) - 0.3 / 0.9).abs() < 1e-6);
        assert!((of(&PROJECTED[2]) - 0.5).abs() < 1e-6);
        for (score, name) in L1.iter().zip(["retrieval", "retrieval_reasoning", "dili"]) {
            assert_eq!(score.name(), format!("{name}_l1"));
            assert_eq!(score.info().reference, score.of.info().reference);
            assert_eq!(score.info().range, score.of.info().range);
            assert_eq!(score.of.name(), name);
        }
    }
}
