//! Token F1: of bags of normalised words (SQuAD, LongBench, HeadKV-R2).

use super::normalize::{normalize_answer, words};
use super::{Overlap, common_words};

/// Overlap of the bags of words after [`normalize_answer`]; each word counts as often as both
/// texts have it. Its `f1` is the token F1 of SQuAD (`qa_f1_score` in LongBench).
pub fn token_f1(answer: &str, gold: &str) -> Overlap {
    let (answer, gold) = (normalize_answer(answer), normalize_answer(gold));
    let (answer, gold) = (words(&answer), words(&gold));
    Overlap::new(common_words(&answer, &gold), answer.len(), gold.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_f1_by_hand() {
        // answer: red red cat (3 words), gold: red cat sat on red mat (6, two articles gone).
        // Common: red twice, cat: 3. p = 3/3, r = 3/6, f = 6/9.
        let o = token_f1("A red, RED cat!", "The red cat sat on the red mat.");
        assert_eq!((o.precision, o.recall, o.f1), (1.0, 0.5, 6.0 / 9.0));
    }

    #[test]
    fn nothing_in_common_is_zero() {
        for (answer, gold) in [("", ""), ("", "cat"), ("cat", ""), ("cat", "dog"), ("a", "the")] {
            assert_eq!(token_f1(answer, gold), Overlap::default());
        }
    }

    #[test]
    fn one_half_is_exactly_one_half() {
        // 4 of 5 and 4 of 11 words: 2 * 4 / 16. By 2pr / (p + r) it is 0.5000000000000001, and a
        // gate "above 0.5" would let it pass.
        let (answer, gold) = ("x x x x y", "x x x x z z z z z z z");
        assert_eq!(token_f1(answer, gold).f1, 0.5);
    }
}
