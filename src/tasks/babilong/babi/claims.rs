//! qa9 and qa10: what was said of where people are, with denials and alternatives.
//!
//! The one supporting fact is the last statement about the person. A question is asked only where
//! that statement decides it: after `Mary is no longer in the office.` only about the office.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::scene::{Scene, StoryQuestion, tell};
use super::words::{self, PEOPLE, ROOMS, TOWN, TOWNSPEOPLE, pick, pick_other};
use super::{BabiTask, Story};

/// The last statement about somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    In(&'static str),
    NotIn(&'static str),
    Either([&'static str; 2]),
}

/// Four people of whom it is said where they are.
struct Claims {
    task: BabiTask,
    cast: [&'static str; 4],
    places: [&'static str; 6],
    /// Of each person, in order.
    said: [Vec<(usize, Claim)>; 4],
    facts: Vec<String>,
}

impl Claims {
    fn new(task: BabiTask) -> Self {
        let (cast, places) =
            if task == BabiTask::Qa10 { (TOWNSPEOPLE, TOWN) } else { (PEOPLE, ROOMS) };
        Self { task, cast, places, said: [const { Vec::new() }; 4], facts: Vec::new() }
    }

    /// Somebody whose last statement `choose` has a place for, that place and the index of the
    /// statement. `choose` is given all statements about the person, the last one last.
    fn someone<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
        choose: impl Fn(&[(usize, Claim)], Claim, &mut R) -> Option<&'static str>,
    ) -> Option<(&'static str, &'static str, usize)> {
        let mut fitting = Vec::new();
        for (&who, said) in self.cast.iter().zip(&self.said) {
            let Some(&(fact, claim)) = said.last() else { continue };
            if let Some(place) = choose(said, claim, rng) {
                fitting.push((who, place, fact));
            }
        }
        (!fitting.is_empty()).then(|| pick(&fitting, rng))
    }

    fn asked(who: &str, place: &str, answer: &str, fact: usize) -> StoryQuestion {
        StoryQuestion {
            question: format!("Is {who} in the {place}?"),
            answer: answer.to_owned(),
            supporting: vec![fact],
        }
    }
}

impl Scene for Claims {
    fn facts(&self) -> &[String] {
        &self.facts
    }

    fn into_facts(self) -> Vec<String> {
        self.facts
    }

    fn go_on<R: Rng + ?Sized>(&mut self, rng: &mut R) {
        let person = rng.random_range(0..self.cast.len());
        let who = self.cast[person];
        let last = self.said[person].last().map(|&(_, claim)| claim);
        let elsewhere = match last {
            Some(Claim::In(place) | Claim::NotIn(place)) => pick_other(&self.places, &[place], rng),
            _ => pick(&self.places, rng),
        };
        let (claim, fact) = match rng.random_range(0..3) {
            0 => (Claim::In(elsewhere), words::moved(who, elsewhere, rng)),
            1 => (Claim::In(elsewhere), format!("{who} is in the {elsewhere}.")),
            _ if self.task == BabiTask::Qa10 => {
                let places = [elsewhere, pick_other(&self.places, &[elsewhere], rng)];
                let fact = format!("{who} is either in the {} or the {}.", places[0], places[1]);
                (Claim::Either(places), fact)
            }
            _ => {
                // Usually denied is what was said before.
                let place = match last {
                    Some(Claim::In(place)) if rng.random_bool(0.8) => place,
                    _ => elsewhere,
                };
                let not = pick(&["no longer", "not"], rng);
                (Claim::NotIn(place), format!("{who} is {not} in the {place}."))
            }
        };
        self.said[person].push((self.facts.len(), claim));
        self.facts.push(fact);
    }
}

/// qa9: `Is Mary in the kitchen?`, yes and no equally often. Half of the noes follow from a
/// denial, where there is one, the others from another place.
pub(super) fn with_denials<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    let (yes, denied) = (rng.random_bool(0.5), rng.random_bool(0.5));
    tell(
        BabiTask::Qa9,
        facts,
        rng,
        |_| Claims::new(BabiTask::Qa9),
        |claims, rng| {
            let (who, place, fact) = claims.someone(rng, |said, claim, rng| match claim {
                Claim::In(place) if yes => Some(place),
                Claim::In(place) if !denied => Some(another_place(said, place, &ROOMS, rng)),
                Claim::NotIn(place) if !yes && denied => Some(place),
                _ => None,
            })?;
            Some(Claims::asked(who, place, if yes { "yes" } else { "no" }, fact))
        },
    )
}

/// qa10: `Is Julie in the park?`, each answer a third of the time.
pub(super) fn with_alternatives<R: Rng + ?Sized>(
    facts: RangeInclusive<usize>,
    rng: &mut R,
) -> Story {
    let answer = pick(&["yes", "no", "maybe"], rng);
    tell(
        BabiTask::Qa10,
        facts,
        rng,
        |_| Claims::new(BabiTask::Qa10),
        |claims, rng| {
            let (who, place, fact) =
                claims.someone(rng, |said, claim, rng| match (answer, claim) {
                    ("yes", Claim::In(place)) => Some(place),
                    ("no", Claim::In(place)) => Some(another_place(said, place, &TOWN, rng)),
                    ("no", Claim::Either(places)) => Some(pick_other(&TOWN, &places, rng)),
                    ("maybe", Claim::Either(places)) => Some(pick(&places, rng)),
                    _ => None,
                })?;
            Some(Claims::asked(who, place, answer, fact))
        },
    )
}

/// A place where somebody is not who is in `place`: every second time one that was said of the
/// person before, if there is one.
fn another_place<R: Rng + ?Sized>(
    said: &[(usize, Claim)],
    place: &'static str,
    places: &[&'static str],
    rng: &mut R,
) -> &'static str {
    let before = said.iter().rev().find_map(|&(_, claim)| match claim {
        Claim::In(before) if before != place => Some(before),
        _ => None,
    });
    match before {
        Some(before) if rng.random_bool(0.5) => before,
        _ => pick_other(places, &[place], rng),
    }
}
