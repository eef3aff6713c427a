//! `inf` (InfScore): the harmonic mean of [`dili`] and [`lazy`].
//!
//! DiliLazyKV, <https://openreview.net/forum?id=ye4rjRYBPj>.
//!
//! ```text
//! inf = 2 dili lazy / (dili + lazy)                     per row; mean over the rows
//! ```
//!
//! Large only for a head whose strongest attention is on the needle and covers what it gives to the
//! needle. As in the reference it is the mean of harmonic means, per row and per probe, which is at
//! most the harmonic mean of the means. The reference uses row 0 alone; [`Reference::DililazyKv`]
//! restores that.

use super::rows::mean_over_rows;
use super::{
    Extra, HeadScore, HeadStats, Observation, Reference, ScoreInfo, ScoreOptions, dili, lazy,
};
use crate::error::Result;
use crate::heads::HeadMatrix;

static INFO: ScoreInfo = ScoreInfo {
    name: "inf",
    aliases: &[],
    title: "harmonic mean of dili and lazy",
    formula: "mean_t 2 dili_t lazy_t / (dili_t + lazy_t)",
    source: "DiliLazyKV, https://openreview.net/forum?id=ye4rjRYBPj",
    reference: Reference::DililazyKv,
    range: 0.0..=1.0,
    main: true,
    extra: Extra::Nothing,
    strong: true,
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Inf;

impl HeadScore for Inf {
    fn info(&self) -> &ScoreInfo {
        &INFO
    }

    fn score(&self, observation: &Observation, options: &ScoreOptions) -> Result<HeadMatrix> {
        mean_over_rows(observation, options, INFO.reference, |stats, _| of_row(stats))
    }
}

/// The score of one row of one head.
fn of_row(stats: &HeadStats) -> f64 {
    harmonic_mean(dili::of_row(stats), lazy::of_row(stats))
}

/// `2 dili lazy / (dili + lazy)`, 0 where both are 0.
pub(super) fn harmonic_mean(dili: f64, lazy: f64) -> f64 {
    let sum = dili + lazy;
    if sum > SMALLEST_SUM { 2.0 * dili * lazy / sum } else { 0.0 }
}

/// Below this sum the reference calls the harmonic mean 0 instead of dividing.
const SMALLEST_SUM: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_harmonic_mean_of_the_rows_dili_and_lazy() {
        // dili = 0.3 / 0.6 = 1/2, lazy = 0.3 / 0.4 = 3/4: 2 * 3/8 / (5/4) = 3/5.
        let stats = HeadStats {
            top_k_mass: 0.6,
            top_k_needle_mass: 0.3,
            needle_mass: 0.4,
            ..HeadStats::default()
        };
        assert!((of_row(&stats) - 0.6).abs() < 1e-7);
        assert_eq!(harmonic_mean(0.0, 0.0), 0.0);
        assert_eq!(harmonic_mean(1.0, 0.0), 0.0);
    }
}
