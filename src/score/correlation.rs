//! How alike two lists of numbers are.

/// Pearson's correlation; `None` if one side is constant.
pub(crate) fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let moment = |x: &[f64], m: f64, y: &[f64], n: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - m) * (y - n)).sum()
    };
    let scale = (moment(a, mean_a, a, mean_a) * moment(b, mean_b, b, mean_b)).sqrt();
    (scale > 0.0).then(|| moment(a, mean_a, b, mean_b) / scale)
}

/// Spearman's rank correlation with mean ranks for ties; `None` if one side is constant.
pub(crate) fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    // Mean ranks always average to (n - 1) / 2.
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let moment = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let scale = (moment(&a, &a) * moment(&b, &b)).sqrt();
    (scale > 0.0).then(|| moment(&a, &b) / scale)
}

/// Kendall's rank correlation tau-b, which allows for ties; `None` if one side is constant.
pub(crate) fn kendall(a: &[f64], b: &[f64]) -> Option<f64> {
    let sign = |x: f64, y: f64| (x > y) as i64 - (x < y) as i64;
    let (mut agree, mut untied_a, mut untied_b) = (0i64, 0i64, 0i64);
    for i in 1..a.len() {
        for j in 0..i {
            let (own, other) = (sign(a[i], a[j]), sign(b[i], b[j]));
            agree += own * other;
            untied_a += own.abs();
            untied_b += other.abs();
        }
    }
    let scale = (untied_a as f64 * untied_b as f64).sqrt();
    (scale > 0.0).then(|| agree as f64 / scale)
}

/// Rank of every value from 0; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (tied.len() - 1) as f64 / 2.0;
        tied.iter().for_each(|&i| ranks[i] = rank);
        first += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_correlation_by_hand() {
        assert_eq!(ranks(&[0.3, 0.1, 0.3, 0.5]), [1.5, 0.0, 1.5, 3.0]);
        // Ranks 0 1 2 3 against 1 0 2 3: 1 - 6 (1 + 1) / (4 * 15) = 0.8.
        let rho = spearman(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 3.0, 4.0]).unwrap();
        assert!((rho - 0.8).abs() < 1e-12);
        assert_eq!(spearman(&[1.0, 1.0], &[0.0, 1.0]), None);
    }

    #[test]
    fn kendall_by_hand() {
        // Of six pairs five agree and one does not.
        let tau = kendall(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 3.0, 4.0]).unwrap();
        assert!((tau - 4.0 / 6.0).abs() < 1e-12);
        // A tie in each: 1-2 and 2-3; one pair is left that both tell apart.
        let tau = kendall(&[1.0, 1.0, 2.0], &[0.0, 5.0, 5.0]).unwrap();
        assert!((tau - 1.0 / 2.0).abs() < 1e-12, "{tau}");
        assert_eq!(kendall(&[1.0, 1.0], &[0.0, 1.0]), None);
    }

    #[test]
    fn pearson_by_hand() {
        // Deviations -1, 0, 1 and -2, 1, 1: 3 / sqrt(2 * 6).
        let r = pearson(&[1.0, 2.0, 3.0], &[0.0, 3.0, 3.0]).unwrap();
        assert!((r - 3.0 / 12.0f64.sqrt()).abs() < 1e-12);
        assert_eq!(pearson(&[1.0, 1.0], &[0.0, 1.0]), None);
    }
}
