//! Needles in a haystack: names with numbers or codes, of which some are asked for.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::GeneratedPrompt;
use super::filling::{Filling, Part, insert};
use super::words;

/// Sentences that are repeated.
const REPEATED: &str = "The river is wide here. A boat comes down with the tide. It turns at the \
                        pier. Then it goes up again.";

/// What stands around the needles.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Filler {
    /// A few sentences, over and over.
    Repeated,
    /// Essays.
    Essays,
    /// More needles.
    Needles,
}

/// What needles are named by.
#[derive(Clone, Copy)]
pub(super) enum Key {
    /// Words.
    Words,
    /// Codes.
    Code,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) enum Value {
    /// Seven digits.
    Number,
    /// 32 hexadecimal digits.
    Code,
}

/// A task about needles.
pub(super) struct Niah {
    pub(super) filler: Filler,
    pub(super) key: Key,
    pub(super) value: Value,
    /// Names with needles, those of [`Filler::Needles`] aside.
    pub(super) keys: usize,
    /// Needles per name.
    pub(super) values: usize,
    /// Names that are asked for.
    pub(super) asked: usize,
}

impl Niah {
    /// Draws needles and their places; the prompt with `n` pieces of filler follows from them, with
    /// `n` needles where these are the filler.
    pub(super) fn draw<'a>(
        &self,
        rng: &mut StdRng,
        essays: &'a Filling<'a>,
    ) -> Box<dyn Fn(usize) -> GeneratedPrompt + 'a> {
        let mut taken = BTreeSet::new();
        let mut needles = Vec::new();
        let mut keys: Vec<(String, Vec<String>)> = Vec::new();
        for _ in 0..self.keys {
            let key = self.draw_key(rng, &mut taken);
            let values: Vec<String> =
                (0..self.values).map(|_| self.draw_value(rng, &mut taken)).collect();
            // Where the needle stands: a share of the filler before it.
            needles.extend(values.iter().map(|v| (rng.random::<f64>(), self.sentence(&key, v))));
            keys.push((key, values));
        }
        needles.sort_by(|a, b| a.0.total_cmp(&b.0));
        keys.shuffle(rng);
        keys.truncate(self.asked);
        // More needles are drawn one by one from here on: the first n are the same for every n.
        let (seed, first_essay) = (rng.random(), rng.random_range(0..essays.sentences()));
        let (filler, thing) = (self.filler, self.thing());
        let more = Self { ..*self };
        let repeated = Filling::new([REPEATED]);
        Box::new(move |n| {
            let context = match (filler, &repeated) {
                (Filler::Repeated, Some(repeated)) => insert(&repeated.take(0, n), &needles, " "),
                (Filler::Essays | Filler::Repeated, _) => {
                    insert(&essays.take(first_essay, n), &needles, " ")
                }
                (Filler::Needles, _) => {
                    let (mut rng, mut taken) = (StdRng::seed_from_u64(seed), taken.clone());
                    let one = |_| {
                        let key = more.draw_key(&mut rng, &mut taken);
                        more.sentence(&key, &more.draw_value(&mut rng, &mut taken))
                    };
                    let others: Vec<String> = (0..n).map(one).collect();
                    let parts: Vec<Part> =
                        others.iter().map(|text| Part { text, spaced: true }).collect();
                    insert(&parts, &needles, "\n")
                }
            };
            let names: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
            let names = names.join(", ");
            let outputs: Vec<String> = keys.iter().flat_map(|(_, v)| v).cloned().collect();
            let (are, things) = match outputs.len() {
                1 => ("is", thing.to_owned()),
                _ => ("are", format!("{thing}s")),
            };
            let input = format!(
                "In the text below, every name has a {thing} of its own, or several. You will be \
                 asked for some of them.\n\n{context}\n\nWhat {are} the {things} of {names}? By \
                 the text above, the {things} of {names} {are}"
            );
            GeneratedPrompt { input, outputs }
        })
    }

    fn draw_key(&self, rng: &mut StdRng, taken: &mut BTreeSet<String>) -> String {
        match self.key {
            Key::Words => words::name(rng, taken),
            Key::Code => words::code(rng, taken),
        }
    }

    fn draw_value(&self, rng: &mut StdRng, taken: &mut BTreeSet<String>) -> String {
        match self.value {
            Value::Number => words::number(rng, taken),
            Value::Code => words::code(rng, taken),
        }
    }

    fn sentence(&self, key: &str, value: &str) -> String {
        format!("The {} of {key} is {value}.", self.thing())
    }

    fn thing(&self) -> &'static str {
        match self.value {
            Value::Number => "number",
            Value::Code => "code",
        }
    }
}
