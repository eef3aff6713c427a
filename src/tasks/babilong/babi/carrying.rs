//! qa2 and qa3: where things are, and were, that people carry about.
//!
//! The supporting facts are, as [`deeds`](super::deeds) has them,
//!
//! - qa2: the last taking or putting down of the thing and the move that tells where that person
//!   is, or was then;
//! - qa3: the last move with which the thing came to the place of the question, the carrier's move
//!   before that, and the taking that made the carrier its carrier.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::deeds::{arrivals, place_of};
use super::scene::{StoryQuestion, tell};
use super::words::{OBJECTS, PEOPLE, pick};
use super::world::{Habits, World};
use super::{BabiTask, Story};

const HABITS: Habits = Habits { moves: 0.6, takes: 1.0, drops: 0.7, gives: 0.0 };

/// How often qa3 asks for the place before the present one, not before an earlier one.
const BEFORE_THE_PRESENT: f64 = 0.8;

/// qa2: `Where is the milk?`, of things carried and of things put down equally often.
pub(super) fn where_is_object<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    let carried = rng.random_bool(0.5);
    tell(
        BabiTask::Qa2,
        facts,
        rng,
        |rng| World::new(PEOPLE, HABITS, rng),
        |world, rng| {
            let known = OBJECTS.iter().filter_map(|&what| {
                let placed = place_of(world.deeds(), what)?;
                (placed.carried == carried).then_some((what, placed))
            });
            let known: Vec<_> = known.collect();
            if known.is_empty() {
                return None;
            }
            let (what, placed) = pick(&known, rng);
            Some(StoryQuestion {
                question: format!("Where is the {what}?"),
                answer: placed.place.to_owned(),
                supporting: placed.supporting.to_vec(),
            })
        },
    )
}

/// qa3: `Where was the milk before the kitchen?`, which is before the last time that it came
/// there.
pub(super) fn where_was_object<R: Rng + ?Sized>(
    facts: RangeInclusive<usize>,
    rng: &mut R,
) -> Story {
    tell(
        BabiTask::Qa3,
        facts,
        rng,
        |rng| World::new(PEOPLE, HABITS, rng),
        |world, rng| {
            let present = rng.random_bool(BEFORE_THE_PRESENT);
            let known = OBJECTS.iter().flat_map(|&what| {
                let arrivals = arrivals(world.deeds(), what);
                let last = |i: usize| arrivals[i + 1..].iter().all(|a| a.to != arrivals[i].to);
                let asked: Vec<_> = (0..arrivals.len())
                    .filter(|&i| last(i) && (i + 1 == arrivals.len()) == present)
                    .filter_map(|i| arrivals[i].from.map(|from| (what, from, arrivals[i])))
                    .collect();
                asked
            });
            let known: Vec<_> = known.collect();
            if known.is_empty() {
                return None;
            }
            let (what, from, arrival) = pick(&known, rng);
            Some(StoryQuestion {
                question: format!("Where was the {what} before the {}?", arrival.to),
                answer: from.place.to_owned(),
                supporting: vec![from.fact, arrival.taken, arrival.fact],
            })
        },
    )
}
