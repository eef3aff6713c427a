//! [`OffSet`]: which heads are switched off together: the best of a score, the worst, and heads
//! drawn at random from the layers of the best.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::heads::{HeadMatrix, HeadSet};

/// How heads of a set were chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// None: the model as it is.
    None,
    /// Those with the highest scores.
    Top,
    /// Any, but as many of each layer as of the highest, and none of them.
    Random,
    /// Those with the lowest scores.
    Bottom,
}

impl Chosen {
    /// As it is written in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Top => "top",
            Self::Random => "random",
            Self::Bottom => "bottom",
        }
    }
}

/// Heads that are off together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffSet {
    /// How they were chosen.
    pub chosen: Chosen,
    /// How many they are.
    pub k: usize,
    /// Which of the draws it is, from 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub draw: Option<usize>,
    /// The heads.
    pub heads: HeadSet,
}

/// The model as it is, and for every `k`, ascending, the best heads of `scores`, the worst, and
/// up to `draws` different sets drawn at random, as many as are found. `seed` decides the draws,
/// and which of equal scores are the lowest.
pub fn all(scores: &HeadMatrix, ks: &[usize], draws: usize, seed: u64) -> Vec<OffSet> {
    let none = OffSet { chosen: Chosen::None, k: 0, draw: None, heads: HeadSet::default() };
    let ascending = ascending(scores, seed);
    let mut sets = vec![none];
    for &k in ks {
        let top: HeadSet = scores.top(k).into_iter().map(|(l, h, _)| (l, h)).collect();
        let bottom: HeadSet = ascending.iter().take(k).copied().collect();
        let mut random: Vec<OffSet> = Vec::new();
        for draw in 0..draws {
            // The same whatever other sizes there are, and however many draws.
            let place = seed ^ ((k as u64) << 32) ^ ((draw as u64) << 48);
            let mut rng = StdRng::seed_from_u64(place);
            let mut tried = (0..TRIES).map(|_| layer_matched(&top, scores, &mut rng));
            let new = |heads: &HeadSet| random.iter().all(|set| set.heads != *heads);
            let Some(heads) = tried.find(new) else { break };
            random.push(OffSet { chosen: Chosen::Random, k, draw: Some(draw), heads });
        }
        sets.push(OffSet { chosen: Chosen::Top, k, draw: None, heads: top });
        sets.extend(random);
        sets.push(OffSet { chosen: Chosen::Bottom, k, draw: None, heads: bottom });
    }
    sets
}

/// How often a draw is tried again that has come before. Few heads in a layer make few sets.
const TRIES: usize = 100;

/// All heads, lowest score first; equal scores in an order that `seed` decides: in that of layers
/// the lowest of many zeros would all be of the first layer.
fn ascending(scores: &HeadMatrix, seed: u64) -> Vec<(usize, usize)> {
    let heads = scores.heads();
    let mut order: Vec<usize> = (0..scores.values().len()).collect();
    order.shuffle(&mut StdRng::seed_from_u64(seed));
    order.sort_by(|&a, &b| scores.values()[a].total_cmp(&scores.values()[b]));
    order.into_iter().map(|i| (i / heads, i % heads)).collect()
}

/// As many heads of each layer as `top` has there, none of them its own. Where a layer does not
/// have so many others, the rest are of the nearest layers that do, the lower first.
fn layer_matched(top: &HeadSet, scores: &HeadMatrix, rng: &mut StdRng) -> HeadSet {
    let (layers, heads) = (scores.layers(), scores.heads());
    let mut free: Vec<Vec<usize>> = (0..layers)
        .map(|layer| (0..heads).filter(|&head| !top.contains(layer, head)).collect())
        .collect();
    free.iter_mut().for_each(|heads| heads.shuffle(rng));
    let mut drawn = Vec::new();
    for (layer, _) in top.iter() {
        let mut near: Vec<usize> = (0..layers).filter(|&l| !free[l].is_empty()).collect();
        near.sort_by_key(|l| (l.abs_diff(layer), *l));
        if let Some(&layer) = near.first() {
            drawn.extend(free[layer].pop().map(|head| (layer, head)));
        }
    }
    drawn.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four layers of three heads: 2-1 is the best, then 2-0, 0-2, 3-2; the others are 0.
    fn scores() -> HeadMatrix {
        let mut values = vec![0.0; 12];
        for (at, value) in [(7, 0.9), (6, 0.5), (2, 0.3), (11, 0.2)] {
            values[at] = value;
        }
        HeadMatrix::new(4, 3, values).unwrap()
    }

    fn named(sets: &[OffSet], chosen: Chosen, k: usize) -> Vec<String> {
        let wanted = sets.iter().filter(|set| set.chosen == chosen && set.k == k);
        wanted.map(|set| set.heads.to_string()).collect()
    }

    #[test]
    fn sets_by_hand() {
        let sets = all(&scores(), &[1, 3], 5, 7);
        // Layer 2 has two heads besides the best; five draws of three find as many as there are.
        let count = |k| named(&sets, Chosen::Random, k).len();
        assert_eq!((count(1), sets.len()), (2, 1 + 2 * 2 + 2 + count(3)));
        assert!((2..=5).contains(&count(3)), "{}", count(3));
        let different: std::collections::BTreeSet<&HeadSet> =
            sets.iter().filter(|set| set.chosen == Chosen::Random).map(|set| &set.heads).collect();
        assert_eq!(different.len(), 2 + count(3));
        assert_eq!((sets[0].chosen, sets[0].k, sets[0].heads.len()), (Chosen::None, 0, 0));
        assert_eq!(named(&sets, Chosen::Top, 1), ["2-1"]);
        assert_eq!(named(&sets, Chosen::Top, 3), ["0-2 2-0 2-1"]);
        for set in &sets[1..] {
            assert_eq!(set.heads.len(), set.k, "{set:?}");
        }
        // Layer 2 has one head besides the two best, so that the second is of layer 1.
        for random in sets.iter().filter(|set| set.chosen == Chosen::Random && set.k == 3) {
            let layers: Vec<usize> = random.heads.iter().map(|(layer, _)| layer).collect();
            assert_eq!(layers, [0, 1, 2]);
            assert!(random.heads.contains(2, 2) && !random.heads.contains(0, 2));
        }
        let ones = named(&sets, Chosen::Random, 1);
        assert!(ones.iter().all(|heads| ["2-0", "2-2"].contains(&heads.as_str())), "{ones:?}");
        assert!(ones.iter().any(|heads| heads != &ones[0]), "draws differ");
        // A draw does not depend on the others, and the lowest are among the zeros.
        assert_eq!(
            named(&all(&scores(), &[3], 2, 7), Chosen::Random, 3)[..],
            named(&sets, Chosen::Random, 3)[..2]
        );
        let bottoms: Vec<Vec<String>> =
            (0..20).map(|seed| named(&all(&scores(), &[3], 0, seed), Chosen::Bottom, 3)).collect();
        assert!(bottoms.iter().any(|bottom| bottom != &bottoms[0]));
        for seed in 0..20 {
            let sets = all(&scores(), &[8], 0, seed);
            assert!(!named(&sets, Chosen::Bottom, 8)[0].contains("2-1"));
        }
    }

    #[test]
    fn all_heads_may_be_off() {
        let sets = all(&scores(), &[12], 1, 1);
        assert_eq!(sets[1].heads.len(), 12);
        // There is none that is not among the best.
        assert_eq!(sets[2].heads.len(), 0);
    }
}
