//! Telling a story: facts until there are enough of them and a question can be asked.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::{BabiTask, Story};

/// How many stories are begun of one range of lengths before the next are a fact longer.
const PATIENCE: usize = 50;

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
pub(super) struct StoryQuestion {
    pub question: String,
    pub answer: String,
    /// Indices of facts, in any order.
    pub supporting: Vec<usize>,
}

impl StoryQuestion {
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
/// question would be about the last fact. `ask` has to find one in some scene in the end.
pub(super) fn tell<S: Scene, R: Rng + ?Sized>(
    task: BabiTask,
    facts: RangeInclusive<usize>,
    rng: &mut R,
    begin: impl Fn(&mut R) -> S,
    ask: impl Fn(&S, &mut R) -> Option<StoryQuestion>,
) -> Story {
    let mut begun = 0;
    loop {
        let mut scene = begin(rng);
        let length = number(&facts, rng) + begun / PATIENCE;
        while scene.facts().len() < length {
            scene.go_on(rng);
        }
        if let Some(asked) = ask(&scene, rng) {
            return asked.about(task, scene.into_facts());
        }
        begun += 1;
    }
}

/// A number of facts; the range's start where the range is empty.
pub(super) fn number<R: Rng + ?Sized>(facts: &RangeInclusive<usize>, rng: &mut R) -> usize {
    if facts.is_empty() { *facts.start() } else { rng.random_range(facts.clone()) }
}
