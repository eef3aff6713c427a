//! An order of the probes in which every beginning is a small grid of its own: needles, lengths,
//! depths and tasks come equally often. A longer run then extends a shorter one, and a run that
//! ends early ([`super::stable`]) has seen all of the grid, thinly.

use crate::needle::SubTask;
use crate::plan::Probe;
use crate::score::clusters::numbered;

/// What is balanced: the task of a probe's text, its needle, its length, its depth.
const KINDS: usize = 4;

/// The places of `probes`, by their index, in a balanced order. `task` is the task of a probe's
/// text, if it has one.
///
/// Each next probe is of what came least often so far: its task, its needle, its length, its depth,
/// in this order; of equal ones that with the lowest id, which says nothing about it.
pub(super) fn order(probes: &[Probe], task: impl Fn(&Probe) -> Option<SubTask>) -> Vec<usize> {
    let depth = |probe: &Probe| probe.depth.map(f64::to_bits);
    let kinds: [Vec<usize>; KINDS] = [
        numbered(probes.iter().map(|probe| task(probe).map(|task| task.number)).collect()).0,
        numbered(probes.iter().map(|probe| probe.needle).collect()).0,
        numbered(probes.iter().map(|probe| probe.context_length).collect()).0,
        numbered(probes.iter().map(depth).collect()).0,
    ];
    let mut times: [Vec<usize>; KINDS] = std::array::from_fn(|_| vec![0; probes.len()]);
    let mut left: Vec<usize> = (0..probes.len()).collect();
    let mut order = Vec::with_capacity(probes.len());
    loop {
        let seen = |at: usize| -> [usize; KINDS] {
            std::array::from_fn(|kind| times[kind][kinds[kind][at]])
        };
        let next = left.iter().enumerate().min_by_key(|(_, at)| (seen(**at), probes[**at].id));
        let Some((place, &at)) = next else { return order };
        left.swap_remove(place);
        times.iter_mut().zip(&kinds).for_each(|(times, kind)| times[kind[at]] += 1);
        order.push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needle::{Needle, ProbeText};
    use crate::plan::Plan;

    fn needle(id: usize) -> ProbeText {
        ProbeText::Needle(Needle {
            id: format!("n{id}"),
            needle: format!("Needle {id}."),
            question: "Which?".to_owned(),
            answer: id.to_string(),
            real_needle: None,
        })
    }

    /// However far it goes, no needle, length or depth is more than one ahead of another within
    /// what its betters leave open.
    #[test]
    fn every_beginning_is_balanced() {
        let needles: Vec<ProbeText> = (0..6).map(needle).collect();
        let (lengths, depths) = ([64, 128, 256], [0.1, 0.5, 0.9, 1.0]);
        let plan = Plan::new("in", &needles, &lengths, &depths, 1, 0).unwrap();
        let order = order(&plan.probes, |_| None);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..72).collect::<Vec<_>>(), "each once");
        for n in 1..=72 {
            let spread = |of: &dyn Fn(&Probe) -> usize, kinds: usize| {
                let mut times = vec![0; kinds];
                order[..n].iter().for_each(|&at| times[of(&plan.probes[at])] += 1);
                times.iter().max().unwrap() - times.iter().min().unwrap()
            };
            assert!(spread(&|p| p.needle, 6) <= 1, "needles after {n}");
            let length = |p: &Probe| lengths.iter().position(|l| *l == p.context_length).unwrap();
            assert!(spread(&length, 3) <= 2, "lengths after {n}");
            let depth = |p: &Probe| depths.iter().position(|d| Some(*d) == p.depth).unwrap();
            assert!(spread(&depth, 4) <= 4, "depths after {n}");
        }
        assert_ne!(order, (0..72).collect::<Vec<_>>());
    }
}
