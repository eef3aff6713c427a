//! ROUGE-1, as Google's `rouge-score` computes them with `use_stemmer=True`.
//!
//! C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004.

use super::{Overlap, common_words, porter};

/// Words of up to this many characters are not stemmed.
const UNSTEMMED_CHARS: usize = 3;

/// ROUGE's tokens: lower case, every character outside `[a-z0-9]` taken as a space, words of more
/// than three characters stemmed. A text without Latin letters and digits has no tokens.
pub fn tokens(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| if word.len() > UNSTEMMED_CHARS { porter::stem(word) } else { word.to_owned() })
        .collect()
}

/// ROUGE-1: tokens in common, each as often as both texts have it; the order does not count.
///
/// `recall = common / tokens(gold)`, `precision = common / tokens(answer)`.
pub fn rouge_1(answer: &str, gold: &str) -> Overlap {
    let (answer, gold) = (tokens(answer), tokens(gold));
    Overlap::new(common_words(&answer, &gold), answer.len(), gold.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_by_hand() {
        // U.S.A. falls apart; don't becomes don and t; "eats" has four letters and is stemmed,
        // "has" has three and is not (its stem would be "ha").
        assert_eq!(
            tokens("U.S.A. don't — Éclair, eats has\tRUNNING_late 3.14"),
            ["u", "s", "a", "don", "t", "clair", "eat", "has", "run", "late", "3", "14"]
        );
        assert_eq!(tokens(" — 東京は雨だ"), [""; 0]);
    }

    #[test]
    fn order_does_not_count() {
        // answer: b a c c, gold: a b c. Common: 3 of 4 and 3.
        let one = rouge_1("b a c c", "a b c");
        assert_eq!((one.precision, one.recall, one.f1), (0.75, 1.0, 6.0 / 7.0));
    }

    #[test]
    fn nothing_in_common_is_zero() {
        for (answer, gold) in [("", ""), ("", "a"), ("a", ""), ("a", "b")] {
            assert_eq!(rouge_1(answer, gold), Overlap::default());
        }
    }
}
