//! `core`: how sure a head tells facts from distractors while it reads the question (CoRe).
//!
//! Source: Tran, Li, Florian and Sun 2025, "Contrastive Retrieval Heads Improve Attention-Based
//! Re-Ranking", <https://arxiv.org/abs/2510.02219>: a
//! softmax over all facts of what the question's rows give to each. Only where there are
//! distractors: stories, whose other facts they are.

use super::{Extra, HeadScore, Observation, QuestionRows, Reference, ScoreInfo, ScoreOptions};
use crate::error::{Error, Result};
use crate::heads::HeadMatrix;

/// The score.
pub struct Core;

/// The temperature of the softmax that its authors take for Llama models.
const TEMPERATURE: f64 = 0.1;

static INFO: ScoreInfo = ScoreInfo {
    name: "core",
    aliases: &["core-r"],
    title: "how sure a head tells the facts from distractors while it reads the question",
    formula: "sum over facts of softmax(s / 0.1); s_d = sum over the tokens of d of mean_rows a, d in facts \
              and distractors",
    source: "Tran et al. 2025, CoRe heads, https://arxiv.org/abs/2510.02219",
    reference: Reference::RetrievalHead,
    range: 0.0..=1.0,
    main: true,
    extra: Extra::Question,
    strong: false,
};

impl HeadScore for Core {
    fn info(&self) -> &ScoreInfo {
        &INFO
    }

    fn score(&self, observation: &Observation, _: &ScoreOptions) -> Result<HeadMatrix> {
        observation.check()?;
        let rows = observation.extras.question(observation.layers * observation.heads)?;
        if rows.distractors.is_empty() {
            return Err(Error::evidence("there is no distractor to tell the facts from")
                .at("score core")
                .expected("stories, such as --task babilong:qa1"));
        }
        let (layers, heads) = (observation.layers, observation.heads);
        let values = (0..layers * heads).map(|head| share(rows, head) as f32).collect();
        HeadMatrix::new(layers, heads, values)
    }
}

/// The share of the facts.
fn share(rows: &QuestionRows, head: usize) -> f64 {
    let sum = |span: &std::ops::Range<usize>| -> f64 {
        span.clone().map(|place| f64::from(rows.asked[head * rows.tokens + place])).sum()
    };
    let facts: Vec<f64> = rows.facts.iter().map(sum).collect();
    let others: Vec<f64> = rows.distractors.iter().map(sum).collect();
    let most = facts.iter().chain(&others).copied().fold(f64::NEG_INFINITY, f64::max);
    let exp = |of: &[f64]| of.iter().map(|s| ((s - most) / TEMPERATURE).exp()).sum::<f64>();
    let (facts, others) = (exp(&facts), exp(&others));
    facts / (facts + others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Extras;

    fn rows(asked: [f32; 4]) -> QuestionRows {
        QuestionRows {
            facts: vec![0..2],
            distractors: vec![2..3, 3..4],
            tokens: 4,
            asked: asked.to_vec(),
            null: vec![0.0; 4],
        }
    }

    #[test]
    fn by_hand() {
        // 0.2 against 0.1 and 0.1: e^2 / (e^2 + 2 e).
        let e = std::f64::consts::E;
        let share = share(&rows([0.15, 0.05, 0.1, 0.1]), 0);
        assert!((share - e / (e + 2.0)).abs() < 1e-6, "{share}");
        // All alike: one of three.
        assert!((super::share(&rows([0.0, 0.1, 0.1, 0.1]), 0) - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn without_distractors_there_is_nothing_to_tell_apart() {
        let alone = QuestionRows { distractors: Vec::new(), ..rows([0.1; 4]) };
        let observation = Observation { extras: Extras::asked(alone), ..Observation::small() };
        let e = Core.score(&observation, &ScoreOptions::default()).unwrap_err();
        assert_eq!(e.exit_code(), 6);
    }
}
