//! Softmax of one row on the host.

/// Turns scores into weights that sum to 1.
pub(super) fn softmax(row: &mut [f32]) {
    let (_, sum) = exponentials(row);
    let scale = (1.0 / sum) as f32;
    row.iter_mut().for_each(|v| *v *= scale);
}

/// Turns scores into the exponentials of what they are below the largest; returns that and their
/// sum. The sum is taken in f64: over many keys of equal weight a sum in f32 drifts by more than the
/// weights themselves are off.
pub(super) fn exponentials(row: &mut [f32]) -> (f32, f64) {
    let largest = row.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
    let mut sum = 0f64;
    for v in &mut *row {
        *v = (*v - largest).exp();
        sum += f64::from(*v);
    }
    (largest, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_shares_of_the_exponentials() {
        // exp(ln 3) : exp(0) : exp(-200) = 3 : 1 : 0, however large the scores are.
        let mut row = [3f32.ln() + 500.0, 500.0, 300.0];
        softmax(&mut row);
        assert!((row[0] - 0.75).abs() < 1e-5 && (row[1] - 0.25).abs() < 1e-5, "{row:?}");
        assert_eq!(row[2], 0.0);
        let mut one = [-7.0];
        softmax(&mut one);
        assert_eq!(one, [1.0]);
        softmax(&mut []);
    }

    #[test]
    fn many_equal_weights_sum_to_one() {
        let mut row = vec![0.37; 1 << 20];
        softmax(&mut row);
        assert_eq!(row[0], (0.5f32).powi(20));
    }
}
