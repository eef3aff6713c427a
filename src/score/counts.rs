//! The four counts of peripheral attention: how many positions are strong or weak, in or outside
//! the needle.
//!
//! DiliLazyKV, <https://openreview.net/forum?id=ye4rjRYBPj>. With `k = min(top_k, N)`:
//!
//! ```text
//!                 in the needle                     outside
//! in Top_k        diligent     |Top_k and needle|   distracted   k - diligent
//! not in Top_k    subconscious n - diligent         diffuse      N - n - distracted
//! ```
//!
//! The four add up to `N`. The names follow the paper's table: of the reference's two scripts one
//! stores `subconscious` as `fn` and `diffuse` as `tn`, the other the reverse. Mean over the rows;
//! the reference uses row 0 alone, which [`Reference::DililazyKv`] restores.

use super::rows::mean_over_rows;
use super::{
    Extra, HeadScore, HeadStats, NeedleMask, Observation, Reference, ScoreInfo, ScoreOptions,
};
use crate::error::Result;
use crate::heads::HeadMatrix;

/// One of the four counts.
#[derive(Debug)]
pub struct Count {
    info: ScoreInfo,
    of_row: fn(&Row) -> f64,
}

/// What one row of one head is counted by.
struct Row {
    /// Positions of `Top_k` in the needle.
    strong_in_needle: f64,
    /// Number of positions in `Top_k`.
    k: f64,
    /// Number of needle positions.
    n: f64,
    /// Number of positions, `N`.
    keys: f64,
}

/// What the four have in common.
const COMMON: ScoreInfo = ScoreInfo {
    name: "",
    aliases: &[],
    title: "",
    formula: "",
    source: "DiliLazyKV, https://openreview.net/forum?id=ye4rjRYBPj",
    reference: Reference::DililazyKv,
    range: 0.0..=f32::INFINITY,
    main: false,
    extra: Extra::Nothing,
    strong: true,
};

/// True positives: strong attention on the needle.
pub static DILIGENT: Count = Count {
    info: ScoreInfo {
        name: "diligent",
        title: "number of needle positions in the head's top-k",
        formula: "mean_t |Top_k and needle|",
        ..COMMON
    },
    of_row: |row| row.strong_in_needle,
};

/// Needle positions without strong attention.
pub static SUBCONSCIOUS: Count = Count {
    info: ScoreInfo {
        name: "subconscious",
        title: "number of needle positions that are not in the head's top-k",
        formula: "mean_t n - |Top_k and needle|",
        ..COMMON
    },
    of_row: |row| row.n - row.strong_in_needle,
};

/// False positives: strong attention elsewhere.
pub static DISTRACTED: Count = Count {
    info: ScoreInfo {
        name: "distracted",
        title: "number of top-k positions outside the needle",
        formula: "mean_t k - |Top_k and needle|",
        ..COMMON
    },
    of_row: |row| row.k - row.strong_in_needle,
};

/// Everything else.
pub static DIFFUSE: Count = Count {
    info: ScoreInfo {
        name: "diffuse",
        title: "number of positions neither in the needle nor in the head's top-k",
        formula: "mean_t N - n - k + |Top_k and needle|",
        ..COMMON
    },
    of_row: |row| row.keys - row.n - row.k + row.strong_in_needle,
};

impl HeadScore for Count {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    fn score(&self, observation: &Observation, options: &ScoreOptions) -> Result<HeadMatrix> {
        let n = NeedleMask::new(&observation.needle)?.tokens() as f64;
        let count = |stats: &HeadStats, keys: usize| {
            (self.of_row)(&Row {
                strong_in_needle: f64::from(stats.top_k_in_needle),
                k: observation.top_k.min(keys) as f64,
                n,
                keys: keys as f64,
            })
        };
        mean_over_rows(observation, options, self.info.reference, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Extras;
    use crate::score::RowStats;

    #[test]
    fn the_four_add_up_to_the_row() {
        let row = |keys: usize, top_k_in_needle: u32| RowStats {
            keys,
            heads: vec![HeadStats { top_k_in_needle, ..HeadStats::default() }],
        };
        let mut observation = Observation {
            layers: 1,
            heads: 1,
            prompt: vec![0; 10],
            needle: vec![2..4, 6..7],
            generated: vec![1, 2],
            stopped: false,
            rows: vec![row(10, 2), row(11, 1)],
            top_k: 4,
            extras: Extras::default(),
        };
        let scores = |observation: &Observation| {
            [&DILIGENT, &SUBCONSCIOUS, &DISTRACTED, &DIFFUSE]
                .map(|count| count.score(observation, &ScoreOptions::default()).unwrap().get(0, 0))
        };
        // n = 3, k = 4. Row 0: 2, 3-2 = 1, 4-2 = 2, 10-3-2 = 5. Row 1: 1, 2, 3, 11-3-3 = 5.
        assert_eq!(scores(&observation), [1.5, 1.5, 2.5, 5.0]);
        assert_eq!(scores(&observation).iter().sum::<f32>(), 10.5);
        // A k beyond the row is the row: 10 and 11 strong positions, all of the needle among them.
        observation.top_k = 64;
        observation.rows = vec![row(10, 3), row(11, 3)];
        assert_eq!(scores(&observation), [3.0, 0.0, 7.5, 0.0]);
    }
}
