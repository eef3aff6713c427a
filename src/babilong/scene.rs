//! Telling a story: facts until there are enough of them and a question can be asked.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::{BabiTask, Story};

/// How many stories are begun in search of one that allows the question after a number of facts
/// drawn beforehand. The one after them goes on until it does.
const FRESH_STARTS: usize = 100;

/// A state of affairs that changes with every fact.
pub(super) trait Scene {
    /// What was told so far.
    fn facts(&self) -> &[String];

    /// The end of it.
    fn into_facts(self) -> Vec<String>;

    /// Lets something happen: one more fact, or two that belong together.
    fn go_on<R: Rng + ?Sized>(&mut self, rng: &mut R);
}

/// A question about a scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub question: String,
    pub answer: String,
    /// Indices of facts, in any order.
    pub supporting: Vec<usize>,
}

impl Asked {
    /// The story that ends with this question.
    pub(super) fn about(self, task: BabiTask, facts: Vec<String>) -> Story {
        let mut supporting = self.supporting;
        supporting.sort_unstable();
        supporting.dedup();
        Story { task, facts, question: self.question, answer: self.answer, supporting }
    }
}

/// A story whose number of facts is drawn from `facts`, and larger only where `ask` finds no
/// question in many of that length.
///
/// Scenes are begun anew rather than continued until something can be asked: in those the
/// question would be about the last fact.
pub(super) fn tell<S: Scene, R: Rng + ?Sized>(
    task: BabiTask,
    facts: RangeInclusive<usize>,
    rng: &mut R,
    begin: impl Fn(&mut R) -> S,
    ask: impl Fn(&S, &mut R) -> Option<Asked>,
) -> Story {
    for _ in 0..FRESH_STARTS {
        let mut scene = begin(rng);
        continue_to(&mut scene, number(&facts, rng), rng);
        if let Some(asked) = ask(&scene, rng) {
            return asked.about(task, scene.into_facts());
        }
    }
    let mut scene = begin(rng);
    continue_to(&mut scene, number(&facts, rng), rng);
    loop {
        if let Some(asked) = ask(&scene, rng) {
            return asked.about(task, scene.into_facts());
        }
        scene.go_on(rng);
    }
}

/// A number of facts; the range's start where the range is empty.
pub(super) fn number<R: Rng + ?Sized>(facts: &RangeInclusive<usize>, rng: &mut R) -> usize {
    if facts.is_empty() { *facts.start() } else { rng.random_range(facts.clone()) }
}

fn continue_to<S: Scene, R: Rng + ?Sized>(scene: &mut S, facts: usize, rng: &mut R) {
    while scene.facts().len() < facts {
        scene.go_on(rng);
    }
}
