//! qa11, qa12 and qa13: people not named, and people together.
//!
//! The supporting facts are the last move of the person and, where it says `he`, `she` or `they`
//! (qa11, qa13), the fact before it, which has the names.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::scene::{Scene, StoryQuestion, tell};
use super::words::{MOVES, PEOPLE, ROOMS, moved, pick, pick_other};
use super::{BabiTask, Story};

const AFTERWARDS: [&str; 4] = ["After that", "Afterwards", "Following that", "Then"];

/// Where everybody is and the facts that say so.
type Known = Option<(&'static str, Vec<usize>)>;

/// Four people who go about alone or in pairs, and on from there.
struct Walks {
    /// Two of them at a time.
    pairs: bool,
    /// A second move follows, with a pronoun.
    onwards: bool,
    known: [Known; 4],
    facts: Vec<String>,
}

impl Scene for Walks {
    fn facts(&self) -> &[String] {
        &self.facts
    }

    fn into_facts(self) -> Vec<String> {
        self.facts
    }

    fn go_on<R: Rng + ?Sized>(&mut self, rng: &mut R) {
        let first = rng.random_range(0..PEOPLE.len());
        let mut who = vec![first];
        if self.pairs {
            who.push(pick_other(&[0, 1, 2, 3], &[first], rng));
        }
        let names: Vec<&str> = who.iter().map(|&w| PEOPLE[w]).collect();
        let left: Vec<_> =
            who.iter().filter_map(|&w| self.known[w].as_ref().map(|k| k.0)).collect();
        let mut to = pick_other(&ROOMS, &left, rng);
        let mut supporting = vec![self.facts.len()];
        self.facts.push(moved(&names.join(" and "), to, rng));
        if self.onwards {
            to = pick_other(&ROOMS, &[to], rng);
            supporting.push(self.facts.len());
            let pronoun = match names[..] {
                ["Mary" | "Sandra"] => "she",
                [_] => "he",
                _ => "they",
            };
            let (after, verb) = (pick(&AFTERWARDS, rng), pick(&MOVES, rng));
            self.facts.push(format!("{after} {pronoun} {verb} to the {to}."));
        }
        for w in who {
            self.known[w] = Some((to, supporting.clone()));
        }
    }
}

/// qa11: `Where is Mary?`, who went somewhere and from there, as `she`, somewhere else.
pub(super) fn one_person<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    where_is(BabiTask::Qa11, false, true, facts, rng)
}

/// qa12: `Where is Mary?`, who went with another.
pub(super) fn two_people<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    where_is(BabiTask::Qa12, true, false, facts, rng)
}

/// qa13: `Where is Mary?`, who went somewhere with another and from there, as `they`, somewhere
/// else.
pub(super) fn both_people<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    where_is(BabiTask::Qa13, true, true, facts, rng)
}

fn where_is<R: Rng + ?Sized>(
    task: BabiTask,
    pairs: bool,
    onwards: bool,
    facts: RangeInclusive<usize>,
    rng: &mut R,
) -> Story {
    tell(
        task,
        facts,
        rng,
        |_| Walks { pairs, onwards, known: [const { None }; 4], facts: Vec::new() },
        |walks, rng| {
            let known = PEOPLE.iter().zip(&walks.known);
            let known: Vec<_> = known.filter_map(|(who, k)| Some((who, k.as_ref()?))).collect();
            if known.is_empty() {
                return None;
            }
            let (who, (place, supporting)) = pick(&known, rng);
            Some(StoryQuestion {
                question: format!("Where is {who}?"),
                answer: (*place).to_owned(),
                supporting: supporting.clone(),
            })
        },
    )
}
