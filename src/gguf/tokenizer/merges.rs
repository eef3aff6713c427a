//! Merges of SentencePiece's BPE, which its files leave to the scores of the pieces.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// Every pair of `tokens` that make a third, in the order in which they are merged: the higher the
/// third's score the earlier; of one score the longer left half first. `apart` are no parts of
/// text.
///
/// As transformers (5.24.0, `generate_merges`) makes a `tokenizer.json` of such a file.
pub(super) fn of_scores<'a>(
    tokens: &'a [String],
    scores: &[f32],
    apart: &HashSet<usize>,
) -> Vec<[&'a str; 2]> {
    let text = (0..tokens.len()).filter(|id| !apart.contains(id));
    let ids: HashMap<&str, usize> = text.clone().map(|id| (&*tokens[id], id)).collect();
    let mut merges = Vec::new();
    for id in text {
        let token = &*tokens[id];
        let borders = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
        let halves = borders.filter_map(|(l, r)| Some(([l, r], *ids.get(l)?, *ids.get(r)?)));
        merges.extend(halves.map(|(pair, l, r)| (scores[id], pair, l, r)));
    }
    let chars = |text: &str| text.chars().count();
    merges.sort_by_cached_key(|(score, [l, r], left, right)| {
        let (left_chars, right_chars) = (Reverse(chars(l)), Reverse(chars(r)));
        (Reverse(ordered(*score)), left_chars, right_chars, *left, *right)
    });
    merges.into_iter().map(|(_, pair, ..)| pair).collect()
}

/// A whole number that is larger where `score`, which is finite, is.
fn ordered(score: f32) -> i64 {
    let bits = i64::from(score.to_bits() & 0x7fff_ffff);
    if score.is_sign_negative() { -bits } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_say_what_is_merged_first() {
        let tokens = ["<s>", "a", "b", "c", "ab", "bc", "abc", "<s"].map(str::to_owned);
        let scores = [0.0, -5.0, -6.0, -7.0, -2.0, -1.0, -3.0, -9.0];
        let merges = of_scores(&tokens, &scores, &HashSet::from([0]));
        assert_eq!(merges, [["b", "c"], ["a", "b"], ["ab", "c"], ["a", "bc"]]);
    }

    #[test]
    fn scores_are_ordered() {
        let scores = [-3.0e38, -2.0, -1.5, -0.0, 0.0, 1e-30, 7.0];
        assert!(scores.map(ordered).is_sorted());
        assert_eq!(ordered(-0.0), ordered(0.0));
    }
}
