//! A logarithmic scale for numbers that may be 0.

use crate::plot::furniture::number;

/// From the smallest to the largest number that is told apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LogScale {
    pub low: f64,
    pub high: f64,
}

impl LogScale {
    /// A scale for `values`: up to the largest, down to the smallest above 0, but no further than
    /// to one `most`-th of the largest. From 0.1 to 1 where all are 0.
    pub fn of(values: impl Iterator<Item = f64>, most: f64) -> Self {
        let positive = values.filter(|v| *v >= f64::MIN_POSITIVE);
        let (low, high) = positive.fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
        match high > 0.0 {
            true => Self { low: low.max(high / most), high }.at_least(1.0),
            false => Self { low: 0.1, high: 1.0 },
        }
    }

    /// The same scale with room at both ends, a decade at least.
    pub fn with_room(self) -> Self {
        const ROOM: f64 = 1.3;
        Self { low: self.low / ROOM, high: self.high * ROOM }.at_least(10.0)
    }

    /// Widened at both ends alike where `high` is not `factor` times `low`; a scale of a single
    /// number gets a hundredth on both sides.
    fn at_least(self, factor: f64) -> Self {
        let missing = (factor / (self.high / self.low)).max(1.0).sqrt();
        let missing = if self.high * missing > self.low / missing { missing } else { 1.01 };
        Self { low: self.low / missing, high: self.high * missing }
    }

    /// Where `value` lies, 0 (low and below) to 1.
    pub fn part(&self, value: f64) -> f64 {
        if value <= self.low {
            return 0.0;
        }
        ((value / self.low).ln() / (self.high / self.low).ln()).min(1.0)
    }

    /// Powers of ten within the scale, and 2 and 5 times these where it is short, with their
    /// labels.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let short = (self.high / self.low).log10() <= 2.5;
        let between: &[f64] = if short { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let all = (first..=last).flat_map(|p| between.iter().map(move |m| m * 10_f64.powi(p)));
        let inside = all.filter(|v| (self.low..=self.high).contains(v));
        inside.map(|v| (v, label(v))).collect()
    }
}

/// A round number: `0.002`, `500`, `1e-4`.
fn label(value: f64) -> String {
    if (0.9e-3..1.1e4).contains(&value) { number(value) } else { format!("{value:.0e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_factors_are_equally_far_apart() {
        let scale = LogScale::of([1.0, 0.01, 0.1].into_iter(), 1e6);
        assert_eq!((scale.low, scale.high), (0.01, 1.0));
        assert!((scale.part(0.1) - 0.5).abs() < 1e-12);
        assert_eq!((scale.part(0.0), scale.part(1.0), scale.part(7.0)), (0.0, 1.0, 1.0));
        // Nothing smaller than a thousandth of the largest is told apart.
        assert_eq!(LogScale::of([1.0, 1e-9].into_iter(), 1e3).low, 1e-3);
    }

    #[test]
    fn zeros_and_single_numbers_have_a_scale() {
        let zero = LogScale::of([0.0].into_iter(), 1e6);
        assert_eq!((zero.low, zero.high), (0.1, 1.0));
        let one = LogScale::of([3.0].into_iter(), 1e6);
        assert!(one.low < 3.0 && one.high > 3.0);
        let room = one.with_room();
        assert!(room.high / room.low > 9.9 && (room.part(3.0) - 0.5).abs() < 1e-9);
        let tiny = LogScale::of([f64::from(f32::from_bits(1))].into_iter(), 1e6);
        assert!(tiny.low > 0.0 && tiny.part(1.0) == 1.0);
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let labels = |low, high| -> Vec<String> {
            LogScale { low, high }.ticks().into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(0.9, 30.0), ["1", "2", "5", "10", "20"]);
        assert_eq!(labels(0.5e-4, 2.0), ["1e-4", "0.001", "0.01", "0.1", "1"]);
        // A decade has three at least.
        assert_eq!(labels(3.0, 30.0), ["5", "10", "20"]);
    }
}
