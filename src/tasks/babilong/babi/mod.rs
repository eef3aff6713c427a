//! A world for bAbI's tasks: seeded stories without end, with the facts that each answer needs.
//!
//! bAbI (Weston et al. 2015, arXiv 1502.05698) asks twenty kinds of questions about short stories,
//! and BABILong hides such stories in prose. This simulator tells new ones in the same forms of
//! sentences, and knows which facts the answer follows from: what heads that reason have to read.
//!
//! | file | tasks |
//! |---|---|
//! | `walking` | qa1, qa6: where people are |
//! | `carrying` | qa2, qa3: where things are and were |
//! | `directions` | qa4, qa19: how places lie |
//! | `handing` | qa5, qa7, qa8: who gave, and who has what |
//! | `claims` | qa9, qa10: what was said of people, with denials and alternatives |
//! | `pronouns` | qa11, qa12, qa13: people together, people not named |
//! | `times` | qa14: times of the day |
//! | `kinds` | qa15, qa16: what is true of a kind, and of another of the kind |
//! | `shapes` | qa17: positions |
//! | `sizes` | qa18: what fits into what |
//! | `motives` | qa20: why people do what they do |
//!
//! `world` lets people walk and hand things about, `deeds` says what follows from which of their
//! deeds, `scene` makes a story of it. Each file says which facts are the supporting ones of its
//! tasks. [`facts`] finds the facts, and the supporting ones among them, in a published context,
//! from its text alone.

mod carrying;
mod claims;
mod deeds;
mod directions;
pub mod facts;
mod handing;
mod kinds;
mod motives;
mod pronouns;
mod scene;
mod shapes;
mod sizes;
mod task;
mod times;
mod walking;
mod words;
mod world;

use std::ops::RangeInclusive;

use rand::Rng;

pub use task::BabiTask;

/// Facts, a question about them and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The bAbI task that it is a story of.
    pub task: BabiTask,
    /// One sentence each with its full stop, in the order in which they happened.
    pub facts: Vec<String>,
    /// With its question mark: `Where is Mary?`
    pub question: String,
    /// `kitchen`; parts of a list are joined by commas: `apple,milk`.
    pub answer: String,
    /// Indices of the facts that the answer follows from; ascending, at least one.
    pub supporting: Vec<usize>,
}

/// Tells one story; the same generator in the same state tells the same one.
///
/// The number of facts is drawn from `facts`. A story has more where the question needs them (a
/// range far below [`BabiTask::default_facts`]) and never ends inside a pair of facts of qa11 and
/// qa13. It has fewer where the world has no more to tell: five in qa4, 16 in qa14, ten in qa18.
/// qa15, qa16, qa17 and qa19 have a fixed number of facts, their default.
pub fn story<R: Rng + ?Sized>(task: BabiTask, facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    match task {
        BabiTask::Qa1 => walking::where_is_person(facts, rng),
        BabiTask::Qa2 => carrying::where_is_object(facts, rng),
        BabiTask::Qa3 => carrying::where_was_object(facts, rng),
        BabiTask::Qa4 => directions::beside(facts, rng),
        BabiTask::Qa5 => handing::who_gave_what(facts, rng),
        BabiTask::Qa6 => walking::is_person_there(facts, rng),
        BabiTask::Qa7 => handing::how_many_objects(facts, rng),
        BabiTask::Qa8 => handing::which_objects(facts, rng),
        BabiTask::Qa9 => claims::with_denials(facts, rng),
        BabiTask::Qa10 => claims::with_alternatives(facts, rng),
        BabiTask::Qa11 => pronouns::one_person(facts, rng),
        BabiTask::Qa12 => pronouns::two_people(facts, rng),
        BabiTask::Qa13 => pronouns::both_people(facts, rng),
        BabiTask::Qa14 => times::where_before(facts, rng),
        BabiTask::Qa15 => kinds::afraid_of(rng),
        BabiTask::Qa16 => kinds::colour_of(rng),
        BabiTask::Qa17 => shapes::positions(rng),
        BabiTask::Qa18 => sizes::bigger(facts, rng),
        BabiTask::Qa19 => directions::way(rng),
        BabiTask::Qa20 => motives::why(facts, rng),
    }
}

#[cfg(test)]
mod tests;
