//! [`HeadMatrix`]: one number per attention head, `[layer, head]`, row-major, finite.

use crate::error::{Error, Result};

/// One finite `f32` per query head, `[L, H]` row-major: the only form in which scores cross
/// module borders.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadMatrix {
    layers: usize,
    heads: usize,
    values: Vec<f32>,
}

impl HeadMatrix {
    /// A matrix of zeros, `[layers, heads]`.
    pub fn zeros(layers: usize, heads: usize) -> Self {
        Self { layers, heads, values: vec![0.0; layers * heads] }
    }

    /// Takes `values`, `[layers * heads]` row-major.
    ///
    /// # Errors
    /// [`Error::Bug`] if the length is wrong, [`Error::Model`] if a value is not finite.
    pub fn new(layers: usize, heads: usize, values: Vec<f32>) -> Result<Self> {
        if values.len() != layers * heads {
            return Err(Error::bug("a head matrix has the wrong number of values")
                .got(values.len())
                .expected(format!("{layers} layers x {heads} heads = {}", layers * heads)));
        }
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::model("a head score is not a finite number")
                .at(format!("layer {}, head {}", i / heads, i % heads))
                .got(values[i])
                .expected("a finite number")
                .advice("check the checkpoint with `headprof verify`"));
        }
        Ok(Self { layers, heads, values })
    }

    /// Number of layers, `L`.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Number of query heads per layer, `H`.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// The value of one head.
    pub fn get(&self, layer: usize, head: usize) -> f32 {
        self.values[layer * self.heads + head]
    }

    /// All values, `[L * H]` row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// `(layer, head, value)` of the `n` largest values; equal values in row-major order.
    pub fn top(&self, n: usize) -> Vec<(usize, usize, f32)> {
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        order.sort_by(|&a, &b| self.values[b].total_cmp(&self.values[a]).then(a.cmp(&b)));
        order.truncate(n);
        order.into_iter().map(|i| (i / self.heads, i % self.heads, self.values[i])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_breaks_ties_by_position() {
        let m = HeadMatrix::new(2, 2, vec![0.5, 0.9, 0.5, 0.1]).unwrap();
        assert_eq!(m.top(3), vec![(0, 1, 0.9), (0, 0, 0.5), (1, 0, 0.5)]);
    }

    #[test]
    fn refuses_nan_and_names_the_head() {
        let e = HeadMatrix::new(1, 2, vec![0.0, f32::NAN]).unwrap_err();
        assert_eq!(e.exit_code(), 4);
        assert!(e.to_string().contains("layer 0, head 1"));
    }
}
