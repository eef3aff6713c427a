//! Which level of a factor each probe of a run has, and which probes agree in all else.

use std::collections::BTreeMap;

use super::factor::Factor;
use super::read::Record;
use crate::job;

/// The levels of a factor among some probes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Groups {
    /// Names of the levels, in order.
    pub names: Vec<String>,
    /// The level of each probe.
    pub level: Vec<usize>,
    /// Probes of one number agree in all but the level.
    pub strata: Vec<usize>,
}

/// What is told apart: needles by name, depths and lengths by value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    None,
    Name(String),
    /// Of a depth, 0 or more, the bits; they are in the order of the numbers.
    Depth(u64),
    Length(usize),
}

impl Groups {
    /// Of `probes`, which are counted under one of the `lengths` each; for a factor that has
    /// groups. Stories have tasks in the place of needles, and no depths.
    pub fn of(factor: Factor, probes: &[&Record], lengths: &[usize]) -> Self {
        // A story is there once: what can be compared is its task.
        let needle = |r: &Record| Key::Name(r.task.as_ref().unwrap_or(&r.needle_id).clone());
        let depth = |r: &Record| r.depth_asked.map_or(Key::None, |d| Key::Depth(d.to_bits()));
        let length = |r: &Record| Key::Length(job::length_group(lengths, r.context_length));
        let keys = |r: &Record| match factor {
            Factor::Depth => (depth(r), [needle(r), length(r)]),
            Factor::Length => (length(r), [needle(r), depth(r)]),
            _ => (needle(r), [depth(r), length(r)]),
        };
        let (own, rest): (Vec<Key>, Vec<[Key; 2]>) = probes.iter().map(|r| keys(r)).unzip();
        let (level, known) = numbered(&own);
        Self { names: named(&known), level, strata: numbered(&rest).0 }
    }

    /// How many probes each level has.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.names.len()];
        self.level.iter().for_each(|&level| sizes[level] += 1);
        sizes
    }
}

/// A number for each, ascending with what it stands for; and what the numbers stand for.
fn numbered<K: Ord>(keys: &[K]) -> (Vec<usize>, Vec<&K>) {
    let known: BTreeMap<&K, ()> = keys.iter().map(|key| (key, ())).collect();
    let numbers: BTreeMap<&K, usize> = known.keys().copied().zip(0..).collect();
    (keys.iter().map(|key| numbers[key]).collect(), known.into_keys().collect())
}

/// Depths with two decimals where that tells them apart, else in full.
fn named(keys: &[&Key]) -> Vec<String> {
    let name = |short: bool| -> Vec<String> {
        let of = |key: &&Key| match key {
            Key::None => "none".to_owned(),
            Key::Name(name) => name.clone(),
            Key::Depth(bits) if short => {
                ((100.0 * f64::from_bits(*bits)).round() / 100.0).to_string()
            }
            Key::Depth(bits) => f64::from_bits(*bits).to_string(),
            Key::Length(length) => length.to_string(),
        };
        keys.iter().map(of).collect()
    };
    let short = name(true);
    let mut unique = short.clone();
    unique.sort();
    unique.dedup();
    if unique.len() == short.len() { short } else { name(false) }
}
