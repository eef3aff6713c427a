//! qa1 and qa6: where people are who walk about.
//!
//! The answer follows from the last move of the person, which is the one supporting fact.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::deeds::{Told, last_move};
use super::scene::{StoryQuestion, tell};
use super::words::{PEOPLE, ROOMS, pick, pick_other};
use super::world::{Habits, World};
use super::{BabiTask, Story};

/// qa1: `Where is Mary?`
pub(super) fn where_is_person<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    let habits = Habits { moves: 1.0, takes: 0.0, drops: 0.0, gives: 0.0 };
    tell(
        BabiTask::Qa1,
        facts,
        rng,
        |rng| World::new(PEOPLE, habits, rng),
        |world, rng| {
            let (who, told) = someone_told(world, rng)?;
            Some(StoryQuestion {
                question: format!("Where is {who}?"),
                answer: told.place.to_owned(),
                supporting: vec![told.fact],
            })
        },
    )
}

/// qa6: `Is Mary in the kitchen?`, yes and no equally often. Where it is not so, every second
/// question is about a place where the person was before, if there is one.
pub(super) fn is_person_there<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    let habits = Habits { moves: 0.7, takes: 1.0, drops: 0.5, gives: 0.0 };
    let (yes, about_the_past) = (rng.random_bool(0.5), rng.random_bool(0.5));
    tell(
        BabiTask::Qa6,
        facts,
        rng,
        |rng| World::new(PEOPLE, habits, rng),
        |world, rng| {
            let (who, told) = someone_told(world, rng)?;
            let before = last_move(&world.deeds()[..told.fact], who).filter(|_| about_the_past);
            let place = match (yes, before) {
                (true, _) => told.place,
                (false, Some(before)) => before.place,
                (false, None) => pick_other(&ROOMS, &[told.place], rng),
            };
            Some(StoryQuestion {
                question: format!("Is {who} in the {place}?"),
                answer: if yes { "yes" } else { "no" }.to_owned(),
                supporting: vec![told.fact],
            })
        },
    )
}

/// Anybody who was seen to move, and the last move.
fn someone_told<R: Rng + ?Sized>(world: &World, rng: &mut R) -> Option<(&'static str, Told)> {
    let moved = world.cast().iter().filter_map(|&who| Some((who, last_move(world.deeds(), who)?)));
    let moved: Vec<_> = moved.collect();
    (!moved.is_empty()).then(|| pick(&moved, rng))
}
