//! qa2 and qa3: where things are, and were, that people carry about.
//!
//! The supporting facts are
//!
//! - qa2, of a thing that somebody carries: the last taking of it and the carrier's last move,
//!   which may be the earlier of the two;
//! - qa2, of a thing that was put down: the last putting down and the last move of that person
//!   before it;
//! - qa3: the last move with which the thing came to the place, the carrier's move before that
//!   (with the thing or still without), and the taking of the thing that made the carrier its
//!   carrier.
//!
//! Only these facts are taken for knowledge of a place: that who takes a thing must be where
//! another left it is not asked for.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::scene::{Asked, tell};
use super::words::{OBJECTS, PEOPLE, pick};
use super::world::{Deed, Habits, World};
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
                let (fact, deed) = world.last_deed_with(what)?;
                let told = match deed {
                    Deed::Take { who, .. } if carried => {
                        world.last_move(who, world.deeds().len())?
                    }
                    Deed::Drop { who, .. } if !carried => world.last_move(who, fact)?,
                    _ => return None,
                };
                Some((what, told.place, [fact, told.fact]))
            });
            let known: Vec<_> = known.collect();
            if known.is_empty() {
                return None;
            }
            let (what, place, supporting) = pick(&known, rng);
            Some(Asked {
                question: format!("Where is the {what}?"),
                answer: place.to_owned(),
                supporting: supporting.to_vec(),
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
                let arrivals = arrivals(world, what);
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
            let (what, (from, left), arrival) = pick(&known, rng);
            Some(Asked {
                question: format!("Where was the {what} before the {}?", arrival.to),
                answer: from.to_owned(),
                supporting: vec![left, arrival.taken, arrival.fact],
            })
        },
    )
}

/// A carrier's move with an object.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    fact: usize,
    to: &'static str,
    /// The carrier's place before and the move that told it.
    from: Option<(&'static str, usize)>,
    /// The carrier's taking of the object.
    taken: usize,
}

fn arrivals(world: &World, object: &str) -> Vec<Arrival> {
    let mut holder = None;
    let mut arrivals = Vec::new();
    for (fact, &deed) in world.deeds().iter().enumerate() {
        match (deed, holder) {
            (Deed::Take { who, what }, _) if what == object => holder = Some((who, fact)),
            (Deed::Drop { what, .. }, _) if what == object => holder = None,
            (Deed::Move { who, to }, Some((carrier, taken))) if who == carrier => {
                let from = world.last_move(who, fact).map(|told| (told.place, told.fact));
                arrivals.push(Arrival { fact, to, from, taken });
            }
            _ => {}
        }
    }
    arrivals
}
