//! Head scores: one file per published score, all from the same per-row statistics.
//!
//! The model reduces each attention row to [`RowStats`] where the row lies (on a GPU, there), so
//! that only `[L, H]` numbers travel; a score turns the rows of one probe into a `[L, H]` matrix.
//!
//! To add a score: one file with a [`ScoreInfo`] and an `impl HeadScore`, its `mod` line, and one
//! line in [`registry`].

pub mod aggregate;
pub mod attribution;
pub mod clusters;
pub mod core_heads;
pub mod correlation;
pub mod counts;
pub mod dili;
pub mod estimate;
pub mod extras;
pub mod induction;
pub mod inf;
pub mod kvzip;
pub mod lazy;
pub mod likeness;
pub mod mcnemar;
pub mod normal;
pub mod options;
pub mod qr;
pub mod retrieval;
pub mod retrieval_reasoning;
pub mod row_stats;
pub mod weighted;

mod rows;

#[cfg(test)]
mod conformance_tests;
#[cfg(test)]
mod golden_tests;

use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::heads::HeadMatrix;

pub use extras::{Extra, Extras, QuestionRows, ReplayedTokens, Weighing};
pub use options::{Reference, References, ScoreOptions, ScoreRows};
pub use row_stats::{NeedleMask, head_stats};

/// What one attention row (one query token, one head) has to do with the needle.
///
/// `a` is the row, `N` its number of keys, `needle` the needle's token positions, `n` how many,
/// `Top_k` the positions of the `k` largest weights (equal weights: lower position first).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HeadStats {
    /// Position of the largest weight.
    pub argmax: u32,
    /// Number of needle positions in `Top_k`.
    pub top_k_in_needle: u32,
    /// Sum of the weights in `Top_k`.
    pub top_k_mass: f32,
    /// Sum of the weights in `Top_k` that lie in the needle.
    pub top_k_needle_mass: f32,
    /// Sum of the weights in `Top_n` (`n` = needle length) that lie in the needle.
    pub top_n_needle_mass: f32,
    /// Sum of all weights in the needle.
    pub needle_mass: f32,
}

/// The statistics of one query token over all heads.
#[derive(Debug, Clone, PartialEq)]
pub struct RowStats {
    /// Number of keys of the row, `N`.
    pub keys: usize,
    /// `[L * H]` row-major.
    pub heads: Vec<HeadStats>,
}

/// Everything the scores need of one probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Number of layers, `L`.
    pub layers: usize,
    /// Number of query heads, `H`.
    pub heads: usize,
    /// Prompt token ids, `[T]`.
    pub prompt: Vec<u32>,
    /// Needle spans in the prompt.
    pub needle: Vec<std::ops::Range<usize>>,
    /// Generated token ids; the last may be a stop token.
    pub generated: Vec<u32>,
    /// Whether the last generated token is a stop token.
    pub stopped: bool,
    /// Row `t` belongs to the query that produced `generated[t]`; row 0 to the prompt's last token.
    pub rows: Vec<RowStats>,
    /// The `k` of `Top_k`.
    pub top_k: usize,
    /// What other passes have seen, where a score asks for it.
    pub extras: Extras,
}

/// The constants of a score.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreInfo {
    /// The name in options and file names, for example `retrieval`.
    pub name: &'static str,
    /// Names under which the references know it.
    pub aliases: &'static [&'static str],
    /// One line for people: what a large value says about a head.
    pub title: &'static str,
    /// The formula in ASCII, in the letters of [`HeadStats`].
    pub formula: &'static str,
    /// The paper or code that the score comes from.
    pub source: &'static str,
    /// The reference whose behaviour `--compat` restores for this score.
    pub reference: Reference,
    /// The smallest and the largest value that the score can take by default, without compat.
    pub range: RangeInclusive<f32>,
    /// Whether it is a main score: a column of the table, a line of the curve, a ranking of its own
    /// per task. The others are counts behind the main ones.
    pub main: bool,
    /// What has to be run for it beside the answer. Where that is anything, it is computed only
    /// where it is asked for.
    pub extra: Extra,
    /// Whether it is about `Top_k` in chosen rows of the answer: `--top-k-infscore` and
    /// `--score-rows` change it, and no other score.
    pub strong: bool,
}

impl ScoreInfo {
    /// Whether values below 0 mean something: head_score files, which have none, are then written
    /// by [`crate::head_score::HeadScoreFile::from_signed_probes`].
    pub fn is_signed(&self) -> bool {
        *self.range.start() < 0.0
    }
}

/// A published number per attention head, computed from the rows of one probe.
pub trait HeadScore: Sync {
    /// Its constants.
    fn info(&self) -> &ScoreInfo;

    /// The score of every head in one probe, `[L, H]`.
    ///
    /// # Errors
    /// [`Error::Bug`] if the observation contradicts itself ([`Observation::check`]),
    /// [`Error::Evidence`] if `options` leave no row to average over.
    fn score(&self, observation: &Observation, options: &ScoreOptions) -> Result<HeadMatrix>;

    /// [`ScoreInfo::name`].
    fn name(&self) -> &'static str {
        self.info().name
    }
}

/// Every score, in the order in which they are reported.
pub fn registry() -> &'static [&'static dyn HeadScore] {
    static REGISTRY: &[&dyn HeadScore] = &[
        &retrieval::Retrieval,
        &retrieval_reasoning::RetrievalReasoning,
        &dili::Dili,
        &lazy::Lazy,
        &inf::Inf,
        &counts::DILIGENT,
        &counts::SUBCONSCIOUS,
        &counts::DISTRACTED,
        &counts::DIFFUSE,
        &qr::Qr,
        &core_heads::Core,
        &kvzip::KvZip,
        &attribution::Attribution,
        &induction::Induction,
        &weighted::L1[0],
        &weighted::L1[1],
        &weighted::L1[2],
        &weighted::L1[3],
        &weighted::L1[4],
        &weighted::PROJECTED[0],
        &weighted::PROJECTED[1],
        &weighted::PROJECTED[2],
        &weighted::PROJECTED[3],
        &weighted::PROJECTED[4],
    ];
    REGISTRY
}

/// Whether the score called `name` is a main one ([`ScoreInfo::main`]).
pub fn is_main(name: &str) -> bool {
    registry().iter().any(|score| score.info().main && score.name() == name)
}

/// The score that is called `name`, by itself or by a reference.
///
/// # Errors
/// [`Error::Usage`] with the names there are.
pub fn by_name(name: &str) -> Result<&'static dyn HeadScore> {
    let is_called =
        |score: &&dyn HeadScore| score.name() == name || score.info().aliases.contains(&name);
    registry().iter().copied().find(is_called).ok_or_else(|| {
        let names: Vec<&str> = registry().iter().map(|score| score.name()).collect();
        Error::usage("there is no such score")
            .got(format!("\"{name}\""))
            .expected(format!("one of {}", names.join(", ")))
    })
}

impl Observation {
    /// Checks what every score relies on: at least one row, one row per generated token, `L * H`
    /// statistics per row, rows as long as the prompt at least, a `k` above 0, and a needle that
    /// lies in the prompt.
    ///
    /// # Errors
    /// [`Error::Bug`]: the engine builds observations, no input reaches this place.
    pub fn check(&self) -> Result<()> {
        let bad = |what: &str, got: usize, expected: usize| {
            Err(Error::bug(format!("an observation has the wrong number of {what}"))
                .got(got)
                .expected(expected))
        };
        if self.rows.is_empty() {
            return Err(Error::bug("an observation has no attention rows"));
        }
        if self.rows.len() != self.generated.len() {
            return bad("rows for its generated tokens", self.rows.len(), self.generated.len());
        }
        if self.top_k == 0 {
            return Err(Error::bug("an observation has top_k = 0").expected("at least 1"));
        }
        for row in &self.rows {
            if row.heads.len() != self.layers * self.heads {
                return bad("heads in a row", row.heads.len(), self.layers * self.heads);
            }
            if row.keys < self.prompt.len() {
                return bad("keys in a row", row.keys, self.prompt.len());
            }
        }
        if self.needle.iter().all(|span| span.is_empty()) {
            return Err(Error::bug("an observation has an empty needle"));
        }
        match self.needle.iter().map(|span| span.end).max() {
            Some(end) if end > self.prompt.len() => {
                Err(Error::bug("the needle reaches beyond the prompt")
                    .got(format!("the needle ends at {end}"))
                    .expected(format!("at most {}", self.prompt.len())))
            }
            _ => Ok(()),
        }
    }

    /// One head that looked at a needle of one token.
    #[cfg(test)]
    pub(crate) fn small() -> Self {
        let row = RowStats { keys: 4, heads: vec![HeadStats::default()] };
        Self {
            layers: 1,
            heads: 1,
            prompt: vec![0; 4],
            needle: std::iter::once(1..2).collect(),
            generated: vec![7],
            stopped: false,
            rows: vec![row],
            top_k: 1,
            extras: Extras::default(),
        }
    }

    /// Number of rows that produced an answer token: all, without the one that produced the stop
    /// token. At least 1: where the stop token is all there is, its row counts.
    pub fn answer_rows(&self) -> usize {
        if self.stopped { self.rows.len().saturating_sub(1).max(1) } else { self.rows.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others may join them; these five are the published ones, and what they count is not.
    #[test]
    fn the_published_scores_are_main_and_their_counts_are_not() {
        for name in ["retrieval", "retrieval_reasoning", "dili", "lazy", "inf"] {
            assert!(is_main(name), "{name}");
        }
        for name in ["diligent", "subconscious", "distracted", "diffuse", "none"] {
            assert!(!is_main(name), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_lists_the_names_there_are() {
        let error = by_name("retreival").err().unwrap();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        for score in registry() {
            assert!(text.contains(score.name()), "{text}");
            for name in score.info().aliases.iter().chain([&score.name()]) {
                assert_eq!(by_name(name).unwrap().name(), score.name());
            }
        }
        assert_eq!(by_name("reason").unwrap().name(), "retrieval_reasoning");
    }
}
