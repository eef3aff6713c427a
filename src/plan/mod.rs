//! The plan of a run: which probes there are, in which order, and what each is called.
//!
//! A probe is a needle at a depth in a context of a length, or a story whose facts are scattered
//! over one; nothing after the plan invents a probe.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::needle::ProbeText;

mod distinct;
mod grid;
mod pieces;
mod shard;

pub use distinct::{Placed, Twin};
pub use grid::{
    Grid, MOST_TOKENS, check_tokens, default_depths, even_lengths, parse_depths, parse_lengths,
};
pub use pieces::{Cost, pieces, shard_of};
pub use shard::{MOST_SHARDS, SHARD_VARIABLE, SHARDS_VARIABLE, Shard};

/// More probes than this is a slip of the keyboard.
const MOST_PROBES: usize = 10_000_000;

/// The name of a probe: the first 8 bytes of a SHA-256 over everything that makes its prompt
/// (haystack, template and tokenizer; needle, length, depth and seed), written as 16 hex digits.
/// The same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ProbeId(u64);

impl fmt::Display for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<ProbeId> for String {
    fn from(id: ProbeId) -> Self {
        id.to_string()
    }
}

impl FromStr for ProbeId {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let digits = s.len() == 16 && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        u64::from_str_radix(s, 16).ok().filter(|_| digits).map(Self).ok_or_else(|| {
            Error::data("this is not the id of a probe")
                .got(format!("{s:?}"))
                .expected("16 hex digits in lower case")
        })
    }
}

impl TryFrom<String> for ProbeId {
    type Error = Error;

    fn try_from(s: String) -> Result<Self> {
        s.parse()
    }
}

/// One probe: a needle at a depth, or a story, in a context of a length.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Its place in the plan, from 0.
    pub index: usize,
    /// Its name.
    pub id: ProbeId,
    /// Index of its needle.
    pub needle: usize,
    /// Length of the prompt in tokens, `T`.
    pub context_length: usize,
    /// Depth of the needle, 0 to 1; `None` for a story, whose facts are scattered.
    pub depth: Option<f64>,
    /// Which of the repetitions with another part of the haystack, from 0.
    pub repeat: u32,
    /// Decides where in the haystack the probe begins; 0 for its beginning.
    pub seed: u64,
    /// The other places of the grid whose prompt is the same.
    pub twins: Vec<Twin>,
}

impl Probe {
    /// The token of a haystack of `haystack_tokens` tokens (not 0) at which the probe begins.
    pub fn offset(&self, haystack_tokens: usize) -> usize {
        (self.seed % haystack_tokens as u64) as usize
    }

    /// Where the `n` facts of a story stand, 0 to 1 each, ascending: drawn evenly, by the probe's
    /// id.
    pub fn fact_depths(&self, n: usize) -> Vec<f64> {
        let mut rng = StdRng::seed_from_u64(self.id.0);
        let mut depths: Vec<f64> = (0..n).map(|_| rng.random()).collect();
        depths.sort_by(f64::total_cmp);
        depths
    }
}

/// All probes of a run, in the order needle, context length, depth, repeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The probes; `probes[i].index == i`, no two have the same id, and after [`Plan::distinct`] no
    /// two of one needle the same prompt.
    pub probes: Vec<Probe>,
}

impl Plan {
    /// Every needle at every length, depth and repetition. With seed 0 the first repetition begins
    /// at the haystack's beginning; every other one at a place that `seed` and `repeat` decide.
    /// `inputs` stands for what all prompts have in common: it is a part of every id.
    ///
    /// # Errors
    /// [`Error::Usage`] if a list is empty, `repeats` is 0 or there are too many probes;
    /// [`Error::Data`] if two needles differ in nothing but their id.
    pub fn new(
        inputs: &str,
        needles: &[ProbeText],
        context_lengths: &[usize],
        depths: &[f64],
        repeats: u32,
        seed: u64,
    ) -> Result<Self> {
        let depths: Vec<Option<f64>> = depths.iter().copied().map(Some).collect();
        Sides { inputs, needles, context_lengths, depths: &depths, repeats }
            .plan(|_, repeat| haystack_seed(seed, repeat))
    }

    /// Every story at every length and repetition, each in another part of the haystack: where many
    /// stories share one beginning, what they find out is about that beginning.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn of_stories(
        inputs: &str,
        stories: &[ProbeText],
        context_lengths: &[usize],
        repeats: u32,
        seed: u64,
    ) -> Result<Self> {
        Sides { inputs, needles: stories, context_lengths, depths: &[None], repeats }.plan(
            |story, repeat| {
                let hidden = story.hidden();
                let text = [hidden.as_bytes(), story.question().as_bytes()];
                let numbers = [&seed.to_le_bytes()[..], &repeat.to_le_bytes()];
                digest(&[b"headprof story", text[0], text[1], numbers[0], numbers[1]])
            },
        )
    }

    /// Every one of `rows`, `(index of the needle, tokens of its prompt)`, once; a row that is
    /// there again is a twin of the first.
    pub fn of_contexts(inputs: &str, needles: &[ProbeText], rows: &[(usize, usize)]) -> Self {
        let (mut probes, mut first) = (Vec::<Probe>::new(), BTreeMap::new());
        for &(needle, context_length) in rows {
            let id = probe_id(inputs, &needles[needle], context_length, None, 0);
            let index = *first.entry(id).or_insert(probes.len());
            match probes.get_mut(index) {
                Some(probe) => {
                    let repeat = probe.twins.len() as u32 + 1;
                    probe.twins.push(Twin { depth: None, repeat });
                }
                None => probes.push(Probe {
                    index,
                    id,
                    needle,
                    context_length,
                    depth: None,
                    repeat: 0,
                    seed: 0,
                    twins: Vec::new(),
                }),
            }
        }
        Self { probes }
    }
}

/// The sides of a plan: every needle at every length, depth and repetition.
struct Sides<'a> {
    inputs: &'a str,
    needles: &'a [ProbeText],
    context_lengths: &'a [usize],
    depths: &'a [Option<f64>],
    repeats: u32,
}

impl Sides<'_> {
    /// The plan whose needle and repetition begin in the haystack at what `seed_of` says.
    fn plan(&self, seed_of: impl Fn(&ProbeText, u32) -> u64) -> Result<Plan> {
        let counts = [
            ("needles", self.needles.len()),
            ("context lengths", self.context_lengths.len()),
            ("depths", self.depths.len()),
            ("repetitions", self.repeats as usize),
        ];
        if let Some((what, _)) = counts.iter().find(|c| c.1 == 0) {
            return Err(Error::usage("there is nothing to probe")
                .got(format!("no {what}"))
                .expected("at least one"));
        }
        counts
            .iter()
            .try_fold(1usize, |n, c| n.checked_mul(c.1))
            .filter(|&n| n <= MOST_PROBES)
            .ok_or_else(|| {
                Error::usage("there are too many probes")
                    .got(counts.map(|(what, n)| format!("{n} {what}")).join(" x "))
                    .expected(format!("at most {MOST_PROBES}"))
                    .advice("fewer lengths, depths or repetitions")
            })?;

        let mut probes = Vec::new();
        for (n, needle) in self.needles.iter().enumerate() {
            for &context_length in self.context_lengths {
                for &depth in self.depths {
                    for repeat in 0..self.repeats {
                        let seed = seed_of(needle, repeat);
                        let id = probe_id(self.inputs, needle, context_length, depth, seed);
                        let index = probes.len();
                        let needle = n;
                        probes.push(Probe {
                            index,
                            id,
                            needle,
                            context_length,
                            depth,
                            repeat,
                            seed,
                            twins: Vec::new(),
                        });
                    }
                }
            }
        }
        unique(&probes, self.needles)?;
        one_answer(self.needles)?;
        Ok(Plan { probes })
    }
}

/// Two needles that ask the same of the same text make the same prompts, each of which would count
/// twice.
fn one_answer(needles: &[ProbeText]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for needle in needles.iter().filter(|text| matches!(text, ProbeText::Needle(_))) {
        if let Some(first) = seen.insert((needle.hidden(), needle.question()), needle) {
            return Err(Error::data("two needles make the same prompts")
                .at(format!("needles {} and {}", first.id(), needle.id()))
                .got(format!(
                    "the same text and question, answers {:?} and {:?}",
                    first.answer(),
                    needle.answer()
                ))
                .expected("every needle and question once")
                .advice("keep one of them"));
        }
    }
    Ok(())
}

/// Ids are by content, so the same needle twice would count every answer twice.
fn unique(probes: &[Probe], needles: &[ProbeText]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for p in probes {
        if let Some(first) = seen.insert(p.id, p) {
            let (a, b) = (&needles[first.needle], &needles[p.needle]);
            let depth = p.depth.map_or(String::new(), |d| format!(", depth {d}"));
            return Err(Error::data("two probes are the same")
                .at(format!("needles {} and {}", a.id(), b.id()))
                .got(format!("{:?} twice, length {}{depth}", b.question(), p.context_length))
                .expected("every needle, length and depth once"));
        }
    }
    Ok(())
}

fn haystack_seed(seed: u64, repeat: u32) -> u64 {
    if (seed, repeat) == (0, 0) {
        return 0;
    }
    digest(&[b"headprof haystack", &seed.to_le_bytes(), &repeat.to_le_bytes()])
}

fn probe_id(
    inputs: &str,
    needle: &ProbeText,
    context_length: usize,
    depth: Option<f64>,
    seed: u64,
) -> ProbeId {
    let depth = match depth {
        Some(depth) => depth.to_bits().to_le_bytes(),
        None => *b"scatter.",
    };
    ProbeId(digest(&[
        b"headprof probe",
        inputs.as_bytes(),
        needle.hidden().as_bytes(),
        needle.question().as_bytes(),
        needle.answer().as_bytes(),
        needle.real_needle().as_bytes(),
        &(context_length as u64).to_le_bytes(),
        &depth,
        &seed.to_le_bytes(),
    ]))
}

/// The first 8 bytes of a SHA-256 over parts, each after its length, so that no two lists of parts
/// run together to the same bytes.
fn digest(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).fold(0, |n, &b| n << 8 | u64::from(b))
}

#[cfg(test)]
mod tests;
