//! The twenty tasks of bAbI: names, titles, answers, lengths.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::words::{OBJECTS, ROOMS, TOWN};
use crate::error::Error;
use crate::needle::SubTask;

macro_rules! tasks {
    ($($variant:ident $name:literal $title:literal $facts:expr, $labels:expr;)*) => {
        /// One of bAbI's tasks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum BabiTask {
            $(#[doc = concat!("`", $name, "`: ", $title, ".")] $variant,)*
        }

        impl BabiTask {
            /// All tasks, in the order of their numbers.
            pub const ALL: [Self; 20] = [$(Self::$variant),*];

            /// The name in files and on the command line: `qa1`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What the task asks for, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// Every answer of the task, as BABILong's metric lists them, sorted. Answers of qa8
            /// are lists of these, joined by commas; those of qa19 are labels as a whole.
            pub fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &$labels,)* }
            }

            /// How many facts its stories usually have: about what BABILong's rows have, and never
            /// more than what fits a context of 512 tokens.
            pub fn default_facts(self) -> RangeInclusive<usize> {
                match self { $(Self::$variant => $facts,)* }
            }
        }
    };
}

tasks! {
    Qa1 "qa1" "where a person is" 2..=10, ROOMS;
    Qa2 "qa2" "where an object is that a person took or left" 8..=25, ROOMS;
    Qa3 "qa3" "where an object was before it was somewhere else" 10..=40, ROOMS;
    Qa4 "qa4" "what lies beside a place" 2..=2, ROOMS;
    Qa5 "qa5" "who gave what to whom" 6..=30,
        ["Bill", "Fred", "Jeff", "Mary", "apple", "football", "milk"];
    Qa6 "qa6" "whether a person is in a place" 2..=10, YES_OR_NO;
    Qa7 "qa7" "how many objects a person carries" 2..=20, ["none", "one", "three", "two"];
    Qa8 "qa8" "which objects a person carries" 2..=20, CARRIED;
    Qa9 "qa9" "whether a person is in a place, with denials" 2..=10, YES_OR_NO;
    Qa10 "qa10" "whether a person is in a place, with alternatives" 2..=10, ["maybe", "no", "yes"];
    Qa11 "qa11" "where the person is that a pronoun stands for" 2..=10, ROOMS;
    Qa12 "qa12" "where a person is who went with another" 2..=10, ROOMS;
    Qa13 "qa13" "where the people are that a pronoun stands for" 2..=10, ROOMS;
    Qa14 "qa14" "where a person was before, by the time of day" 2..=14, TOWN;
    Qa15 "qa15" "what an animal is afraid of, by its kind" 8..=8, ["cat", "mouse", "sheep", "wolf"];
    Qa16 "qa16" "which colour an animal has, by another of its kind" 9..=9,
        ["gray", "green", "white", "yellow"];
    Qa17 "qa17" "how two shapes lie to each other" 2..=2, YES_OR_NO;
    Qa18 "qa18" "which of two things is bigger" 5..=10, YES_OR_NO;
    Qa19 "qa19" "the way from one place to another" 5..=5, PATHS;
    Qa20 "qa20" "why a person went or took something" 2..=12,
        ["bedroom", "bored", "garden", "hungry", "kitchen", "thirsty", "tired"];
}

const YES_OR_NO: [&str; 2] = ["no", "yes"];
const CARRIED: [&str; 4] = [OBJECTS[0], OBJECTS[1], OBJECTS[2], "nothing"];
/// Two steps that do not undo each other.
const PATHS: [&str; 12] =
    ["e,e", "e,n", "e,s", "n,e", "n,n", "n,w", "s,e", "s,s", "s,w", "w,n", "w,s", "w,w"];

impl BabiTask {
    /// The task as the records of a run know it.
    pub fn sub_task(self) -> SubTask {
        SubTask { number: self as usize, name: self.name(), labels: self.labels() }
    }

    /// The task that the records of a run know by this name.
    pub fn known_as(name: &str) -> Option<SubTask> {
        Self::ALL.into_iter().find(|task| task.name() == name).map(Self::sub_task)
    }
}

impl Serialize for BabiTask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for BabiTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for BabiTask {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|task| task.name() == text).ok_or_else(|| {
            Error::usage("unknown bAbI task").got(format!("{text:?}")).expected("qa1 to qa20")
        })
    }
}
