//! Top-k over tokens: higher score first, then lower position.
//!
//! The references use a top-k that leaves the order of equal scores open, and pooling makes many
//! equal ones. Here the rule is fixed, so that the same prompt keeps the same tokens everywhere.

use std::cmp::Ordering;

/// The positions of the `k` largest of `scores`, `[N]`, ascending; all where there are fewer.
pub fn top_k(scores: &[f32], k: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    if k < order.len() {
        let first = |a: &u32, b: &u32| before(scores, *a as usize, *b as usize);
        order.select_nth_unstable_by(k, first);
        order.truncate(k);
        order.sort_unstable();
    }
    order
}

/// As [`top_k`], with the first `protected` tokens before all others, in the order of the prompt.
pub fn top_k_behind(protected: usize, scores: &[f32], k: usize) -> Vec<u32> {
    let protected = protected.min(k).min(scores.len());
    let rest = top_k(&scores[protected..], k - protected);
    (0..protected as u32).chain(rest.into_iter().map(|j| j + protected as u32)).collect()
}

/// The least of `scores`, `[N]`; of equal ones the highest position. `None` of none.
pub fn least(scores: &[f32]) -> Option<usize> {
    (0..scores.len()).max_by(|&a, &b| before(scores, a, b))
}

fn before(scores: &[f32], a: usize, b: usize) -> Ordering {
    scores[b].total_cmp(&scores[a]).then(a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_go_by_position() {
        let scores = [1., 1., 0., 1., 0., 0., 1., 0.];
        assert!(top_k(&scores, 0).is_empty());
        assert_eq!(top_k(&scores, 3), [0, 1, 3]);
        assert_eq!(top_k(&scores, 5), [0, 1, 2, 3, 6]);
        assert_eq!(top_k(&scores, 9), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(least(&scores), Some(7));
        assert_eq!(least(&scores[..2]), Some(1));
        assert_eq!(least(&[]), None);
    }

    #[test]
    fn the_protected_come_first() {
        let scores = [0., 0., 5., 7., 6.];
        assert_eq!(top_k_behind(0, &scores, 2), [3, 4]);
        // Two places are the sinks', two are left for the best of the rest.
        assert_eq!(top_k_behind(2, &scores, 4), [0, 1, 3, 4]);
        // More sinks than places: the first of the prompt.
        assert_eq!(top_k_behind(4, &scores, 3), [0, 1, 2]);
        assert_eq!(top_k_behind(9, &scores, 9), [0, 1, 2, 3, 4]);
    }
}
