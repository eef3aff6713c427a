//! qa20: why people go and take things.
//!
//! Everybody is tired, hungry, thirsty or bored, goes where that is cured and takes what cures it.
//! The one supporting fact is the statement of how the person is.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::scene::{Scene, StoryQuestion, tell};
use super::words::{moved, pick, took};
use super::{BabiTask, Story};

const NAMES: [&str; 4] = ["Antoine", "Jason", "Sumit", "Yann"];
/// What one is, where one goes then, what one takes there.
const MOTIVES: [[&str; 3]; 4] = [
    ["bored", "garden", "football"],
    ["hungry", "kitchen", "apple"],
    ["thirsty", "kitchen", "milk"],
    ["tired", "bedroom", "pajamas"],
];

/// How far somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unknown,
    Stated,
    Gone,
    Served,
}

struct Motives {
    /// Of each person, an index into [`MOTIVES`].
    motives: [usize; 4],
    stages: [Stage; 4],
    /// Of each person, the fact that states the motive, once told.
    stated: [usize; 4],
    facts: Vec<String>,
}

impl Scene for Motives {
    fn facts(&self) -> &[String] {
        &self.facts
    }

    fn into_facts(self) -> Vec<String> {
        self.facts
    }

    /// The next step of somebody. There is none after twelve facts: then a new day begins, on
    /// which nobody's state has been told.
    fn go_on<R: Rng + ?Sized>(&mut self, rng: &mut R) {
        let busy: Vec<usize> =
            (0..NAMES.len()).filter(|&who| self.stages[who] != Stage::Served).collect();
        if busy.is_empty() {
            self.stages = [Stage::Unknown; 4];
            self.motives = std::array::from_fn(|_| rng.random_range(0..MOTIVES.len()));
            return self.go_on(rng);
        }
        let who = pick(&busy, rng);
        let [state, place, object] = MOTIVES[self.motives[who]];
        let (stage, fact) = match self.stages[who] {
            Stage::Unknown => {
                self.stated[who] = self.facts.len();
                (Stage::Stated, format!("{} is {state}.", NAMES[who]))
            }
            Stage::Stated => (Stage::Gone, moved(NAMES[who], place, rng)),
            Stage::Gone | Stage::Served => (Stage::Served, took(NAMES[who], object, rng)),
        };
        self.stages[who] = stage;
        self.facts.push(fact);
    }
}

/// qa20: `Where will yann go?`, `Why did yann go to the garden?`, `Why did yann get the apple?`,
/// the name in lower case as bAbI has it.
pub(super) fn why<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    let stage = pick(&[Stage::Stated, Stage::Gone, Stage::Served], rng);
    let begin = |rng: &mut R| Motives {
        motives: std::array::from_fn(|_| rng.random_range(0..MOTIVES.len())),
        stages: [Stage::Unknown; 4],
        stated: [0; 4],
        facts: Vec::new(),
    };
    tell(BabiTask::Qa20, facts, rng, begin, |motives, rng| {
        let people = (0..NAMES.len()).filter(|&who| motives.stages[who] == stage);
        let people: Vec<usize> = people.collect();
        if people.is_empty() {
            return None;
        }
        let who = pick(&people, rng);
        let ([state, place, object], name) =
            (MOTIVES[motives.motives[who]], NAMES[who].to_lowercase());
        let (question, answer) = match stage {
            Stage::Gone => (format!("Why did {name} go to the {place}?"), state),
            Stage::Served => (format!("Why did {name} get the {object}?"), state),
            Stage::Unknown | Stage::Stated => (format!("Where will {name} go?"), place),
        };
        let supporting = vec![motives.stated[who]];
        Some(StoryQuestion { question, answer: answer.to_owned(), supporting })
    })
}
