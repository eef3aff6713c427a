//! `qr`: how much a head's look at the facts is due to the question (QRScore).
//!
//! Source: Zhang et al. 2025, "Query-Focused Retrieval Heads Improve Long-Context Reasoning and
//! Re-ranking", <https://arxiv.org/abs/2506.09944>. What the rows of the question give to a token,
//! less what they give to it where nothing is asked ("N/A"), added up over each fact. Tokens that
//! get much less than the fact's others, whichever way the tokenizer cut it, are left out. No
//! answer is needed, and none is looked at.

use super::{Extra, HeadScore, Observation, QuestionRows, Reference, ScoreInfo, ScoreOptions};
use crate::error::Result;
use crate::heads::HeadMatrix;

/// The score.
pub struct Qr;

static INFO: ScoreInfo = ScoreInfo {
    name: "qr",
    aliases: &["qrhead", "qrscore"],
    title: "how much more the question makes a head look at the facts than no question does",
    formula: "max(0, sum over facts of sum c_i, c_i > mean(c) - 2 std(c)); c = mean_rows a(question) - \
              mean_rows a(\"N/A\")",
    source: "Zhang et al. 2025, QRHead, https://arxiv.org/abs/2506.09944",
    reference: Reference::RetrievalHead,
    range: 0.0..=1.0,
    main: true,
    extra: Extra::Question,
    strong: false,
};

impl HeadScore for Qr {
    fn info(&self) -> &ScoreInfo {
        &INFO
    }

    fn score(&self, observation: &Observation, _: &ScoreOptions) -> Result<HeadMatrix> {
        observation.check()?;
        let rows = observation.extras.question(observation.layers * observation.heads)?;
        let of = |head: usize| {
            let spans = rows.facts.iter().map(|fact| span(rows, head, fact.clone()));
            spans.sum::<f64>().max(0.0) as f32
        };
        let (layers, heads) = (observation.layers, observation.heads);
        HeadMatrix::new(layers, heads, (0..layers * heads).map(of).collect())
    }
}

/// The score of one fact, whose tokens are at `places` of the rows.
fn span(rows: &QuestionRows, head: usize, places: std::ops::Range<usize>) -> f64 {
    let c: Vec<f64> = places.map(|place| rows.calibrated(head, place)).collect();
    let n = c.len() as f64;
    if c.len() < 2 {
        return c.iter().sum();
    }
    let mean = c.iter().sum::<f64>() / n;
    let variance = c.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let least = mean - 2.0 * variance.sqrt();
    c.iter().filter(|v| **v > least).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Extras;

    /// One head; two facts of two tokens and one, and a distractor.
    fn rows(asked: [f32; 4], null: [f32; 4]) -> QuestionRows {
        QuestionRows {
            facts: vec![0..2, 2..3],
            distractors: std::iter::once(3..4).collect(),
            tokens: 4,
            asked: asked.to_vec(),
            null: null.to_vec(),
        }
    }

    #[test]
    fn by_hand() {
        let rows = rows([0.3, 0.1, 0.2, 0.4], [0.1, 0.1, 0.05, 0.0]);
        assert!((span(&rows, 0, 0..2) - 0.2).abs() < 1e-6);
        assert!((span(&rows, 0, 2..3) - 0.15).abs() < 1e-6);
        let observation = Observation { extras: Extras::asked(rows), ..Observation::small() };
        let score = Qr.score(&observation, &ScoreOptions::default()).unwrap();
        assert!((score.get(0, 0) - 0.35).abs() < 1e-6);
    }

    #[test]
    fn a_token_far_below_the_others_is_left_out() {
        // Nine tokens of 0.1 and one of -0.5: mean 0.04, std 0.19, so that -0.5 is below -0.34.
        let mut asked = vec![0.1f32; 10];
        asked[3] = -0.5;
        let rows = QuestionRows {
            facts: std::iter::once(0..10).collect(),
            distractors: Vec::new(),
            tokens: 10,
            asked,
            null: vec![0.0; 10],
        };
        assert!((span(&rows, 0, 0..10) - 0.9).abs() < 1e-6);
    }

    #[test]
    fn less_than_no_question_is_nothing() {
        let rows = rows([0.0; 4], [0.1; 4]);
        let observation = Observation { extras: Extras::asked(rows), ..Observation::small() };
        assert_eq!(Qr.score(&observation, &ScoreOptions::default()).unwrap().get(0, 0), 0.0);
    }
}
