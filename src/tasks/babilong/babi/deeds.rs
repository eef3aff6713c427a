//! What people do, fact by fact, and what follows from it: by which facts one knows where people
//! and things are and were, and who has what.
//!
//! The facts that something follows from are
//!
//! - of a person's place ([`last_move`]): the last move;
//! - of the place of a thing that somebody carries ([`place_of`]): the last taking of it and the
//!   carrier's last move, which may be the earlier of the two;
//! - of the place of a thing that was put down ([`place_of`]): the last putting down and the last
//!   move of that person before it;
//! - of the place where a thing was before it came somewhere ([`arrivals`]): the move with which
//!   it came there, the carrier's move before that (with the thing or still without), and the
//!   taking of the thing that made the carrier its carrier;
//! - of what somebody has ([`load`]): for each thing that the person ever had, the last fact that
//!   gave it to the person or took it away from the person.
//!
//! Nothing else counts as knowledge of a place: that who takes a thing, or is handed one, must be
//! where it was before is not concluded.

use super::words::OBJECTS;

/// What happened in one fact. People, objects and places are names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Move { who: &'static str, to: &'static str },
    Take { who: &'static str, what: &'static str },
    Drop { who: &'static str, what: &'static str },
    Give(Gift),
}

/// Something handed from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gift {
    pub who: &'static str,
    pub what: &'static str,
    pub to: &'static str,
}

/// Somebody's move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// The index of the fact.
    pub fact: usize,
    pub place: &'static str,
}

/// The last move of a person.
pub(super) fn last_move(deeds: &[Deed], person: &str) -> Option<Told> {
    deeds.iter().enumerate().rev().find_map(|(fact, &deed)| match deed {
        Deed::Move { who, to } if who == person => Some(Told { fact, place: to }),
        _ => None,
    })
}

/// Where a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub place: &'static str,
    /// Whether somebody has it.
    pub carried: bool,
    pub supporting: [usize; 2],
}

/// Where an object is, if it was taken or put down last (not given) by somebody who was seen to
/// move.
pub(super) fn place_of(deeds: &[Deed], object: &str) -> Option<Placed> {
    let (fact, deed) = deeds.iter().enumerate().rev().find(|(_, deed)| match deed {
        Deed::Move { .. } => false,
        Deed::Take { what, .. } | Deed::Drop { what, .. } | Deed::Give(Gift { what, .. }) => {
            *what == object
        }
    })?;
    let (told, carried) = match deed {
        Deed::Take { who, .. } => (last_move(deeds, who)?, true),
        Deed::Drop { who, .. } => (last_move(&deeds[..fact], who)?, false),
        Deed::Move { .. } | Deed::Give(_) => return None,
    };
    Some(Placed { place: told.place, carried, supporting: [fact, told.fact] })
}

/// A move of somebody who carries an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub fact: usize,
    pub to: &'static str,
    /// The carrier's move before, if there is one.
    pub from: Option<Told>,
    /// The index of the carrier's taking of the object.
    pub taken: usize,
}

/// How an object came from place to place.
pub(super) fn arrivals(deeds: &[Deed], object: &str) -> Vec<Arrival> {
    let mut holder = None;
    let mut arrivals = Vec::new();
    for (fact, &deed) in deeds.iter().enumerate() {
        match (deed, holder) {
            (Deed::Take { who, what }, _) if what == object => holder = Some((who, fact)),
            (Deed::Give(gift), _) if gift.what == object => holder = Some((gift.to, fact)),
            (Deed::Drop { what, .. }, _) if what == object => holder = None,
            (Deed::Move { who, to }, Some((carrier, taken))) if who == carrier => {
                let from = last_move(&deeds[..fact], who);
                arrivals.push(Arrival { fact, to, from, taken });
            }
            _ => {}
        }
    }
    arrivals
}

/// What somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Load {
    /// In the order in which they were had.
    pub objects: Vec<&'static str>,
    /// One for each thing that the person ever had, in the order of [`OBJECTS`].
    pub supporting: Vec<usize>,
}

/// What a person has; nobody has anything at first.
pub(super) fn load(deeds: &[Deed], person: &str) -> Load {
    let mut objects = Vec::new();
    let mut last_change = [None; OBJECTS.len()];
    for (fact, &deed) in deeds.iter().enumerate() {
        let (what, gained) = match deed {
            Deed::Take { who, what } if who == person => (what, true),
            Deed::Give(gift) if gift.to == person => (gift.what, true),
            Deed::Drop { who, what } if who == person => (what, false),
            Deed::Give(gift) if gift.who == person => (gift.what, false),
            _ => continue,
        };
        objects.retain(|&held| held != what);
        if gained {
            objects.push(what);
        }
        for (object, last) in OBJECTS.iter().zip(&mut last_change) {
            if *object == what {
                *last = Some(fact);
            }
        }
    }
    Load { objects, supporting: last_change.into_iter().flatten().collect() }
}

/// The last gift that fits, and the index of its fact.
pub(super) fn last_gift(deeds: &[Deed], fits: impl Fn(&Gift) -> bool) -> Option<(usize, Gift)> {
    deeds.iter().enumerate().rev().find_map(|(fact, deed)| match deed {
        Deed::Give(gift) if fits(gift) => Some((fact, *gift)),
        _ => None,
    })
}
