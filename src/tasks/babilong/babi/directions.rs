//! qa4 and qa19: how places lie to each other.
//!
//! Places lie on a grid, each fact joins two neighbours, and the facts make a tree: from each
//! place to each other there is one way. The supporting facts are
//!
//! - qa4: the fact that joins the place of the question to the answer, whichever of them it
//!   starts with;
//! - qa19: the two facts along the way.

use std::ops::RangeInclusive;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::scene::{StoryQuestion, number};
use super::words::{ROOMS, pick};
use super::{BabiTask, Story};

/// Opposite ones differ in the last bit.
pub(super) const DIRECTIONS: [&str; 4] = ["north", "south", "east", "west"];
/// x, y.
const STEPS: [(i32, i32); 4] = [(0, 1), (0, -1), (1, 0), (-1, 0)];

/// What a fact says: one step in a direction, from one place, leads to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub from: &'static str,
    pub to: &'static str,
    /// An index into [`DIRECTIONS`].
    pub direction: usize,
}

impl Link {
    /// The same, said from the other end.
    pub(super) fn back(self) -> Self {
        Self { from: self.to, to: self.from, direction: self.direction ^ 1 }
    }

    /// `The garden is north of the office.`
    fn fact(self) -> String {
        format!("The {} is {} of the {}.", self.to, DIRECTIONS[self.direction], self.from)
    }
}

/// qa4: `What is north of the office?` and `What is the office south of?`. Of two facts, the
/// usual number, both are about one line of three places; there are five at most.
pub(super) fn beside<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    let facts = number(&facts, rng).clamp(2, ROOMS.len() - 1);
    let links = if facts == 2 { line(rng) } else { tree(facts, rng) };
    let fact = rng.random_range(0..links.len());
    let link = either_way(links[fact], rng);
    let asked = StoryQuestion {
        question: if rng.random_bool(0.5) {
            format!("What is {} of the {}?", DIRECTIONS[link.direction], link.from)
        } else {
            format!("What is the {} {} of?", link.from, DIRECTIONS[link.direction ^ 1])
        },
        answer: link.to.to_owned(),
        supporting: vec![fact],
    };
    asked.about(BabiTask::Qa4, links.into_iter().map(Link::fact).collect())
}

/// qa19: `How do you go from the office to the garden?`, two steps away. Six places, five facts.
pub(super) fn way<R: Rng + ?Sized>(rng: &mut R) -> Story {
    let links = tree(ROOMS.len() - 1, rng);
    // In a tree of three or more places some place has two neighbours.
    let mut ways = Vec::new();
    for (first, &a) in links.iter().enumerate() {
        for (second, &b) in links.iter().enumerate().filter(|&(second, _)| second != first) {
            for (a, b) in [(a, b), (a, b.back()), (a.back(), b), (a.back(), b.back())] {
                if a.to == b.from {
                    ways.push(([first, second], a, b));
                }
            }
        }
    }
    let (supporting, a, b) = pick(&ways, rng);
    let asked = StoryQuestion {
        question: format!("How do you go from the {} to the {}?", a.from, b.to),
        answer: format!("{},{}", letter(a.direction), letter(b.direction)),
        supporting: supporting.to_vec(),
    };
    asked.about(BabiTask::Qa19, links.into_iter().map(Link::fact).collect())
}

fn letter(direction: usize) -> &'static str {
    &DIRECTIONS[direction][..1]
}

/// Three places in a row: a place and its neighbours on opposite sides.
fn line<R: Rng + ?Sized>(rng: &mut R) -> Vec<Link> {
    let mut places = ROOMS;
    places.shuffle(rng);
    let [from, to, other, ..] = places;
    let direction = rng.random_range(0..DIRECTIONS.len());
    let ahead = Link { from, to, direction };
    let behind = Link { from, to: other, direction: direction ^ 1 };
    told(vec![ahead, behind], rng)
}

/// As many facts as asked for, five at most, about one place more, in any order.
fn tree<R: Rng + ?Sized>(facts: usize, rng: &mut R) -> Vec<Link> {
    let mut places = ROOMS;
    places.shuffle(rng);
    let mut cells = vec![(0, 0)];
    let mut links = Vec::new();
    while links.len() < facts {
        let (near, direction) = (rng.random_range(0..cells.len()), rng.random_range(0..4));
        let ((x, y), (dx, dy)) = (cells[near], STEPS[direction]);
        let cell = (x + dx, y + dy);
        if !cells.contains(&cell) {
            links.push(Link { from: places[near], to: places[cells.len()], direction });
            cells.push(cell);
        }
    }
    told(links, rng)
}

/// The same in any order, each said from either end.
fn told<R: Rng + ?Sized>(mut links: Vec<Link>, rng: &mut R) -> Vec<Link> {
    links.shuffle(rng);
    links.into_iter().map(|link| either_way(link, rng)).collect()
}

fn either_way<R: Rng + ?Sized>(link: Link, rng: &mut R) -> Link {
    if rng.random_bool(0.5) { link } else { link.back() }
}
