//! Where needles came to stand, and which prompts are the same: every prompt is put together once
//! before anything is run.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::plan::{Placed, Plan, Probe};
use crate::prompt::Prompt;

/// Depths that are missed by more than this share of the haystack are told.
const FAR: f64 = 0.05;

/// What became of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Placing {
    /// Needles × lengths × depths × repetitions, or rows.
    pub places: usize,
    /// Different prompts among them.
    pub prompts: usize,
    /// Places whose needle stands far from the depth asked; `None` where no depth was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub far_from_depth: Option<FarFromDepth>,
}

/// Needles that stand far from the depth asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FarFromDepth {
    /// Farther than this share of the haystack.
    pub more_than: f64,
    /// How many.
    pub places: usize,
    /// The largest distance of all.
    pub largest: f64,
    /// The context length where it is.
    pub context_length: usize,
}

/// `plan` with every prompt once, and what became of its places.
///
/// # Errors
/// As `prompt`.
pub(super) fn place(
    plan: Plan,
    prompt: impl Fn(&Probe) -> Result<Prompt> + Sync,
) -> Result<(Plan, Placing)> {
    let placed = |probe: &Probe| {
        let prompt = prompt(probe)?;
        let mut hash = Sha256::new();
        prompt.ids.iter().for_each(|id| hash.update(id.to_le_bytes()));
        Ok(Placed { prompt: hash.finalize().into(), depth: prompt.depth_reached })
    };
    let placed = plan.probes.par_iter().map(placed).collect::<Result<Vec<_>>>()?;
    let far_from_depth = FarFromDepth::of(&plan, &placed);
    let plan = plan.distinct(&placed);
    let placing = Placing { places: plan.places(), prompts: plan.probes.len(), far_from_depth };
    Ok((plan, placing))
}

impl FarFromDepth {
    fn of(plan: &Plan, placed: &[Placed]) -> Option<Self> {
        let off = |(probe, placed): (&Probe, &Placed)| {
            probe.depth.map(|depth| ((depth - placed.depth).abs(), probe.context_length))
        };
        let all: Vec<(f64, usize)> = plan.probes.iter().zip(placed).filter_map(off).collect();
        let (largest, context_length) = all.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0))?;
        let places = all.iter().filter(|(off, _)| *off > FAR).count();
        Some(Self { more_than: FAR, places, largest, context_length })
    }
}

impl Placing {
    /// For a picture's caption, where some places fell together: a prompt stands in the cell of
    /// every place that leads to it.
    pub fn caption(&self) -> String {
        match self.places - self.prompts {
            0 => String::new(),
            n => format!(" · {n} of {} places fell together", self.places),
        }
    }

    /// What the user should know.
    pub(super) fn notes(&self) -> Vec<String> {
        let Self { places, prompts, far_from_depth } = self;
        let why = match far_from_depth {
            Some(_) => "some depths or repetitions lead to the same place in the text",
            None => "some are there twice",
        };
        let same = (prompts < places).then(|| {
            format!(
                "{places} places of the grid make {prompts} different prompts, since {why}. Each \
                 prompt is run and counted once"
            )
        });
        let far = far_from_depth.filter(|far| far.places > 0).map(|far| {
            format!(
                "{} of {places} needles stand more than {:.0} % of the haystack away from the depth \
                 asked, at most {:.0} % (at {} tokens): at the nearest border of the text",
                far.places,
                100.0 * far.more_than,
                100.0 * far.largest,
                far.context_length
            )
        });
        same.into_iter().chain(far).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needle::{Needle, ProbeText};

    fn needle() -> ProbeText {
        ProbeText::Needle(Needle {
            id: "n".to_owned(),
            needle: "It is blue.".to_owned(),
            question: "Q?".to_owned(),
            answer: "A.".to_owned(),
            real_needle: None,
        })
    }

    /// A prompt whose needle stands at one of two places.
    fn prompt(probe: &Probe) -> Result<Prompt> {
        let late = probe.depth.unwrap() > 0.5;
        Ok(Prompt {
            ids: vec![1, 2, 3 + u32::from(late)],
            needle: vec![0..1],
            distractors: Vec::new(),
            before_question: 2,
            depth_asked: probe.depth,
            depth_reached: if late { 0.75 } else { 0.25 },
            haystack_cycles: 1,
        })
    }

    #[test]
    fn places_that_fall_together_and_depths_that_are_missed_are_told() {
        let depths = [0.25, 0.5, 0.75, 0.79];
        let plan = Plan::new("in", &[needle()], &[64], &depths, 1, 0).unwrap();
        let (plan, placing) = place(plan, prompt).unwrap();
        let kept: Vec<Option<f64>> = plan.probes.iter().map(|p| p.depth).collect();
        assert_eq!(kept, [Some(0.25), Some(0.75)]);
        // Of the four, only 0.5 is missed by more than 5 %.
        let far = FarFromDepth { more_than: 0.05, places: 1, largest: 0.25, context_length: 64 };
        let expected = Placing { places: 4, prompts: 2, far_from_depth: Some(far) };
        assert_eq!(placing, expected);
        let notes = placing.notes();
        assert!(notes[0].starts_with("4 places of the grid make 2 different prompts"), "{notes:?}");
        assert!(notes[1].starts_with("1 of 4 needles stand more than 5 %"), "{notes:?}");
        assert!(notes[1].contains("at most 25 % (at 64 tokens)"), "{notes:?}");
        assert_eq!(placing.caption(), " · 2 of 4 places fell together");
    }

    #[test]
    fn nothing_is_told_of_a_grid_as_asked() {
        let plan = Plan::new("in", &[needle()], &[64], &[0.25, 0.75], 1, 0).unwrap();
        let placing = place(plan, prompt).unwrap().1;
        assert_eq!((placing.notes(), placing.caption()), (Vec::new(), String::new()));
    }
}
