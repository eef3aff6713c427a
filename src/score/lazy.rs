//! `lazy`: how much of a head's attention on the needle is strong attention (a recall).
//!
//! DiliLazyKV, <https://openreview.net/forum?id=ye4rjRYBPj>.
//!
//! ```text
//! lazy = sum_{i in Top_k and needle} a[i] / sum_{i in needle} a[i]       mean over the rows
//! ```
//!
//! Despite its name a large value is no idleness: it says that what little or much attention the
//! needle gets is concentrated enough to be among the head's strongest. A head that hardly looks at
//! the needle can reach 1. The reference uses row 0 alone; [`Reference::DililazyKv`] restores that.

use super::dili::SMALLEST_MASS;
use super::rows::mean_over_rows;
use super::{Extra, HeadScore, HeadStats, Observation, Reference, ScoreInfo, ScoreOptions};
use crate::error::Result;
use crate::heads::HeadMatrix;

static INFO: ScoreInfo = ScoreInfo {
    name: "lazy",
    aliases: &[],
    title: "share of the head's attention on the needle that is in its top-k",
    formula: "mean_t sum_{i in Top_k and needle} a_t[i] / sum_{i in needle} a_t[i]",
    source: "DiliLazyKV, https://openreview.net/forum?id=ye4rjRYBPj",
    reference: Reference::DililazyKv,
    range: 0.0..=1.0,
    main: true,
    extra: Extra::Nothing,
    strong: true,
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Lazy;

impl HeadScore for Lazy {
    fn info(&self) -> &ScoreInfo {
        &INFO
    }

    fn score(&self, observation: &Observation, options: &ScoreOptions) -> Result<HeadMatrix> {
        mean_over_rows(observation, options, INFO.reference, |stats, _| of_row(stats))
    }
}

/// The score of one row of one head.
pub(super) fn of_row(stats: &HeadStats) -> f64 {
    let strong = f64::from(stats.top_k_needle_mass);
    // The two sums are rounded one by one: the whole is at least its part.
    let needle_mass = f64::from(stats.needle_mass).max(strong);
    if needle_mass > SMALLEST_MASS { strong / needle_mass } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_share_of_the_needle_mass() {
        let stats = HeadStats { needle_mass: 0.8, top_k_needle_mass: 0.2, ..HeadStats::default() };
        assert!((of_row(&stats) - 0.25).abs() < 1e-7);
        assert_eq!(of_row(&HeadStats::default()), 0.0);
    }

    #[test]
    fn rounding_cannot_lift_it_above_one() {
        let stats = HeadStats {
            needle_mass: 0.3,
            top_k_needle_mass: 0.3_f32.next_up(),
            ..HeadStats::default()
        };
        assert_eq!(of_row(&stats), 1.0);
    }
}
