//! What a sentence says, by its form.

use crate::tasks::babilong::babi::claims::Claim;
use crate::tasks::babilong::babi::deeds::{Deed, Gift};
use crate::tasks::babilong::babi::directions::{DIRECTIONS, Link};
use crate::tasks::babilong::babi::words::{DROPS, GIVES, MOVES, TAKES, object, person, place};

/// What one sentence of qa1 to qa10 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Deed(Deed),
    Claim { who: &'static str, claim: Claim },
    Link(Link),
}

/// The fact that a sentence without its full stop states, if it has a form of bAbI.
pub(super) fn fact(sentence: &str) -> Option<Fact> {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    if let ["The", to, "is", direction, "of", "the", from] = words[..] {
        let direction = DIRECTIONS.iter().position(|d| *d == direction)?;
        return Some(Fact::Link(Link { from: place(from)?, to: place(to)?, direction }));
    }
    let (who, rest) = words.split_first()?;
    let who = person(who)?;
    if let ["is", claim @ ..] = rest {
        let claim = match *claim {
            ["in", "the", there] => Claim::In(place(there)?),
            ["not", "in", "the", there] | ["no", "longer", "in", "the", there] => {
                Claim::NotIn(place(there)?)
            }
            ["either", "in", "the", one, "or", "the", other] => {
                Claim::Either([place(one)?, place(other)?])
            }
            _ => return None,
        };
        return Some(Fact::Claim { who, claim });
    }
    deed(who, rest).map(Fact::Deed)
}

fn deed(who: &'static str, words: &[&str]) -> Option<Deed> {
    if let [verb @ .., "to", "the", to] = words {
        return is_one_of(&MOVES, verb).then_some(Deed::Move { who, to: place(to)? });
    }
    if let [verb @ .., "the", what, "to", to] = words {
        let gift = Gift { who, what: object(what)?, to: person(to)? };
        return is_one_of(&GIVES, verb).then_some(Deed::Give(gift));
    }
    let words = words.strip_suffix(&["there"]).unwrap_or(words);
    let [verb @ .., "the", what] = words else { return None };
    let what = object(what)?;
    if is_one_of(&TAKES, verb) {
        return Some(Deed::Take { who, what });
    }
    is_one_of(&DROPS, verb).then_some(Deed::Drop { who, what })
}

/// Whether the words are one of the verbs, some of which are two words.
fn is_one_of(verbs: &[&str], words: &[&str]) -> bool {
    verbs.iter().any(|verb| verb.split(' ').eq(words.iter().copied()))
}
