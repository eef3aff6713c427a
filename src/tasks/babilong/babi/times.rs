//! qa14: where people were, by the time of the day and not by the order of the sentences.
//!
//! The supporting facts are the one that has the person at the place of the question and the one
//! for the time before that.

use std::ops::RangeInclusive;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::scene::{StoryQuestion, number};
use super::words::{MOVES, TOWN, TOWNSPEOPLE, pick};
use super::{BabiTask, Story};

/// In the order in which they pass.
const TIMES: [&str; 4] = ["yesterday", "this morning", "this afternoon", "this evening"];

/// qa14: `Where was Julie before the park?` Everybody starts yesterday, goes on for up to four
/// times, and is nowhere twice; so there are 16 facts at most.
pub(super) fn where_before<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    let facts = number(&facts, rng).clamp(2, TOWNSPEOPLE.len() * TIMES.len());
    let asked = rng.random_range(0..TOWNSPEOPLE.len());
    let mut times = [0; TOWNSPEOPLE.len()];
    times[asked] = 2;
    for _ in 2..facts {
        let free: Vec<usize> = (0..times.len()).filter(|&who| times[who] < TIMES.len()).collect();
        times[pick(&free, rng)] += 1;
    }

    let mut told = Vec::with_capacity(facts);
    let mut places = [TOWN; TOWNSPEOPLE.len()];
    for (who, places) in places.iter_mut().enumerate() {
        places.shuffle(rng);
        for time in 0..times[who] {
            told.push((who, time, fact(TOWNSPEOPLE[who], places[time], TIMES[time], rng)));
        }
    }
    told.shuffle(rng);

    let before = rng.random_range(0..times[asked] - 1);
    let supporting = told
        .iter()
        .enumerate()
        .filter(|(_, (who, time, _))| *who == asked && (*time == before || *time == before + 1));
    let asked = StoryQuestion {
        question: format!(
            "Where was {} before the {}?",
            TOWNSPEOPLE[asked],
            places[asked][before + 1]
        ),
        answer: places[asked][before].to_owned(),
        supporting: supporting.map(|(fact, _)| fact).collect(),
    };
    asked.about(BabiTask::Qa14, told.into_iter().map(|(_, _, fact)| fact).collect())
}

/// `Julie went to the park this morning.` or `This morning Julie went to the park.`
fn fact<R: Rng + ?Sized>(who: &str, place: &str, time: &str, rng: &mut R) -> String {
    let verb = pick(&MOVES, rng);
    if rng.random_bool(0.5) {
        return format!("{who} {verb} to the {place} {time}.");
    }
    format!("{}{} {who} {verb} to the {place}.", time[..1].to_uppercase(), &time[1..])
}
