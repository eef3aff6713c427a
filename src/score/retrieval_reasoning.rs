//! `retrieval_reasoning`: how much of a head's strongest attention lies in the needle while the
//! answer is written, whether or not its tokens are copied (HeadKV-R2).
//!
//! Fu et al. 2024, "Not All Heads Matter: A Head-Level KV Cache Compression Method with Integrated
//! Retrieval and Reasoning", <https://arxiv.org/abs/2410.19258>.
//!
//! ```text
//! retrieval_reasoning = sum_t (1/n) sum_{i in Top_n(a_t) and needle} a_t[i]
//! ```
//!
//! `n` is the needle's length, also as the `k` of the top-k. It is a sum over the answer's tokens,
//! not a mean: an answer of `T` tokens can reach `T / n`. By default the row of the stop token is
//! left out; [`Reference::HeadkvR2`] counts every row that was generated. The reference's weights
//! are rounded to bf16; that is not imitated.

use super::{Extra, HeadScore, NeedleMask, Observation, Reference, ScoreInfo, ScoreOptions};
use crate::error::Result;
use crate::heads::HeadMatrix;

static INFO: ScoreInfo = ScoreInfo {
    name: "retrieval_reasoning",
    aliases: &["reason"],
    title: "attention on the needle while the answer is written, copied or not",
    formula: "sum_t (1/n) sum_{i in Top_n(a_t) and needle} a_t[i]",
    source: "Fu et al. 2024, HeadKV-R2, https://arxiv.org/abs/2410.19258",
    reference: Reference::HeadkvR2,
    range: 0.0..=f32::INFINITY,
    main: true,
    extra: Extra::Nothing,
    strong: false,
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct RetrievalReasoning;

impl HeadScore for RetrievalReasoning {
    fn info(&self) -> &ScoreInfo {
        &INFO
    }

    fn score(&self, observation: &Observation, options: &ScoreOptions) -> Result<HeadMatrix> {
        observation.check()?;
        let n = NeedleMask::new(&observation.needle)?.tokens() as f64;
        let every_row = options.compat.contains(INFO.reference);
        let rows = if every_row { observation.rows.len() } else { observation.answer_rows() };
        let score = |head: usize| {
            let rows = observation.rows[..rows].iter();
            let mass: f64 = rows.map(|row| f64::from(row.heads[head].top_n_needle_mass)).sum();
            (mass / n) as f32
        };
        let values = (0..observation.layers * observation.heads).map(score).collect();
        HeadMatrix::new(observation.layers, observation.heads, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Extras;
    use crate::score::{HeadStats, RowStats};

    #[test]
    fn sums_over_the_answer_and_divides_by_the_needle() {
        let row = |keys: usize, mass: f32| RowStats {
            keys,
            heads: vec![HeadStats { top_n_needle_mass: mass, ..HeadStats::default() }],
        };
        let observation = Observation {
            layers: 1,
            heads: 1,
            prompt: vec![0; 6],
            needle: vec![1..2, 3..4],
            generated: vec![1, 2, 3],
            stopped: true,
            rows: vec![row(6, 0.5), row(7, 0.25), row(8, 0.125)],
            top_k: 1,
            extras: Extras::default(),
        };
        let score = |compat: &str| {
            let compat = compat.parse().unwrap();
            let options = ScoreOptions { compat, ..ScoreOptions::default() };
            RetrievalReasoning.score(&observation, &options).unwrap().get(0, 0)
        };
        // n = 2. Without the stop token (0.5 + 0.25) / 2; with it (0.5 + 0.25 + 0.125) / 2.
        assert_eq!(score(""), 0.375);
        assert_eq!(score("headkv-r2"), 0.4375);
        assert_eq!(score("retrieval-head"), 0.375);
    }
}
