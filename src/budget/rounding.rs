//! Whole tokens with an exact sum: water filling, then largest remainders.

/// Amounts `min(limit, base + lambda * weight)` with the `lambda` that makes their sum `total`:
/// what a head at its limit cannot use flows to the others by their weights.
///
/// Heads of weight 0 get more than `base` only where all others are at the limit. A `base` that
/// `total` does not allow is lowered. The sum is `total`, but at most `limit` per head, to the
/// rounding of `f64`, and does not depend on the order of the heads.
pub(super) fn fill(total: u64, base: f64, weights: &[f64], limit: u32) -> Vec<f64> {
    let n = weights.len();
    let limit = f64::from(limit);
    let mean = total as f64 / n.max(1) as f64;
    if mean >= limit {
        return vec![limit; n];
    }
    let base = base.min(mean);
    let room = limit - base;
    // The largest reach the limit first.
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(a.cmp(&b)));
    // Weight from each place of the order to its end, added from the smallest up.
    let mut rest_weight = vec![0.0; n];
    let mut sum = 0.0;
    for place in (0..n).rev() {
        sum += weights[order[place]];
        rest_weight[place] = sum;
    }
    let mut pool = (mean - base) * n as f64;
    let mut amounts = vec![base; n];
    for (place, &head) in order.iter().enumerate() {
        let (weight, rest) = (weights[head], rest_weight[place]);
        if rest > 0.0 {
            let lambda = pool / rest;
            if lambda * weight <= room {
                order[place..].iter().for_each(|&i| amounts[i] += lambda * weights[i]);
                return amounts;
            }
            amounts[head] = limit;
            pool -= room;
        } else {
            let even = pool / (n - place) as f64;
            order[place..].iter().for_each(|&i| amounts[i] += even);
            return amounts;
        }
    }
    amounts
}

/// Whole numbers next to `amounts` whose sum is exactly `total`, or `limit` each if that is less:
/// all are rounded down, then those with the largest remainders get one more. Of equal remainders
/// the lower index comes first.
///
/// `amounts` are finite, from `least` to `limit`, and their sum is `total` to rounding.
pub(super) fn round_to_sum(amounts: &[f64], total: u64, least: u32, limit: u32) -> Vec<u32> {
    let total = total.min(amounts.len() as u64 * u64::from(limit));
    let mut whole: Vec<u32> = amounts.iter().map(|a| (a.floor() as u32).min(limit)).collect();
    let mut order: Vec<usize> = (0..amounts.len()).collect();
    let remainder = |i: usize| amounts[i] - amounts[i].floor();
    order.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)).then(a.cmp(&b)));
    let mut sum: u64 = whole.iter().map(|n| u64::from(*n)).sum();
    while sum < total {
        for &i in &order {
            if sum < total && whole[i] < limit {
                whole[i] += 1;
                sum += 1;
            }
        }
    }
    // The amounts themselves are rounded: a whole one may come out of slightly less.
    let total = total.max(amounts.len() as u64 * u64::from(least));
    while sum > total {
        for &i in order.iter().rev() {
            if sum > total && whole[i] > least {
                whole[i] -= 1;
                sum -= 1;
            }
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_full_head_cannot_use_flows_on_by_weight() {
        // Base 2 each, 8 of 16 in the pool. Weights 5, 2, 1, 0 ask for 5, 2, 1, 0 more; the first
        // is full at 5 and leaves 5 for two heads of weights 2 and 1: 10/3 would overfill the
        // second, too, and the third gets the last 2.
        assert_eq!(fill(16, 2.0, &[5.0, 2.0, 1.0, 0.0], 5), [5.0, 5.0, 4.0, 2.0]);
        // Only where all others are full does a head of weight 0 get more than its base.
        assert_eq!(fill(18, 2.0, &[5.0, 2.0, 1.0, 0.0], 5), [5.0, 5.0, 5.0, 3.0]);
        // More than there is: all full. A base above the mean is lowered.
        assert_eq!(fill(100, 2.0, &[1.0, 0.0], 5), [5.0, 5.0]);
        assert_eq!(fill(4, 9.0, &[1.0, 0.0], 5), [2.0, 2.0]);
        assert_eq!(fill(0, 0.0, &[1.0, 0.0], 5), [0.0, 0.0]);
    }

    #[test]
    fn the_largest_remainders_get_the_rest_and_ties_the_lower_index() {
        // 1 + 2 + 3 = 6 of 8: .7 and the first of the two .5 get one more.
        assert_eq!(round_to_sum(&[1.5, 2.7, 3.5], 8, 0, 9), [2, 3, 3]);
        // At the limit there is no more.
        assert_eq!(round_to_sum(&[1.5, 2.7, 3.5], 8, 0, 3), [2, 3, 3]);
        assert_eq!(round_to_sum(&[2.9, 2.9, 2.2], 8, 0, 2), [2, 2, 2]);
        // Sums that are off by rounding come out exactly.
        assert_eq!(round_to_sum(&[1.0 - 1e-12, 1.0, 1.0], 3, 0, 9), [1, 1, 1]);
        assert_eq!(round_to_sum(&[1.0, 2.0, 1.0], 3, 1, 9), [1, 1, 1]);
    }

    proptest! {
        #[test]
        fn sums_are_exact_and_within_bounds(
            weights in prop::collection::vec(prop_oneof![Just(0.0), 0.0..1.0f64, 0.0..1e6f64], 1..40),
            mean in 0u64..5000, base in 0.0..5000.0f64, limit in 0u32..6000,
        ) {
            let total = mean * weights.len() as u64;
            let amounts = fill(total, base, &weights, limit);
            let whole = round_to_sum(&amounts, total, 0, limit);
            let sum: u64 = whole.iter().map(|n| u64::from(*n)).sum();
            prop_assert_eq!(sum, total.min(weights.len() as u64 * u64::from(limit)));
            for i in 0..weights.len() {
                prop_assert!(whole[i] <= limit);
                prop_assert!((f64::from(whole[i]) - amounts[i]).abs() <= 1.0, "{:?}", amounts);
                for j in 0..weights.len() {
                    // More weight never means less.
                    prop_assert!(weights[i] < weights[j] || amounts[i] >= amounts[j]);
                    prop_assert!(weights[i] <= weights[j] || whole[i] >= whole[j]);
                }
            }
        }
    }
}
