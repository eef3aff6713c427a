//! ROUGE-L of summaries as LongBench has it: the `rouge` package (1.0.1), summary level.
//!
//! Unlike in [`super::rouge`], nothing is lower-cased or stemmed, punctuation stays at its word,
//! and a summary is a list of sentences, each compared with each.
//!
//! Not reproduced: the package recurses once per word, and where two sentences have about a
//! thousand words together, Python gives up and LongBench takes that for a score of 0.

use std::collections::BTreeSet;

/// What the package adds to a denominator, so that even equal texts have 0.999999995.
const EPSILON: f64 = 1e-8;

/// `F = 2PR / (P + R + 1e-8)` with `P = |U| / n`, `R = |U| / m`: `U` has the different words of one
/// longest common subsequence for every pair of a gold sentence and an answer's sentence, `n` and
/// `m` count the different words of answer and gold. 0 if a side has no sentence.
///
/// Sentences end at `.`; words end at white space. Of several longest subsequences the one counts
/// that the package's way back through the table finds: it goes up only where that is longer.
pub fn rouge_l_summary(answer: &str, gold: &str) -> f64 {
    let (answer, gold) = (sentences(answer), sentences(gold));
    let distinct = |text: &[Vec<&str>]| text.iter().flatten().collect::<BTreeSet<_>>().len() as f64;
    if answer.is_empty() || gold.is_empty() {
        return 0.0;
    }
    let mut union = BTreeSet::new();
    for gold_sentence in &gold {
        for answer_sentence in &answer {
            union.extend(common_subsequence(gold_sentence, answer_sentence));
        }
    }
    let (n, m, common) = (distinct(&answer), distinct(&gold), union.len() as f64);
    let (p, r) = (common / n, common / m);
    2.0 * (p * r / (p + r + EPSILON))
}

/// The words of each sentence. A piece between two dots with nothing but white space in it is a
/// sentence of one empty word, a piece with nothing at all is none: as the package splits.
fn sentences(text: &str) -> Vec<Vec<&str>> {
    let words = |piece| match str::split_whitespace(piece).collect::<Vec<_>>() {
        none if none.is_empty() => vec![""],
        words => words,
    };
    text.split('.').filter(|piece| !piece.is_empty()).map(words).collect()
}

/// The words of one longest common subsequence, the last first. Memory `O(|gold| |answer|)`.
fn common_subsequence<'a>(gold: &[&'a str], answer: &[&str]) -> Vec<&'a str> {
    let width = answer.len() + 1;
    let mut length = vec![0u32; (gold.len() + 1) * width];
    for (i, word) in gold.iter().enumerate() {
        for (j, other) in answer.iter().enumerate() {
            length[(i + 1) * width + j + 1] = if word == other {
                length[i * width + j] + 1
            } else {
                length[i * width + j + 1].max(length[(i + 1) * width + j])
            };
        }
    }
    let (mut i, mut j) = (gold.len(), answer.len());
    let mut words = Vec::new();
    while i > 0 && j > 0 {
        if gold[i - 1] == answer[j - 1] {
            words.push(gold[i - 1]);
            (i, j) = (i - 1, j - 1);
        } else if length[(i - 1) * width + j] > length[i * width + j - 1] {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Sentences: "a b", "c" against "a b c" and "d". Subsequences: a b; c; nothing with d.
        // U = {a, b, c}; n = 3 (answer), m = 4 (gold): P = 1, R = 3/4, F = 6/7 but for epsilon.
        let f = rouge_l_summary("a b. c", "a b c. d");
        assert!((f - 6.0 / 7.0).abs() < 1e-8, "{f}");
        // A repeated word counts once: U = {x}, n = m = 1.
        assert!((rouge_l_summary("x x x", "x") - 1.0).abs() < 1e-8);
        // Case and punctuation count.
        assert_eq!(rouge_l_summary("Cat,", "cat"), 0.0);
    }

    #[test]
    fn of_several_subsequences_the_way_back_chooses() {
        // gold a b, answer b a: a tie at the corner goes left, in the answer: b is what is found.
        assert_eq!(common_subsequence(&["a", "b"], &["b", "a"]), ["b"]);
        assert_eq!(common_subsequence(&["a", "b", "c"], &["a", "x", "c"]), ["c", "a"]);
    }

    #[test]
    fn a_side_without_sentences_is_zero() {
        for (answer, gold) in [("", "a"), ("a", ""), ("...", "..."), ("", "")] {
            assert_eq!(rouge_l_summary(answer, gold), 0.0);
        }
        // White space alone is one empty word, on both sides the same one.
        assert!((rouge_l_summary(" ", " . ") - 1.0).abs() < 1e-8);
    }
}
