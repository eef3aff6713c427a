//! `headkv`: a base for every head, and a pool shared by the heads' scores.
//!
//! HeadKV (Fu et al. 2024, <https://arxiv.org/abs/2410.19258>); its code calls the cache ReasonKV.
//!
//! ```text
//! B = C - W ;  q = B // beta ;  p = m / sum(m) ;  p = p^temp ;  p = p / sum(p)
//! past[l, s] = p[l, s] * q * L * S + B - q
//! ```
//!
//! A larger `beta` makes the pool smaller, which is the opposite of what the README of the
//! reference says. `//` is Python's division of floats ([`floor_div`]).
//!
//! Where ours differs: the fair form rounds by largest remainder, so that the sum is exact, and
//! what a head cannot use in a short prompt goes to the others by score. The reference rounds each
//! head for itself, half to even, and loses what exceeds the prompt. It places scores in the order
//! of the file; headprof places them by key. It knows query heads only; with KV heads, the scores
//! are reduced first.

use super::reference::{floor_div, pairwise_sum};
use super::{Allocator, AllocatorInfo, Budget, Constant, MethodInfo, Needs, Request, Room, scores};
use crate::error::Result;

static INFO: AllocatorInfo = AllocatorInfo {
    name: "headkv",
    aliases: &["ReasonKV", "ReasonSnapKV"],
    title: "a base for every head and a pool shared by score",
    formula: "past = p * q * L * S + B - q, q = B // beta, p = m^temp / sum(m^temp)",
    source: "HeadKV, https://arxiv.org/abs/2410.19258",
    needs: Needs::HeadScores,
    constants: &[Constant::Beta { default: 1.5 }, Constant::Temp],
    method: Some(MethodInfo {
        title: "as snapkv, more for heads with high head scores",
        default: true,
        vatp: true,
    }),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct HeadKv;

impl Allocator for HeadKv {
    fn info(&self) -> &AllocatorInfo {
        &INFO
    }

    fn allocate(&self, request: &Request) -> Result<Budget> {
        let room = Room::of(request)?;
        let options = request.options;
        let scores = scores::of_stored_heads(request)?;
        let past = if options.reference {
            let reference =
                of_reference(&scores, f64::from(room.mean_past), options.beta, options.temp);
            // A power so large that nothing is left divides 0 by 0.
            if reference.iter().any(|capacity| !capacity.is_finite()) {
                return Err(scores::vanished(options.temp));
            }
            reference.into_iter().map(|capacity| room.cut(capacity)).collect()
        } else {
            let pool = floor_div(f64::from(room.mean_past), options.beta);
            room.by_weight(pool, &scores::powers(&scores, options.temp))
        };
        room.budget(request, past)
    }
}

/// The capacities of the reference, without the window, of heads with these scores, `[L * S]`. Not
/// a number where all scores are 0.
pub(super) fn of_reference(scores: &[f64], mean_past: f64, beta: f64, temp: f64) -> Vec<f64> {
    let normalized = |values: Vec<f64>| {
        let sum = pairwise_sum(&values);
        values.into_iter().map(move |v| v / sum)
    };
    let shares = normalized(normalized(scores.to_vec()).map(|p| p.powf(temp)).collect());
    let q = floor_div(mean_past, beta);
    let (pool, base) = (q * scores.len() as f64, mean_past - q);
    shares.map(|share| (share * pool + base).round_ties_even()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::testing::{Case, past};

    #[test]
    fn the_pool_follows_the_scores() {
        // B = 20 - 4 = 16, q = 16 // 2 = 8, pool 8 * 4 = 32, base 8; shares .1 .2 .3 .4 ask for
        // 3.2 6.4 9.6 12.8. Half to even: 11 14 18 21 = 64 = 16 * 4. Largest remainders: 3 + 6 + 9
        // + 12 = 30, two more for .8 and .6: the same.
        let case = Case::scored(&[&[1.0, 2.0], &[3.0, 4.0]]).budget(20, 4).beta(2.0);
        assert_eq!(past(&HeadKv, &case), [11, 14, 18, 21]);
        assert_eq!(past(&HeadKv, &case.clone().reference()), [11, 14, 18, 21]);
        // temp 2: shares 1 4 9 16 of 30 ask for 1.07 4.27 9.6 17.07.
        assert_eq!(past(&HeadKv, &case.clone().temp(2.0)), [9, 12, 18, 25]);
        // 24 tokens, 20 before the window: the last head leaves 1, which goes to the third, fourth
        // in need: 8 + 24 * (1, 2, 3) / 6 - but 32 - 12 = 20 are left for them: 3.33 6.67 10.
        assert_eq!(past(&HeadKv, &case.clone().prompt(24)), [11, 15, 18, 20]);
        // The reference loses that token.
        assert_eq!(past(&HeadKv, &case.prompt(24).reference()), [11, 14, 18, 20]);
    }

    #[test]
    fn the_published_rounding_does_not_keep_the_sum() {
        // B = 3, q = 3 // 1.5 = 2, pool 6, base 1: each head asks for 3 exactly... of three equal
        // scores; of 1 1 2 for 1.5 1.5 3: half to even makes 2.5 a 2, twice: 8 of 9.
        let case = Case::scored(&[&[1.0, 1.0, 2.0]]).budget(3, 0).beta(1.5);
        assert_eq!(past(&HeadKv, &case.clone().reference()), [2, 2, 4]);
        assert_eq!(past(&HeadKv, &case), [3, 2, 4]);
    }

    #[test]
    fn kv_heads_get_the_budget_of_their_query_heads_together() {
        // Means of (0, 4) and (1, 1): 2 and 1; B = 6, q = 3, pool 6: 4 and 2 over a base of 3.
        let case = Case::scored(&[&[0.0, 4.0, 1.0, 1.0]]).kv_heads(2).budget(6, 0).beta(2.0);
        assert_eq!(past(&HeadKv, &case), [7, 5]);
    }

    #[test]
    fn an_exponent_that_leaves_nothing_is_an_error() {
        let case = Case::scored(&[&[1.0, 2.0]]).temp(1e6);
        assert_eq!(case.clone().reference().error(&HeadKv), 3);
        // In the fair form the best head stays: B = 120, q = 120 // 1.5 = 80.
        assert_eq!(past(&HeadKv, &case), [40, 200]);
    }
}
