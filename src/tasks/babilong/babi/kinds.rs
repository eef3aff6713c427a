//! qa15 and qa16: what is true of a kind, and of another of the kind.
//!
//! The supporting facts are
//!
//! - qa15: of which kind the animal is, and what that kind is afraid of;
//! - qa16: of which kind the animal is, that one other is of that kind, and the other's colour.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::scene::StoryQuestion;
use super::words::{pick, pick_other};
use super::{BabiTask, Story};

/// One, and many.
const FEARFUL: [(&str, &str); 4] =
    [("cat", "cats"), ("mouse", "mice"), ("sheep", "sheep"), ("wolf", "wolves")];
const FEARFUL_NAMES: [&str; 4] = ["Emily", "Gertrude", "Jessica", "Winona"];

const COLOURED: [&str; 4] = ["frog", "lion", "rhino", "swan"];
const COLOURED_NAMES: [&str; 5] = ["Bernhard", "Brian", "Greg", "Julius", "Lily"];
const COLOURS: [&str; 4] = ["gray", "green", "white", "yellow"];

/// qa15: `What is emily afraid of?`, the name in lower case as bAbI has it. Eight facts: each
/// kind's fear and each animal's kind.
pub(super) fn afraid_of<R: Rng + ?Sized>(rng: &mut R) -> Story {
    let fears: [usize; 4] = std::array::from_fn(|kind| pick_other(&[0, 1, 2, 3], &[kind], rng));
    let kinds: [usize; 4] = std::array::from_fn(|_| rng.random_range(0..FEARFUL.len()));
    let asked = rng.random_range(0..FEARFUL_NAMES.len());
    let kind = kinds[asked];

    let mut facts = Vec::new();
    for (of, &what) in fears.iter().enumerate() {
        let (who, what) = (FEARFUL[of].1, FEARFUL[what].1);
        let fact = format!("{}{} are afraid of {what}.", who[..1].to_uppercase(), &who[1..]);
        facts.push((of == kind, fact));
    }
    for (i, (name, &of)) in FEARFUL_NAMES.iter().zip(&kinds).enumerate() {
        facts.push((i == asked, format!("{name} is a {}.", FEARFUL[of].0)));
    }
    let question = format!("What is {} afraid of?", FEARFUL_NAMES[asked].to_lowercase());
    shuffled(BabiTask::Qa15, facts, question, FEARFUL[fears[kind]].0, rng)
}

/// qa16: `What color is Lily?` Nine facts: the kinds of five animals and the colours of four of
/// them. Exactly one of the four is of the kind of the fifth.
pub(super) fn colour_of<R: Rng + ?Sized>(rng: &mut R) -> Story {
    let mut names = COLOURED_NAMES;
    names.shuffle(rng);
    let kind = pick(&COLOURED, rng);
    let mut facts = Vec::new();
    let mut answer = "";
    for (i, name) in names.into_iter().enumerate() {
        // The first is asked about, the second is like it.
        let same = i < 2;
        let its_kind = if same { kind } else { pick_other(&COLOURED, &[kind], rng) };
        facts.push((same, format!("{name} is a {its_kind}.")));
        if i > 0 {
            let colour = pick(&COLOURS, rng);
            facts.push((same, format!("{name} is {colour}.")));
            if same {
                answer = colour;
            }
        }
    }
    let question = format!("What color is {}?", names[0]);
    shuffled(BabiTask::Qa16, facts, question, answer, rng)
}

/// The facts in any order; marked are the supporting ones.
fn shuffled<R: Rng + ?Sized>(
    task: BabiTask,
    mut facts: Vec<(bool, String)>,
    question: String,
    answer: &str,
    rng: &mut R,
) -> Story {
    facts.shuffle(rng);
    let supporting = (0..facts.len()).filter(|&i| facts[i].0).collect();
    let asked = StoryQuestion { question, answer: answer.to_owned(), supporting };
    asked.about(task, facts.into_iter().map(|(_, fact)| fact).collect())
}
