//! [`Stories`]: which stories a run is about, and the telling of them.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::error::{Error, Result};
use crate::needle::ScatteredFacts;
use crate::tasks::babilong::babi::{BabiTask, Story, story};

/// Draws of one story until a task is taken to have no more of them.
const MOST_DRAWS: usize = 1000;

/// Stories of some tasks, as many of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stories {
    /// Ascending, each once; not empty.
    pub tasks: Vec<BabiTask>,
    /// Stories of each task, at least 1.
    pub samples: usize,
    /// Whether they are other stories than those of the same seed that are not held out: what is
    /// evaluated should not be what the head scores were made with.
    pub held_out: bool,
}

impl Stories {
    /// Tells them: the tasks in their order, the stories of each numbered from 0 (`qa1-0`). No two
    /// are the same. The first stories of a task are the same whatever else is told.
    ///
    /// # Errors
    /// [`Error::Usage`] if a task has not as many stories.
    pub fn tell(&self, seed: u64) -> Result<Vec<ScatteredFacts>> {
        let mut told = Vec::with_capacity(self.tasks.len() * self.samples);
        for &task in &self.tasks {
            let number = BabiTask::ALL.iter().position(|&t| t == task).unwrap_or(0) as u64;
            // A stream of its own for every seed, task and purpose.
            let stream = number + if self.held_out { 32 } else { 0 };
            let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(64).wrapping_add(stream));
            let mut texts = BTreeSet::new();
            for i in 0..self.samples {
                let fresh = (0..MOST_DRAWS).find_map(|_| {
                    let story = story(task, task.default_facts(), &mut rng);
                    let text = format!("{} {}", story.facts.join(" "), story.question);
                    texts.insert(text).then_some(story)
                });
                let story = fresh.ok_or_else(|| {
                    Error::usage("the task has not as many different stories")
                        .at("--samples")
                        .got(format!("{} of {task}", self.samples))
                        .expected(format!("at most about {i}"))
                })?;
                let Story { facts, supporting, question, answer, .. } = story;
                let (id, task) = (format!("{task}-{i}"), task.sub_task());
                told.push(ScatteredFacts { id, task, facts, supporting, question, answer });
            }
        }
        Ok(told)
    }
}

/// Tasks from a list such as `qa1,qa2` or `qa1..qa5,qa7`; ascending, each once.
///
/// # Errors
/// [`Error::Usage`] naming the part that is no task, or an empty list.
pub fn parse_tasks(list: &str) -> Result<Vec<BabiTask>> {
    let mut tasks = BTreeSet::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once("..") {
            None => {
                tasks.insert(part.parse::<BabiTask>()?);
            }
            Some((first, last)) => {
                let (first, last): (BabiTask, BabiTask) =
                    (first.trim().parse()?, last.trim_start_matches('=').trim().parse()?);
                if first > last {
                    return Err(Error::usage("a range of tasks runs backwards")
                        .got(part)
                        .expected(format!("{last}..{first}")));
                }
                tasks.extend(BabiTask::ALL.into_iter().filter(|t| (first..=last).contains(t)));
            }
        }
    }
    if tasks.is_empty() {
        return Err(Error::usage("there are no tasks")
            .got(format!("{list:?}"))
            .expected("names such as qa1,qa2 or qa1..qa5"));
    }
    Ok(tasks.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_lists_and_ranges() {
        use BabiTask::{Qa1, Qa2, Qa3, Qa5};
        assert_eq!(parse_tasks("qa2, qa1,qa2").unwrap(), [Qa1, Qa2]);
        assert_eq!(parse_tasks("qa1..qa3,qa5").unwrap(), [Qa1, Qa2, Qa3, Qa5]);
        for wrong in ["", ",", "qa21", "qa0", "qa3..qa1", "1", "qa1..", "babi"] {
            let e = parse_tasks(wrong).unwrap_err();
            assert_eq!(e.exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn stories_are_different_and_the_same_in_every_run() {
        let tasks = BabiTask::ALL.to_vec();
        let told = Stories { tasks: tasks.clone(), samples: 20, held_out: false }.tell(0).unwrap();
        assert_eq!(told.len(), 400);
        let texts: BTreeSet<String> =
            told.iter().map(|n| format!("{} {}", n.facts.join(" "), n.question)).collect();
        assert_eq!(texts.len(), 400);
        assert_eq!(told, Stories { tasks, samples: 20, held_out: false }.tell(0).unwrap());
        // Fewer tasks and samples are the beginning of the same.
        let one = Stories { tasks: vec![BabiTask::Qa2], samples: 3, held_out: false };
        assert_eq!(one.tell(0).unwrap(), told[20..23]);
        assert_ne!(one.tell(1).unwrap(), told[20..23]);
        assert_eq!(told[20].id, "qa2-0");
        let held_out = Stories { held_out: true, ..one }.tell(0).unwrap();
        assert!(held_out.iter().all(|n| !told.iter().any(|t| t.facts == n.facts)));
    }

    #[test]
    fn a_task_without_enough_stories_is_told() {
        let many = Stories { tasks: vec![BabiTask::Qa4], samples: 100_000, held_out: false };
        let e = many.tell(0).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("qa4"), "{e}");
    }
}
