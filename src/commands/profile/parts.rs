//! Cuts an order of probes into parts that can be run side by side.
//!
//! Pieces of one pass are small in a small model: threads that share them wait for each other most
//! of the time. Whole probes are not; but one cache serves one walk through the tree of beginnings,
//! so that every part begins its own, and runs again what its first prompt shared with the one
//! before. Cuts are made where that is little.

use std::ops::Range;

/// One probe of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledProbe {
    /// Its index in the plan.
    pub probe: usize,
    /// Tokens of its prompt.
    pub tokens: usize,
    /// Tokens of its prompt that the prompt before it begins with, too; never all of them.
    pub shared: usize,
}

/// The most parts.
const MOST: usize = 16;
/// The share of all work that may be done again for them.
const AGAIN: f64 = 0.05;
/// A cut must take so much of the work away from the largest part.
const WORTH: f64 = 0.1;

/// `steps` in parts, in order, the first of each sharing nothing, none shorter than the `batch` of
/// those that are answered together; `work(n)` is what the first `n` tokens of a prompt cost. The
/// cuts do not depend on how many threads there are: nor do the numbers that come out.
pub(super) fn parts(
    steps: Vec<ScheduledProbe>,
    batch: usize,
    work: &dyn Fn(usize) -> f64,
) -> Vec<Vec<ScheduledProbe>> {
    let cost = |step: &ScheduledProbe| work(step.tokens) - work(step.shared);
    // Costs of the first `i` steps.
    let mut costs = vec![0.0];
    costs.extend(steps.iter().scan(0.0, |sum, step| {
        *sum += cost(step);
        Some(*sum)
    }));
    let mut allowed = AGAIN * costs[steps.len()];
    let mut ranges = vec![0..steps.len()];
    // What a part begins with is run whole.
    let of = |part: &Range<usize>| {
        let again = steps.get(part.start).map_or(0.0, |first| work(first.shared));
        again + costs[part.end] - costs[part.start]
    };
    while ranges.len() < MOST {
        let Some(largest) =
            (0..ranges.len()).max_by(|&a, &b| of(&ranges[a]).total_cmp(&of(&ranges[b])))
        else {
            break;
        };
        let part = ranges[largest].clone();
        let larger_half = |&at: &usize| of(&(part.start..at)).max(of(&(at..part.end)));
        let best = (part.start + batch..(part.end + 1).saturating_sub(batch))
            .filter(|&at| work(steps[at].shared) <= allowed)
            .min_by(|a, b| larger_half(a).total_cmp(&larger_half(b)))
            .filter(|at| larger_half(at) <= (1.0 - WORTH) * of(&part));
        let Some(at) = best else { break };
        allowed -= work(steps[at].shared);
        ranges.splice(largest..=largest, [part.start..at, at..part.end]);
    }
    let whole = |range: Range<usize>| {
        let mut part = steps[range].to_vec();
        part.iter_mut().take(1).for_each(|first| first.shared = 0);
        part
    };
    ranges.into_iter().map(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(of: &[(usize, usize)]) -> Vec<ScheduledProbe> {
        let step = |(probe, &(tokens, shared))| ScheduledProbe { probe, tokens, shared };
        of.iter().enumerate().map(step).collect()
    }

    fn sizes(of: &[(usize, usize)]) -> Vec<usize> {
        sizes_for(1, of)
    }

    fn sizes_for(batch: usize, of: &[(usize, usize)]) -> Vec<usize> {
        let steps = steps(of);
        let parts = parts(steps.clone(), batch, &|n| n as f64);
        // Every step once and in order; what is shared is unchanged but where a part begins.
        let all: Vec<ScheduledProbe> = parts.concat();
        assert_eq!(all.len(), steps.len());
        let mut at = 0;
        for part in &parts {
            assert_eq!(part[0], ScheduledProbe { shared: 0, ..steps[at] });
            assert_eq!(part[1..], steps[at + 1..at + part.len()]);
            at += part.len();
        }
        parts.iter().map(Vec::len).collect()
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
        assert!(parts(vec![], 4, &|n| n as f64).concat().is_empty());
    }
}
