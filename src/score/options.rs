//! What the user can choose about the scores: which rows count, and which reference to follow.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The rows over which `dili`, `lazy`, `inf` and the four counts are averaged (`--score-rows`).
///
/// Row `t` belongs to the query that produced answer token `t`. The row that produced the stop
/// token is left out, unless no other row is chosen. `retrieval` and `retrieval_reasoning` are
/// sums over the answer by definition and use all its rows whatever this says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScoreRows {
    /// `last-prompt`: row 0 only, the query of the prompt's last token.
    LastPrompt,
    /// `decode`: the rows of the tokens fed back while decoding, `t >= 1`.
    Decode,
    /// `all`: every row of the answer.
    #[default]
    All,
}

impl ScoreRows {
    const NAMES: [(&'static str, Self); 3] =
        [("last-prompt", Self::LastPrompt), ("decode", Self::Decode), ("all", Self::All)];
}

impl FromStr for ScoreRows {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse_name(text, &Self::NAMES, "there is no such choice of score rows")
    }
}

impl fmt::Display for ScoreRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(*self, &Self::NAMES))
    }
}

/// A reference implementation whose behaviour can be restored (`--compat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// `retrieval-head`: the code of Wu et al. 2024,
    /// <https://github.com/nightdessert/Retrieval_Head>.
    RetrievalHead,
    /// `headkv-r2`: the code of HeadKV, <https://github.com/FYYFU/HeadKV>.
    HeadkvR2,
    /// `dililazykv`: the code of DiliLazyKV, <https://github.com/DiliLazyKV/DiliLazyKV>.
    DililazyKv,
}

impl Reference {
    const NAMES: [(&'static str, Self); 3] = [
        ("retrieval-head", Self::RetrievalHead),
        ("headkv-r2", Self::HeadkvR2),
        ("dililazykv", Self::DililazyKv),
    ];

    fn bit(self) -> u8 {
        match self {
            Self::RetrievalHead => 1,
            Self::HeadkvR2 => 2,
            Self::DililazyKv => 4,
        }
    }

    /// The most tokens that the reference generates for an answer of `answer_tokens` tokens.
    ///
    /// Retrieval_Head decodes 50 tokens at most; HeadKV-R2 stops as soon as the output is as long
    /// as the expected answer (a test made after the token was scored, hence at least one);
    /// DiliLazyKV generates 100.
    pub fn max_new_tokens(self, answer_tokens: usize) -> usize {
        match self {
            Self::RetrievalHead => 50,
            Self::HeadkvR2 => answer_tokens.clamp(1, 50),
            Self::DililazyKv => 100,
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse_name(text, &Self::NAMES, "there is no such reference to be compatible with")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(*self, &Self::NAMES))
    }
}

/// The word of `--compat` for all references, in every command.
const ALL_REFERENCES: &str = "reference";

/// A set of references; empty by default, which means the corrected behaviour everywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct References(u8);

impl References {
    /// The set with `compat` in it as well.
    pub fn with(self, compat: Reference) -> Self {
        Self(self.0 | compat.bit())
    }

    /// Whether the behaviour of `compat` is asked for.
    pub fn contains(self, compat: Reference) -> bool {
        self.0 & compat.bit() != 0
    }

    /// The members, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Reference> {
        Reference::NAMES.into_iter().map(|(_, compat)| compat).filter(move |&c| self.contains(c))
    }

    /// The limit of generated tokens that the references impose, `None` for an empty set.
    ///
    /// One generation feeds all scores, so with several references the shortest limit holds; for
    /// each reference's own figures, run them one at a time.
    pub fn max_new_tokens(self, answer_tokens: usize) -> Option<usize> {
        self.iter().map(|reference| reference.max_new_tokens(answer_tokens)).min()
    }
}

impl From<Reference> for References {
    fn from(compat: Reference) -> Self {
        Self::default().with(compat)
    }
}

impl FromStr for References {
    type Err = Error;

    /// Reads a comma-separated list, or `reference` for all: each score as its own reference
    /// computes it. The empty string is the empty set.
    fn from_str(text: &str) -> Result<Self> {
        match text.trim() {
            "" => return Ok(Self::default()),
            ALL_REFERENCES => {
                let all = Reference::NAMES.into_iter().map(|(_, reference)| reference);
                return Ok(all.fold(Self::default(), Self::with));
            }
            _ => {}
        }
        text.split(',').try_fold(Self::default(), |set, name| {
            let parsed: Result<Reference> = name.trim().parse();
            let or_all = |e: Error| e.advice(format!("{ALL_REFERENCES} alone is all of them"));
            Ok(set.with(parsed.map_err(or_all)?))
        })
    }
}

impl fmt::Display for References {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.iter().map(|reference| reference.to_string()).collect();
        f.write_str(&names.join(","))
    }
}

/// How scores are computed; the default is the corrected behaviour over all answer rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScoreOptions {
    /// The rows to average over.
    pub rows: ScoreRows,
    /// The references to follow where they differ.
    pub compat: References,
}

fn parse_name<T: Copy>(text: &str, names: &[(&str, T)], what: &str) -> Result<T> {
    names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        Error::usage(what).got(format!("\"{text}\"")).expected(format!("one of {}", all.join(", ")))
    })
}

fn name_of<T: PartialEq>(value: T, names: &[(&'static str, T)]) -> &'static str {
    names.iter().find(|(_, v)| *v == value).map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_list_the_choices() {
        for (name, rows) in ScoreRows::NAMES {
            assert_eq!(name.parse(), Ok(rows));
            assert_eq!(rows.to_string(), name);
        }
        for (name, compat) in Reference::NAMES {
            assert_eq!(name.parse(), Ok(compat));
            assert_eq!(compat.to_string(), name);
        }
        let error = "prefill".parse::<ScoreRows>().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("one of last-prompt, decode, all"), "{error}");
    }

    #[test]
    fn a_compat_set_is_a_comma_list() {
        let set: References = "dililazykv, retrieval-head".parse().unwrap();
        assert!(set.contains(Reference::RetrievalHead) && set.contains(Reference::DililazyKv));
        assert!(!set.contains(Reference::HeadkvR2));
        assert_eq!(set.to_string(), "retrieval-head,dililazykv");
        assert_eq!("".parse(), Ok(References::default()));
        let all: References = "reference".parse().unwrap();
        assert_eq!(all.to_string(), "retrieval-head,headkv-r2,dililazykv");
        for wrong in ["retrieval-head,", "snapkv", "reference,headkv-r2"] {
            let e = wrong.parse::<References>().unwrap_err();
            assert!(e.to_string().contains("reference alone"), "{wrong}: {e}");
        }
    }

    #[test]
    fn the_shortest_limit_of_the_references_holds() {
        assert_eq!(References::default().max_new_tokens(7), None);
        let r2 = References::from(Reference::HeadkvR2);
        assert_eq!(r2.max_new_tokens(7), Some(7));
        assert_eq!(r2.max_new_tokens(0), Some(1));
        assert_eq!(r2.max_new_tokens(80), Some(50));
        let two = References::from(Reference::DililazyKv).with(Reference::RetrievalHead);
        assert_eq!(two.max_new_tokens(7), Some(50));
    }
}
