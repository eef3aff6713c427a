//! bAbI-like stories: people walk about and carry things, and somebody asks where they are.
//!
//! The kinds of facts follow tasks 1 and 2 of Weston et al. 2015, "Towards AI-complete question
//! answering" (<https://arxiv.org/abs/1502.05698>): the last place of a person, and the place of
//! an object that may have been carried.
//!
//! The answers are the supporting facts themselves, as they stand in the story: `Mary went to the
//! office.` for a person, `Mary took the milk; Mary went to the office.` for a thing. A word alone
//! was not learnt: to copy the latest fact about somebody takes a sense of what is later, to name
//! its last word takes that and a leap, and every step of the longer answer is checked by itself.

use rand::seq::{IndexedRandom, SliceRandom, index};
use rand::{Rng, RngExt};

use crate::words::{STORY_OBJECTS, STORY_PEOPLE, STORY_PLACES};

const GO: &[&str] =
    &["went to", "moved to", "travelled to", "journeyed to", "walked to", "went back to"];
const TAKE: &[&str] = &["picked up", "got", "grabbed", "took"];
const DROP: &[&str] = &["dropped", "put down", "discarded", "left"];

/// Facts in the order in which they happened, and questions about their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// One sentence each, in order.
    pub facts: Vec<String>,
    /// Question and answer.
    pub questions: Vec<(String, String)>,
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Spot {
    /// Nobody has touched it yet.
    Unknown,
    /// In the hands of a person, since this was told of it (without the full stop).
    Held(usize, String),
    /// Lying in a place, since `told`; `moved` told where.
    Lying { place: &'static str, told: String, moved: String },
}

/// A person's place and the sentence that told it.
type Whereabouts = Option<(&'static str, String)>;

/// How many of the names, places and things are bAbI's own; they come first.
const OWN: [usize; 3] = [4, 6, 3];

/// The world while a story is told.
struct World {
    /// Where people can go.
    places: &'static [&'static str],
    people: Vec<(&'static str, Whereabouts)>,
    objects: Vec<(&'static str, Spot)>,
}

impl World {
    /// Of bAbI's own names, places and things alone, every other time that they suffice.
    fn new<R: Rng + ?Sized>(rng: &mut R, people: usize, objects: usize) -> Self {
        let all = [STORY_PEOPLE.len(), STORY_PLACES.len(), STORY_OBJECTS.len()];
        let suffice = people <= OWN[0] && objects <= OWN[2];
        let of = if suffice && rng.random() { OWN } else { all };
        let people = index::sample(rng, of[0], people);
        let objects = index::sample(rng, of[2], objects);
        Self {
            places: &STORY_PLACES[..of[1]],
            people: people.iter().map(|i| (STORY_PEOPLE[i], None)).collect(),
            objects: objects.iter().map(|i| (STORY_OBJECTS[i], Spot::Unknown)).collect(),
        }
    }

    /// Lets one person do one thing and tells it.
    fn step<R: Rng + ?Sized>(&mut self, rng: &mut R) -> String {
        let person = rng.random_range(0..self.people.len());
        let (name, whereabouts) = self.people[person].clone();
        if let Some((here, moved)) = &whereabouts
            && rng.random_bool(0.5)
        {
            let reachable: Vec<usize> = (0..self.objects.len())
                .filter(|&o| match &self.objects[o].1 {
                    Spot::Unknown => true,
                    Spot::Held(holder, _) => *holder == person,
                    Spot::Lying { place, .. } => place == here,
                })
                .collect();
            if let Some(&object) = reachable.choose(rng) {
                let there = if rng.random_bool(0.25) { " there" } else { "" };
                let (thing, spot) = &mut self.objects[object];
                let held = matches!(spot, Spot::Held(..));
                let verb = pick(rng, if held { DROP } else { TAKE });
                let told = format!("{name} {verb} the {thing}");
                let fact = format!("{told}{there}.");
                *spot = match held {
                    true => Spot::Lying { place: here, told, moved: moved.clone() },
                    false => Spot::Held(person, told),
                };
                return fact;
            }
        }
        let here = whereabouts.map(|(place, _)| place);
        let elsewhere: Vec<&'static str> =
            self.places.iter().copied().filter(|&p| Some(p) != here).collect();
        let place = pick(rng, &elsewhere);
        let fact = format!("{name} {} the {place}.", pick(rng, GO));
        self.people[person].1 = Some((place, fact.clone()));
        fact
    }

    /// Every question that the story so far answers.
    fn questions(&self) -> Vec<(String, String)> {
        let people = self.people.iter().filter_map(|(name, whereabouts)| {
            let (_, moved) = whereabouts.as_ref()?;
            Some((format!("Where is {name}?"), moved.clone()))
        });
        let objects = self.objects.iter().filter_map(|(thing, spot)| {
            let (told, moved) = match spot {
                Spot::Unknown => return None,
                Spot::Held(holder, told) => (told, &self.people[*holder].1.as_ref()?.1),
                Spot::Lying { told, moved, .. } => (told, moved),
            };
            Some((format!("Where is the {thing}?"), format!("{told}; {moved}")))
        });
        people.chain(objects).collect()
    }
}

/// Tells a story of at least two facts, and where nothing is left open of at most `facts`, with
/// `questions` different questions (at most one per person and object there is), of people on the
/// move alone or with things in their hands. Most questions are about things, where there are any.
pub fn story<R: Rng + ?Sized>(
    rng: &mut R,
    questions: usize,
    facts: usize,
    moves_only: bool,
) -> Story {
    let things = if moves_only { 0 } else { STORY_OBJECTS.len() };
    let questions = questions.min(STORY_PEOPLE.len() + things);
    // Mostly as many as in bAbI: with fewer, the right one is easily guessed.
    let mut some = |most: usize| if rng.random() { most } else { rng.random_range(1..=most) };
    let mut people = some(4);
    let mut objects = if moves_only { 0 } else { some(3) };
    while people + objects < questions {
        if people < STORY_PEOPLE.len() {
            people += 1;
        } else {
            objects += 1;
        }
    }
    let least = rng.random_range(facts / 3..=facts).max(2);
    let mut world = World::new(rng, people, objects);
    let mut facts = Vec::new();
    let mut known = Vec::new();
    while facts.len() < least || known.len() < questions {
        facts.push(world.step(rng));
        known = world.questions();
    }
    known.shuffle(rng);
    // What is asked about a person is asked about a thing's holder as well.
    known.sort_by_cached_key(|(_, answer)| !answer.contains(';') && rng.random_bool(0.7));
    known.truncate(questions);
    Story { facts, questions: known }
}

fn pick<R: Rng + ?Sized>(rng: &mut R, words: &[&'static str]) -> &'static str {
    words.choose(rng).copied().expect("a word list is not empty")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::collections::HashMap;

    /// Reads the facts with a second, independent interpreter: last word = place or object, and
    /// "the X" of a taken object follows its holder.
    fn reread(facts: &[String]) -> HashMap<String, String> {
        let mut place: HashMap<String, String> = HashMap::new();
        let mut holder: HashMap<String, String> = HashMap::new();
        for fact in facts {
            let fact = fact.trim_end_matches('.').trim_end_matches(" there");
            let (left, noun) = fact.split_once(" the ").expect("has an article");
            let (name, verb) = left.split_once(' ').expect("name and verb");
            let (name, noun) = (name.to_owned(), noun.to_owned());
            if GO.contains(&verb) {
                place.insert(name.clone(), noun.clone());
                for (thing, _) in holder.iter().filter(|(_, h)| **h == name) {
                    place.insert(format!("the {thing}"), noun.clone());
                }
            } else if TAKE.contains(&verb) {
                place.insert(format!("the {noun}"), place[&name].clone());
                holder.insert(noun, name);
            } else {
                assert!(DROP.contains(&verb), "{verb}");
                assert_eq!(holder.remove(&noun), Some(name));
            }
        }
        place
    }

    #[test]
    fn answers_agree_with_a_second_reading_of_the_facts() {
        let mut rng = StdRng::seed_from_u64(5);
        let mut about_objects = 0;
        for n in 0..500 {
            let moves_only = n % 3 == 0;
            let story = story(&mut rng, 1 + n % 4, 12, moves_only);
            assert_eq!(story.questions.len(), 1 + n % 4);
            let places = reread(&story.facts);
            let moved = |fact: &String| GO.iter().any(|go| fact.contains(go));
            assert!(!moves_only || story.facts.iter().all(moved), "{story:?}");
            for (question, answer) in &story.questions {
                let subject = question.trim_start_matches("Where is ").trim_end_matches('?');
                about_objects += usize::from(subject.starts_with("the "));
                let place = format!(" the {}.", places[subject]);
                assert!(answer.ends_with(&place), "{answer} {story:?}");
                let (told, moved) = answer.rsplit_once("; ").unwrap_or(("", answer));
                assert!(story.facts.contains(&moved.to_owned()), "{answer} {story:?}");
                assert_eq!(told.ends_with(subject), subject.starts_with("the "), "{answer}");
            }
        }
        assert!(about_objects > 100, "{about_objects}");
    }

    #[test]
    fn people_of_stories_are_not_people_of_needles() {
        use crate::words::{HE, SHE};
        assert!(!STORY_PEOPLE.iter().any(|name| HE.contains(name) || SHE.contains(name)));
    }
}
