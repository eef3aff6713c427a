//! qa5, qa7 and qa8: who gave what to whom, and who has what.
//!
//! The supporting facts are
//!
//! - qa5: the last giving that fits what the question says of it;
//! - qa7 and qa8: of each thing that the person ever had, the last fact that gave it to the person
//!   or took it away from the person, whichever is later. (Everybody has nothing at first; a
//!   person who never had anything is not asked about.)

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::deeds::{Deed, Gift, Load, last_gift, load};
use super::scene::{StoryQuestion, tell};
use super::words::{GIVERS, PEOPLE, pick};
use super::world::{Habits, World};
use super::{BabiTask, Story};

/// qa5: `What did Mary give to Bill?`, `Who gave the milk to Bill?`,
/// `Who did Mary give the milk to?`, `Who gave the milk?` and `Who received the milk?`.
pub(super) fn who_gave_what<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    let habits = Habits { moves: 0.5, takes: 1.0, drops: 0.6, gives: 1.5 };
    let asked_for = rng.random_range(0..5);
    tell(
        BabiTask::Qa5,
        facts,
        rng,
        |rng| World::new(GIVERS, habits, rng),
        |world, rng| {
            let gifts = world.deeds().iter().filter_map(|&deed| match deed {
                Deed::Give(gift) => Some(gift),
                _ => None,
            });
            let gifts: Vec<_> = gifts.collect();
            if gifts.is_empty() {
                return None;
            }
            let Gift { who, what, to } = pick(&gifts, rng);
            let deeds = world.deeds();
            let (question, last) = match asked_for {
                0 => (
                    format!("What did {who} give to {to}?"),
                    last_gift(deeds, |g| (g.who, g.to) == (who, to)),
                ),
                1 => (
                    format!("Who gave the {what} to {to}?"),
                    last_gift(deeds, |g| (g.what, g.to) == (what, to)),
                ),
                2 => (
                    format!("Who did {who} give the {what} to?"),
                    last_gift(deeds, |g| (g.who, g.what) == (who, what)),
                ),
                3 => (format!("Who gave the {what}?"), last_gift(deeds, |g| g.what == what)),
                _ => (format!("Who received the {what}?"), last_gift(deeds, |g| g.what == what)),
            };
            let (fact, gift) = last?;
            let answer = match asked_for {
                0 => gift.what,
                1 | 3 => gift.who,
                _ => gift.to,
            };
            Some(StoryQuestion { question, answer: answer.to_owned(), supporting: vec![fact] })
        },
    )
}

/// qa7: `How many objects is Mary carrying?`
pub(super) fn how_many_objects<R: Rng + ?Sized>(
    facts: RangeInclusive<usize>,
    rng: &mut R,
) -> Story {
    let number = pick(&[0, 0, 0, 1, 1, 1, 2, 2, 2, 3], rng);
    let answer = ["none", "one", "two", "three"][number];
    tell(
        BabiTask::Qa7,
        facts,
        rng,
        |rng| World::new(PEOPLE, habits(number), rng),
        |world, rng| {
            let (who, load) = someone_with(world, number, rng)?;
            Some(StoryQuestion {
                question: format!("How many objects is {who} carrying?"),
                answer: answer.to_owned(),
                supporting: load.supporting,
            })
        },
    )
}

/// qa8: `What is Mary carrying?`, with lists in the order in which the things were had.
pub(super) fn which_objects<R: Rng + ?Sized>(facts: RangeInclusive<usize>, rng: &mut R) -> Story {
    let number = pick(&[0, 0, 0, 1, 1, 1, 1, 2, 2, 3], rng);
    tell(
        BabiTask::Qa8,
        facts,
        rng,
        |rng| World::new(PEOPLE, habits(number), rng),
        |world, rng| {
            let (who, load) = someone_with(world, number, rng)?;
            let answer = if number == 0 { "nothing".to_owned() } else { load.objects.join(",") };
            Some(StoryQuestion {
                question: format!("What is {who} carrying?"),
                answer,
                supporting: load.supporting,
            })
        },
    )
}

/// People who pick up the more, the more one of them is to have in the end.
fn habits(number: usize) -> Habits {
    let drops = [1.0, 0.6, 0.3, 0.1][number];
    Habits { moves: 0.5, takes: 1.0, drops, gives: 0.5 }
}

fn someone_with<R: Rng + ?Sized>(
    world: &World,
    number: usize,
    rng: &mut R,
) -> Option<(&'static str, Load)> {
    let fitting = world.cast().iter().filter(|&&who| {
        let load = load(world.deeds(), who);
        load.objects.len() == number && !load.supporting.is_empty()
    });
    let fitting: Vec<&'static str> = fitting.copied().collect();
    if fitting.is_empty() {
        return None;
    }
    let who = pick(&fitting, rng);
    Some((who, load(world.deeds(), who)))
}
