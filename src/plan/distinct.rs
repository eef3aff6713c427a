//! Every prompt once: what neighbouring depths, or repetitions in a short haystack, have in common.
//!
//! A needle stands at a sentence border, so that two depths may lead to the same place and with it
//! to the same prompt. Run twice it would count as two independent probes, and intervals would be
//! too narrow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Plan, Probe};

/// Another place of the grid whose prompt is the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Twin {
    /// Its depth; `None` for a story.
    pub depth: Option<f64>,
    /// Which of the repetitions, from 0.
    pub repeat: u32,
}

/// What became of a probe's needle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// SHA-256 of the prompt's ids.
    pub prompt: [u8; 32],
    /// The depth that was reached, 0 to 1.
    pub depth: f64,
}

impl Plan {
    /// The plan with every prompt of a needle once; `placed` has what became of each probe. Of
    /// probes with the same prompt that one remains whose depth is nearest to the one reached, the
    /// first of equals, and has the others as [`Probe::twins`].
    pub fn distinct(self, placed: &[Placed]) -> Self {
        let mut groups: BTreeMap<(usize, [u8; 32]), usize> = BTreeMap::new();
        let mut kept: Vec<(Probe, f64)> = Vec::new();
        for (probe, placed) in self.probes.into_iter().zip(placed) {
            let off = probe.depth.map_or(0.0, |depth| (depth - placed.depth).abs());
            let group = *groups.entry((probe.needle, placed.prompt)).or_insert(kept.len());
            match kept.get_mut(group) {
                None => kept.push((probe, off)),
                Some((first, nearest)) if off < *nearest => {
                    let twins = first.and_twins().chain(probe.twins.iter().copied()).collect();
                    (*first, *nearest) = (Probe { twins, ..probe }, off);
                }
                Some((first, _)) => first.twins.extend(probe.and_twins()),
            }
        }
        let numbered = |(index, (probe, _)): (usize, (Probe, f64))| Probe { index, ..probe };
        Self { probes: kept.into_iter().enumerate().map(numbered).collect() }
    }

    /// Places of the grid: probes and their twins.
    pub fn places(&self) -> usize {
        self.probes.iter().map(|probe| 1 + probe.twins.len()).sum()
    }
}

impl Probe {
    /// Itself and its twins, as twins of another.
    fn and_twins(&self) -> impl Iterator<Item = Twin> + '_ {
        let own = Twin { depth: self.depth, repeat: self.repeat };
        self.twins.iter().copied().chain([own])
    }

    /// All depths that lead to this prompt, its own first.
    pub fn depths(&self) -> impl Iterator<Item = f64> + '_ {
        self.depth.into_iter().chain(self.twins.iter().filter_map(|twin| twin.depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needle::{Needle, ProbeText};

    fn needle(text: &str) -> ProbeText {
        ProbeText::Needle(Needle {
            id: text.to_owned(),
            needle: text.to_owned(),
            question: "Q?".to_owned(),
            answer: "A.".to_owned(),
            real_needle: None,
        })
    }

    #[test]
    fn the_same_prompt_of_a_needle_is_one_probe() {
        let depths = [0.0, 0.2, 0.4, 0.6];
        let plan = Plan::new("in", &[needle("a"), needle("b")], &[64], &depths, 1, 0).unwrap();
        let ids: Vec<_> = plan.probes.iter().map(|p| p.id).collect();
        // Depths 0.2 and 0.4 and, of the first needle, 0.6 reach 0.35: 0.4 is nearest.
        let at = |prompt: u8, depth| Placed { prompt: [prompt; 32], depth };
        let placed = [
            at(0, 0.0),
            at(1, 0.35),
            at(1, 0.35),
            at(1, 0.35),
            at(0, 0.0),
            at(1, 0.35),
            at(1, 0.35),
            at(2, 0.6),
        ];
        let plan = plan.distinct(&placed);
        let twin = |depth| Twin { depth: Some(depth), repeat: 0 };
        let found: Vec<_> = plan.probes.iter().map(|p| (p.id, p.depth, p.twins.clone())).collect();
        assert_eq!(
            found,
            [
                (ids[0], Some(0.0), vec![]),
                (ids[2], Some(0.4), vec![twin(0.2), twin(0.6)]),
                (ids[4], Some(0.0), vec![]),
                (ids[6], Some(0.4), vec![twin(0.2)]),
                (ids[7], Some(0.6), vec![]),
            ]
        );
        assert!(plan.probes.iter().enumerate().all(|(i, p)| p.index == i));
        assert_eq!(plan.places(), 8);
        assert_eq!(plan.probes[1].depths().collect::<Vec<_>>(), [0.4, 0.2, 0.6]);
    }

    #[test]
    fn repetitions_that_begin_alike_are_one_probe() {
        let plan = Plan::new("in", &[needle("a")], &[64], &[0.5], 3, 0).unwrap();
        let placed = [Placed { prompt: [7; 32], depth: 0.5 }; 3];
        let plan = plan.distinct(&placed);
        assert_eq!(plan.probes.len(), 1);
        let repeats: Vec<u32> = plan.probes[0].twins.iter().map(|t| t.repeat).collect();
        assert_eq!((plan.probes[0].repeat, repeats), (0, vec![1, 2]));
    }
}
