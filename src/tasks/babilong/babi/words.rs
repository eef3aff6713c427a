//! The people, places, things and verbs of the stories, as bAbI has them.

use rand::{Rng, RngExt};

/// Who is about in most tasks.
pub(super) const PEOPLE: [&str; 4] = ["Daniel", "John", "Mary", "Sandra"];
/// Who is about where things are handed on (qa5).
pub(super) const GIVERS: [&str; 4] = ["Bill", "Fred", "Jeff", "Mary"];
/// Who is about in town (qa10, qa14).
pub(super) const TOWNSPEOPLE: [&str; 4] = ["Bill", "Fred", "Julie", "Mary"];

/// The places of a house.
pub(super) const ROOMS: [&str; 6] =
    ["bathroom", "bedroom", "garden", "hallway", "kitchen", "office"];
/// The places of a town (qa10, qa14).
pub(super) const TOWN: [&str; 6] = ["bedroom", "cinema", "kitchen", "office", "park", "school"];

/// What can be carried.
pub(super) const OBJECTS: [&str; 3] = ["apple", "football", "milk"];

/// `{person} {verb} to the {place}.`
pub(super) const MOVES: [&str; 5] = ["journeyed", "moved", "travelled", "went", "went back"];
/// `{person} {verb} the {object}.`
pub(super) const TAKES: [&str; 4] = ["got", "grabbed", "picked up", "took"];
/// `{person} {verb} the {object}.`
pub(super) const DROPS: [&str; 4] = ["discarded", "dropped", "left", "put down"];
/// `{person} {verb} the {object} to {person}.`
pub(super) const GIVES: [&str; 3] = ["gave", "handed", "passed"];

/// One of bAbI's people of qa1 to qa10, by the name.
pub(super) fn person(name: &str) -> Option<&'static str> {
    PEOPLE.into_iter().chain(GIVERS).chain(TOWNSPEOPLE).find(|one| *one == name)
}

/// A place, by its name.
pub(super) fn place(name: &str) -> Option<&'static str> {
    ROOMS.into_iter().chain(TOWN).find(|one| *one == name)
}

/// A thing, by its name.
pub(super) fn object(name: &str) -> Option<&'static str> {
    OBJECTS.into_iter().find(|one| *one == name)
}

/// One of them, each as likely.
pub(super) fn pick<T: Copy, R: Rng + ?Sized>(of: &[T], rng: &mut R) -> T {
    of[rng.random_range(0..of.len())]
}

/// One of them that is not among `but`.
pub(super) fn pick_other<T: Copy + PartialEq, R: Rng + ?Sized>(
    of: &[T],
    but: &[T],
    rng: &mut R,
) -> T {
    let rest: Vec<T> = of.iter().copied().filter(|one| !but.contains(one)).collect();
    pick(&rest, rng)
}

/// `Mary went back to the kitchen.`, with any verb of moving.
pub(super) fn moved<R: Rng + ?Sized>(who: &str, to: &str, rng: &mut R) -> String {
    format!("{who} {} to the {to}.", pick(&MOVES, rng))
}

/// `Mary grabbed the milk there.`, with any verb of taking.
pub(super) fn took<R: Rng + ?Sized>(who: &str, what: &str, rng: &mut R) -> String {
    format!("{who} {} the {what}{}.", pick(&TAKES, rng), there(0.6, rng))
}

/// `Mary put down the milk.`, with any verb of letting go.
pub(super) fn dropped<R: Rng + ?Sized>(who: &str, what: &str, rng: &mut R) -> String {
    format!("{who} {} the {what}{}.", pick(&DROPS, rng), there(0.2, rng))
}

/// `Mary handed the milk to John.`, with any verb of giving.
pub(super) fn gave<R: Rng + ?Sized>(who: &str, what: &str, to: &str, rng: &mut R) -> String {
    format!("{who} {} the {what} to {to}.", pick(&GIVES, rng))
}

/// bAbI's optional last word.
fn there<R: Rng + ?Sized>(chance: f64, rng: &mut R) -> &'static str {
    if rng.random_bool(chance) { " there" } else { "" }
}
