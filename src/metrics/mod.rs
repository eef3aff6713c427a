//! Text metrics: how near an answer is to the gold answer.
//!
//! | module | what | used by |
//! |---|---|---|
//! | [`porter`] | Porter stemmer, NLTK's variant | ROUGE |
//! | [`rouge`] | ROUGE-1 | Retrieval_Head's gate, needle evaluation |
//! | [`f1`] | token F1 (SQuAD) | HeadKV-R2's gate, LongBench |
//! | [`exact`] | exact match | short answers, labels |
//! | [`needle`] | the references' two numbers for a needle | needle evaluation |
//! | [`rouge_l_summary`] | ROUGE-L of the `rouge` package, summary level | LongBench |
//! | [`classification`], [`numbers`], [`code_sim`] | classes, paragraphs and counts, lines of code | LongBench |
//! | [`string_match`] | expected texts that an answer has in it | RULER |
//! | [`babilong`] | the official check and a corrected one | BABILong |
//! | [`normalize`] | the normalisation that token F1 and exact match share | |
//!
//! All are pure functions of two strings, `answer` (what the model said) and `gold`, and count
//! words, so that they say nothing about meaning: a wrong number or a missing "not" costs one word.

pub mod babilong;
pub mod choice;
pub mod classification;
pub mod code_sim;
mod difflib;
pub mod exact;
pub mod f1;
pub mod needle;
pub mod normalize;
pub mod numbers;
pub mod porter;
pub mod rouge;
pub mod rouge_l_summary;
pub mod string_match;

/// How much an answer and a gold answer have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Overlap {
    /// Share of the answer that is in the gold answer, 0 to 1.
    pub precision: f64,
    /// Share of the gold answer that is in the answer, 0 to 1.
    pub recall: f64,
    /// Harmonic mean of the two, 0 to 1.
    pub f1: f64,
}

impl Overlap {
    /// From `common` words out of `answer` and `gold` words. Nothing in common: all zero.
    fn new(common: usize, answer: usize, gold: usize) -> Self {
        if common == 0 {
            return Self::default();
        }
        let (common, answer, gold) = (common as f64, answer as f64, gold as f64);
        Self {
            precision: common / answer,
            recall: common / gold,
            // 2pr / (p + r) with the fractions cleared: rounded once, so that an F1 of one half
            // is exactly 0.5 and a strict threshold does not depend on rounding.
            f1: 2.0 * common / (answer + gold),
        }
    }
}

/// The number of words that two bags of words share: a word counts as often as it is in both.
fn common_words<S: AsRef<str>>(a: &[S], b: &[S]) -> usize {
    let mut left = std::collections::HashMap::<&str, usize>::new();
    for word in b {
        *left.entry(word.as_ref()).or_default() += 1;
    }
    let mut common = 0;
    for word in a {
        if let Some(n) = left.get_mut(word.as_ref()).filter(|n| **n > 0) {
            *n -= 1;
            common += 1;
        }
    }
    common
}

#[cfg(test)]
mod benchmark_goldens;
#[cfg(test)]
mod goldens;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_are_clipped() {
        // a: min(3, 2) = 2; b: min(1, 2) = 1; c and d: 0.
        let common = common_words(&["a", "a", "a", "b", "c"], &["b", "a", "d", "a", "b"]);
        assert_eq!(common, 3);
    }

    #[test]
    fn overlap_by_hand() {
        // 1 of 2 and 1 of 4 words: p = 1/2, r = 1/4, f = 2 * 1 / (2 + 4) = 1/3.
        let o = Overlap::new(1, 2, 4);
        assert_eq!((o.precision, o.recall, o.f1), (0.5, 0.25, 1.0 / 3.0));
        assert_eq!(Overlap::new(0, 0, 0), Overlap::default());
    }
}
