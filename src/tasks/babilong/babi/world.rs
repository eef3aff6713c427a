//! People who walk about, take things, leave them and hand them on.
//!
//! Everybody is somewhere from the beginning, but the story does not say where: a place is told
//! by the first move. An object turns up where somebody first takes it and from then on is where
//! its holder is or where it was left. Whoever takes what was left, or is handed a thing, is in
//! the same place. So the told facts never contradict each other.

use rand::{Rng, RngExt};

use super::deeds::{Deed, Gift};
use super::scene::Scene;
use super::words::{self, OBJECTS, ROOMS, pick, pick_other};

/// How often people do what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// The share of moves, while anything else can be done.
    pub moves: f64,
    /// How likely the rest is, relative to each other, where it can be done.
    pub takes: f64,
    pub drops: f64,
    pub gives: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    Unseen,
    With(usize),
    At(&'static str),
}

/// Four people, six places, three objects, and what happened so far.
pub(super) struct World {
    cast: [&'static str; 4],
    habits: Habits,
    at: [&'static str; 4],
    objects: [Whereabouts; 3],
    deeds: Vec<Deed>,
    facts: Vec<String>,
}

impl World {
    pub(super) fn new<R: Rng + ?Sized>(
        cast: [&'static str; 4],
        habits: Habits,
        rng: &mut R,
    ) -> Self {
        Self {
            cast,
            habits,
            at: std::array::from_fn(|_| pick(&ROOMS, rng)),
            objects: [Whereabouts::Unseen; 3],
            deeds: Vec::new(),
            facts: Vec::new(),
        }
    }

    pub(super) fn cast(&self) -> &[&'static str] {
        &self.cast
    }

    /// What happened, one deed for each fact.
    pub(super) fn deeds(&self) -> &[Deed] {
        &self.deeds
    }

    fn possible_takes(&self) -> Vec<(usize, usize)> {
        self.pairs(|who, what| match self.objects[what] {
            Whereabouts::Unseen => true,
            Whereabouts::With(_) => false,
            Whereabouts::At(place) => place == self.at[who],
        })
    }

    fn possible_drops(&self) -> Vec<(usize, usize)> {
        self.pairs(|who, what| self.objects[what] == Whereabouts::With(who))
    }

    /// Things that somebody holds who is not alone.
    fn possible_gives(&self) -> Vec<(usize, usize)> {
        self.pairs(|who, what| {
            self.objects[what] == Whereabouts::With(who) && !self.company(who).is_empty()
        })
    }

    fn pairs(&self, keep: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
        let all = (0..self.cast.len()).flat_map(|who| (0..OBJECTS.len()).map(move |o| (who, o)));
        all.filter(|&(who, what)| keep(who, what)).collect()
    }

    fn company(&self, who: usize) -> Vec<usize> {
        (0..self.cast.len()).filter(|&w| w != who && self.at[w] == self.at[who]).collect()
    }

    fn walk<R: Rng + ?Sized>(&mut self, rng: &mut R) {
        let who = rng.random_range(0..self.cast.len());
        let to = pick_other(&ROOMS, &[self.at[who]], rng);
        self.at[who] = to;
        self.facts.push(words::moved(self.cast[who], to, rng));
        self.deeds.push(Deed::Move { who: self.cast[who], to });
    }

    fn take<R: Rng + ?Sized>(&mut self, (who, what): (usize, usize), rng: &mut R) {
        self.objects[what] = Whereabouts::With(who);
        self.facts.push(words::took(self.cast[who], OBJECTS[what], rng));
        self.deeds.push(Deed::Take { who: self.cast[who], what: OBJECTS[what] });
    }

    fn drop<R: Rng + ?Sized>(&mut self, (who, what): (usize, usize), rng: &mut R) {
        self.objects[what] = Whereabouts::At(self.at[who]);
        self.facts.push(words::dropped(self.cast[who], OBJECTS[what], rng));
        self.deeds.push(Deed::Drop { who: self.cast[who], what: OBJECTS[what] });
    }

    fn give<R: Rng + ?Sized>(&mut self, (who, what): (usize, usize), rng: &mut R) {
        let to = pick(&self.company(who), rng);
        self.objects[what] = Whereabouts::With(to);
        let (who, what, to) = (self.cast[who], OBJECTS[what], self.cast[to]);
        self.facts.push(words::gave(who, what, to, rng));
        self.deeds.push(Deed::Give(Gift { who, what, to }));
    }
}

impl Scene for World {
    fn facts(&self) -> &[String] {
        &self.facts
    }

    fn into_facts(self) -> Vec<String> {
        self.facts
    }

    fn go_on<R: Rng + ?Sized>(&mut self, rng: &mut R) {
        let (takes, drops, gives) =
            (self.possible_takes(), self.possible_drops(), self.possible_gives());
        let weight = |pairs: &[_], weight| if pairs.is_empty() { 0.0 } else { weight };
        let takes_weight = weight(&takes, self.habits.takes);
        let drops_weight = weight(&drops, self.habits.drops);
        let all = takes_weight + drops_weight + weight(&gives, self.habits.gives);
        if all == 0.0 || rng.random_bool(self.habits.moves) {
            return self.walk(rng);
        }
        let at = rng.random_range(0.0..all);
        if at < takes_weight {
            self.take(pick(&takes, rng), rng);
        } else if at < takes_weight + drops_weight {
            self.drop(pick(&drops, rng), rng);
        } else {
            self.give(pick(&gives, rng), rng);
        }
    }
}
