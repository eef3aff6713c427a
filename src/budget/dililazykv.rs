//! `dililazykv`: HeadKV with a small bonus for layers of low score and half a token per head.
//!
//! The code of DiliLazyKV, <https://openreview.net/forum?id=ye4rjRYBPj>. The variances that its
//! paper speaks of are not in it; see [`super::dililazykv_variance`].
//!
//! ```text
//! B = C - W ;  q = B // beta ;  N = L * S ;  A = m^temp
//! A = A + eL * A / (sum_s A[l, :] + 1e-9) ;  p = A / (sum(A) + 1e-9)        eL = 0.01, eH = 0.5
//! past[l, s] = p[l, s] * max(0, q * N - eH * N) + B - q + eH
//! ```
//!
//! The bonus does not scale with the scores: they are used as they are.
//!
//! Where ours differs: the fair form works in `f64`, rounds by largest remainder, so that the sum
//! is exact, and water-fills; where the pool is empty (`q = 0`), the half token is not spent
//! either. The reference works in `f32`, rounds each head for itself, half to even (heads of score
//! 0 have exactly a half: hundreds of them round the same way), loses what exceeds the prompt, and
//! spends half of a budget whose scores are all 0, which headprof refuses. It places scores in the
//! order of the file, although the keys of its own files are shuffled: most of its budgets belong
//! to another head. headprof places them by key, in both forms.

use super::reference::{floor_div, pairwise_sum};
use super::{Allocator, AllocatorInfo, Budget, Constant, MethodInfo, Needs, Request, Room, scores};
use crate::error::Result;

/// `eL`: the bonus of a layer, over its sum.
const LAYER_BONUS: f64 = 0.01;
/// `eH`: tokens that every head gets besides.
const HEAD_BONUS: f64 = 0.5;
/// Keeps sums away from 0.
const TINY: f64 = 1e-9;

static INFO: AllocatorInfo = AllocatorInfo {
    name: "dililazykv",
    aliases: &["dililazy"],
    title: "headkv with a bonus for layers of low score, as in DiliLazyKV's code",
    formula: "past = p * max(0, (q - 0.5) * L * S) + B - q + 0.5, \
              p ~ A + 0.01 * A / sum_s A, A = m^temp",
    source: "DiliLazyKV, https://openreview.net/forum?id=ye4rjRYBPj",
    needs: Needs::HeadScores,
    constants: &[Constant::Beta { default: 1.351 }, Constant::Temp],
    method: Some(MethodInfo {
        title: "as headkv, with a boost for layers of low scores",
        default: true,
        vatp: true,
    }),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct DiliLazyKv;

impl Allocator for DiliLazyKv {
    fn info(&self) -> &AllocatorInfo {
        &INFO
    }

    fn allocate(&self, request: &Request) -> Result<Budget> {
        let room = Room::of(request)?;
        let options = request.options;
        let scores = scores::of_stored_heads(request)?;
        let stored = request.heads.stored();
        let weights = weights(&scores, stored, options.temp);
        let sum: f64 = weights.iter().sum();
        if !(sum > 0.0 && sum.is_finite()) {
            return Err(scores::vanished(options.temp));
        }
        let mean_past = f64::from(room.mean_past);
        let past = if options.reference {
            let single: Vec<f32> = scores.iter().map(|s| *s as f32).collect();
            let reference = of_reference(&single, stored, mean_past, options.beta, options.temp);
            if reference.iter().any(|capacity| !capacity.is_finite()) {
                return Err(scores::vanished(options.temp));
            }
            reference.into_iter().map(|capacity| room.cut(f64::from(capacity))).collect()
        } else {
            room.by_weight((floor_div(mean_past, options.beta) - HEAD_BONUS).max(0.0), &weights)
        };
        room.budget(request, past)
    }
}

/// The weights of the pool, `[L * S]`.
fn weights(scores: &[f64], stored: usize, temp: f64) -> Vec<f64> {
    let powers: Vec<f64> = scores.iter().map(|m| m.powf(temp)).collect();
    let with_bonus = |layer: &[f64]| {
        let sum: f64 = layer.iter().sum::<f64>() + TINY;
        layer.iter().map(|a| a + LAYER_BONUS * a / sum).collect::<Vec<f64>>()
    };
    powers.chunks(stored).flat_map(with_bonus).collect()
}

/// The capacities of the reference, without the window, of heads with these scores, `[L * S]`.
pub(super) fn of_reference(
    scores: &[f32],
    stored: usize,
    mean_past: f64,
    beta: f64,
    temp: f64,
) -> Vec<f32> {
    let powers: Vec<f32> = scores.iter().map(|m| m.powf(temp as f32)).collect();
    let with_bonus = |layer: &[f32]| {
        let sum = pairwise_sum(layer) + TINY as f32;
        layer.iter().map(|a| a + LAYER_BONUS as f32 * a / sum).collect::<Vec<f32>>()
    };
    let weights: Vec<f32> = powers.chunks(stored).flat_map(with_bonus).collect();
    let sum = pairwise_sum(&weights) + TINY as f32;
    let n = scores.len() as f64;
    let q = floor_div(mean_past, beta);
    let (pool, base) = ((q * n - HEAD_BONUS * n).max(0.0) as f32, (mean_past - q) as f32);
    weights
        .into_iter()
        .map(|a| (a / sum * pool + base + HEAD_BONUS as f32).round_ties_even())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::testing::{Case, past};

    #[test]
    fn a_layer_of_low_score_gets_a_little_more() {
        // Layer sums 1 and 3: A = .5 + .005, 1.5 + .005, so p = .505 and 1.505 of 4.02 in all.
        // B = 4002, q = 4002 // 2 = 2001, pool (2001 - .5) * 4 = 8002, base 2001.5:
        // 1005.23 and 2995.77 over it: 3006.73 and 4997.27.
        let case = Case::scored(&[&[0.5, 0.5], &[1.5, 1.5]]).budget(4002, 0).beta(2.0);
        assert_eq!(past(&DiliLazyKv, &case), [3007, 3007, 4997, 4997]);
        // Without the bonus: .5 and 1.5 of 4, 8004 in the pool: 1000.5 and 3001.5 over 2001.
        assert_eq!(past(&crate::budget::headkv::HeadKv, &case), [3002, 3002, 5002, 5002]);
    }

    #[test]
    fn heads_of_score_0_all_round_the_same_way_in_the_reference() {
        // B = 12, q = 6, pool (6 - .5) * 4 = 22, base 6: zeros have 6.5, which half to even makes
        // 6; 3 : 1 have 16.5 and 5.5 over it: 23 and 12. Fair: 6.5 twice is 7 + 6.
        let case = Case::scored(&[&[0.0, 0.0], &[3.0, 1.0]]).budget(12, 0).beta(2.0);
        assert_eq!(past(&DiliLazyKv, &case.clone().reference()), [6, 6, 23, 12]);
        assert_eq!(past(&DiliLazyKv, &case), [7, 6, 23, 12]);
    }

    #[test]
    fn an_empty_pool_leaves_every_head_the_mean() {
        // B = 4, q = 4 // 10 = 0: the reference spends 4.5, which half to even makes 4.
        let case = Case::scored(&[&[0.1, 0.4]]).budget(4, 0).beta(10.0);
        assert_eq!(past(&DiliLazyKv, &case), [4, 4]);
        assert_eq!(past(&DiliLazyKv, &case.reference()), [4, 4]);
    }

    #[test]
    fn an_exponent_that_leaves_nothing_is_an_error() {
        let case = Case::scored(&[&[0.1, 0.2]]).temp(1e6);
        assert_eq!(case.error(&DiliLazyKv), 3);
        assert_eq!(case.reference().error(&DiliLazyKv), 3);
    }
}
