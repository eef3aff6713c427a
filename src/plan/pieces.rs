//! Cuts an order of probes into as many pieces as there are shards, what belongs together side by
//! side.

use std::ops::Range;

/// What a probe costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Behind the one before it.
    pub own: f64,
    /// More, where it is the first of those that are run one behind the other: what it shares with
    /// the one before it has to be run again.
    pub again: f64,
}

/// Halvings of the largest piece's bounds: enough for every digit of an f64.
const HALVINGS: usize = 64;

/// `n` pieces of probes of these costs, in order, the largest as small as can be. The last may be
/// empty where there are fewer probes, or where one costs as much as many.
pub fn pieces(costs: &[Cost], n: usize) -> Vec<Range<usize>> {
    let all: f64 = costs.iter().map(|cost| cost.own + cost.again).sum();
    let largest = costs.iter().map(|cost| cost.own + cost.again).fold(0.0, f64::max);
    let (mut too_small, mut enough) = (0.0, all.max(largest));
    for _ in 0..HALVINGS {
        let middle = (too_small + enough) / 2.0;
        match filled(costs, middle) {
            Some(pieces) if pieces.len() <= n => enough = middle,
            _ => too_small = middle,
        }
    }
    let mut pieces = filled(costs, enough).unwrap_or_default();
    pieces.resize(n, costs.len()..costs.len());
    pieces
}

/// As few pieces as there can be of which none costs more than `most`; none if there are no such.
fn filled(costs: &[Cost], most: f64) -> Option<Vec<Range<usize>>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let mut held = f64::INFINITY;
    for (i, cost) in costs.iter().enumerate() {
        match pieces.last_mut() {
            Some(last) if held + cost.own <= most => {
                last.end = i + 1;
                held += cost.own;
            }
            _ => {
                held = cost.own + cost.again;
                pieces.push(i..i + 1);
            }
        }
        if held > most {
            return None;
        }
    }
    Some(pieces)
}

/// Which shard each of so many probes is of, from 1, where piece `i` is the shard `i + 1`'s and
/// `probe` says which probe stands at a place of the order. Nothing for one shard.
pub fn shard_of(
    pieces: &[Range<usize>],
    probes: usize,
    probe: impl Fn(usize) -> usize,
) -> Vec<usize> {
    if pieces.len() < 2 {
        return Vec::new();
    }
    let mut shards = vec![1; probes];
    for (shard, piece) in (1..).zip(pieces) {
        piece.clone().for_each(|place| shards[probe(place)] = shard);
    }
    shards
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn costs(of: &[(f64, f64)]) -> Vec<Cost> {
        of.iter().map(|&(own, again)| Cost { own, again }).collect()
    }

    #[test]
    fn by_hand() {
        let equal = costs(&[(1.0, 0.0); 6]);
        assert_eq!(pieces(&equal, 3), [0..2, 2..4, 4..6]);
        assert_eq!(pieces(&equal, 1), [0..6]);
        assert_eq!(pieces(&equal, 4), [0..2, 2..4, 4..6, 6..6]);
        assert_eq!(pieces(&equal, 7).iter().filter(|piece| piece.is_empty()).count(), 1);
        // To begin with the third costs 5 more: better 1 + 1 + 1 and 1 than 2 and 7.
        let shared = costs(&[(1.0, 0.0), (1.0, 5.0), (1.0, 5.0), (1.0, 0.5)]);
        assert_eq!(pieces(&shared, 2), [0..3, 3..4]);
        assert_eq!(pieces(&[], 2), [0..0, 0..0]);
    }

    #[test]
    fn shards_are_of_probes_not_of_places() {
        let order = [2, 0, 1];
        assert_eq!(shard_of(&[0..2, 2..3], 3, |place| order[place]), [1, 2, 1]);
        assert!(shard_of(&[Range { start: 0, end: 3 }], 3, |place| place).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn all_are_there_once_and_none_is_larger_than_must_be(
            of in prop::collection::vec((1u8..50, 0u8..50), 0..40),
            n in 1usize..9,
        ) {
            let of: Vec<(f64, f64)> =
                of.into_iter().map(|(a, b)| (f64::from(a), f64::from(b))).collect();
            let costs = costs(&of);
            let pieces = pieces(&costs, n);
            prop_assert_eq!(pieces.len(), n);
            let all: Vec<usize> = pieces.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..costs.len()).collect::<Vec<_>>());
            let cost = |piece: &Range<usize>| -> f64 {
                let own: f64 = costs[piece.clone()].iter().map(|cost| cost.own).sum();
                own + costs.get(piece.start).map_or(0.0, |first| first.again)
            };
            let largest = pieces.iter().filter(|p| !p.is_empty()).map(cost).fold(0.0, f64::max);
            // With a little less than the largest of these, more pieces are needed.
            if let Some(fewer) = filled(&costs, largest - 0.5).filter(|_| !costs.is_empty()) {
                prop_assert!(fewer.len() > n);
            }
        }
    }
}
