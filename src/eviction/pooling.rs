//! Pooling: a token is worth as much as its neighbourhood, so that whole phrases are kept.
//!
//! ```text
//! max[j] = max_{i in n(j)} s[i]        avg[j] = (1/k) sum_{i in n(j)} s[i]
//! n(j)   = the i of the row with |i - j| <= k / 2 (k odd)
//! ```
//!
//! As in the references, `avg` divides by `k` at the edges too, where fewer tokens are added: the
//! first and the last tokens count less. `max` makes plateaus of equal values.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// How a neighbourhood of tokens becomes one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// `max`: the largest, `maxpool`.
    #[default]
    Max,
    /// `avg`: the sum divided by the kernel, `avgpool`.
    Avg,
    /// `none`: no pooling.
    None,
}

impl Pooling {
    const NAMES: [(&'static str, Self); 3] =
        [("max", Self::Max), ("avg", Self::Avg), ("none", Self::None)];

    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Avg => "avg",
            Self::None => "none",
        }
    }

    /// Pools each row of `tokens` values of `scores`, `[S, N]`, over `kernel_size` tokens (odd).
    pub fn pool(self, scores: &[f32], tokens: usize, kernel_size: usize) -> Vec<f32> {
        let half = kernel_size / 2;
        let of_row = |row: &[f32]| -> Vec<f32> {
            let near = |j: usize| &row[j.saturating_sub(half)..(j + half + 1).min(row.len())];
            let value = |j| match self {
                Self::None => row[j],
                Self::Max => near(j).iter().copied().fold(f32::NEG_INFINITY, f32::max),
                Self::Avg => near(j).iter().sum::<f32>() / kernel_size as f32,
            };
            (0..row.len()).map(value).collect()
        };
        // `chunks` refuses rows of nothing; without values there are none.
        scores.chunks(tokens.max(1)).flat_map(of_row).collect()
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Pooling {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wanted = text.strip_suffix("pool").unwrap_or(text);
        let found = Self::NAMES.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, pooling)| *pooling).ok_or_else(|| {
            Error::usage("there is no such pooling")
                .got(format!("\"{text}\""))
                .expected("max, avg or none")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbourhoods_are_cut_at_the_edges_and_end_at_rows() {
        // Two rows of four. Kernel 3: neighbours on both sides.
        let scores = [3., 1., 2., 6., 9., 0., 3., 3.];
        assert_eq!(Pooling::Max.pool(&scores, 4, 3), [3., 3., 6., 6., 9., 9., 3., 3.]);
        // (3 + 1) / 3, (3 + 1 + 2) / 3, (1 + 2 + 6) / 3, (2 + 6) / 3; (9 + 0) / 3, ...
        let expected = [4. / 3., 2., 3., 8. / 3., 3., 4., 2., 2.];
        assert_eq!(Pooling::Avg.pool(&scores, 4, 3), expected);
        assert_eq!(Pooling::None.pool(&scores, 4, 3), scores);
        assert_eq!(Pooling::Max.pool(&scores, 4, 1), scores);
        assert!(Pooling::Max.pool(&[], 0, 3).is_empty());
    }

    #[test]
    fn padding_is_no_value() {
        assert_eq!(Pooling::Max.pool(&[-2., -5.], 2, 7), [-2., -2.]);
    }

    #[test]
    fn is_called_as_in_the_references_too() {
        for (name, pooling) in Pooling::NAMES {
            assert_eq!(name.parse::<Pooling>().unwrap(), pooling);
            assert_eq!(pooling.to_string(), name);
        }
        assert_eq!("maxpool".parse::<Pooling>().unwrap(), Pooling::Max);
        assert_eq!("avgpool".parse::<Pooling>().unwrap(), Pooling::Avg);
        assert_eq!("mean".parse::<Pooling>().unwrap_err().exit_code(), 2);
    }
}
