//! qa18: which of two things is bigger.
//!
//! The supporting facts are the shortest chain that leads from one thing to the other, of two or
//! more facts. A question is asked only where there is one such chain and no other as short.

use std::ops::RangeInclusive;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::scene::{Asked, Scene, tell};
use super::words::pick;
use super::{BabiTask, Story};

/// The first two are always the smallest, in this order.
const THINGS: [&str; 6] =
    ["chocolate", "box of chocolates", "box", "chest", "container", "suitcase"];

/// Things in the order of their sizes, and what was told of them.
struct Sizes {
    /// From small to big.
    things: [&'static str; 6],
    /// Smaller and bigger, indices into `things`.
    told: Vec<(usize, usize)>,
    facts: Vec<String>,
}

impl Scene for Sizes {
    fn facts(&self) -> &[String] {
        &self.facts
    }

    fn into_facts(self) -> Vec<String> {
        self.facts
    }

    fn go_on<R: Rng + ?Sized>(&mut self, rng: &mut R) {
        let smaller = rng.random_range(0..self.things.len() - 1);
        let bigger = rng.random_range(smaller + 1..self.things.len());
        let (small, big) = (self.things[smaller], self.things[bigger]);
        self.told.push((smaller, bigger));
        self.facts.push(if rng.random_bool(0.5) {
            format!("The {small} fits inside the {big}.")
        } else {
            format!("The {big} is bigger than the {small}.")
        });
    }
}

impl Sizes {
    /// The facts from `small` up to `big`, if there is just one shortest chain of them.
    fn chain(&self, small: usize, big: usize) -> Option<Vec<usize>> {
        let mut chains = vec![(small, Vec::new())];
        // A chain has no more steps than there are things above the first.
        for _ in small..big {
            let longer = chains.iter().flat_map(|(end, chain)| {
                let next = self.told.iter().enumerate().filter(move |(_, told)| told.0 == *end);
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
/// equally often.
pub(super) fn bigger<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    let yes = rng.random_bool(0.5);
    let begin = |rng: &mut R| {
        let mut things = THINGS;
        things[2..].shuffle(rng);
        Sizes { things, told: Vec::new(), facts: Vec::new() }
    };
    tell(BabiTask::Qa18, facts, rng, begin, |sizes, rng| {
        let pairs = (0..THINGS.len()).flat_map(|s| (s + 1..THINGS.len()).map(move |b| (s, b)));
        let chains = pairs.filter_map(|(small, big)| {
            let chain = sizes.chain(small, big).filter(|chain| chain.len() > 1)?;
            Some((small, big, chain))
        });
        let chains: Vec<_> = chains.collect();
        if chains.is_empty() {
            return None;
        }
        let at = rng.random_range(0..chains.len());
        let (small, big, ref chain) = chains[at];
        let (small, big) = (sizes.things[small], sizes.things[big]);
        let question = match (pick(&["bigger", "fit"], rng), yes) {
            ("bigger", true) => format!("Is the {big} bigger than the {small}?"),
            ("bigger", false) => format!("Is the {small} bigger than the {big}?"),
            (_, true) => format!("Does the {small} fit in the {big}?"),
            (_, false) => format!("Does the {big} fit in the {small}?"),
        };
        let answer = if yes { "yes" } else { "no" }.to_owned();
        Some(Asked { question, answer, supporting: chain.clone() })
    })
}
