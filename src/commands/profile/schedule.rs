//! [`PrefixSchedule`]: an order of the probes in which what several prompts begin with is run once.
//!
//! The prompts of a grid begin alike: with the words before the haystack, then the haystack up to
//! where a needle goes in. Put in an order in which prompts that begin alike follow one another,
//! they are a walk through the tree of their beginnings. One cache is enough for that: what the
//! next prompt shares with the last one is still in it, the rest is forgotten
//! ([`KvCache::rewind`]), and no token of the tree is run twice.
//!
//! ```text
//! haystack ───┬──────────┬──────────┬────────►     depth 0.1: run ─┬─ needle ─ rest ─ question
//!             needle     needle     needle         depth 0.5: run ─ ┴────┬─ needle ─ rest ─ question
//!             depth 0.1  depth 0.5  depth 0.9      depth 0.9: run ────────┴────┬─ needle ─ ...
//! ```
//!
//! The walk may begin anywhere: behind what an interrupted run has done, at a shard's first probe,
//! or where another thread takes over ([`parts`]). What the first prompt shares with the one before
//! it is then run again, in the passes in which the walk ran it ([`PrefixSchedule::trunk`]), so
//! that on the processor every probe has the same numbers, to the bit, wherever walks begin.
//!
//! [`KvCache::rewind`]: crate::model::KvCache::rewind

use super::parts::{Cut, parts};
use crate::error::Result;
use crate::job::Job;
use crate::plan::{Cost, pieces, shard_of};

/// Tokens that are compared at a time while ordering. Within such a block the order is arbitrary,
/// so that up to one may be run twice where two prompts part.
const BLOCK: usize = 16;

/// One probe of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledProbe {
    /// Its index in the plan.
    pub probe: usize,
    /// Tokens of its prompt.
    pub tokens: usize,
    /// Tokens of its prompt that the prompt before it begins with, too; never all of them.
    pub shared: usize,
    /// Tokens of its prompt that the next one begins with, too.
    pub fork: usize,
}

/// A stretch of the beginning of a prompt that an earlier probe ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where in the order that probe stands.
    pub place: usize,
    /// The last of its tokens that is still of use.
    pub until: usize,
}

/// All probes in the order in which they are run, whoever runs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixSchedule {
    /// The probes, each once.
    pub steps: Vec<ScheduledProbe>,
}

/// Places of the order that are still to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining {
    /// Ascending, in parts that threads take one by one.
    pub parts: Vec<Vec<usize>>,
    /// Tokens of their prompts.
    pub prompt_tokens: u64,
    /// How many of these are run.
    pub run_tokens: u64,
}

impl PrefixSchedule {
    /// The order for the probes of `job`; that of the plan, with nothing shared, unless `on`.
    ///
    /// # Errors
    /// As [`Job::prompt`].
    pub(super) fn of_job(job: &Job, on: bool) -> Result<Self> {
        let prompt = |i: usize| job.prompt(&job.plan.probes[i]).map(|prompt| prompt.ids);
        let steps = match on {
            true => order(job.plan.probes.len(), &prompt)?,
            false => {
                let tokens = job.plan.probes.iter().map(|probe| probe.context_length);
                let step = |(probe, tokens)| ScheduledProbe { probe, tokens, shared: 0, fork: 0 };
                tokens.enumerate().map(step).collect()
            }
        };
        Ok(Self { steps })
    }

    /// What it costs to run the probes at `places`, ascending: each behind the one before, or anew.
    pub(super) fn costs(&self, places: &[usize], work: &dyn Fn(usize) -> f64) -> Vec<Cost> {
        let before = [None].into_iter().chain(places.iter().copied().map(Some));
        let cost = |(before, &place): (Option<usize>, &usize)| {
            let step = &self.steps[place];
            let (whole, shared) = (work(step.tokens), work(step.shared));
            match follows(before, place) {
                true => Cost { own: whole - shared, again: shared },
                false => Cost { own: whole, again: 0.0 },
            }
        };
        before.zip(places).map(cost).collect()
    }

    /// Which of `shards` shards each probe of the plan is of, from 1: stretches of the order, as
    /// much work each as can be, so that prompts that begin alike stay together. Nothing for one.
    pub(super) fn shard_of(&self, shards: usize, work: &dyn Fn(usize) -> f64) -> Vec<usize> {
        let all: Vec<usize> = (0..self.steps.len()).collect();
        let pieces = pieces(&self.costs(&all, work), shards);
        shard_of(&pieces, all.len(), |place| self.steps[place].probe)
    }

    /// The probes at `places`, ascending, cut into parts where threads can take one each, as
    /// [`parts`] says; all in one without that.
    pub(super) fn remaining(&self, places: &[usize], cut: Option<Cut>) -> Remaining {
        let ranges = match cut {
            Some(Cut { batch, work }) => parts(&self.costs(places, work), batch),
            None => vec![0..places.len()],
        };
        let parts: Vec<Vec<usize>> = ranges.into_iter().map(|r| places[r].to_vec()).collect();
        let (mut prompt_tokens, mut run_tokens) = (0, 0);
        for part in &parts {
            let mut before = None;
            for &place in part {
                let step = &self.steps[place];
                let again = if follows(before, place) { step.shared } else { 0 };
                prompt_tokens += step.tokens as u64;
                run_tokens += (step.tokens - again) as u64;
                before = Some(place);
            }
        }
        Remaining { parts, prompt_tokens, run_tokens }
    }

    /// What the prompt at `place` shares with the one before it, in the stretches in which earlier
    /// probes ran it, in order.
    pub(super) fn trunk(&self, place: usize) -> Vec<Segment> {
        let mut trunk: Vec<Segment> = Vec::new();
        for (i, step) in self.steps[..place].iter().enumerate() {
            // Of what came before, this one kept its own beginning; the next keeps that of `fork`.
            trunk.retain(|segment| self.steps[segment.place].shared < step.fork);
            if let Some(last) = trunk.last_mut() {
                last.until = last.until.min(step.fork);
            }
            if step.fork > step.shared {
                trunk.push(Segment { place: i, until: step.fork });
            }
        }
        trunk
    }
}

/// Whether the probe at `place` goes on from the cache of the one that is run before it.
fn follows(before: Option<usize>, place: usize) -> bool {
    before.is_some_and(|before| before + 1 == place)
}

impl Remaining {
    /// Probes of the largest part.
    pub fn largest_part(&self) -> usize {
        self.parts.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// How many probes.
    pub fn probes(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
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
    let (mut steps, mut last) = (Vec::<ScheduledProbe>::with_capacity(count), Vec::new());
    for (_, probe) in keys {
        let ids = prompt(probe)?;
        let alike = ids.iter().zip(&last).take_while(|(a, b)| a == b).count();
        // The last token is always run, as its row is the first that counts: of this prompt, and in
        // a pass behind the fork of the one before.
        let most = ids.len().min(last.len()).saturating_sub(1);
        let shared = alike.min(most);
        steps.iter_mut().last().into_iter().for_each(|before| before.fork = shared);
        steps.push(ScheduledProbe { probe, tokens: ids.len(), shared, fork: 0 });
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

    fn schedule(prompts: &[Vec<u32>]) -> (PrefixSchedule, Remaining) {
        let steps = order(prompts.len(), &|i| Ok(prompts[i].clone())).unwrap();
        let schedule = PrefixSchedule { steps };
        let all: Vec<usize> = (0..prompts.len()).collect();
        let remaining = schedule.remaining(&all, None);
        (schedule, remaining)
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
        let (schedule, remaining) = schedule(&prompts);
        let order: BTreeSet<usize> = schedule.steps.iter().map(|step| step.probe).collect();
        assert_eq!(order.len(), prompts.len());
        // By hand: the trunk's 96 tokens, and what each prompt has behind its place: 5 + 100 - at +
        // 3.
        let tails: u64 = [16, 48, 96].iter().map(|at| 2 * (5 + 100 - at + 3)).sum();
        assert_eq!(remaining.run_tokens, 96 + tails);
        assert_eq!(remaining.prompt_tokens, 6 * 108);
        // And in general: as many as there are different beginnings.
        let beginnings: BTreeSet<&[u32]> =
            prompts.iter().flat_map(|p| (1..=p.len()).map(move |n| &p[..n])).collect();
        assert_eq!(remaining.run_tokens, beginnings.len() as u64);
        assert!(remaining.note().unwrap().starts_with("424 of 648 prompt tokens are run: 35 %"));
        // What is shared is in the cache: the prompt before it begins so.
        for pair in schedule.steps.windows(2) {
            let [last, next] = [pair[0].probe, pair[1].probe].map(|i| &prompts[i]);
            assert_eq!(last[..pair[1].shared], next[..pair[1].shared]);
            assert_eq!(pair[0].fork, pair[1].shared);
        }
    }

    #[test]
    fn a_walk_begins_anywhere_with_what_was_run_before() {
        let step = |probe, tokens, shared, fork| ScheduledProbe { probe, tokens, shared, fork };
        let (schedule, _) = schedule(&grid());
        // Left at 16 by the first two, at 48 by the third and the last, at 96 by the others. A
        // trunk grows while the walk goes on: 16 tokens by the first, 32 by the third, 48 by the
        // fourth, which the last has no use for.
        let shared: Vec<usize> = schedule.steps.iter().map(|step| step.shared).collect();
        assert_eq!(shared, [0, 16, 16, 48, 96, 48]);
        let segment = |place, until| Segment { place, until };
        let trunk = |place| schedule.trunk(place);
        assert_eq!((trunk(0), trunk(1)), (vec![], vec![segment(0, 16)]));
        assert_eq!(trunk(2), [segment(0, 16)]);
        assert_eq!(trunk(3), [segment(0, 16), segment(2, 48)]);
        assert_eq!(trunk(4), [segment(0, 16), segment(2, 48), segment(3, 96)]);
        assert_eq!(trunk(5), [segment(0, 16), segment(2, 48)]);
        // By hand: 0..50 by the first, 50..80 by the second; the third goes back to 60, the fourth
        // to 30; the fifth runs 30..40 anew.
        let steps =
            [(90, 0, 50), (90, 50, 80), (90, 80, 60), (90, 60, 30), (90, 30, 40), (90, 40, 0)];
        let steps = steps.iter().enumerate();
        let steps = steps.map(|(i, &(tokens, shared, fork))| step(i, tokens, shared, fork));
        let schedule = PrefixSchedule { steps: steps.collect() };
        assert_eq!(schedule.trunk(3), [segment(0, 50), segment(1, 60)]);
        assert_eq!(schedule.trunk(4), [segment(0, 30)]);
        assert_eq!(schedule.trunk(5), [segment(0, 30), segment(4, 40)]);
        // What trunks are together is what is shared, each stretch from where the last ended.
        for (place, step) in schedule.steps.iter().enumerate() {
            let trunk = schedule.trunk(place);
            assert_eq!(trunk.last().map_or(0, |last| last.until), step.shared);
            let mut at = 0;
            for segment in trunk {
                assert_eq!(schedule.steps[segment.place].shared, at);
                at = segment.until;
            }
        }
        // Nothing is behind the first of the remaining, nor behind one that has been run.
        let left = schedule.remaining(&[1, 2, 4], None);
        assert_eq!((left.prompt_tokens, left.run_tokens), (270, 90 + (90 - 80) + 90));
        let whole = schedule.remaining(&[0, 1, 2, 3, 4, 5], None);
        assert_eq!(whole.run_tokens, 90 + 40 + 10 + 30 + 60 + 50);
        assert_eq!((left.probes(), left.largest_part()), (3, 3));
    }

    #[test]
    fn prompts_that_differ_at_once_share_nothing_and_equal_ones_all_but_a_token() {
        let (different, remaining) = schedule(&[vec![1, 2, 3], vec![2, 2, 3], vec![3]]);
        assert!(different.steps.iter().all(|step| step.shared == 0));
        assert_eq!((remaining.run_tokens, remaining.note()), (7, None));
        let (same, _) = schedule(&[vec![5; 40], vec![5; 40]]);
        let step = |probe, tokens, shared, fork| ScheduledProbe { probe, tokens, shared, fork };
        assert_eq!(same.steps, [step(0, 40, 0, 39), step(1, 40, 39, 0)]);
        // One that the other begins with, in either order.
        let (nested, _) = schedule(&[vec![4; 48], vec![4; 32]]);
        assert_eq!(nested.steps, [step(1, 32, 0, 31), step(0, 48, 31, 0)]);
        assert_eq!(schedule(&[]).0.steps.len(), 0);
    }
}
