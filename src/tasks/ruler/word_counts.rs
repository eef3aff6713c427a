//! Words that stand in a list more often than others.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::GeneratedPrompt;
use super::words;

/// Words to be found in a list; RULER's default.
const COMMON: usize = 10;

/// How often each of them stands in the list, and each other word; RULER's defaults.
const TIMES: (usize, usize) = (30, 3);

/// The same for prompts below [`SHORT_TOKENS`], for which these would be too many.
const SHORT_TIMES: (usize, usize) = (10, 1);

/// The shortest length that RULER has.
const SHORT_TOKENS: usize = 4096;

/// Words to be found in a text; RULER's default.
const FREQUENT: usize = 3;

/// With so many of the first word the ranks behind it have counts of their own, down to one behind
/// [`FREQUENT`]: 18, 4, 2, 1. With 16 the third and the fourth would both stand once.
const FEWEST: usize = 18;

/// Draws the common words; the prompt with `n` other words follows from them.
pub(super) fn common(
    rng: &mut StdRng,
    target_tokens: usize,
) -> Box<dyn Fn(usize) -> GeneratedPrompt> {
    let (times, others) = if target_tokens < SHORT_TOKENS { SHORT_TIMES } else { TIMES };
    let mut taken = BTreeSet::new();
    let common: Vec<String> = (0..COMMON).map(|_| words::coined(rng, &mut taken)).collect();
    let seed = rng.random();
    Box::new(move |n| {
        let (mut rng, mut taken) = (StdRng::seed_from_u64(seed), taken.clone());
        let mut list: Vec<String> = common.iter().flat_map(|w| vec![w.clone(); times]).collect();
        for _ in 0..n {
            list.extend(vec![words::coined(&mut rng, &mut taken); others]);
        }
        list.shuffle(&mut rng);
        let numbered: Vec<String> =
            list.iter().enumerate().map(|(i, word)| format!("{}. {word}", i + 1)).collect();
        let input = format!(
            "Some words of this list stand in it far more often than the others.\n\n{}\n\nWhich \
             {COMMON} words stand in the list most often? They are",
            numbered.join(" ")
        );
        GeneratedPrompt { input, outputs: common.clone() }
    })
}

/// Draws words by rank; the prompt in which the first stands `n + 9` times follows from them: the
/// word of rank r stands a share of `1 / r^2` of that in it, rounded down (RULER: a zeta
/// distribution with exponent 2).
pub(super) fn frequent(rng: &mut StdRng) -> Box<dyn Fn(usize) -> GeneratedPrompt> {
    let seed = rng.random();
    Box::new(move |n| {
        let (mut rng, mut taken) = (StdRng::seed_from_u64(seed), BTreeSet::new());
        let first = n + FEWEST;
        let times = (1..).map(|rank: usize| first / (rank * rank)).take_while(|times| *times > 0);
        let (mut text, mut outputs) = (Vec::new(), Vec::new());
        for (rank, times) in times.enumerate() {
            let word = words::coined(&mut rng, &mut taken);
            text.extend(vec![word.clone(); times]);
            if rank < FREQUENT {
                outputs.push(word);
            }
        }
        text.shuffle(&mut rng);
        let input = format!(
            "The words of this text mean nothing; count them.\n\n{}\n\nWhich {FREQUENT} words are \
             the most frequent? They are",
            text.join(" ")
        );
        GeneratedPrompt { input, outputs }
    })
}
