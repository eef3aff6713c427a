//! [`RulerGenerator`]: rows of RULER's synthetic tasks, made to a length in tokens.
//!
//! The tasks and their numbers (how many needles, hops, repetitions) are RULER's; the wording, the
//! filler and the words are our own, so that scores are comparable among runs of headprof and not
//! with published ones: for these, read the rows of RULER itself ([`RulerRow`]).
//! The two tasks of question answering (`qa_1`, `qa_2`) need data sets and are not made here.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::filling::Filling;
use super::needles::{self, Niah};
use super::rows::RulerRow;
use super::{fit, variables, word_counts};
use crate::error::{Error, Result};

/// A task that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulerKind {
    /// A number among repeated sentences.
    NiahSingle1,
    /// A number among essays.
    NiahSingle2,
    /// A code among essays.
    NiahSingle3,
    /// One of four numbers among essays.
    NiahMultikey1,
    /// One of many numbers, and nothing else.
    NiahMultikey2,
    /// One of many codes named by codes, and nothing else.
    NiahMultikey3,
    /// Four numbers of one name.
    NiahMultivalue,
    /// The numbers of four names.
    NiahMultiquery,
    /// All names that stand for one value.
    VariableTracking,
    /// The ten words that are repeated most.
    CommonWords,
    /// The three most frequent words of a text whose word counts fall with the square of the rank.
    FrequentWords,
}

impl RulerKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NiahSingle1,
        Self::NiahSingle2,
        Self::NiahSingle3,
        Self::NiahMultikey1,
        Self::NiahMultikey2,
        Self::NiahMultikey3,
        Self::NiahMultivalue,
        Self::NiahMultiquery,
        Self::VariableTracking,
        Self::CommonWords,
        Self::FrequentWords,
    ];

    /// RULER's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NiahSingle1 => "niah_single_1",
            Self::NiahSingle2 => "niah_single_2",
            Self::NiahSingle3 => "niah_single_3",
            Self::NiahMultikey1 => "niah_multikey_1",
            Self::NiahMultikey2 => "niah_multikey_2",
            Self::NiahMultikey3 => "niah_multikey_3",
            Self::NiahMultivalue => "niah_multivalue",
            Self::NiahMultiquery => "niah_multiquery",
            Self::VariableTracking => "vt",
            Self::CommonWords => "cwe",
            Self::FrequentWords => "fwe",
        }
    }

    /// The task of that name.
    ///
    /// # Errors
    /// [`Error::Usage`] with all names.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            Error::usage("there is no such task of RULER that can be made here")
                .got(name)
                .expected(names.join(", "))
                .advice("rows of other tasks come from files: --task-data")
        })
    }
}

/// A prompt and what an answer should have in it.
pub(super) struct GeneratedPrompt {
    pub input: String,
    pub outputs: Vec<String>,
}

/// Makes rows of one length.
pub struct RulerGenerator<'a> {
    essays: Filling<'a>,
    seed: u64,
    target_tokens: usize,
    count: &'a dyn Fn(&str) -> Result<usize>,
}

impl<'a> RulerGenerator<'a> {
    /// Rows of at most `target_tokens`, and as near to it as their parts allow. `count` says how
    /// many tokens a prompt has, BOS included where it is to be; tokens of the answer come on top.
    ///
    /// # Errors
    /// [`Error::Data`] if the essays have no sentence.
    pub fn new(
        essays: impl IntoIterator<Item = &'a str>,
        seed: u64,
        target_tokens: usize,
        count: &'a dyn Fn(&str) -> Result<usize>,
    ) -> Result<Self> {
        match Filling::new(essays) {
            None => Err(Error::data("there is no sentence to fill prompts with")),
            Some(essays) => Ok(Self { essays, seed, target_tokens, count }),
        }
    }

    /// Row `index` of a task: it depends on the seed, the task, the index, the length and the
    /// tokenizer alone.
    ///
    /// # Errors
    /// [`Error::Usage`] if the shortest prompt has more than the target's tokens; what `count`
    /// gives.
    pub fn row(&self, kind: RulerKind, index: usize) -> Result<RulerRow> {
        let position = RulerKind::ALL.iter().position(|k| *k == kind).unwrap_or(0) as u64;
        // Rows and tasks have random numbers of their own: none changes with how many are made.
        let seed = self.seed.wrapping_mul(1 << 8).wrapping_add(position);
        let mut rng = StdRng::seed_from_u64(seed.rotate_left(32) ^ index as u64);
        let made = match niah(kind) {
            Some(niah) => self.largest(kind, &niah.draw(&mut rng, &self.essays))?,
            None if kind == RulerKind::VariableTracking => {
                self.largest(kind, &variables::draw(&mut rng))?
            }
            None if kind == RulerKind::CommonWords => {
                self.largest(kind, &word_counts::common(&mut rng, self.target_tokens))?
            }
            None => self.largest(kind, &word_counts::frequent(&mut rng))?,
        };
        Ok(RulerRow {
            line: index,
            input: made.input,
            joint: "",
            answer_prefix: String::new(),
            outputs: made.outputs,
            place: format!("{}, row {index}, made here", kind.name()),
        })
    }

    /// The longest prompt that fits.
    fn largest(
        &self,
        kind: RulerKind,
        prompt: &dyn Fn(usize) -> GeneratedPrompt,
    ) -> Result<GeneratedPrompt> {
        let fits = |n| Ok((self.count)(&prompt(n).input)? <= self.target_tokens);
        match fit::largest(fits)? {
            Some(n) => Ok(prompt(n)),
            None => Err(Error::usage("the shortest prompt of this task is too long")
                .at(kind.name())
                .got(format!("{} tokens asked for", self.target_tokens))
                .expected(format!("at least {}", (self.count)(&prompt(0).input)?))
                .advice(
                    "longer --lengths, or a list of tasks such as --task ruler:niah_single_1,vt",
                )),
        }
    }
}

/// The needles of a task, if it is about needles. Numbers of keys, values and queries are RULER's.
fn niah(kind: RulerKind) -> Option<Niah> {
    use needles::Filler::{Essays, Needles, Repeated};
    use needles::Value::{Code, Number};
    use needles::{Key, Niah};
    let one = Niah { filler: Essays, key: Key::Words, value: Number, keys: 1, values: 1, asked: 1 };
    Some(match kind {
        RulerKind::NiahSingle1 => Niah { filler: Repeated, ..one },
        RulerKind::NiahSingle2 => one,
        RulerKind::NiahSingle3 => Niah { value: Code, ..one },
        RulerKind::NiahMultikey1 => Niah { keys: 4, ..one },
        RulerKind::NiahMultikey2 => Niah { filler: Needles, ..one },
        RulerKind::NiahMultikey3 => Niah { filler: Needles, key: Key::Code, value: Code, ..one },
        RulerKind::NiahMultivalue => Niah { values: 4, ..one },
        RulerKind::NiahMultiquery => Niah { keys: 4, asked: 4, ..one },
        RulerKind::VariableTracking | RulerKind::CommonWords | RulerKind::FrequentWords => {
            return None;
        }
    })
}
