//! The needle families: sentence frames whose slots are filled with fresh words every time.

use std::io::Write;
use std::path::Path;

use headprof::{Error, Result};
use rand::seq::{IndexedRandom, index};
use rand::{Rng, RngExt};

use crate::held_out::HeldOut;
use crate::words::*;

/// A family of needles: one frame for the needle, one for its question, one for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Good ways to spend time in a place.
    Ways,
    /// Beneficial habits during a time of life.
    Habits,
    /// The year in which someone started something: the answer is a sum.
    Year,
    /// A secret code of four digits.
    Code,
    /// Someone's favourite.
    Favourite,
    /// Where a thing is kept.
    Kept,
    /// Place and day of a meeting.
    Meeting,
    /// The best thing to do in a city.
    Best,
    /// What a dish is made with.
    Dish,
    /// A birthday gift and who gave it.
    Gift,
    /// The two colours of a door.
    Door,
    /// Where someone travelled, and how.
    Travel,
}

impl Family {
    /// Every family, in the order of [`crate::corpus::Mix::families`].
    pub const ALL: [Self; 12] = [
        Self::Ways,
        Self::Habits,
        Self::Year,
        Self::Code,
        Self::Favourite,
        Self::Kept,
        Self::Meeting,
        Self::Best,
        Self::Dish,
        Self::Gift,
        Self::Door,
        Self::Travel,
    ];

    /// The family's name, as in the ids of [`write_needles`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Ways => "ways",
            Self::Habits => "habits",
            Self::Year => "year",
            Self::Code => "code",
            Self::Favourite => "favourite",
            Self::Kept => "kept",
            Self::Meeting => "meeting",
            Self::Best => "best",
            Self::Dish => "dish",
            Self::Gift => "gift",
            Self::Door => "door",
            Self::Travel => "travel",
        }
    }
}

/// A needle with its question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The sentence or sentences to hide.
    pub needle: String,
    /// What is asked about it.
    pub question: String,
    /// The answer, without a leading space.
    pub answer: String,
    /// The family it was drawn from.
    pub kind: Family,
}

impl Fact {
    /// Whether one text cannot hold both facts: the same question, or two births of one person.
    pub fn conflicts(&self, other: &Self) -> bool {
        let name = |fact: &Self| fact.needle.split(' ').next().map(str::to_owned);
        self.question == other.question
            || (self.kind == Family::Year && other.kind == self.kind && name(self) == name(other))
    }
}

/// Draws a fact of a family, held out or not.
///
/// The answer is a stretch of the needle as it stands there, without a capital at its beginning (of
/// [`Family::Year`] only up to the year): to write the word with a capital is to find another token
/// than the one that was read, which a model of this size learns long after it has learnt to copy.
pub fn draw<R: Rng + ?Sized>(rng: &mut R, family: Family) -> Fact {
    let (needle, question, answer) = match family {
        Family::Ways => {
            let form = if rng.random_bool(0.7) { ACTIVITIES } else { PASTIMES };
            let (place, [a, b]) = (one(rng, PLACES), several(rng, form));
            (
                format!("The good ways to spend time in {place} include {a} and {b}."),
                format!("What are good ways to spend time in {place}?"),
                format!("{a} and {b}."),
            )
        }
        Family::Habits => {
            let (occasion, [a, b]) = (one(rng, OCCASIONS), several(rng, HABITS));
            (
                format!("The beneficial habits during {occasion} contain {a} and {b}."),
                format!("What habits are beneficial for health during {occasion}?"),
                format!("{a} and {b}."),
            )
        }
        Family::Year => {
            let (name, stage) = (one(rng, HE), one(rng, STAGES));
            let birth: u32 = rng.random_range(1930..=2010);
            let (word, years) = NUMBERS[rng.random_range(0..NUMBERS.len())];
            (
                format!(
                    "{name} was born in {birth}. {name} started {stage} {word} years after he was \
                     born."
                ),
                format!("Which year did {name} start {stage}?"),
                format!("{name} started {stage} in {}.", birth + years),
            )
        }
        Family::Code => {
            let (name, code) = (person(rng), rng.random_range(0..10_000));
            (
                format!("The secret code of {name} is {code:04}."),
                format!("What is the secret code of {name}?"),
                format!("{code:04}."),
            )
        }
        Family::Favourite => {
            let (thing, name) = (one(rng, FAVOURITE_THINGS), person(rng));
            let noun = if rng.random() { one(rng, OBJECTS) } else { one(rng, CREATURES) };
            let adjective = one(rng, ADJECTIVES);
            (
                format!("The favourite {thing} of {name} is the {adjective} {noun}."),
                format!("What is the favourite {thing} of {name}?"),
                format!("the {adjective} {noun}."),
            )
        }
        Family::Kept => {
            let (adjective, object) = (one(rng, ADJECTIVES), one(rng, OBJECTS));
            let (container, room) = (one(rng, CONTAINERS), one(rng, ROOMS));
            (
                format!("The {adjective} {object} is kept in the {container} of the {room}."),
                format!("Where is the {adjective} {object} kept?"),
                format!("in the {container} of the {room}."),
            )
        }
        Family::Meeting => {
            let (topic, city, day) = (one(rng, TOPICS), one(rng, CITIES), one(rng, DAYS));
            (
                format!("The meeting about {topic} takes place in {city} on {day}."),
                format!("Where and when does the meeting about {topic} take place?"),
                format!("in {city} on {day}."),
            )
        }
        Family::Best => {
            let (city, [a, b]) = (one(rng, CITIES), several(rng, ACTIVITIES));
            (
                format!("The best thing to do in {city} is {a} and {b}."),
                format!("What is the best thing to do in {city}?"),
                format!("{a} and {b}."),
            )
        }
        Family::Dish => {
            let (dish, name, [a, b, c]) =
                (one(rng, DISHES), person(rng), several(rng, INGREDIENTS));
            (
                format!("The {dish} of {name} is made with {a}, {b} and {c}."),
                format!("What is the {dish} of {name} made with?"),
                format!("{a}, {b} and {c}."),
            )
        }
        Family::Gift => {
            let [name, giver] = people(rng);
            let (adjective, object) = (one(rng, ADJECTIVES), one(rng, OBJECTS));
            let article = if adjective.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
            (
                format!(
                    "For the birthday {name} received {article} {adjective} {object} from {giver}."
                ),
                format!("What did {name} receive for the birthday?"),
                format!("{article} {adjective} {object} from {giver}."),
            )
        }
        Family::Door => {
            let (building, city) = (one(rng, BUILDINGS), one(rng, CITIES));
            let [a, b] = several(rng, COLOURS);
            (
                format!("The door of the {building} in {city} was painted {a} and {b}."),
                format!("How was the door of the {building} in {city} painted?"),
                format!("{a} and {b}."),
            )
        }
        Family::Travel => {
            let (name, [from, to]) = (person(rng), several(rng, CITIES));
            let vehicle = one(rng, VEHICLES);
            (
                format!("{name} travelled from {from} to {to} by {vehicle}."),
                format!("Where did {name} travel from {from}?"),
                format!("to {to} by {vehicle}."),
            )
        }
    };
    Fact { needle, question, answer, kind: family }
}

/// `n_per_family` different facts of every family that training never saw.
pub fn held_out_facts<R: Rng + ?Sized>(
    rng: &mut R,
    held_out: &HeldOut,
    n_per_family: usize,
) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::with_capacity(n_per_family * Family::ALL.len());
    for family in Family::ALL {
        let first = facts.len();
        while facts.len() < first + n_per_family {
            let fact = draw(rng, family);
            if held_out.is_held_out(&fact.needle) && !facts[first..].contains(&fact) {
                facts.push(fact);
            }
        }
    }
    facts
}

/// Writes facts as a needle file: one JSON object per line with `id` (family and number),
/// `needle`, `question` and `answer`.
///
/// # Errors
/// The file cannot be written.
pub fn write_needles(facts: &[Fact], path: &Path) -> Result<()> {
    let mut text = Vec::new();
    for (number, fact) in facts.iter().enumerate() {
        let line = serde_json::json!({
            "id": format!("{}-{number:03}", fact.kind.name()),
            "needle": fact.needle,
            "question": fact.question,
            "answer": fact.answer,
        });
        writeln!(text, "{line}").map_err(|e| Error::bug("a line cannot be formatted").got(e))?;
    }
    std::fs::write(path, text).map_err(|e| {
        Error::resources("the needle file cannot be written").at(path.display()).got(e)
    })
}

/// A word of a list; the lists are constants and not empty.
fn one<R: Rng + ?Sized>(rng: &mut R, words: &[&'static str]) -> &'static str {
    words.choose(rng).copied().expect("a word list is not empty")
}

/// `N` different words of a list.
fn several<R: Rng + ?Sized, const N: usize>(
    rng: &mut R,
    words: &[&'static str],
) -> [&'static str; N] {
    let picks = index::sample(rng, words.len(), N);
    std::array::from_fn(|i| words[picks.index(i)])
}

/// `N` different people.
fn people<R: Rng + ?Sized, const N: usize>(rng: &mut R) -> [&'static str; N] {
    let picks = index::sample(rng, HE.len() + SHE.len(), N);
    std::array::from_fn(|i| {
        let pick = picks.index(i);
        HE.get(pick).copied().unwrap_or_else(|| SHE[pick - HE.len()])
    })
}

fn person<R: Rng + ?Sized>(rng: &mut R) -> &'static str {
    let [name] = people(rng);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// The answer stands in the needle to the letter (but the year, which is a sum).
    #[test]
    fn answers_are_copies_of_the_needle() {
        let mut rng = StdRng::seed_from_u64(1);
        for family in Family::ALL {
            for _ in 0..200 {
                let fact = draw(&mut rng, family);
                let copied = match family {
                    Family::Year => fact.answer.rsplit_once(" in ").expect("ends with a year").0,
                    _ => fact.answer.trim_end_matches('.'),
                };
                assert!(fact.needle.contains(copied), "{fact:?}");
                assert!(fact.question.ends_with('?') && fact.answer.ends_with('.'), "{fact:?}");
            }
        }
    }

    /// Tom, born in 2005, started fifteen years later: 2005 + 15 = 2020.
    #[test]
    fn the_year_is_the_sum() {
        let mut rng = StdRng::seed_from_u64(2);
        for _ in 0..200 {
            let fact = draw(&mut rng, Family::Year);
            let year = |text: &str| -> Option<u32> {
                text.split([' ', '.']).find_map(|w| w.parse().ok().filter(|&y| y > 1000))
            };
            let years = fact
                .needle
                .split(' ')
                .find_map(|w| NUMBERS.iter().find(|(name, _)| *name == w).map(|(_, years)| *years));
            let birth = year(&fact.needle).expect("a year of birth");
            let sum = birth + years.expect("a number word");
            assert_eq!(year(&fact.answer), Some(sum), "{fact:?}");
        }
    }

    #[test]
    fn the_three_needles_of_the_table_are_instances() {
        assert!(PLACES.contains(&"campus"));
        assert!(ACTIVITIES.contains(&"relax") && ACTIVITIES.contains(&"do nothing"));
        assert!(OCCASIONS.contains(&"Ph.D. career"));
        assert!(HABITS.contains(&"exercise") && HABITS.contains(&"healthy diet"));
        assert!(HE.contains(&"Tom") && STAGES.contains(&"high school"));
        assert!(NUMBERS.contains(&("fifteen", 15)));
    }

    #[test]
    fn an_article_fits_its_adjective() {
        let mut rng = StdRng::seed_from_u64(3);
        let gifts: Vec<Fact> = (0..400).map(|_| draw(&mut rng, Family::Gift)).collect();
        assert!(gifts.iter().any(|f| f.answer.starts_with("an old ")));
        assert!(gifts.iter().any(|f| f.answer.starts_with("a red ")));
        assert!(!gifts.iter().any(|f| f.answer.starts_with("a o") || f.answer.starts_with("an r")));
    }

    #[test]
    fn held_out_facts_are_held_out_and_written_one_per_line() {
        let held_out = HeldOut::default();
        let facts = held_out_facts(&mut StdRng::seed_from_u64(4), &held_out, 3);
        assert_eq!(facts.len(), 3 * Family::ALL.len());
        assert!(facts.iter().all(|f| held_out.is_held_out(&f.needle)));

        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        write_needles(&facts, file.path()).expect("written");
        let text = std::fs::read_to_string(file.path()).expect("read");
        let last: serde_json::Value =
            serde_json::from_str(text.lines().last().expect("has lines")).expect("JSON");
        assert_eq!(text.lines().count(), facts.len());
        assert_eq!(last["needle"], facts[35].needle);
        assert_eq!(last["id"], "travel-035");
    }

    #[test]
    fn two_births_of_one_person_conflict() {
        let fact = |needle: &str, question: &str| Fact {
            needle: needle.into(),
            question: question.into(),
            answer: String::new(),
            kind: Family::Year,
        };
        let tom = fact("Tom was born in 2005.", "Which year did Tom start work?");
        assert!(tom.conflicts(&fact("Tom was born in 1999.", "Which year did Tom start chess?")));
        assert!(!tom.conflicts(&fact("Max was born in 1999.", "Which year did Max start work?")));
    }
}
