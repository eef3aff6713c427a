//! Whole tokens with an exact sum: water filling, then largest remainders.

/// Amounts `min(limit, base + lambda * weight)` with the `lambda` that makes their sum `total`: what
/// a head at its limit cannot use flows to the others by their weights.
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
/// `amounts` are finite, not negative, at most `limit`, and their sum is `total` to rounding.
pub(super) fn round_to_sum(amounts: &[f64], total: u64, limit: u32) -> Vec<u32> {
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
    while sum > total {
        for &i in order.iter().rev() {
            if sum > total && whole[i] > 0 {
                whole[i] -= 1;
                sum -= 1;
            }
        }
    }
    whole
}
