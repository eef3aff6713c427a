//! McNemar's exact test (McNemar 1947): whether two ways to answer the same prompts differ.

/// The two-sided p-value of `lost` prompts that only the first way answers and `gained` that only
/// the second does, from 0 to 1: under chance each of them falls to either side like a coin. 1
/// where there are none.
pub fn exact_p(lost: usize, gained: usize) -> f64 {
    let (n, fewer) = (lost + gained, lost.min(gained));
    // Logarithms, as the coefficients of many prompts are beyond f64.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = log_term.exp();
    for i in 1..=fewer {
        log_term += ((n - i + 1) as f64 / i as f64).ln();
        tail += log_term.exp();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::exact_p;

    #[test]
    fn by_hand() {
        // 5 to 0: 2 / 32. 6 to 1: 2 (1 + 7) / 128. Even: the whole distribution.
        for (lost, gained, p) in
            [(5, 0, 0.0625), (0, 5, 0.0625), (6, 1, 0.125), (4, 4, 1.0), (0, 0, 1.0), (1, 0, 1.0)]
        {
            assert!((exact_p(lost, gained) - p).abs() < 1e-12, "{lost} {gained}");
        }
        // Beyond the range of f64 without logarithms.
        assert!(exact_p(2000, 1) < 1e-300);
        assert!((exact_p(1000, 1000) - 1.0).abs() < 1e-9);
    }
}
