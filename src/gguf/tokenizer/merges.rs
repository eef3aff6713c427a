//! Merges of SentencePiece's BPE, which its files leave to the scores of the pieces.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// Bytes of a piece of text, at most: those of real vocabularies have some dozens.
const LONGEST_PIECE: usize = 1024;
/// Merges for each piece, on average, at most: real vocabularies have two.
const MOST_MERGES: usize = 32;

/// Every pair of `tokens` that make a third, in the order in which they are merged: the higher the
/// third's score the earlier; of one score the longer left half first. `apart` are no parts of
/// text.
///
/// As transformers (5.24.0, `generate_merges`) makes a `tokenizer.json` of such a file.
///
/// # Errors
/// What no vocabulary has: a piece of more than [`LONGEST_PIECE`] bytes, or more merges than
/// [`MOST_MERGES`] for each.
pub(super) fn of_scores<'a>(
    tokens: &'a [String],
    scores: &[f32],
    apart: &HashSet<usize>,
) -> Result<Vec<[&'a str; 2]>, String> {
    let text = (0..tokens.len()).filter(|id| !apart.contains(id));
    let ids: HashMap<&str, usize> = text.clone().map(|id| (&*tokens[id], id)).collect();
    let mut merges = Vec::new();
    for id in text {
        let token = &*tokens[id];
        if token.len() > LONGEST_PIECE {
            return Err(format!("a piece of {} bytes, id {id}", token.len()));
        }
        let borders = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
        let halves = borders.filter_map(|(l, r)| Some(([l, r], *ids.get(l)?, *ids.get(r)?)));
        merges.extend(halves.map(|(pair, l, r)| (scores[id], pair, id, l, r)));
        if merges.len() > MOST_MERGES * tokens.len() {
            return Err(format!("{} merges of {} pieces", merges.len(), tokens.len()));
        }
    }
    let chars = |text: &str| text.chars().count();
    merges.sort_by_cached_key(|(score, [l, r], id, left, right)| {
        let (left_chars, right_chars) = (Reverse(chars(l)), Reverse(chars(r)));
        (Reverse(ordered(*score)), left_chars, right_chars, *id, *left, *right)
    });
    Ok(merges.into_iter().map(|(_, pair, ..)| pair).collect())
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
        let merges = of_scores(&tokens, &scores, &HashSet::from([0])).unwrap();
        assert_eq!(merges, [["b", "c"], ["a", "b"], ["ab", "c"], ["a", "bc"]]);
    }

    /// Vocabularies in which everything is a part of everything would fill any memory.
    #[test]
    fn more_merges_than_any_vocabulary_has_are_refused() {
        let tokens: Vec<String> = (1..400).map(|n| "a".repeat(n)).collect();
        let e = of_scores(&tokens, &vec![0.0; tokens.len()], &HashSet::new()).unwrap_err();
        assert!(e.contains("merges of 399 pieces"), "{e}");
        let long = ["a".repeat(LONGEST_PIECE + 1)];
        let e = of_scores(&long, &[0.0], &HashSet::new()).unwrap_err();
        assert!(e.contains("1025 bytes"), "{e}");
    }

    #[test]
    fn scores_are_ordered() {
        let scores = [-3.0e38, -2.0, -1.5, -0.0, 0.0, 1e-30, 7.0];
        assert!(scores.map(ordered).is_sorted());
        assert_eq!(ordered(-0.0), ordered(0.0));
    }
}
