//! [`UtilityCurves`]: how much of what matters later a head keeps, by how many tokens it keeps.

use crate::error::{Error, Result};

/// One curve per stored head, `[L, S, K]` row-major: the utility that the head keeps if it keeps
/// its best `fractions[k]` of the tokens before the window. At fraction 0 every curve is 0.
///
/// Utility is what the tokens turn out to be worth, in one unit for all heads: for example the
/// attention that the answer's queries give them.
///
/// Invariants: at least one head; fractions ascend strictly from above 0 to exactly 1; a curve is
/// finite, does not start below 0 and does not fall; at least one curve rises above 0.
#[derive(Debug, Clone, PartialEq)]
pub struct UtilityCurves {
    layers: usize,
    heads: usize,
    fractions: Vec<f32>,
    utilities: Vec<f32>,
}

impl UtilityCurves {
    /// Takes `fractions`, `[K]`, and `utilities`, `[layers * heads * K]` row-major.
    ///
    /// # Errors
    /// [`Error::Data`] naming the head, if the [invariants](Self) do not hold.
    pub fn new(
        layers: usize,
        heads: usize,
        fractions: Vec<f32>,
        utilities: Vec<f32>,
    ) -> Result<Self> {
        let ascending = fractions.windows(2).all(|pair| pair[0] < pair[1]);
        let first = fractions.first().is_some_and(|f| *f > 0.0);
        if !(ascending && first && fractions.last() == Some(&1.0)) {
            return Err(Error::data("the fractions of utility curves cannot be used")
                .got(format!("{} fractions", fractions.len()))
                .expected("numbers above 0, each larger than the one before, the last exactly 1"));
        }
        let points = layers.checked_mul(heads).and_then(|n| n.checked_mul(fractions.len()));
        if points != Some(utilities.len()) || utilities.is_empty() {
            return Err(Error::data("utility curves have the wrong number of points")
                .got(utilities.len())
                .expected(format!(
                    "{layers} layers x {heads} heads x {} fractions, at least one",
                    fractions.len()
                )));
        }
        let falls = |curve: &[f32]| {
            let mut before = 0.0;
            curve.iter().any(|&u| {
                let wrong = !u.is_finite() || u < before;
                before = u;
                wrong
            })
        };
        if let Some(i) = utilities.chunks(fractions.len()).position(falls) {
            return Err(Error::data("a utility curve falls, or is not a number")
                .at(format!("layer {}, head {}", i / heads, i % heads))
                .expected("finite numbers from 0 upwards, none smaller than the one before"));
        }
        if utilities.iter().all(|&u| u == 0.0) {
            return Err(Error::data("all utility curves are 0")
                .expected("at least one head whose tokens are worth something"));
        }
        Ok(Self { layers, heads, fractions, utilities })
    }

    /// Layers, `L`.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Stored heads per layer, `S`.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Shares of the tokens before the window, ascending, the last 1, `[K]`.
    pub fn fractions(&self) -> &[f32] {
        &self.fractions
    }

    /// The utility of one head at each fraction, `[K]`.
    pub fn curve(&self, layer: usize, head: usize) -> &[f32] {
        let points = self.fractions.len();
        let start = (layer * self.heads + head) * points;
        &self.utilities[start..start + points]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_rise_from_0_and_end_at_all_tokens() {
        let new = |fractions: &[f32], utilities: &[f32]| {
            UtilityCurves::new(1, 2, fractions.to_vec(), utilities.to_vec())
        };
        let curves = new(&[0.5, 1.0], &[0.1, 0.2, 0.0, 0.3]).unwrap();
        assert_eq!((curves.layers(), curves.heads()), (1, 2));
        assert_eq!(curves.curve(0, 1), [0.0, 0.3]);
        let half: &[f32] = &[0.5, 1.0];
        for (fractions, utilities) in [
            (&[][..], &[][..]),
            (&[0.0, 1.0], &[0.1, 0.2, 0.0, 0.3]),
            (&[0.5, 0.9], &[0.1, 0.2, 0.0, 0.3]),
            (&[1.0, 1.0], &[0.1, 0.2, 0.0, 0.3]),
            (&[f32::NAN, 1.0], &[0.1, 0.2, 0.0, 0.3]),
            (half, &[0.1, 0.2, 0.0]),
            (half, &[0.1, 0.2, 0.3, 0.0]),
            (half, &[-0.1, 0.2, 0.0, 0.3]),
            (half, &[0.1, f32::NAN, 0.0, 0.3]),
            (half, &[0.1, f32::INFINITY, 0.0, 0.3]),
            (half, &[0.0; 4]),
        ] {
            let error = new(fractions, utilities).unwrap_err();
            assert_eq!(error.exit_code(), 3, "{fractions:?} {utilities:?}");
        }
        let error = new(half, &[0.1, 0.2, 0.3, 0.0]).unwrap_err().to_string();
        assert!(error.contains("layer 0, head 1"), "{error}");
        assert!(UtilityCurves::new(usize::MAX, 2, vec![1.0], vec![1.0]).is_err());
    }
}
