//! Variable tracking: a value is given to a name, that name to another, and so on; which names
//! stand for the value?

use std::collections::BTreeSet;

use rand::RngExt;
use rand::rngs::StdRng;

use super::GeneratedPrompt;
use super::filling::{Filling, insert};
use super::words;

/// Steps from the first name to the last; RULER's default.
const HOPS: usize = 4;

/// Sentences that are repeated around the chain.
const REPEATED: &str =
    "The mill stands by the water. Its wheel goes round. The sacks are filled and carried off.";

/// Draws a chain and its places; the prompt with `n` words of filler follows from them.
pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Fn(usize) -> GeneratedPrompt> {
    let mut taken = BTreeSet::new();
    let value = rng.random_range(10_000u32..100_000).to_string();
    let names: Vec<String> = (0..=HOPS).map(|_| words::letters(rng, &mut taken)).collect();
    // Ascending: a name is given a value before it is given on.
    let mut shares: Vec<f64> = names.iter().map(|_| rng.random::<f64>()).collect();
    shares.sort_by(f64::total_cmp);
    let source = |i: usize| if i == 0 { &value } else { &names[i - 1] };
    let lines = names.iter().enumerate().map(|(i, name)| format!("LET {name} = {}.", source(i)));
    let chain: Vec<(f64, String)> = shares.into_iter().zip(lines).collect();
    let repeated = Filling::new([REPEATED]);
    Box::new(move |n| {
        let filling = repeated.as_ref().map(|repeated| repeated.take(0, n)).unwrap_or_default();
        let context = insert(&filling, &chain, " ");
        let input = format!(
            "The text below has sentences that begin with LET and give a name a value, or the value of \
             another name.\n\n{context}\n\nWhich {} names have the value {value} in the end? The \
             names with the value {value} are",
            names.len()
        );
        GeneratedPrompt { input, outputs: names.clone() }
    })
}
