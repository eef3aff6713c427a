//! [`Row`]: what switching a number of heads off comes to over all prompts.

use serde::Serialize;

use super::run::{Outcome, PromptRecord};
use super::sets::{Chosen, OffSet};
use crate::heads::HeadSet;
use crate::score::clusters::Clusters;
use crate::score::estimate::Estimate;
use crate::score::mcnemar::exact_p;

/// One way to choose one number of heads, over all prompts; of random heads all draws together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// How the heads were chosen.
    pub chosen: Chosen,
    /// How many they are.
    pub k: usize,
    /// How many sets of them there are: 1, or as many as draws.
    pub sets: usize,
    /// Prompts behind the means.
    pub prompts: usize,
    /// Share of answers that pass the gate.
    pub accuracy: Estimate,
    /// The same less that with all heads on, prompt by prompt.
    pub against_none: Option<Estimate>,
    /// The logarithm of the expected answer's probability, in nats.
    pub log_probability: Estimate,
    /// By how much it is less than with all heads on, in nats: what the heads did for the answer.
    pub drop: Option<Estimate>,
    /// What a token of the expected answer is worth on average: the geometric mean of their
    /// probabilities, mean over prompts, 0 to 1.
    pub token_probability: Estimate,
    /// Prompts that are answered with all heads on, and not with these off; and the other way
    /// round. Of one set only.
    pub lost_and_gained: Option<[usize; 2]>,
    /// McNemar's exact test of these numbers, two-sided. Of one set only.
    pub p: Option<f64>,
    /// The accuracies of the draws, ascending, of random heads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub of_draws: Vec<f64>,
    /// Of the best heads: how many of the draws are not more accurate.
    pub draws_as_low: Option<usize>,
    /// The heads, of one set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<HeadSet>,
}

/// What a prompt is worth with a set of heads off.
type Value<'a> = &'a dyn Fn(&PromptRecord, &Outcome) -> f64;

fn log_probability(_: &PromptRecord, outcome: &Outcome) -> f64 {
    outcome.log_probability
}

fn token_probability(record: &PromptRecord, outcome: &Outcome) -> f64 {
    (outcome.log_probability / record.gold_tokens.max(1) as f64).exp()
}

fn accuracy(_: &PromptRecord, outcome: &Outcome) -> f64 {
    outcome.accuracy
}

/// One row for the model as it is and one for every choice and number, over the prompts that did
/// not fail; none if all failed. Prompts about the same and at the same place are alike:
/// [`Clusters`].
pub fn rows(sets: &[OffSet], records: &[PromptRecord]) -> Vec<Row> {
    let answered: Vec<(&PromptRecord, &Vec<Outcome>)> =
        records.iter().filter_map(|r| r.outcomes.as_ref().ok().map(|o| (r, o))).collect();
    if answered.is_empty() {
        return Vec::new();
    }
    let clusters = Clusters::new(answered.iter().map(|(r, _)| (&r.about, &r.place)));
    // Mean over the sets of a row, one per prompt.
    let values = |places: &[usize], value: Value| -> Vec<f64> {
        let of = |(record, outcomes): &(&PromptRecord, &Vec<Outcome>)| {
            let sum: f64 = places.iter().map(|&place| value(record, &outcomes[place])).sum();
            sum / places.len() as f64
        };
        answered.iter().map(of).collect()
    };
    let mut kinds: Vec<(Chosen, usize)> = Vec::new();
    for set in sets {
        if !kinds.contains(&(set.chosen, set.k)) {
            kinds.push((set.chosen, set.k));
        }
    }
    let of_kind = |kind: (Chosen, usize)| -> Vec<usize> {
        let is = |set: &OffSet| (set.chosen, set.k) == kind;
        (0..sets.len()).filter(|&place| is(&sets[place])).collect()
    };
    let none = of_kind((Chosen::None, 0));
    let accuracy_of = |place: usize| {
        let all = values(&[place], &accuracy);
        all.iter().sum::<f64>() / all.len() as f64
    };
    let row = |kind: (Chosen, usize)| {
        let places = of_kind(kind);
        let is_none = kind.0 == Chosen::None || none.is_empty();
        let own = values(&places, &accuracy);
        let likely = values(&places, &log_probability);
        let base = |value: Value| values(&none, value);
        let pairs = (!is_none && places.len() == 1).then(|| {
            let base = base(&accuracy);
            let both = || base.iter().zip(&own);
            [
                both().filter(|(base, own)| **base > 0.5 && **own <= 0.5).count(),
                both().filter(|(base, own)| **base <= 0.5 && **own > 0.5).count(),
            ]
        });
        let mut of_draws: Vec<f64> = match kind.0 {
            Chosen::Random => places.iter().map(|&place| accuracy_of(place)).collect(),
            _ => Vec::new(),
        };
        of_draws.sort_by(f64::total_cmp);
        let draws = of_kind((Chosen::Random, kind.1));
        let draws_as_low = (kind.0 == Chosen::Top && !draws.is_empty()).then(|| {
            draws.iter().filter(|&&draw| accuracy_of(draw) <= accuracy_of(places[0])).count()
        });
        Some(Row {
            chosen: kind.0,
            k: kind.1,
            sets: places.len(),
            prompts: answered.len(),
            accuracy: clusters.mean(&own)?.within(0.0, 1.0),
            against_none: match is_none {
                true => None,
                false => clusters.difference(&own, &base(&accuracy)),
            },
            log_probability: clusters.mean(&likely)?,
            drop: match is_none {
                true => None,
                false => clusters.difference(&base(&log_probability), &likely),
            },
            token_probability: clusters
                .mean(&values(&places, &token_probability))?
                .within(0.0, 1.0),
            lost_and_gained: pairs,
            p: pairs.map(|[lost, gained]| exact_p(lost, gained)),
            of_draws,
            draws_as_low,
            heads: match &places[..] {
                [place] if !is_none => Some(sets[*place].heads.clone()),
                _ => None,
            },
        })
    };
    kinds.into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(index: usize, group: &str, outcomes: &[(bool, f64)]) -> PromptRecord {
        let outcome = |&(right, log_probability): &(bool, f64)| Outcome {
            answer: String::new(),
            judged: None,
            accuracy: f64::from(u8::from(right)),
            log_probability,
        };
        PromptRecord {
            id: index.to_string(),
            group: group.to_owned(),
            about: group.to_owned(),
            place: "100@0.5".to_owned(),
            prompt_tokens: 100,
            depths: vec![0.5],
            gold: "g".to_owned(),
            gold_tokens: 2,
            haystack_cycles: 1,
            secs: 0.0,
            outcomes: Ok(outcomes.iter().map(outcome).collect()),
        }
    }

    fn set(chosen: Chosen, k: usize, draw: Option<usize>) -> OffSet {
        OffSet { chosen, k, draw, heads: (0..k).map(|head| (0, head)).collect() }
    }

    /// Three prompts, all of them right; without the best head one is; of two random draws one
    /// changes nothing and one costs an answer.
    #[test]
    fn by_hand() {
        let sets = [
            set(Chosen::None, 0, None),
            set(Chosen::Top, 1, None),
            set(Chosen::Random, 1, Some(0)),
            set(Chosen::Random, 1, Some(1)),
        ];
        let mut records = vec![
            record(0, "a", &[(true, -1.0), (false, -5.0), (true, -1.0), (true, -1.0)]),
            record(1, "b", &[(true, -2.0), (false, -4.0), (true, -2.0), (false, -3.0)]),
            record(2, "b", &[(true, -3.0), (true, -3.0), (true, -3.0), (true, -3.0)]),
        ];
        let failed = PromptRecord { outcomes: Err("memory".to_owned()), ..records[0].clone() };
        records.push(failed);
        let rows = rows(&sets, &records);
        let kinds: Vec<_> = rows.iter().map(|r| (r.chosen, r.k, r.sets, r.prompts)).collect();
        assert_eq!(
            kinds,
            [(Chosen::None, 0, 1, 3), (Chosen::Top, 1, 1, 3), (Chosen::Random, 1, 2, 3)]
        );
        let [none, top, random] = &rows[..] else { panic!() };
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        near(none.accuracy.mean, 1.0);
        near(none.log_probability.mean, -2.0);
        assert!(none.against_none.is_none() && none.drop.is_none() && none.p.is_none());
        near(top.accuracy.mean, 1.0 / 3.0);
        near(top.drop.unwrap().mean, (4.0 + 2.0 + 0.0) / 3.0);
        assert_eq!((top.lost_and_gained, top.p), (Some([2, 0]), Some(0.5)));
        // Both draws are more accurate than without the best head.
        assert_eq!(top.draws_as_low, Some(0));
        near(random.against_none.unwrap().mean, -1.0 / 6.0);
        near(random.drop.unwrap().mean, 0.5 / 3.0);
        assert_eq!((random.of_draws.len(), random.p), (2, None));
        near(random.of_draws[0], 2.0 / 3.0);
        near(
            none.token_probability.mean,
            [-0.5f64, -1.0, -1.5].map(f64::exp).iter().sum::<f64>() / 3.0,
        );
        assert!(super::rows(&sets, &records[3..]).is_empty());
    }
}
