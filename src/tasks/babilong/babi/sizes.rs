//! qa18: which of two things is bigger.
//!
//! The supporting facts are the shortest chain that leads from one thing to the other, of two or
//! more facts. A question is asked only where there is one such chain and no other as short.

use std::ops::RangeInclusive;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::scene::{StoryQuestion, number};
use super::{BabiTask, Story};

/// The first two are always the smallest, in this order.
const THINGS: [&str; 6] =
    ["chocolate", "box of chocolates", "box", "chest", "container", "suitcase"];

/// A question needs a chain of two; of the 15 pairs of things, so many can be told that a pair that
/// was not told still has a chain of its own.
const FACTS: (usize, usize) = (2, 10);

/// What was told of things in the order of their sizes: smaller and bigger, indices.
struct Sizes(Vec<(usize, usize)>);

impl Sizes {
    /// The facts from `small` up to `big`, if there is just one shortest chain of them.
    fn chain(&self, small: usize, big: usize) -> Option<Vec<usize>> {
        let mut chains = vec![(small, Vec::new())];
        // A chain has no more steps than there are things above the first.
        for _ in small..big {
            let longer = chains.iter().flat_map(|(end, chain)| {
                let next = self.0.iter().enumerate().filter(move |(_, told)| told.0 == *end);
                next.map(|(fact, told)| (told.1, [chain.as_slice(), &[fact]].concat()))
            });
            chains = longer.collect();
            let mut complete = chains.iter().filter(|(end, _)| *end == big);
            if let Some((_, chain)) = complete.next() {
                return complete.next().is_none().then(|| chain.clone());
            }
        }
        None
    }
}

/// qa18: `Is the box bigger than the chest?` and `Does the chest fit in the box?`, yes and no
/// equally often. No pair of things is told twice, and there are ten facts at most.
pub(super) fn bigger<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    let facts = number(&facts, rng).clamp(FACTS.0, FACTS.1);
    let mut things = THINGS;
    things[2..].shuffle(rng);
    let pairs = (0..THINGS.len()).flat_map(|s| (s + 1..THINGS.len()).map(move |b| (s, b)));
    let mut pairs: Vec<(usize, usize)> = pairs.collect();
    // A good part of all choices of facts has a chain.
    let (small, big, sizes, supporting) = loop {
        pairs.shuffle(rng);
        let sizes = Sizes(pairs[..facts].to_vec());
        // An untold pair: a told one is a chain of one.
        let chain = pairs[facts..].iter().find_map(|&(s, b)| Some((s, b, sizes.chain(s, b)?)));
        if let Some((small, big, chain)) = chain {
            break (things[small], things[big], sizes, chain);
        }
    };

    let told = sizes.0.into_iter().map(|(small, big)| (things[small], things[big]));
    let told = told.map(|(small, big)| match rng.random_bool(0.5) {
        true => format!("The {small} fits inside the {big}."),
        false => format!("The {big} is bigger than the {small}."),
    });
    let told = told.collect();
    let yes = rng.random_bool(0.5);
    let question = match (rng.random_bool(0.5), yes) {
        (true, true) => format!("Is the {big} bigger than the {small}?"),
        (true, false) => format!("Is the {small} bigger than the {big}?"),
        (false, true) => format!("Does the {small} fit in the {big}?"),
        (false, false) => format!("Does the {big} fit in the {small}?"),
    };
    let answer = if yes { "yes" } else { "no" }.to_owned();
    StoryQuestion { question, answer, supporting }.about(BabiTask::Qa18, told)
}
