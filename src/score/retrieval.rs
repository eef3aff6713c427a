//! `retrieval`: how much of the needle a head copies token by token.
//!
//! Wu et al. 2024, "Retrieval Head Mechanistically Explains Long-Context Factuality",
//! <https://arxiv.org/abs/2404.15574>.
//!
//! ```text
//! retrieval = |{ j in needle : j = argmax a_t and prompt[j] = generated[t], for some t }| / n
//! ```
//!
//! The head copies position `j` at step `t` when its largest weight lies on a needle token and that
//! token is the one that comes out. The paper intersects sets, |g and k| / |k|; the published code
//! counts steps instead, so that a head that stays on one word of a rambling answer exceeds 1, and
//! it counts the row of the stop token. Here every position counts once and the stop token does
//! not; [`Reference::RetrievalHead`] restores the count over all steps.

use super::{Extra, HeadScore, NeedleMask, Observation, Reference, ScoreInfo, ScoreOptions};
use crate::error::Result;
use crate::heads::HeadMatrix;

static INFO: ScoreInfo = ScoreInfo {
    name: "retrieval",
    aliases: &["copy"],
    title: "share of the needle that the head copies token by token",
    formula: "|{j in needle: j = argmax a_t and prompt[j] = generated[t]}| / n",
    source: "Wu et al. 2024, Retrieval Head, https://arxiv.org/abs/2404.15574",
    reference: Reference::RetrievalHead,
    range: 0.0..=1.0,
    main: true,
    extra: Extra::Nothing,
    strong: false,
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Retrieval;

impl HeadScore for Retrieval {
    fn info(&self) -> &ScoreInfo {
        &INFO
    }

    fn score(&self, observation: &Observation, options: &ScoreOptions) -> Result<HeadMatrix> {
        observation.check()?;
        let needle = NeedleMask::new(&observation.needle)?;
        let count_steps = options.compat.contains(INFO.reference);
        let rows = if count_steps { observation.rows.len() } else { observation.answer_rows() };
        let steps = || observation.rows[..rows].iter().zip(&observation.generated);
        let score = |head: usize| {
            let mut copied: Vec<u32> = steps()
                .map(|(row, token)| (row.heads[head].argmax, token))
                .filter(|&(j, token)| {
                    // The needle lies in the prompt, so `j` indexes the prompt here.
                    needle.contains(j as usize) && observation.prompt[j as usize] == *token
                })
                .map(|(j, _)| j)
                .collect();
            if !count_steps {
                copied.sort_unstable();
                copied.dedup();
            }
            copied.len() as f32 / needle.tokens() as f32
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

    /// One layer, one head, a prompt of 10 to 15, needle at {2, 3}; `steps` are (argmax, token).
    fn observation(steps: &[(u32, u32)], stopped: bool) -> Observation {
        let row = |t: usize, argmax: u32| RowStats {
            keys: 6 + t,
            heads: vec![HeadStats { argmax, ..HeadStats::default() }],
        };
        Observation {
            layers: 1,
            heads: 1,
            prompt: (10..16).collect(),
            needle: std::iter::once(2..4).collect(),
            generated: steps.iter().map(|s| s.1).collect(),
            stopped,
            rows: steps.iter().enumerate().map(|(t, s)| row(t, s.0)).collect(),
            top_k: 1,
            extras: Extras::default(),
        }
    }

    fn score(steps: &[(u32, u32)], stopped: bool, compat: &str) -> f32 {
        let options = ScoreOptions { compat: compat.parse().unwrap(), ..ScoreOptions::default() };
        Retrieval.score(&observation(steps, stopped), &options).unwrap().get(0, 0)
    }

    #[test]
    fn a_copy_needs_the_position_and_the_token() {
        // Position 2 holds 12: a copy. Position 3 holds 13, not 12. Position 4 is no needle.
        // Position 8 is a generated token.
        let steps = [(2, 12), (3, 12), (4, 14), (8, 12)];
        assert_eq!(score(&steps, false, ""), 0.5);
        assert_eq!(score(&steps, false, "retrieval-head"), 0.5);
    }

    #[test]
    fn a_position_counts_once_and_by_compat_every_time() {
        // Position 2 three times, position 3 once: {2, 3} of 2 = 1; 4 steps of 2 tokens = 2.
        let steps = [(2, 12), (2, 12), (3, 13), (2, 12)];
        assert_eq!(score(&steps, false, ""), 1.0);
        assert_eq!(score(&steps, false, "retrieval-head"), 2.0);
        assert_eq!(score(&steps, false, "headkv-r2,dililazykv"), 1.0);
    }

    #[test]
    fn the_stop_tokens_row_counts_by_compat_only() {
        let steps = [(2, 12), (3, 13)];
        assert_eq!(score(&steps, true, ""), 0.5);
        assert_eq!(score(&steps, true, "retrieval-head"), 1.0);
    }
}
