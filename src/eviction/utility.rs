//! Utility: how much of what later queries look at a head keeps if it keeps its best tokens.
//!
//! ```text
//! order   = tokens before the window by token score, the largest first (equal: lower position)
//! u[k]    = sum of worth[j] over the best ceil(f[k] * N) of order        N = T - W
//! worth[j] = attention that the answer's queries give to token j, per query
//! ```
//!
//! The curve of a head whose score finds what matters rises at once; one that needs many tokens
//! rises slowly. LU-KV (<https://arxiv.org/abs/2602.08585>) divides a budget by such curves.

use std::cmp::Ordering;

/// The curve of one head at `fractions`, `[K]`, from its token scores and what its tokens are
/// worth, `[N]` each. Values that are not positive are worth nothing.
pub fn curve(scores: &[f32], worth: &[f32], fractions: &[f32]) -> Vec<f64> {
    let n = scores.len().min(worth.len());
    let mut order: Vec<usize> = (0..n).collect();
    let by_score = |a: &usize, b: &usize| match scores[*b].total_cmp(&scores[*a]) {
        Ordering::Equal => a.cmp(b),
        other => other,
    };
    order.sort_unstable_by(by_score);
    let mut sums = Vec::with_capacity(n + 1);
    let mut sum = 0.0;
    sums.push(sum);
    for j in order {
        sum += f64::from(worth[j].max(0.0));
        sums.push(sum);
    }
    // A fraction of f32 times N may be a hair above a whole number.
    let best = |f: &f32| (f64::from(*f) * n as f64 - 1e-4).ceil().max(0.0) as usize;
    fractions.iter().map(|f| sums[best(f).min(n)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Order by score: 2, 0 (before 3, which is equal), 3, 1; worth 0.4, 0.1, 0.3, 0.2.
        let (scores, worth) = ([0.5, 0.1, 0.9, 0.5], [0.1, 0.2, 0.4, 0.3]);
        let got = curve(&scores, &worth, &[0.25, 0.3, 0.75, 1.0]);
        for (got, expected) in got.iter().zip([0.4, 0.5, 0.8, 1.0]) {
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
    }

    #[test]
    fn a_hundredth_of_a_hundred_tokens_is_one() {
        let scores: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let worth = vec![1.0; 100];
        let fractions: Vec<f32> = (1..=100).map(|k| k as f32 / 100.0).collect();
        let expected: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(curve(&scores, &worth, &fractions), expected);
        assert_eq!(curve(&[], &[], &[0.5, 1.0]), [0.0, 0.0]);
    }
}
