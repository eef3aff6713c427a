//! Files of scores that can be negative, which the format cannot.

use super::HeadScoreFile;
use crate::error::Result;
use crate::heads::HeadMatrix;

impl HeadScoreFile {
    /// As [`HeadScoreFile::from_probes`], of values that can be negative, without those and with
    /// the same means: those of a head whose `mean`, `[L, H]`, is above 0 as much smaller as
    /// clipping at 0 has made them larger, and 0 for all others. Clipped alone, a head of which
    /// nothing is known but noise would come before a small help.
    ///
    /// # Errors
    /// As [`HeadScoreFile::from_probes`].
    pub fn from_signed_probes(probes: &[HeadMatrix], mean: &HeadMatrix) -> Result<Self> {
        Self::from_probes(&not_negative(probes, mean)?)
    }
}

fn not_negative(probes: &[HeadMatrix], mean: &HeadMatrix) -> Result<Vec<HeadMatrix>> {
    let clipped = |head: usize| -> f64 {
        let sum: f64 = probes.iter().map(|m| f64::from(m.values()[head].max(0.0))).sum();
        sum / probes.len() as f64
    };
    let scale: Vec<f32> = (0..mean.values().len())
        .map(|head| match (f64::from(mean.values()[head]), clipped(head)) {
            (mean, clipped) if mean > 0.0 && clipped > 0.0 => (mean / clipped) as f32,
            _ => 0.0,
        })
        .collect();
    let of = |m: &HeadMatrix| {
        let values = m.values().iter().zip(&scale).map(|(v, scale)| v.max(0.0) * scale);
        HeadMatrix::new(m.layers(), m.heads(), values.collect())
    };
    probes.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise around 0, a small help, and harm: the means stay, and so does their order.
    #[test]
    fn means_stay_without_negative_values() {
        let of = |values: [f32; 3]| HeadMatrix::new(1, 3, values.to_vec()).unwrap();
        let drops = [of([1.0, 0.125, -1.0]), of([-0.875, 0.125, -2.0])];
        let mean = of([0.0625, 0.125, -1.5]);
        let file = HeadScoreFile::from_signed_probes(&drops, &mean).unwrap();
        assert_eq!(file.values(), [[0.125, 0.0], [0.125, 0.125], [0.0, 0.0]]);
        assert_eq!(file.mean().values(), [0.0625, 0.125, 0.0]);
    }
}
