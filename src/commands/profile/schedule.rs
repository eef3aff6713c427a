//! [`PrefixSchedule`]: an order of the probes in which what several prompts begin with is run once.
//!
//! The prompts of a grid begin alike: with the words before the haystack, then the haystack up to
//! where a needle goes in. Put in an order in which prompts that begin alike follow one another,
//! they are a walk through the tree of their beginnings. One cache is enough for that: what the
//! next prompt shares with the last one is still in it, the rest is forgotten
//! ([`KvCache::rewind`]), and no token of the tree is run twice. Where threads take parts of the
//! walk each, every part begins anew ([`parts`]).
//!
//! ```text
//! haystack ───┬──────────┬──────────┬────────►     depth 0.1: run ─┬─ needle ─ rest ─ question
//!             needle     needle     needle         depth 0.5: run ─ ┴────┬─ needle ─ rest ─ question
//!             depth 0.1  depth 0.5  depth 0.9      depth 0.9: run ────────┴────┬─ needle ─ ...
//! ```
//!
//! [`KvCache::rewind`]: crate::model::KvCache::rewind

use super::parts::{ScheduledProbe, parts};
use crate::error::Result;
use crate::job::Job;

/// Tokens that are compared at a time while ordering. Within such a block the order is arbitrary,
/// so that up to one may be run twice where two prompts part.
const BLOCK: usize = 16;

/// How the order is cut into parts.
pub(super) struct Cut<'a> {
    /// How many probes are answered together.
    pub batch: usize,
    /// What the first tokens of a prompt, so many, cost.
    pub work: &'a dyn Fn(usize) -> f64,
}

/// All probes in the order in which they are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixSchedule {
    /// The probes, each once, in parts that share nothing.
    pub parts: Vec<Vec<ScheduledProbe>>,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// How many of them are run.
    pub run_tokens: u64,
}

impl PrefixSchedule {
    /// The order for the probes of `job`; that of the plan, with nothing shared, unless `on`. In
    /// parts where threads can take one each, as [`parts`] says; all in one without that.
    ///
    /// # Errors
    /// As [`Job::prompt`].
    pub(super) fn of_job(job: &Job, on: bool, cut: Option<Cut>) -> Result<Self> {
        let prompt = |i: usize| job.prompt(&job.plan.probes[i]).map(|prompt| prompt.ids);
        let steps = match on {
            true => order(job.plan.probes.len(), &prompt)?,
            false => {
                let tokens = job.plan.probes.iter().map(|probe| probe.context_length);
                let step = |(probe, tokens)| ScheduledProbe { probe, tokens, shared: 0 };
                tokens.enumerate().map(step).collect()
            }
        };
        Ok(Self::new(steps, cut))
    }

    fn new(steps: Vec<ScheduledProbe>, cut: Option<Cut>) -> Self {
        let parts = match cut {
            Some(Cut { batch, work }) => parts(steps, batch, work),
            None => vec![steps],
        };
        let sum = |tokens: fn(&ScheduledProbe) -> usize| -> u64 {
            parts.iter().flatten().map(|step| tokens(step) as u64).sum()
        };
        let (prompt_tokens, run_tokens) = (sum(|s| s.tokens), sum(|s| s.tokens - s.shared));
        Self { parts, prompt_tokens, run_tokens }
    }

    /// Probes of the largest part.
    pub fn largest_part(&self) -> usize {
        self.parts.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// All probes, in order.
    pub fn steps(&self) -> impl Iterator<Item = &ScheduledProbe> {
        self.parts.iter().flatten()
    }

    /// What to tell before the start; nothing if nothing is shared.
    pub fn note(&self) -> Option<String> {
        let (all, run) = (self.prompt_tokens, self.run_tokens);
        (run < all).then(|| {
            let saved = 100.0 * (all - run) as f64 / all as f64;
            format!("{run} of {all} prompt tokens are run: {saved:.0} % are what prompts begin alike with")
        })
    }
}

/// The order for `count` prompts. Each is assembled twice, never two at a time but for neighbours.
fn order(count: usize, prompt: &dyn Fn(usize) -> Result<Vec<u32>>) -> Result<Vec<ScheduledProbe>> {
    let keys = (0..count).map(|i| Ok((blocks(&prompt(i)?), i))).collect::<Result<Vec<_>>>();
    let mut keys = keys?;
    // Prompts that begin with the same blocks become neighbours; of equal ones, as planned.
    keys.sort_unstable();
    let (mut steps, mut last) = (Vec::with_capacity(count), Vec::new());
    for (_, probe) in keys {
        let ids = prompt(probe)?;
        let alike = ids.iter().zip(&last).take_while(|(a, b)| a == b).count();
        // The last token is always run: its row is the first that counts.
        let shared = alike.min(ids.len().saturating_sub(1));
        steps.push(ScheduledProbe { probe, tokens: ids.len(), shared });
        last = ids;
    }
    Ok(steps)
}

/// A number for every block of `ids`, the last of which may be short.
fn blocks(ids: &[u32]) -> Vec<u64> {
    // As FNV-1a, but an id at a time. Not the standard library's hash, which may change: the order,
    // and with it the rounding, is to be the same everywhere.
    let number = |block: &[u32]| {
        block.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, id| {
            (hash ^ u64::from(*id)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    ids.chunks(BLOCK).map(number).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn schedule(prompts: &[Vec<u32>]) -> PrefixSchedule {
        PrefixSchedule::new(order(prompts.len(), &|i| Ok(prompts[i].clone())).unwrap(), None)
    }

    /// A trunk of 100 tokens, left at three places by two needles each, which end alike.
    fn grid() -> Vec<Vec<u32>> {
        let leave = |at: u32, needle: u32| -> Vec<u32> {
            let rest = at..100;
            (0..at).chain([1000 + needle; 5]).chain(rest).chain([7, 8, 9]).collect()
        };
        [16, 48, 96].iter().flat_map(|&at| [leave(at, 0), leave(at, 1)]).collect()
    }

    #[test]
    fn no_token_of_the_tree_is_run_twice() {
        let prompts = grid();
        let schedule = schedule(&prompts);
        let order: BTreeSet<usize> = schedule.steps().map(|step| step.probe).collect();
        assert_eq!(order.len(), prompts.len());
        // By hand: the trunk's 96 tokens, and what each prompt has behind its place: 5 + 100 - at +
        // 3.
        let tails: u64 = [16, 48, 96].iter().map(|at| 2 * (5 + 100 - at + 3)).sum();
        assert_eq!(schedule.run_tokens, 96 + tails);
        assert_eq!(schedule.prompt_tokens, 6 * 108);
        // And in general: as many as there are different beginnings.
        let beginnings: BTreeSet<&[u32]> =
            prompts.iter().flat_map(|p| (1..=p.len()).map(move |n| &p[..n])).collect();
        assert_eq!(schedule.run_tokens, beginnings.len() as u64);
        assert!(schedule.note().unwrap().starts_with("424 of 648 prompt tokens are run: 35 %"));
        // What is shared is in the cache: the prompt before it begins so.
        for pair in schedule.parts[0].windows(2) {
            let [last, next] = [pair[0].probe, pair[1].probe].map(|i| &prompts[i]);
            assert_eq!(last[..pair[1].shared], next[..pair[1].shared]);
        }
    }

    #[test]
    fn prompts_that_differ_at_once_share_nothing_and_equal_ones_all_but_a_token() {
        let different = schedule(&[vec![1, 2, 3], vec![2, 2, 3], vec![3]]);
        assert!(different.steps().all(|step| step.shared == 0));
        assert_eq!((different.run_tokens, different.note()), (7, None));
        let same = schedule(&[vec![5; 40], vec![5; 40]]);
        let step = |probe, tokens, shared| ScheduledProbe { probe, tokens, shared };
        assert_eq!(same.parts, [[step(0, 40, 0), step(1, 40, 39)]]);
        // One that the other begins with, in either order.
        let nested = schedule(&[vec![4; 48], vec![4; 32]]);
        assert_eq!(nested.parts, [[step(1, 32, 0), step(0, 48, 32)]]);
        assert_eq!(schedule(&[]).steps().count(), 0);
    }
}
