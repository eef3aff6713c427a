//! ROUGE-1: against words crossed out one by one. Both sides take words from the texts in the same
//! way, which is part of what is timed.

use std::hint::black_box;

use headprof::metrics::rouge::{rouge_1, tokens};

use super::turns::Turns;

const TEXT: &str = include_str!("../../haystack/01-harbour.txt");

pub fn bench(turns: &Turns) {
    let words: Vec<&str> = TEXT.split_whitespace().collect();
    for n in [12, 400] {
        // Half of one is in the other.
        let (answer, gold) = (words[..n].join(" "), words[n / 2..n / 2 + n].join(" "));
        let counts = |common: usize| {
            let (answer, gold) = (tokens(&answer).len() as f64, tokens(&gold).len() as f64);
            (common as f64 / answer, common as f64 / gold)
        };
        let one = rouge_1(&answer, &gold);
        assert_eq!((one.precision, one.recall), counts(by_crossing_out(&answer, &gold)));
        turns.compare(
            &format!("ROUGE-1, {n} words"),
            "words crossed out",
            || rouge_1(black_box(&answer), &gold),
            || by_crossing_out(black_box(&answer), &gold),
        );
    }
}

/// Words in common, each as often as both have it.
fn by_crossing_out(answer: &str, gold: &str) -> usize {
    let (mut left, gold) = (tokens(answer), tokens(gold));
    let before = left.len();
    for word in gold {
        if let Some(i) = left.iter().position(|other| *other == word) {
            left.remove(i);
        }
    }
    before - left.len()
}
