//! Exact match.

use super::normalize::normalize_answer;

/// Whether the two texts are the same after [`normalize_answer`] (SQuAD's exact match). Two texts
/// of which nothing is left are the same.
pub fn exact_match(answer: &str, gold: &str) -> bool {
    normalize_answer(answer) == normalize_answer(gold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_case_punctuation_articles_and_space() {
        assert!(exact_match("the  Kitchen.", "kitchen"));
        assert!(exact_match("The", ""));
        assert!(!exact_match("in the kitchen", "kitchen"));
        assert!(!exact_match("", "kitchen"));
    }
}
