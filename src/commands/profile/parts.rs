//! Cuts an order of probes into parts that can be run side by side.
//!
//! Pieces of one pass are small in a small model: threads that share them wait for each other most
//! of the time. Whole probes are not; but one cache serves one walk through the tree of beginnings,
//! so that every part begins its own, and runs again what its first prompt shares with the one
//! before. Cuts are made where that is little. They change no number that comes out.

use std::ops::Range;

use crate::plan::Cost;

/// How an order is cut into parts.
pub(super) struct Cut<'a> {
    /// How many probes are answered together.
    pub batch: usize,
    /// What the first tokens of a prompt, so many, cost.
    pub work: &'a dyn Fn(usize) -> f64,
}

/// The most parts.
const MOST: usize = 16;
/// The share of all work that may be done again for them.
const AGAIN: f64 = 0.05;
/// A cut must take so much of the work away from the largest part.
const WORTH: f64 = 0.1;

/// Probes of these `costs` in parts, in order, none shorter than the `batch` of those that are
/// answered together.
pub(super) fn parts(costs: &[Cost], batch: usize) -> Vec<Range<usize>> {
    // Costs of the first `i`.
    let mut sums = vec![0.0];
    sums.extend(costs.iter().scan(0.0, |sum, cost| {
        *sum += cost.own;
        Some(*sum)
    }));
    let again = |at: usize| costs.get(at).map_or(0.0, |first| first.again);
    let mut allowed = AGAIN * sums[costs.len()];
    let mut ranges = vec![0..costs.len()];
    let of = |part: &Range<usize>| again(part.start) + sums[part.end] - sums[part.start];
    while ranges.len() < MOST {
        let Some(largest) =
            (0..ranges.len()).max_by(|&a, &b| of(&ranges[a]).total_cmp(&of(&ranges[b])))
        else {
            break;
        };
        let part = ranges[largest].clone();
        let larger_half = |&at: &usize| of(&(part.start..at)).max(of(&(at..part.end)));
        let best = (part.start + batch..(part.end + 1).saturating_sub(batch))
            .filter(|&at| again(at) <= allowed)
            .min_by(|a, b| larger_half(a).total_cmp(&larger_half(b)))
            .filter(|at| larger_half(at) <= (1.0 - WORTH) * of(&part));
        let Some(at) = best else { break };
        allowed -= again(at);
        ranges.splice(largest..=largest, [part.start..at, at..part.end]);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(of: &[(usize, usize)]) -> Vec<usize> {
        sizes_for(1, of)
    }

    /// Of prompts with so many tokens, of which so many are shared.
    fn sizes_for(batch: usize, of: &[(usize, usize)]) -> Vec<usize> {
        let cost = |&(tokens, shared): &(usize, usize)| Cost {
            own: (tokens - shared) as f64,
            again: shared as f64,
        };
        let costs: Vec<Cost> = of.iter().map(cost).collect();
        let parts = parts(&costs, batch);
        // Every probe once and in order.
        let all: Vec<usize> = parts.iter().cloned().flatten().collect();
        assert_eq!(all, (0..of.len()).collect::<Vec<_>>());
        parts.iter().map(Range::len).collect()
    }

    #[test]
    fn cuts_are_where_little_is_shared() {
        // Nothing shared: each on its own.
        assert_eq!(sizes(&[(100, 0); 4]), [1; 4]);
        assert_eq!(sizes(&[(100, 0); 40]).len(), MOST);
        // By hand: 100 + 10 + 96 + 10 + 96 are 312, of which 5 % are 15.6. A cut behind the second
        // costs 4 and leaves parts of 110 and 206; the larger of these is cut for 4 more. Others
        // would cost 90.
        let walk = [(100, 0), (100, 90), (100, 4), (100, 90), (100, 4)];
        assert_eq!(sizes(&walk), [2, 2, 1]);
        // Too much is shared everywhere.
        assert_eq!(sizes(&[(100, 0), (100, 50), (100, 60)]), [3]);
        assert_eq!(sizes(&[(100, 0)]), [1]);
        // Those that are answered together stay so.
        assert_eq!(sizes_for(2, &walk), [2, 3]);
        assert_eq!(sizes_for(8, &[(100, 0); 15]), [15]);
        assert_eq!(sizes_for(8, &[(100, 0); 40]), [10; 4]);
    }

    #[test]
    fn what_is_small_beside_the_rest_is_not_cut_off() {
        assert_eq!(sizes(&[(1000, 0), (10, 0), (10, 0)]), [3]);
        assert_eq!(sizes_for(4, &[]), [0]);
    }
}
