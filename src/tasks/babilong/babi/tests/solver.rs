//! A reader of stories that knows nothing of the world that told them: sentences and a question
//! as text in, an answer out. It shares no code and no list of words with the world.
//!
//! Everything is believed in the order in which it is read. What was not said is not concluded,
//! with one exception: who has had something in the hands is known to hold nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The answer that the sentences give to the question, if they do; panics at forms that bAbI does
/// not have.
pub fn answer<S: AsRef<str>>(sentences: &[S], question: &str) -> Option<String> {
    let mut reader = Reader::default();
    for sentence in sentences {
        let sentence = sentence.as_ref();
        reader.read(sentence.strip_suffix('.').unwrap_or_else(|| panic!("no stop: {sentence}")));
    }
    let question = question.trim_end();
    reader.answer(question.strip_suffix('?').unwrap_or_else(|| panic!("no mark: {question}")))
}

enum Belief {
    In(String),
    NotIn(String),
    OneOf(String, String),
}

/// What has been read.
#[derive(Default)]
struct Reader {
    /// Of people.
    place: BTreeMap<String, Belief>,
    /// Who is meant by the next pronoun.
    subjects: Vec<String>,
    /// Of people, by the hour.
    diary: BTreeMap<String, [Option<String>; 4]>,
    /// Who has a thing, or else where it was left, if that is known.
    holder: BTreeMap<String, Result<String, Option<String>>>,
    /// The places of a thing, one after another.
    history: BTreeMap<String, Vec<String>>,
    /// What people hold; of those who never held anything nothing.
    hands: BTreeMap<String, Vec<String>>,
    gifts: Vec<[String; 3]>,
    /// Of animals, in lower case.
    kind: BTreeMap<String, String>,
    fear: BTreeMap<String, String>,
    /// Colours and moods, by names in lower case.
    quality: BTreeMap<String, String>,
    /// Where something lies, seen from another: `(what, east, north, from)`.
    layout: Vec<(String, i32, i32, String)>,
    /// `(smaller, bigger)`
    sizes: Vec<(String, String)>,
}

fn hour(words: &str) -> Option<usize> {
    match words.to_lowercase().as_str() {
        "yesterday" => Some(0),
        "this morning" => Some(1),
        "this afternoon" => Some(2),
        "this evening" => Some(3),
        _ => None,
    }
}

fn offset(direction: &str) -> Option<(i32, i32)> {
    match direction {
        "north" | "above" => Some((0, 1)),
        "south" | "below" => Some((0, -1)),
        "east" | "to the right" => Some((1, 0)),
        "west" | "to the left" => Some((-1, 0)),
        _ => None,
    }
}

/// `above the triangle`, `to the left of the triangle`, `north of the garden`.
fn relation(text: &str) -> Option<((i32, i32), &str)> {
    let (direction, of) = text.rsplit_once(" the ")?;
    Some((offset(direction.strip_suffix(" of").unwrap_or(direction))?, of))
}

impl Reader {
    fn read(&mut self, sentence: &str) {
        if let Some((what, claim)) = sentence.split_once(" is ") {
            return self.read_claim(what, claim);
        }
        if let Some((who, what)) = sentence.split_once(" are afraid of ") {
            self.fear.insert(singular(&who.to_lowercase()), singular(what));
            return;
        }
        if let Some((small, big)) = sentence.split_once(" fits inside the ") {
            let small = small.strip_prefix("The ").unwrap();
            self.sizes.push((small.into(), big.into()));
            return;
        }
        self.read_deed(sentence);
        for (thing, holder) in &self.holder {
            let place = match holder {
                Ok(who) => match self.place.get(who) {
                    Some(Belief::In(place)) => Some(place),
                    _ => None,
                },
                Err(place) => place.as_ref(),
            };
            let history = self.history.entry(thing.clone()).or_default();
            if let Some(place) = place.filter(|p| history.last() != Some(p)) {
                history.push(place.clone());
            }
        }
    }

    fn read_claim(&mut self, what: &str, claim: &str) {
        let belief = if let Some(places) = claim.strip_prefix("either in the ") {
            let (one, other) = places.split_once(" or the ").unwrap();
            Some(Belief::OneOf(one.into(), other.into()))
        } else if let Some(place) = claim.strip_prefix("in the ") {
            Some(Belief::In(place.into()))
        } else {
            let denied = claim.strip_prefix("not in the ");
            denied.or(claim.strip_prefix("no longer in the ")).map(|p| Belief::NotIn(p.into()))
        };
        if let Some(belief) = belief {
            self.place.insert(what.into(), belief);
        } else if let Some(what) = what.strip_prefix("The ") {
            if let Some(small) = claim.strip_prefix("bigger than the ") {
                self.sizes.push((small.into(), what.into()));
            } else {
                let ((east, north), from) = relation(claim).unwrap_or_else(|| panic!("{claim}"));
                self.layout.push((what.into(), east, north, from.into()));
            }
        } else if let Some(kind) = claim.strip_prefix("a ") {
            self.kind.insert(what.to_lowercase(), kind.into());
        } else {
            assert!(!claim.contains(' '), "{what} is {claim}");
            self.quality.insert(what.to_lowercase(), claim.into());
        }
    }

    /// Who did something.
    fn read_deed(&mut self, sentence: &str) {
        let mut words: Vec<&str> = sentence.split(' ').collect();
        let mut when = None;
        for n in [1, 2] {
            if let Some(first) = hour(&words[..n].join(" ")) {
                words.drain(..n);
                when = Some(first);
            } else if let Some(last) = hour(&words[words.len() - n..].join(" ")) {
                words.truncate(words.len() - n);
                when = Some(last);
            }
        }
        if words.last() == Some(&"there") {
            words.pop();
        }
        match words[0] {
            "Then" | "Afterwards" => drop(words.remove(0)),
            "After" | "Following" => {
                assert_eq!(words[1], "that");
                words.drain(..2);
            }
            _ => {}
        }
        let named = if words.get(1) == Some(&"and") { 3 } else { 1 };
        let subjects: Vec<String> = match words[0] {
            "he" | "she" => self.subjects.iter().take(1).cloned().collect(),
            "they" => self.subjects.clone(),
            _ => words[..named].iter().step_by(2).map(|w| (*w).into()).collect(),
        };
        self.subjects.clone_from(&subjects);
        let verb_and_rest = &words[named..];
        match verb_and_rest {
            ["went", "back", "to", "the", place]
            | ["went" | "moved" | "journeyed" | "travelled", "to", "the", place] => {
                for who in subjects {
                    if let Some(when) = when {
                        self.diary.entry(who.clone()).or_default()[when] = Some((*place).into());
                    }
                    self.place.insert(who, Belief::In((*place).into()));
                }
            }
            ["picked", "up", "the", what] | ["got" | "took" | "grabbed", "the", what] => {
                self.hand(&subjects[0], what);
            }
            ["put", "down", "the", what] | ["left" | "dropped" | "discarded", "the", what] => {
                let who = &subjects[0];
                self.hands.entry(who.clone()).or_default().retain(|held| held != what);
                let place = match self.place.get(who) {
                    Some(Belief::In(place)) => Some(place.clone()),
                    _ => None,
                };
                self.holder.insert((*what).into(), Err(place));
            }
            ["gave" | "passed" | "handed", "the", what, "to", whom] => {
                self.gifts.push([subjects[0].clone(), (*what).into(), (*whom).into()]);
                self.hands.entry(subjects[0].clone()).or_default();
                self.hand(whom, what);
            }
            _ => panic!("cannot read {sentence:?}"),
        }
    }

    /// From now on this person, and nobody else, has the thing.
    fn hand(&mut self, who: &str, what: &str) {
        for things in self.hands.values_mut() {
            things.retain(|held| held != what);
        }
        self.hands.entry(who.into()).or_default().push(what.into());
        self.holder.insert(what.into(), Ok(who.into()));
    }

    fn answer(&self, question: &str) -> Option<String> {
        let words: Vec<&str> = question.split(' ').collect();
        match words[..] {
            ["Where", "is", "the", thing] => match self.holder.get(thing)? {
                Ok(who) => self.whereabouts(who),
                Err(place) => place.clone(),
            },
            ["Where", "is", who] => self.whereabouts(who),
            ["Where", "was", "the", thing, "before", "the", place] => {
                let history = self.history.get(thing)?;
                let there = history.iter().rposition(|p| p == place)?;
                there.checked_sub(1).map(|before| history[before].clone())
            }
            ["Where", "was", who, "before", "the", place] => {
                let diary = self.diary.get(who)?;
                let there = diary.iter().rposition(|p| p.as_deref() == Some(place))?;
                diary[..there].iter().rev().flatten().next().cloned()
            }
            ["Where", "will", who, "go"] => {
                let place = match self.quality.get(who)?.as_str() {
                    "hungry" | "thirsty" => "kitchen",
                    "tired" => "bedroom",
                    "bored" => "garden",
                    other => panic!("where does one go who is {other}?"),
                };
                Some(place.into())
            }
            ["Why", "did", who, "go" | "get", ..] => self.quality.get(who).cloned(),
            ["Is", who, "in", "the", place] => match self.place.get(who)? {
                Belief::In(there) => Some(yes(there == place)),
                Belief::NotIn(there) => (there == place).then(|| yes(false)),
                Belief::OneOf(one, other) if one == place || other == place => Some("maybe".into()),
                Belief::OneOf(..) => Some(yes(false)),
            },
            ["How", "many", "objects", "is", who, "carrying"] => {
                let number = self.hands.get(who)?.len();
                Some(["none", "one", "two", "three"][number].into())
            }
            ["What", "is", who, "carrying"] => {
                let things = self.hands.get(who)?;
                Some(if things.is_empty() { "nothing".into() } else { things.join(",") })
            }
            ["What", "did", who, "give", "to", whom] => {
                self.gift(|[a, _, c]| a == who && c == whom).map(|[_, what, _]| what)
            }
            ["Who", "gave", "the", what, "to", whom] => {
                self.gift(|[_, b, c]| b == what && c == whom).map(|[who, ..]| who)
            }
            ["Who", "did", who, "give", "the", what, "to"] => {
                self.gift(|[a, b, _]| a == who && b == what).map(|[.., whom]| whom)
            }
            ["Who", "gave", "the", what] => self.gift(|[_, b, _]| b == what).map(|[who, ..]| who),
            ["Who", "received", "the", what] => {
                self.gift(|[_, b, _]| b == what).map(|[.., whom]| whom)
            }
            ["What", "is", direction, "of", "the", place] => self.neighbour(place, direction, 1),
            ["What", "is", "the", place, direction, "of"] => self.neighbour(place, direction, -1),
            ["How", "do", "you", "go", "from", "the", from, "to", "the", to] => self.way(from, to),
            ["What", "is", who, "afraid", "of"] => self.fear.get(self.kind.get(who)?).cloned(),
            ["What", "color", "is", who] => self.colour(&who.to_lowercase()),
            ["Does", ..] => {
                let asked = question.strip_prefix("Does the ")?;
                let (small, big) = asked.split_once(" fit in the ")?;
                self.is_bigger(big, small).map(yes)
            }
            ["Is", ..] if question.contains(" bigger ") => {
                let asked = question.strip_prefix("Is the ")?;
                let (big, small) = asked.split_once(" bigger than the ")?;
                self.is_bigger(big, small).map(yes)
            }
            ["Is", ..] => self.lies(question.strip_prefix("Is the ")?).map(yes),
            _ => panic!("cannot read {question:?}"),
        }
    }

    fn whereabouts(&self, who: &str) -> Option<String> {
        match self.place.get(who)? {
            Belief::In(place) => Some(place.clone()),
            _ => None,
        }
    }

    fn gift(&self, fits: impl Fn(&[String; 3]) -> bool) -> Option<[String; 3]> {
        self.gifts.iter().rev().find(|gift| fits(gift)).cloned()
    }

    /// What is stated to lie in a direction, or in the opposite one.
    fn neighbour(&self, place: &str, direction: &str, sign: i32) -> Option<String> {
        let (east, north) = offset(direction).unwrap_or_else(|| panic!("{direction}"));
        let (east, north) = (sign * east, sign * north);
        let beside = self.beside(place);
        beside.into_iter().find(|&(_, e, n)| (e, n) == (east, north)).map(|(p, ..)| p.into())
    }

    /// Everything that a sentence joins to it, and how far off.
    fn beside(&self, one: &str) -> Vec<(&str, i32, i32)> {
        let both = self.layout.iter().flat_map(|(what, east, north, from)| {
            [(from, what, *east, *north), (what, from, -east, -north)]
        });
        both.filter(|(from, ..)| *from == one).map(|(_, to, e, n)| (to.as_str(), e, n)).collect()
    }

    fn way(&self, from: &str, to: &str) -> Option<String> {
        let mut seen = BTreeSet::from([from]);
        let mut queue = VecDeque::from([(from, Vec::new())]);
        while let Some((place, way)) = queue.pop_front() {
            if place == to {
                return Some(way.join(","));
            }
            for (next, east, north) in self.beside(place) {
                if seen.insert(next) {
                    let step = match (east, north) {
                        (1, 0) => "e",
                        (-1, 0) => "w",
                        (0, 1) => "n",
                        _ => "s",
                    };
                    queue.push_back((next, [way.as_slice(), &[step]].concat()));
                }
            }
        }
        None
    }

    /// `triangle above the red square`. Of what is level neither is above the other.
    fn lies(&self, asked: &str) -> Option<bool> {
        let (from, (east, north)) = self.layout.iter().find_map(|(what, _, _, from)| {
            [what, from].into_iter().find_map(|shape| {
                let claim = asked.strip_suffix(shape.as_str())?.strip_suffix(" the ")?;
                let direction = [" above", " below", " to the left of", " to the right of"]
                    .into_iter()
                    .find(|direction| claim.ends_with(direction))?;
                Some((shape, relation(&format!("{} the x", direction.trim_start())).unwrap().0))
            })
        })?;
        let mut at = BTreeMap::from([(from.as_str(), (0, 0))]);
        let mut queue = vec![from.as_str()];
        while let Some(shape) = queue.pop() {
            let (x, y) = at[shape];
            for (next, e, n) in self.beside(shape) {
                if at.insert(next, (x + e, y + n)).is_none() {
                    queue.push(next);
                }
            }
        }
        let (x, y) = at.iter().find(|(shape, _)| asked.starts_with(*shape)).map(|(_, p)| *p)?;
        Some(x * east + y * north > 0)
    }

    fn colour(&self, who: &str) -> Option<String> {
        let kind = self.kind.get(who)?;
        let alike = self.kind.iter().filter(|(name, k)| *k == kind && *name != who);
        let colours: BTreeSet<&String> =
            alike.filter_map(|(name, _)| self.quality.get(name)).collect();
        (colours.len() == 1).then(|| colours.first().map(|c| (*c).clone()))?
    }

    fn is_bigger(&self, one: &str, other: &str) -> Option<bool> {
        if self.contains(one, other) {
            return Some(true);
        }
        self.contains(other, one).then_some(false)
    }

    fn contains(&self, big: &str, small: &str) -> bool {
        let mut seen = BTreeSet::from([small]);
        let mut queue = vec![small];
        while let Some(one) = queue.pop() {
            for (_, bigger) in self.sizes.iter().filter(|(smaller, _)| smaller == one) {
                if seen.insert(bigger) {
                    queue.push(bigger);
                }
            }
        }
        seen.contains(big)
    }
}

fn yes(so: bool) -> String {
    if so { "yes" } else { "no" }.into()
}

fn singular(animals: &str) -> String {
    match animals {
        "mice" => "mouse",
        "cats" => "cat",
        "wolves" => "wolf",
        "sheep" => "sheep",
        other => panic!("what is one of the {other}?"),
    }
    .into()
}
