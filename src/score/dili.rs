//! `dili`: how much of a head's strongest attention goes to the needle (a precision).
//!
//! DiliLazyKV, <https://openreview.net/forum?id=ye4rjRYBPj>.
//!
//! ```text
//! dili = sum_{i in Top_k and needle} a[i] / sum_{i in Top_k} a[i]        mean over the rows
//! ```
//!
//! The reference averages over the rows that are as long as the prompt, which is row 0 alone;
//! [`Reference::DililazyKv`] restores that.

use super::rows::mean_over_rows;
use super::{Extra, HeadScore, HeadStats, Observation, Reference, ScoreInfo, ScoreOptions};
use crate::error::Result;
use crate::heads::HeadMatrix;

static INFO: ScoreInfo = ScoreInfo {
    name: "dili",
    aliases: &[],
    title: "share of the head's top-k attention that lies in the needle",
    formula: "mean_t sum_{i in Top_k and needle} a_t[i] / sum_{i in Top_k} a_t[i]",
    source: "DiliLazyKV, https://openreview.net/forum?id=ye4rjRYBPj",
    reference: Reference::DililazyKv,
    range: 0.0..=1.0,
    main: true,
    extra: Extra::Nothing,
    strong: true,
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Dili;

impl HeadScore for Dili {
    fn info(&self) -> &ScoreInfo {
        &INFO
    }

    fn score(&self, observation: &Observation, options: &ScoreOptions) -> Result<HeadMatrix> {
        mean_over_rows(observation, options, INFO.reference, |stats, _| of_row(stats))
    }
}

/// Below this mass the reference calls a share 0 instead of dividing.
pub(super) const SMALLEST_MASS: f64 = 1e-9;

/// The score of one row of one head.
pub(super) fn of_row(stats: &HeadStats) -> f64 {
    let top_k_mass = f64::from(stats.top_k_mass);
    if top_k_mass > SMALLEST_MASS { f64::from(stats.top_k_needle_mass) / top_k_mass } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_share_of_the_top_k_mass() {
        let stats = HeadStats { top_k_mass: 0.8, top_k_needle_mass: 0.2, ..HeadStats::default() };
        assert!((of_row(&stats) - 0.25).abs() < 1e-7);
        assert_eq!(of_row(&HeadStats::default()), 0.0);
    }
}
