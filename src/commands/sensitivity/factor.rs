//! [`Factor`]: what the ranking of heads may depend on besides the model.

use std::str::FromStr;

use crate::error::{Error, Result};

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Factor {
    /// Which needle; of stories which task.
    Needle,
    /// At which depth it was asked to stand.
    Depth,
    /// How long the context was.
    Length,
    /// Which answers count.
    Gate,
    /// How many weights of a row count as strong attention.
    TopK,
    /// Which rows of the answer count.
    Rows,
    /// Whether prompts are messages of the chat template.
    Chat,
}

impl Factor {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 7] =
        [Self::Needle, Self::Depth, Self::Length, Self::Gate, Self::TopK, Self::Rows, Self::Chat];

    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Needle => "needle",
            Self::Depth => "depth",
            Self::Length => "length",
            Self::Gate => "gate",
            Self::TopK => "top-k",
            Self::Rows => "rows",
            Self::Chat => "chat",
        }
    }

    /// Whether its levels are groups of the probes of one run, each against all others.
    pub fn is_grouped(self) -> bool {
        matches!(self, Self::Needle | Self::Depth | Self::Length)
    }

    /// What its levels are compared with, in words.
    pub fn against(self) -> &'static str {
        match self.is_grouped() {
            true => "the probes of all other levels",
            false => "the base",
        }
    }

    /// What the yardstick of its levels is, in words.
    pub fn chance(self) -> &'static str {
        match self {
            Self::Needle => {
                "as many random probes of the same depths and lengths, against the rest"
            }
            Self::Depth => {
                "as many random probes of the same needles and lengths, against the rest"
            }
            Self::Length => {
                "as many random probes of the same needles and depths, against the rest"
            }
            Self::Gate => {
                "as many random probes of all that were answered, against as many as pass"
            }
            Self::TopK | Self::Rows | Self::Chat => {
                "one random half of the base's needles against the other"
            }
        }
    }
}

impl FromStr for Factor {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|factor| factor.name() == name).ok_or_else(|| {
            Error::usage("there is no such thing to vary")
                .got(format!("{name:?}"))
                .expected(format!("one of {}", Self::ALL.map(Self::name).join(", ")))
        })
    }
}
