//! qa17: how two shapes lie to each other that both lie beside a third.
//!
//! Two facts put two shapes one step beside a third; both are supporting. The question is about a
//! direction in which the two are apart.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::scene::StoryQuestion;
use super::{BabiTask, Story};

const SHAPES: [&str; 6] =
    ["blue square", "pink rectangle", "red sphere", "red square", "triangle", "yellow square"];

/// Opposite ones differ in the last bit; x to the right, y upwards.
const RELATIONS: [(&str, (i32, i32)); 4] = [
    ("to the left of", (-1, 0)),
    ("to the right of", (1, 0)),
    ("above", (0, 1)),
    ("below", (0, -1)),
];

/// qa17: `Is the triangle above the red square?`, yes and no equally often.
pub(super) fn positions<R: Rng + ?Sized>(rng: &mut R) -> Story {
    let mut shapes = SHAPES;
    shapes.shuffle(rng);
    let [middle, a, b, ..] = shapes;
    let place_of_a = rng.random_range(0..RELATIONS.len());
    // Not in the same place as the first.
    let place_of_b = (place_of_a + rng.random_range(1..RELATIONS.len())) % RELATIONS.len();
    let facts = [(a, place_of_a), (b, place_of_b)].map(|(shape, place)| {
        if rng.random_bool(0.5) {
            format!("The {shape} is {} the {middle}.", RELATIONS[place].0)
        } else {
            format!("The {middle} is {} the {shape}.", RELATIONS[place ^ 1].0)
        }
    });

    let ((ax, ay), (bx, by)) = (RELATIONS[place_of_a].1, RELATIONS[place_of_b].1);
    // True of `a` seen from `b`: one or two of the four.
    let (dx, dy) = (ax - bx, ay - by);
    let apart: Vec<usize> = (0..RELATIONS.len())
        .filter(|&r| dx * RELATIONS[r].1.0 > 0 || dy * RELATIONS[r].1.1 > 0)
        .collect();
    let relation = apart[rng.random_range(0..apart.len())];
    let yes = rng.random_bool(0.5);
    let asked = if yes { relation } else { relation ^ 1 };
    StoryQuestion {
        question: format!("Is the {a} {} the {b}?", RELATIONS[asked].0),
        answer: if yes { "yes" } else { "no" }.to_owned(),
        supporting: vec![0, 1],
    }
    .about(BabiTask::Qa17, facts.to_vec())
}
