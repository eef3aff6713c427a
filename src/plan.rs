//! The plan of a run: which probes there are, in which order, and what each is called.
//!
//! A probe is a needle at a depth in a context of a length, or a story whose facts are scattered over
//! one; nothing after the plan invents a probe.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::needle::Needle;

mod grid;

pub use grid::{
    Grid, MOST_TOKENS, check_tokens, default_depths, even_lengths, parse_depths, parse_lengths,
};

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

/// One probe: a needle at a depth in a context of a length.
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
}

impl Probe {
    /// The token of a haystack of `haystack_tokens` tokens (not 0) at which the probe begins.
    pub fn offset(&self, haystack_tokens: usize) -> usize {
        (self.seed % haystack_tokens as u64) as usize
    }

    /// Where the `n` facts of a story stand, 0 to 1 each, ascending: drawn evenly, by the probe's id.
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
    /// The probes; `probes[i].index == i`, and no two have the same id.
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
        needles: &[Needle],
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
        stories: &[Needle],
        context_lengths: &[usize],
        repeats: u32,
        seed: u64,
    ) -> Result<Self> {
        Sides { inputs, needles: stories, context_lengths, depths: &[None], repeats }.plan(
            |story, repeat| {
                let text = [story.needle.as_bytes(), story.question.as_bytes()];
                let numbers = [&seed.to_le_bytes()[..], &repeat.to_le_bytes()];
                digest(&[b"headprof story", text[0], text[1], numbers[0], numbers[1]])
            },
        )
    }

    /// Every one of `rows`, `(index of the needle, tokens of its prompt)`, once.
    ///
    /// # Errors
    /// [`Error::Data`] if two rows are the same.
    pub fn of_contexts(inputs: &str, needles: &[Needle], rows: &[(usize, usize)]) -> Result<Self> {
        let probe = |(index, &(needle, context_length)): (usize, &(usize, usize))| {
            let id = probe_id(inputs, &needles[needle], context_length, None, 0);
            Probe { index, id, needle, context_length, depth: None, repeat: 0, seed: 0 }
        };
        let probes: Vec<Probe> = rows.iter().enumerate().map(probe).collect();
        unique(&probes, needles)?;
        Ok(Self { probes })
    }
}

/// All that a plan with one length for many needles is made of.
struct Sides<'a> {
    inputs: &'a str,
    needles: &'a [Needle],
    context_lengths: &'a [usize],
    depths: &'a [Option<f64>],
    repeats: u32,
}

impl Sides<'_> {
    /// The plan whose needle and repetition begin in the haystack at what `seed_of` says.
    fn plan(&self, seed_of: impl Fn(&Needle, u32) -> u64) -> Result<Plan> {
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
                        });
                    }
                }
            }
        }
        unique(&probes, self.needles)?;
        Ok(Plan { probes })
    }
}

/// Ids are by content, so the same needle twice would count every answer twice.
fn unique(probes: &[Probe], needles: &[Needle]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for p in probes {
        if let Some(first) = seen.insert(p.id, p) {
            let (a, b) = (&needles[first.needle], &needles[p.needle]);
            let depth = p.depth.map_or(String::new(), |d| format!(", depth {d}"));
            return Err(Error::data("two probes are the same")
                .at(format!("needles {} and {}", a.id, b.id))
                .got(format!("{:?}, length {}{depth}", b.needle, p.context_length))
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
    needle: &Needle,
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
        needle.needle.as_bytes(),
        needle.question.as_bytes(),
        needle.answer.as_bytes(),
        needle.real_needle.as_deref().unwrap_or_default().as_bytes(),
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
mod tests {
    use super::*;

    fn needle(id: &str, text: &str) -> Needle {
        Needle {
            id: id.to_owned(),
            needle: text.to_owned(),
            question: "Q?".to_owned(),
            answer: "A.".to_owned(),
            real_needle: None,
            facts: None,
        }
    }

    fn key(p: &Probe) -> (usize, usize, f64, u32) {
        (p.needle, p.context_length, p.depth.unwrap(), p.repeat)
    }

    #[test]
    fn stories_are_scattered_each_in_its_own_part_of_the_haystack() {
        let stories = [needle("a", "one"), needle("b", "two")];
        let plan = Plan::of_stories("in", &stories, &[512, 1024], 2, 0).unwrap();
        assert_eq!(plan.probes.len(), 8);
        assert!(plan.probes.iter().all(|p| p.depth.is_none()));
        // The same story begins at the same place at every length.
        let seeds = |n| -> Vec<u64> {
            plan.probes.iter().filter(|p| p.needle == n).map(|p| p.seed).collect()
        };
        assert_eq!(seeds(0)[..2], seeds(0)[2..]);
        let distinct: std::collections::BTreeSet<u64> =
            plan.probes.iter().map(|p| p.seed).collect();
        assert_eq!(distinct.len(), 4);
        let depths = plan.probes[0].fact_depths(50);
        assert!(depths.is_sorted() && depths.iter().all(|d| (0.0..1.0).contains(d)));
        // Half of the facts on each side, more or less.
        let early = depths.iter().filter(|&&d| d < 0.5).count();
        assert!((10..40).contains(&early), "{early}");
        assert_eq!(depths, plan.probes[0].fact_depths(50));
        assert_ne!(depths, plan.probes[1].fact_depths(50));
    }

    #[test]
    fn probes_are_in_the_order_needle_length_depth_repeat() {
        let needles = [needle("a", "one"), needle("b", "two")];
        let plan = Plan::new("in", &needles, &[512, 1024], &[0.0, 1.0], 2, 0).unwrap();
        let order: Vec<(usize, usize, f64, u32)> = plan.probes.iter().map(key).collect();
        let mut expected = Vec::new();
        for n in 0..2 {
            for t in [512, 1024] {
                for d in [0.0, 1.0] {
                    expected.extend([(n, t, d, 0), (n, t, d, 1)]);
                }
            }
        }
        assert_eq!(order, expected);
        assert!(plan.probes.iter().enumerate().all(|(i, p)| p.index == i));
    }

    #[test]
    fn ids_depend_on_the_content_only() {
        let id = |n: &Needle, t: usize, d: f64, seed: u64| {
            Plan::new("in", std::slice::from_ref(n), &[t], &[d], 1, seed).unwrap().probes[0].id
        };
        let a = needle("a", "one");
        let base = id(&a, 512, 0.5, 0);
        assert_eq!(base, id(&needle("renamed", "one"), 512, 0.5, 0));
        // In a larger plan the same probe has the same id.
        let both = [needle("z", "zero"), a.clone()];
        let large = Plan::new("in", &both, &[256, 512], &[0.1, 0.5], 3, 0);
        let found = large.unwrap().probes.into_iter().find(|p| key(p) == (1, 512, 0.5, 0));
        assert_eq!(found.unwrap().id, base);
        let other_question = Needle { question: "R?".to_owned(), ..a.clone() };
        let other_answer = Needle { answer: "B.".to_owned(), ..a.clone() };
        // Parts do not run together: "one" + "Q?" is not "oneQ" + "?".
        let shifted = Needle { question: "?".to_owned(), ..needle("a", "oneQ") };
        let elsewhere = Plan::new("other", std::slice::from_ref(&a), &[512], &[0.5], 1, 0);
        let all = [
            base,
            elsewhere.unwrap().probes[0].id,
            id(&a, 513, 0.5, 0),
            id(&a, 512, 0.25, 0),
            id(&a, 512, 0.5, 1),
            id(&other_question, 512, 0.5, 0),
            id(&other_answer, 512, 0.5, 0),
            id(&shifted, 512, 0.5, 0),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn ids_are_stable_from_version_to_version() {
        // Journals of earlier versions are matched by these. Computed apart from this code, with
        // Python's hashlib, from the description of `digest`.
        let plan = Plan::new("in", &[needle("a", "one")], &[512], &[0.5], 2, 0).unwrap();
        assert_eq!(plan.probes[0].id.to_string(), "1f0ad1cfb3ae23cf");
        assert_eq!(plan.probes[1].id.to_string(), "1b1f1b120d1631ab");
    }

    #[test]
    fn ids_are_written_and_read_as_hex() {
        let id = ProbeId(0x00ab);
        assert_eq!(id.to_string(), "00000000000000ab");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"00000000000000ab\"");
        assert_eq!(serde_json::from_str::<ProbeId>("\"00000000000000ab\"").unwrap(), id);
        for bad in ["", "ab", "00000000000000AB", "+0000000000000ab", "00000000000000abc"] {
            assert_eq!(bad.parse::<ProbeId>().unwrap_err().exit_code(), 3, "{bad}");
        }
    }

    #[test]
    fn repetitions_begin_elsewhere_in_the_haystack() {
        let offsets = |seed| -> Vec<usize> {
            let plan = Plan::new("in", &[needle("a", "one")], &[512], &[0.5], 4, seed).unwrap();
            plan.probes.iter().map(|p| p.offset(25_000)).collect()
        };
        assert_eq!(offsets(0)[0], 0);
        for seed in [0, 1] {
            let distinct: std::collections::BTreeSet<_> = offsets(seed).into_iter().collect();
            assert_eq!(distinct.len(), 4);
            assert!(distinct.iter().all(|&o| o < 25_000));
        }
        assert_ne!(offsets(0)[1], offsets(1)[1]);
    }

    #[test]
    fn empty_or_endless_plans_are_refused() {
        let n = [needle("a", "one")];
        for (needles, lengths, depths, repeats, says) in [
            (&n[..0], &[512][..], &[0.5][..], 1, "no needles"),
            (&n, &[], &[0.5], 1, "no context lengths"),
            (&n, &[512], &[], 1, "no depths"),
            (&n, &[512], &[0.5], 0, "no repetitions"),
            (&n, &[512, 513], &[0.1, 0.5], u32::MAX, "4294967295 repetitions"),
        ] {
            let e = Plan::new("in", needles, lengths, depths, repeats, 0).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains(says), "{e}");
        }
    }

    #[test]
    fn the_same_needle_under_two_ids_is_refused() {
        let twice = [needle("a", "one"), needle("b", "one")];
        let e = Plan::new("in", &twice, &[512], &[0.5], 1, 0).unwrap_err();
        assert_eq!(e.exit_code(), 3);
        assert!(e.to_string().contains("needles a and b"), "{e}");
    }
}
