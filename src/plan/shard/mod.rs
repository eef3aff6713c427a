//! Which part of a plan a process runs: shard `i` of `n`, told or found in what an engine of
//! clusters says in the environment.
//!
//! | engine | variables | index |
//! |---|---|---|
//! | SLURM array | `SLURM_ARRAY_TASK_ID`, with `HEADPROF_SHARDS` | the id |
//! | SLURM array | `SLURM_ARRAY_TASK_{ID,MIN,MAX,STEP,COUNT}` alone | (id - min) / step + 1 |
//! | HyperQueue array | `HQ_TASK_ID`, with `HEADPROF_SHARDS` | the id |
//! | Kubernetes Indexed Job | `JOB_COMPLETION_INDEX`, with `HEADPROF_SHARDS` | it + 1 |
//! | SkyPilot | `SKYPILOT_NODE_RANK`, `SKYPILOT_NUM_NODES` or `HEADPROF_SHARDS` | it + 1 |
//!
//! `HEADPROF_SHARDS` says `n` whatever the engine counts: an array that is submitted again for two
//! missing shards has a count of 2 and begins elsewhere, and `n` must stay what it was. `RANK` and
//! `WORLD_SIZE` belong to training programs and are not read.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// More shards than this is a slip of the keyboard; it is also what a Kubernetes Job can hold.
pub const MOST_SHARDS: usize = 100_000;

/// The variable that says which shard this is, as `--shard` does.
pub const SHARD_VARIABLE: &str = "HEADPROF_SHARD";

/// The variable that says how many shards there are.
pub const SHARDS_VARIABLE: &str = "HEADPROF_SHARDS";

const SLURM_ID: &str = "SLURM_ARRAY_TASK_ID";
const SLURM_MIN: &str = "SLURM_ARRAY_TASK_MIN";
const SLURM_MAX: &str = "SLURM_ARRAY_TASK_MAX";
const SLURM_STEP: &str = "SLURM_ARRAY_TASK_STEP";
const SLURM_COUNT: &str = "SLURM_ARRAY_TASK_COUNT";
const HYPERQUEUE_ID: &str = "HQ_TASK_ID";
const KUBERNETES_INDEX: &str = "JOB_COMPLETION_INDEX";
const SKYPILOT_RANK: &str = "SKYPILOT_NODE_RANK";
const SKYPILOT_NODES: &str = "SKYPILOT_NUM_NODES";

/// What the environment says of a name.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Shard `index` of `count`, `1 <= index <= count <=` [`MOST_SHARDS`]; written `index/count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Shard `index` of `count`, if there is one.
    pub fn new(index: usize, count: usize) -> Option<Self> {
        let there = (1..=count).contains(&index) && count <= MOST_SHARDS;
        there.then_some(Self { index, count })
    }

    /// Which one, from 1.
    pub fn index(self) -> usize {
        self.index
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.count
    }

    /// What `--shard` says, else what `HEADPROF_SHARD` says, else none; with a sentence on where it
    /// is from, unless the option itself says `i/n`.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is not a shard, or as [`Shard::auto`].
    pub fn chosen(
        option: Option<&str>,
        variable: Variable<'_>,
    ) -> Result<Option<(Self, Option<String>)>> {
        match option {
            Some("auto") => Self::auto(variable).map(|(shard, why)| Some((shard, Some(why)))),
            Some(text) => Ok(Some((text.parse()?, None))),
            None => Ok(told(variable)?.map(|(shard, why)| (shard, Some(why)))),
        }
    }

    /// The shard that the environment says: `HEADPROF_SHARD`, else the engine of the cluster; with
    /// a sentence on what was chosen and by which variables. Where two engines say something, as
    /// for tasks of HyperQueue whose worker is a job of SLURM, they must say the same.
    ///
    /// # Errors
    /// [`Error::Usage`] if no engine says anything, if a value is not what the engine would give,
    /// or if two engines differ.
    pub fn auto(variable: Variable<'_>) -> Result<(Self, String)> {
        if let Some(told) = told(variable)? {
            return Ok(told);
        }
        let mut found: Vec<(Self, String)> = Vec::new();
        for engine in [slurm, hyperqueue, kubernetes, skypilot] {
            let mut values = Values { variable, read: Vec::new() };
            if let Some(shard) = engine(&mut values)? {
                found.push((shard, values.read.join(", ")));
            }
        }
        let Some((shard, read)) = found.first() else {
            return Err(Error::usage("nothing in the environment says which shard this is")
                .at("--shard auto")
                .got(format!(
                    "none of {SLURM_ID}, {HYPERQUEUE_ID}, {KUBERNETES_INDEX}, {SKYPILOT_RANK}"
                ))
                .expected("a task of an array, an indexed job or a node of several")
                .advice(format!(
                    "--shard i/n or {SHARD_VARIABLE}=i/n; RANK and WORLD_SIZE are not read"
                )));
        };
        if let Some((other, others)) = found.iter().find(|(other, _)| other != shard) {
            return Err(Error::usage("two engines say different shards")
                .at("--shard auto")
                .got(format!("{shard} by {read}; {other} by {others}"))
                .expected("one of them, or the same")
                .advice(format!("--shard i/n or {SHARD_VARIABLE}=i/n")));
        }
        Ok((*shard, chosen_by(*shard, read)))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let parts = s.split_once('/').and_then(|(i, n)| Some((number(i)?, number(n)?)));
        parts.and_then(|(index, count)| Self::new(index, count)).ok_or_else(|| {
            Error::usage("this does not say which shard of how many")
                .at("--shard")
                .got(format!("{s:?}"))
                .expected(format!("i/n with 1 <= i <= n <= {MOST_SHARDS}, such as 2/3, or auto"))
        })
    }
}

/// What `HEADPROF_SHARD` says.
fn told(variable: Variable<'_>) -> Result<Option<(Shard, String)>> {
    let Some(text) = variable(SHARD_VARIABLE) else { return Ok(None) };
    let shard: Shard = text.parse().map_err(|_| {
        Error::usage("this does not say which shard of how many")
            .at(SHARD_VARIABLE)
            .got(format!("{text:?}"))
            .expected(format!("i/n with 1 <= i <= n <= {MOST_SHARDS}, such as 2/3"))
    })?;
    Ok(Some((shard, chosen_by(shard, &format!("{SHARD_VARIABLE}={text}")))))
}

fn chosen_by(shard: Shard, read: &str) -> String {
    format!("this is shard {shard}, by {read}")
}

/// Digits alone, where `usize` would also take a sign; as large as a counter of an engine.
fn number(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse::<u32>().ok().filter(|_| digits).map(|n| n as usize)
}

/// What one engine says, and what was read of it, `NAME=value` each.
struct Values<'a> {
    variable: Variable<'a>,
    read: Vec<String>,
}

impl Values<'_> {
    fn get(&mut self, name: &str) -> Result<Option<usize>> {
        let Some(text) = (self.variable)(name) else { return Ok(None) };
        let n = number(&text).ok_or_else(|| {
            Error::usage("this variable is not a number")
                .at(name)
                .got(format!("{text:?}"))
                .expected("digits alone")
        })?;
        self.read.push(format!("{name}={text}"));
        Ok(Some(n))
    }

    /// A variable without which the others say nothing.
    fn need(&mut self, name: &str) -> Result<usize> {
        self.get(name)?.ok_or_else(|| {
            Error::usage("how many shards there are is not known")
                .at(name)
                .got(format!("{} without {name}", self.read.join(", ")))
                .expected(format!("{name} in the environment"))
                .advice(format!("export {SHARDS_VARIABLE}=n in the script of the job"))
        })
    }

    /// Shard `index` of `count`, where `name` counts from `first`.
    fn shard(&self, name: &str, index: usize, count: usize, first: usize) -> Result<Option<Shard>> {
        Shard::new(index, count).map(Some).ok_or_else(|| {
            let error = Error::usage("there is no such shard").at(name).got(self.read.join(", "));
            match (1..=MOST_SHARDS).contains(&count) {
                true => error.expected(format!("{name} from {first} to {}", first + count - 1)),
                false => error.expected(format!("1 to {MOST_SHARDS} shards")),
            }
        })
    }
}

fn slurm(values: &mut Values<'_>) -> Result<Option<Shard>> {
    let Some(id) = values.get(SLURM_ID)? else { return Ok(None) };
    if let Some(count) = values.get(SHARDS_VARIABLE)? {
        return values.shard(SLURM_ID, id, count, 1);
    }
    let [min, step, count] = [SLURM_MIN, SLURM_STEP, SLURM_COUNT].map(|name| values.need(name));
    let (min, step, count) = (min?, step?, count?);
    let max = values.get(SLURM_MAX)?;
    // `--array=3,7` has ids 3 and 7, a step of 1 and a count of 2.
    let even = |max: usize| max >= min && (max - min) / step + 1 == count;
    if step == 0 || !max.is_none_or(even) {
        return Err(Error::usage("the array is not one range, so its ids do not say the shards")
            .at(SLURM_ID)
            .got(values.read.join(", "))
            .expected(format!("--array=first-last:step, or {SHARDS_VARIABLE}"))
            .advice(format!(
                "export {SHARDS_VARIABLE}=n in the script of the job; then the ids are shards of n"
            )));
    }
    let steps = id.checked_sub(min).filter(|distance| distance % step == 0);
    match steps.map(|distance| distance / step).filter(|&steps| steps < count) {
        Some(steps) => values.shard(SLURM_ID, steps + 1, count, min),
        None => Err(Error::usage("this id is not of this array")
            .at(SLURM_ID)
            .got(values.read.join(", "))
            .expected(format!("{SLURM_MIN} and up to {SLURM_COUNT} - 1 steps above it"))),
    }
}

fn hyperqueue(values: &mut Values<'_>) -> Result<Option<Shard>> {
    let Some(id) = values.get(HYPERQUEUE_ID)? else { return Ok(None) };
    let count = values.need(SHARDS_VARIABLE)?;
    values.shard(HYPERQUEUE_ID, id, count, 1)
}

fn kubernetes(values: &mut Values<'_>) -> Result<Option<Shard>> {
    let Some(index) = values.get(KUBERNETES_INDEX)? else { return Ok(None) };
    let count = values.need(SHARDS_VARIABLE)?;
    values.shard(KUBERNETES_INDEX, index + 1, count, 0)
}

fn skypilot(values: &mut Values<'_>) -> Result<Option<Shard>> {
    let Some(rank) = values.get(SKYPILOT_RANK)? else { return Ok(None) };
    let count = match values.get(SHARDS_VARIABLE)? {
        Some(count) => count,
        None => values.need(SKYPILOT_NODES)?,
    };
    values.shard(SKYPILOT_RANK, rank + 1, count, 0)
}

#[cfg(test)]
mod tests;
