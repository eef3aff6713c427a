//! Every registered score through the same properties, on observations reduced from random rows.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const LAYERS: usize = 3;
const HEADS: usize = 4;

/// Softmax of random logits; every third head is one-hot, which makes ties of all the rest.
fn random_row(rng: &mut StdRng, head: usize, keys: usize) -> Vec<f32> {
    if head % 3 == 2 {
        let hot = rng.random_range(0..keys as u32) as usize;
        return (0..keys).map(|i| if i == hot { 1.0 } else { 0.0 }).collect();
    }
    let weights: Vec<f32> = (0..keys).map(|_| (4.0 * rng.random::<f32>()).exp()).collect();
    let sum: f32 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

fn random_observation(seed: u64) -> Observation {
    let mut rng = StdRng::seed_from_u64(seed);
    let length = rng.random_range(8..80u32) as usize;
    let start = rng.random_range(0..length as u32 - 4) as usize;
    // A few tokens only, so that copies happen.
    let prompt: Vec<u32> = (0..length).map(|_| rng.random_range(0..3)).collect();
    let needle = vec![start..start + 1, start + 2..start + 4];
    let mask = NeedleMask::new(&needle).unwrap();
    let top_k = rng.random_range(1..12u32) as usize;
    let steps = rng.random_range(2..6u32) as usize;
    let mut row = |keys: usize| {
        let stats = |head| head_stats(&random_row(&mut rng, head, keys), &mask, top_k).unwrap();
        RowStats { keys, heads: (0..LAYERS * HEADS).map(stats).collect() }
    };
    let mut rows = || (0..steps).map(|t| row(length + t)).collect::<Vec<RowStats>>();
    let (plain, l1, projected) = (rows(), rows(), rows());
    let generated = (0..steps).map(|_| rng.random_range(0..3)).collect();
    let stopped = seed.is_multiple_of(2);
    let mut looks =
        || (0..LAYERS * HEADS * 6).map(|_| 0.1 * rng.random::<f32>()).collect::<Vec<f32>>();
    let question = Some(QuestionRows {
        facts: vec![0..1, 1..4],
        distractors: vec![4..5, 5..6],
        tokens: 6,
        asked: looks(),
        null: looks(),
    });
    let replayed = Some(ReplayedTokens { tokens: 6, most: looks() });
    let mut per_head = |less: f32| {
        let values = (0..LAYERS * HEADS).map(|_| rng.random::<f32>() - less).collect();
        Some(HeadMatrix::new(LAYERS, HEADS, values).unwrap())
    };
    let (attribution, induction) = (per_head(0.4), per_head(0.0));
    let weighed = vec![(Weighing::L1, l1), (Weighing::Projected, projected)];
    Observation {
        layers: LAYERS,
        heads: HEADS,
        prompt,
        needle,
        generated,
        stopped,
        rows: plain,
        top_k,
        extras: Extras { question, weighed, replayed, attribution, induction },
    }
}

fn every_option() -> impl Iterator<Item = ScoreOptions> {
    let compat = ["", "retrieval-head", "headkv-r2", "dililazykv"];
    let rows = [ScoreRows::LastPrompt, ScoreRows::Decode, ScoreRows::All];
    rows.into_iter().flat_map(move |rows| {
        compat.map(|compat| ScoreOptions { rows, compat: compat.parse().unwrap() })
    })
}

#[test]
fn values_are_finite_in_shape_and_in_range() {
    let mut above_zero = vec![0; registry().len()];
    for observation in (0..200).map(random_observation) {
        for (i, score) in registry().iter().enumerate() {
            for options in every_option() {
                let matrix = score.score(&observation, &options).unwrap();
                assert_eq!((matrix.layers(), matrix.heads()), (LAYERS, HEADS));
                let corrected = !options.compat.contains(score.info().reference);
                for &value in matrix.values() {
                    let fine = value.is_finite() && (score.info().is_signed() || value >= 0.0);
                    assert!(fine, "{}: {value}", score.name());
                    let in_range = score.info().range.contains(&value);
                    assert!(in_range || !corrected, "{}: {value}", score.name());
                }
                above_zero[i] += matrix.values().iter().filter(|&&v| v > 0.0).count();
            }
        }
    }
    assert!(above_zero.iter().all(|&count| count > 1000), "{above_zero:?}");
}

#[test]
fn permuting_heads_permutes_scores() {
    let total = LAYERS * HEADS;
    // 5 has no divisor in common with 12: a permutation.
    let permuted = |i: usize| (i * 5 + 3) % total;
    for observation in (0..50).map(random_observation) {
        let mut shuffled = observation.clone();
        let extras = &mut shuffled.extras;
        let all = std::iter::once((&mut shuffled.rows, &observation.rows));
        let weighed = extras.weighed.iter_mut().zip(&observation.extras.weighed);
        for (rows, originals) in all.chain(weighed.map(|(new, old)| (&mut new.1, &old.1))) {
            for (row, original) in rows.iter_mut().zip(originals) {
                for i in 0..total {
                    row.heads[i] = original.heads[permuted(i)];
                }
            }
        }
        let rows = extras.question.as_mut().unwrap();
        let original = observation.extras.question(total).unwrap();
        let (replayed, replays) = (extras.replayed.as_mut().unwrap(), &observation.extras);
        let replays = replays.replayed().unwrap();
        for (i, token) in (0..total * rows.tokens).map(|at| (at / rows.tokens, at % rows.tokens)) {
            let (to, from) = (i * rows.tokens + token, permuted(i) * rows.tokens + token);
            rows.asked[to] = original.asked[from];
            rows.null[to] = original.null[from];
            // Every query head has a KV head of its own.
            replayed.most[to] = replays.most[from];
        }
        let (of, shape) = (&observation.extras, (LAYERS, HEADS));
        let moved = |original: &HeadMatrix| {
            let values = (0..total).map(|i| original.values()[permuted(i)]).collect();
            Some(HeadMatrix::new(LAYERS, HEADS, values).unwrap())
        };
        extras.attribution = moved(of.attribution(shape).unwrap());
        extras.induction = moved(of.induction(shape).unwrap());
        for score in registry() {
            for options in every_option() {
                let plain = score.score(&observation, &options).unwrap();
                let other = score.score(&shuffled, &options).unwrap();
                for i in 0..total {
                    assert_eq!(other.values()[i], plain.values()[permuted(i)], "{}", score.name());
                }
            }
        }
    }
}

/// [`ScoreInfo::strong`]: what `Top_k` holds, and which rows are chosen.
#[test]
fn top_k_and_rows_change_the_scores_that_say_so_and_no_other() {
    let mut changed = vec![[0; 2]; registry().len()];
    let of = |score: &dyn HeadScore, observation: &Observation, rows| {
        let options = ScoreOptions { rows, ..ScoreOptions::default() };
        score.score(observation, &options).unwrap()
    };
    for observation in (0..50).map(random_observation) {
        let mut other_k = observation.clone();
        other_k.top_k += 2;
        let weighed = other_k.extras.weighed.iter_mut().flat_map(|(_, rows)| rows);
        for stats in other_k.rows.iter_mut().chain(weighed).flat_map(|row| &mut row.heads) {
            stats.top_k_in_needle += 1;
            stats.top_k_mass *= 1.5;
            stats.top_k_needle_mass *= 1.25;
        }
        for (score, changed) in registry().iter().zip(&mut changed) {
            let plain = of(*score, &observation, ScoreRows::All);
            changed[0] += usize::from(of(*score, &other_k, ScoreRows::All) != plain);
            changed[1] += usize::from(of(*score, &observation, ScoreRows::LastPrompt) != plain);
        }
    }
    for (score, [by_k, by_rows]) in registry().iter().zip(changed) {
        assert_eq!([by_k > 0, by_rows > 0], [score.info().strong; 2], "{}", score.name());
    }
}

#[test]
fn an_empty_needle_is_a_bug_for_every_score() {
    let mut observation = random_observation(1);
    observation.needle.clear();
    for score in registry() {
        let error = score.score(&observation, &ScoreOptions::default()).unwrap_err();
        assert_eq!(error.exit_code(), 1, "{}", score.name());
    }
}

#[test]
fn names_are_unique_and_every_score_is_described() {
    let mut names = std::collections::BTreeSet::new();
    for score in registry() {
        let info = score.info();
        for name in info.aliases.iter().chain([&info.name]) {
            assert!(names.insert(*name), "{name} twice");
        }
        assert!(!info.title.is_empty() && !info.formula.is_empty());
        assert!(info.source.contains("https://"), "{}", info.name);
    }
}

#[test]
fn every_score_has_a_row_in_the_docs() {
    let docs = include_str!("../../docs/scores.md");
    for score in registry() {
        let row = match score.info().extra {
            // Beside the score that they weigh.
            Extra::Values(_) => format!(" | `{}` |", score.name()),
            _ => format!("\n| `{}` | ", score.name()),
        };
        assert!(docs.contains(&row), "{}", score.name());
    }
    for rows in ["last-prompt", "decode", "all"] {
        assert!(rows.parse::<ScoreRows>().is_ok() && docs.contains(&format!("\n| `{rows}`")));
    }
}
