//! [`HeadMatrix`]: one number per attention head, `[layer, head]`, row-major, finite.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

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

    /// All values in base64, four bytes each, little-endian, row-major: the same to the bit.
    pub fn to_base64(&self) -> String {
        let bytes: Vec<u8> = self.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        STANDARD.encode(bytes)
    }

    /// The matrix of `layers` and `heads` that [`HeadMatrix::to_base64`] wrote.
    ///
    /// # Errors
    /// [`Error::Data`] if the text is not that, or has another number of values.
    pub fn from_base64(layers: usize, heads: usize, text: &str) -> Result<Self> {
        let bad = |got: String| {
            Error::data("these are no values of heads")
                .got(got)
                .expected(format!("{layers} x {heads} finite numbers of f32 in base64"))
        };
        let bytes = STANDARD.decode(text).map_err(|e| bad(e.to_string()))?;
        let (values, rest) = bytes.as_chunks::<4>();
        if Some(values.len()) != layers.checked_mul(heads) || !rest.is_empty() {
            return Err(bad(format!("{} bytes", bytes.len())));
        }
        let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(bad(value.to_string())),
            None => Ok(Self { layers, heads, values }),
        }
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
    fn base64_is_the_same_to_the_bit() {
        let values = vec![0.1, -0.0, f32::MIN_POSITIVE / 8.0, f32::MAX, 1.0 / 3.0, 0.0];
        let m = HeadMatrix::new(2, 3, values).unwrap();
        let back = HeadMatrix::from_base64(2, 3, &m.to_base64()).unwrap();
        let bits = |m: &HeadMatrix| m.values().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(&m));
        // 1.0 is 00 00 80 3f.
        assert_eq!(HeadMatrix::new(1, 1, vec![1.0]).unwrap().to_base64(), "AACAPw==");
        let nan = STANDARD.encode(f32::NAN.to_le_bytes());
        for (layers, heads, text) in [
            (1, 2, "AACAPw=="),
            (1, 1, "AACAPwA="),
            (1, 1, "AAC*Pw=="),
            (1, 1, nan.as_str()),
            (usize::MAX, 2, ""),
        ] {
            let e = HeadMatrix::from_base64(layers, heads, text).unwrap_err();
            assert_eq!(e.exit_code(), 3, "{text}");
        }
    }

    #[test]
    fn refuses_nan_and_names_the_head() {
        let e = HeadMatrix::new(1, 2, vec![0.0, f32::NAN]).unwrap_err();
        assert_eq!(e.exit_code(), 4);
        assert!(e.to_string().contains("layer 0, head 1"));
    }
}
