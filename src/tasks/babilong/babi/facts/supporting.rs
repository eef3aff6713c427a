//! The supporting facts of a published row, by the rules of our own stories.

use super::parse::{Fact, fact};
use crate::tasks::babilong::babi::BabiTask;
use crate::tasks::babilong::babi::claims::Claim;
use crate::tasks::babilong::babi::deeds::{Deed, arrivals, last_gift, last_move, load, place_of};
use crate::tasks::babilong::babi::directions::DIRECTIONS;

/// The indices of the facts that the answer follows from, ascending, for qa1 to qa10 and by the
/// rules of [`story`](crate::tasks::babilong::babi::story).
///
/// `None` where they cannot be placed: in qa11 to qa20; where a sentence or the question has
/// another form; where the rules lead to no answer or to another one than `answer`. So what is
/// returned always implies the answer.
pub fn supporting(
    task: BabiTask,
    facts: &[&str],
    question: &str,
    answer: &str,
) -> Option<Vec<usize>> {
    let facts: Vec<Fact> =
        facts.iter().map(|text| fact(text.trim().strip_suffix('.')?)).collect::<Option<_>>()?;
    let question: Vec<&str> = question.trim().strip_suffix('?')?.split_whitespace().collect();
    let (implied, mut supporting) = match task {
        BabiTask::Qa4 => neighbour(&facts, &question)?,
        BabiTask::Qa9 | BabiTask::Qa10 => claimed(&facts, &question)?,
        _ => done(task, &deeds(&facts)?, &question)?,
    };
    supporting.sort_unstable();
    same_answer(&implied, answer).then_some(supporting)
}

/// An answer and the facts that it follows from.
type Implied = (String, Vec<usize>);

/// The facts as deeds, if that is what all of them are.
fn deeds(facts: &[Fact]) -> Option<Vec<Deed>> {
    let deeds = facts.iter().map(|fact| match fact {
        Fact::Deed(deed) => Some(*deed),
        Fact::Claim { .. } | Fact::Link(_) => None,
    });
    deeds.collect()
}

/// The tasks in which people move and hand things about.
fn done(task: BabiTask, deeds: &[Deed], question: &[&str]) -> Option<Implied> {
    match (task, question) {
        (BabiTask::Qa1, ["Where", "is", who]) => {
            let told = last_move(deeds, who)?;
            Some((told.place.to_owned(), vec![told.fact]))
        }
        (BabiTask::Qa2, ["Where", "is", "the", what]) => {
            let placed = place_of(deeds, what)?;
            Some((placed.place.to_owned(), placed.supporting.to_vec()))
        }
        (BabiTask::Qa3, ["Where", "was", "the", what, "before", "the", place]) => {
            let arrival = arrivals(deeds, what).into_iter().rfind(|a| a.to == *place)?;
            let from = arrival.from?;
            Some((from.place.to_owned(), vec![from.fact, arrival.taken, arrival.fact]))
        }
        (BabiTask::Qa5, _) => {
            let (answer, fact) = given(deeds, question)?;
            Some((answer.to_owned(), vec![fact]))
        }
        (BabiTask::Qa6, ["Is", who, "in", "the", place]) => {
            let told = last_move(deeds, who)?;
            Some((yes_or_no(told.place == *place), vec![told.fact]))
        }
        (BabiTask::Qa7, ["How", "many", "objects", "is", who, "carrying"]) => {
            let load = load(deeds, who);
            let number = *["none", "one", "two", "three"].get(load.objects.len())?;
            (!load.supporting.is_empty()).then(|| (number.to_owned(), load.supporting))
        }
        (BabiTask::Qa8, ["What", "is", who, "carrying"]) => {
            let load = load(deeds, who);
            let objects = match load.objects[..] {
                [] => "nothing".to_owned(),
                _ => load.objects.join(","),
            };
            (!load.supporting.is_empty()).then_some((objects, load.supporting))
        }
        _ => None,
    }
}

/// What or who a question about giving asks for, and the fact that says it.
fn given(deeds: &[Deed], question: &[&str]) -> Option<(&'static str, usize)> {
    match *question {
        ["What", "did", who, "give", "to", to] => {
            last_gift(deeds, |g| (g.who, g.to) == (who, to)).map(|(fact, g)| (g.what, fact))
        }
        ["Who", "gave", "the", what, "to", to] => {
            last_gift(deeds, |g| (g.what, g.to) == (what, to)).map(|(fact, g)| (g.who, fact))
        }
        ["Who", "did", who, "give", "the", what, "to"] => {
            last_gift(deeds, |g| (g.who, g.what) == (who, what)).map(|(fact, g)| (g.to, fact))
        }
        ["Who", "gave", "the", what] => {
            last_gift(deeds, |g| g.what == what).map(|(fact, g)| (g.who, fact))
        }
        ["Who", "received", "the", what] => {
            last_gift(deeds, |g| g.what == what).map(|(fact, g)| (g.to, fact))
        }
        _ => None,
    }
}

/// qa9 and qa10: the last statement about the person.
fn claimed(facts: &[Fact], question: &[&str]) -> Option<Implied> {
    let ["Is", who, "in", "the", place] = *question else { return None };
    let (fact, claim) = facts.iter().enumerate().rev().find_map(|(i, fact)| match *fact {
        Fact::Claim { who: of, claim } if of == who => Some((i, claim)),
        Fact::Deed(Deed::Move { who: of, to }) if of == who => Some((i, Claim::In(to))),
        _ => None,
    })?;
    let answer = match claim {
        Claim::In(there) => yes_or_no(there == place),
        Claim::NotIn(there) => (there == place).then(|| yes_or_no(false))?,
        Claim::Either(places) if places.contains(&place) => "maybe".to_owned(),
        Claim::Either(_) => yes_or_no(false),
    };
    Some((answer, vec![fact]))
}

/// qa4: the fact that joins two places, whichever of them it starts with.
fn neighbour(facts: &[Fact], question: &[&str]) -> Option<Implied> {
    let (from, direction, turn) = match *question {
        ["What", "is", direction, "of", "the", from] => (from, direction, 0),
        ["What", "is", "the", from, direction, "of"] => (from, direction, 1),
        _ => return None,
    };
    let direction = DIRECTIONS.iter().position(|d| *d == direction)? ^ turn;
    facts.iter().enumerate().find_map(|(i, fact)| {
        let Fact::Link(link) = *fact else { return None };
        let there =
            [link, link.back()].into_iter().find(|l| l.from == from && l.direction == direction);
        there.map(|l| (l.to.to_owned(), vec![i]))
    })
}

fn yes_or_no(so: bool) -> String {
    if so { "yes" } else { "no" }.to_owned()
}

/// Lists are the same in any order.
fn same_answer(one: &str, other: &str) -> bool {
    let parts = |answer: &str| {
        let mut parts: Vec<String> = answer.split(',').map(|p| p.trim().to_owned()).collect();
        parts.sort_unstable();
        parts
    };
    parts(one) == parts(other)
}
