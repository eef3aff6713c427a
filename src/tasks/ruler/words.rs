//! Names, values and words that prompts are made of.

use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeSet;

const ADJECTIVES: [&str; 48] = [
    "amber", "ancient", "bitter", "bold", "brisk", "broken", "calm", "careful", "clever", "cold",
    "crimson", "curious", "damp", "distant", "dusty", "eager", "early", "faint", "fierce",
    "gentle", "golden", "grand", "hidden", "hollow", "honest", "humble", "idle", "jolly", "keen",
    "late", "lively", "lonely", "merry", "mild", "narrow", "patient", "pale", "plain", "proud",
    "quiet", "rapid", "rough", "silent", "sour", "steady", "tender", "vivid", "weary",
];

const NOUNS: [&str; 48] = [
    "anchor", "apron", "barrel", "basket", "beacon", "bridge", "bucket", "candle", "carpet",
    "cellar", "chimney", "compass", "cradle", "curtain", "feather", "ferry", "garment", "hammer",
    "harvest", "helmet", "island", "kettle", "ladder", "lantern", "meadow", "mirror", "needle",
    "orchard", "paddle", "pebble", "pillow", "puzzle", "quarry", "ribbon", "saddle", "shelter",
    "signal", "spindle", "stable", "ticket", "timber", "tunnel", "valley", "violin", "wagon",
    "whistle", "window", "workshop",
];

const CONSONANTS: &[u8] = b"bdfgklmnprstvz";
const VOWELS: &[u8] = b"aeiou";

/// Draws until there is something new: different names stay different.
fn new(taken: &mut BTreeSet<String>, mut draw: impl FnMut() -> String) -> String {
    loop {
        let drawn = draw();
        if taken.insert(drawn.clone()) {
            return drawn;
        }
    }
}

/// A name of three words such as `calm-golden-lantern`, none that is taken; 110,592 there are.
pub(super) fn name(rng: &mut StdRng, taken: &mut BTreeSet<String>) -> String {
    let mut of = |words: [&'static str; 48]| words[rng.random_range(0..48)];
    new(taken, || format!("{}-{}-{}", of(ADJECTIVES), of(ADJECTIVES), of(NOUNS)))
}

/// A number of seven digits, none that is taken.
pub(super) fn number(rng: &mut StdRng, taken: &mut BTreeSet<String>) -> String {
    new(taken, || rng.random_range(1_000_000u32..10_000_000).to_string())
}

/// A code of 32 hexadecimal digits in the groups of a UUID, none that is taken.
pub(super) fn code(rng: &mut StdRng, taken: &mut BTreeSet<String>) -> String {
    new(taken, || {
        let (a, b): (u64, u64) = (rng.random(), rng.random());
        let hex = format!("{a:016x}{b:016x}");
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    })
}

/// A word of three syllables that means nothing, none that is taken; 343,000 there are. All have
/// six letters: none is a part of another.
pub(super) fn coined(rng: &mut StdRng, taken: &mut BTreeSet<String>) -> String {
    new(taken, || {
        let letters = [CONSONANTS, VOWELS].repeat(3);
        letters.iter().map(|l| char::from(l[rng.random_range(0..l.len())])).collect()
    })
}

/// Five capital letters, none that are taken.
pub(super) fn letters(rng: &mut StdRng, taken: &mut BTreeSet<String>) -> String {
    new(taken, || (0..5).map(|_| char::from(rng.random_range(b'A'..=b'Z'))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn nothing_is_drawn_twice() {
        let (mut rng, mut taken) = (StdRng::seed_from_u64(1), BTreeSet::new());
        let draws = [name, number, code, coined, letters];
        for draw in draws {
            (0..2000).for_each(|_| assert!(!draw(&mut rng, &mut taken).is_empty()));
        }
        assert_eq!(taken.len(), 10_000);
        let words: BTreeSet<&str> = ADJECTIVES.into_iter().chain(NOUNS).collect();
        assert_eq!(words.len(), 96);
    }
}
