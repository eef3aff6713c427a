//! [`Agreement`]: how alike two rankings of heads are.

use std::collections::HashSet;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;

use super::inputs::{Compared, of};
use crate::score::correlation::{kendall, pearson, spearman};
use crate::score::normal::normal;

/// Draws behind [`Shared::interval_95`].
const DRAWS: usize = 1000;

/// How alike the scores of two files are, over all heads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// Pearson's correlation; `None` where one file has the same score for every head.
    pub pearson: Option<f64>,
    /// Spearman's rank correlation; as above.
    pub spearman: Option<f64>,
    /// Kendall's tau-b; as above.
    pub kendall: Option<f64>,
    /// Of the best heads.
    pub shared: Vec<Shared>,
    /// The heads that moved most, among the most that [`Agreement::shared`] is about.
    pub moved: Vec<Moved>,
}

/// How many of the best heads two files share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shared {
    /// The best so many of each; a score of 0 is nobody's best.
    pub top: usize,
    /// Heads that are among both.
    pub heads: usize,
    /// How many two other runs would share, with other probes each: in 95 % of draws in which the
    /// means of both files vary by their standard errors. Mostly fewer than [`Shared::heads`], as
    /// what varies here comes on top of what has varied already. `None` where the errors of a file
    /// are not known.
    pub interval_95: Option<[usize; 2]>,
    /// How many two rankings share that have nothing to do with each other, on average.
    pub by_chance: f64,
}

/// A head whose rank is another in the second file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moved {
    /// Its layer.
    pub layer: usize,
    /// Its number in the layer.
    pub head: usize,
    /// Its rank in both, the best first, from 1.
    pub ranks: [usize; 2],
    /// Its score in both.
    pub scores: [f32; 2],
}

impl Agreement {
    /// Of two files of one shape, with how many of the best `tops` heads they share and the `moved`
    /// heads that moved most.
    pub(super) fn of(first: &Compared, second: &Compared, tops: &[usize], moved: usize) -> Self {
        let (a, b) = (of(&first.mean), of(&second.mean));
        let intervals = drawn([first, second], tops);
        let share = |(i, &top): (usize, &usize)| {
            let counts = [&a, &b].map(|scores| best(scores, top).len());
            Shared {
                top,
                heads: shared_heads(&a, &b, top),
                interval_95: intervals.as_ref().map(|intervals| intervals[i]),
                by_chance: (counts[0] * counts[1]) as f64 / a.len() as f64,
            }
        };
        let most = tops.last().copied().unwrap_or(0);
        Self {
            pearson: pearson(&a, &b),
            spearman: spearman(&a, &b),
            kendall: kendall(&a, &b),
            shared: tops.iter().enumerate().map(share).collect(),
            moved: farthest([first, second], [&a, &b], most, moved),
        }
    }
}

/// The best `top` heads by `scores`, above 0, the best first; of equal ones the lower.
fn best(scores: &[f64], top: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|&i| scores[i] > 0.0).collect();
    order.sort_by(|&i, &j| scores[j].total_cmp(&scores[i]).then(i.cmp(&j)));
    order.truncate(top);
    order
}

/// How many of the best `top` heads by `a` are among those by `b`.
pub(super) fn shared_heads(a: &[f64], b: &[f64], top: usize) -> usize {
    shared(&best(a, top), &best(b, top))
}

fn shared(a: &[usize], b: &[usize]) -> usize {
    let b: HashSet<usize> = b.iter().copied().collect();
    a.iter().filter(|head| b.contains(head)).count()
}

/// What [`shared_heads`] is in 95 % of draws around the means of both, for each of `tops`.
fn drawn(files: [&Compared; 2], tops: &[usize]) -> Option<Vec<[usize; 2]>> {
    let errors = [files[0].std_error.as_ref()?, files[1].std_error.as_ref()?];
    let most = tops.iter().copied().max().unwrap_or(0);
    let mut rng = StdRng::seed_from_u64(0);
    let mut counts: Vec<Vec<usize>> = vec![Vec::with_capacity(DRAWS); tops.len()];
    for _ in 0..DRAWS {
        let [a, b] = [0, 1].map(|i| {
            let pairs = files[i].mean.values().iter().zip(errors[i].values());
            let draw = |(mean, error): (&f32, &f32)| {
                f64::from(*mean) + f64::from(*error) * normal(&mut rng)
            };
            pairs.map(draw).collect::<Vec<f64>>()
        });
        // The best of the largest number begin with those of the smaller ones.
        let [a, b] = [best(&a, most), best(&b, most)];
        for (counts, &top) in counts.iter_mut().zip(tops) {
            counts.push(shared(&a[..top.min(a.len())], &b[..top.min(b.len())]));
        }
    }
    let ends = |mut counts: Vec<usize>| {
        counts.sort_unstable();
        let at = |share: f64| counts[(share * (DRAWS - 1) as f64).round() as usize];
        [at(0.025), at(0.975)]
    };
    Some(counts.into_iter().map(ends).collect())
}

/// Of the heads that are among the best `most` of one of the two, the `count` whose ranks differ
/// most.
fn farthest(files: [&Compared; 2], scores: [&[f64]; 2], most: usize, count: usize) -> Vec<Moved> {
    let ranks = scores.map(|scores| {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&i, &j| scores[j].total_cmp(&scores[i]).then(i.cmp(&j)));
        let mut ranks = vec![0; order.len()];
        order.iter().enumerate().for_each(|(rank, &head)| ranks[head] = rank + 1);
        ranks
    });
    let heads = files[0].heads;
    let mut looked_at: Vec<usize> = scores.iter().flat_map(|scores| best(scores, most)).collect();
    looked_at.sort_unstable();
    looked_at.dedup();
    let of_head = |i: usize| Moved {
        layer: i / heads,
        head: i % heads,
        ranks: [ranks[0][i], ranks[1][i]],
        scores: [files[0].mean.values()[i], files[1].mean.values()[i]],
    };
    let mut moved: Vec<Moved> = looked_at.into_iter().map(of_head).collect();
    moved.sort_by_key(|head| std::cmp::Reverse(head.ranks[0].abs_diff(head.ranks[1])));
    moved.retain(|head| head.ranks[0] != head.ranks[1]);
    moved.truncate(count);
    moved
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::heads::HeadMatrix;

    fn file(mean: &[f32], errors: Option<f32>) -> Compared {
        let matrix = |values: Vec<f32>| HeadMatrix::new(2, mean.len() / 2, values).unwrap();
        Compared {
            name: "m".into(),
            path: PathBuf::new(),
            score: None,
            layers: 2,
            heads: mean.len() / 2,
            values: [1, 1],
            has_errors: errors.is_some(),
            by_position: None,
            mean: matrix(mean.to_vec()),
            std_error: errors.map(|e| matrix(vec![e; mean.len()])),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn by_hand() {
        // Ranks of the first 1 2 3 4 5 6, of the second 2 1 3 6 4 5.
        let first = file(&[0.9, 0.8, 0.7, 0.6, 0.5, 0.0], None);
        let second = file(&[0.8, 0.9, 0.7, 0.0, 0.5, 0.1], None);
        let got = Agreement::of(&first, &second, &[1, 3], 9);
        assert_eq!(got.shared.iter().map(|s| s.heads).collect::<Vec<_>>(), [0, 3]);
        assert_eq!(got.shared.iter().map(|s| s.by_chance).collect::<Vec<_>>(), [1.0 / 6.0, 1.5]);
        // 1 - 6 (1 + 1 + 4 + 1 + 1) / (6 * 35).
        assert!((got.spearman.unwrap() - (1.0 - 48.0 / 210.0)).abs() < 1e-12);
        // Of the best three the first two changed places; the third stayed.
        let moved: Vec<_> = got.moved.iter().map(|m| (m.layer, m.head, m.ranks)).collect();
        assert_eq!(moved, [(0, 0, [1, 2]), (0, 1, [2, 1])]);
        assert_eq!(got.moved[0].scores, [0.9, 0.8]);
        assert_eq!(got.shared[0].interval_95, None);
    }

    #[test]
    fn a_score_of_nothing_is_nobodys_best() {
        let first = file(&[0.9, 0.0, 0.0, 0.0], None);
        let got = Agreement::of(&first, &file(&[0.5, 0.4, 0.0, 0.0], None), &[3], 9);
        assert_eq!((got.shared[0].heads, got.shared[0].by_chance), (1, 0.5));
    }

    /// Means far apart are drawn in the same order every time, those that are equal in any.
    #[test]
    fn the_interval_is_as_wide_as_the_errors_say() {
        let sure = file(&[9.0, 8.0, 7.0, 1.0, 2.0, 3.0], Some(0.01));
        let share = |other: &Compared| Agreement::of(&sure, other, &[3], 0).shared[0].clone();
        assert_eq!(share(&sure).interval_95, Some([3, 3]));
        let equal = share(&file(&[5.0; 6], Some(1.0)));
        // Three of six at random: 1 in 20 times none, 9 of 20 one, 9 of 20 two, 1 in 20 all.
        assert_eq!(equal.interval_95, Some([0, 3]));
        assert_eq!(share(&file(&[5.0; 6], None)).interval_95, None);
    }
}
