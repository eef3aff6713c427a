//! `adakv`: the heads of a layer compete with the prompt's own token scores.
//!
//! AdaKV (Feng et al. 2024, <https://arxiv.org/abs/2407.11550>); HeadKV's code calls it AdativeKV.
//!
//! ```text
//! B = C - W ;  R[s, j] = token score
//! cnt[s] = how many of the S * B largest R of the layer are head s's
//! past[l, s] = alpha * B + (1 - alpha) * cnt[s]
//! ```
//!
//! Every layer keeps the same number of tokens. Of equal scores the lower head comes first, then
//! the lower position.
//!
//! Where ours differs: the fair form rounds by largest remainder within each layer; the reference
//! takes `int(alpha * B)` and rounds half to even in `f32`, so that a layer's sum is off by a few.
//! `--floor` of KVCache-Factory has no effect there; `alpha` has here. HeadKV's and
//! KVCache-Factory's copies first multiply each head's `R` by the share of it that the head's best
//! `B` hold; AdaKV's own code does not unless asked to, nor does headprof.

use super::rounding::round_to_sum;
use super::{
    Allocator, AllocatorInfo, Budget, BudgetOptions, Constant, MethodInfo, Needs, Request, Room,
};
use crate::error::{Error, Result};

static INFO: AllocatorInfo = AllocatorInfo {
    name: "adakv",
    aliases: &["AdativeKV", "AdaptiveKV", "Ada-SnapKV"],
    title: "the heads of a layer compete with the prompt's token scores",
    formula: "past = alpha * B + (1 - alpha) * cnt, \
              cnt = tokens of the head among the layer's S * B best",
    source: "AdaKV, https://arxiv.org/abs/2407.11550",
    needs: Needs::TokenScores,
    constants: &[Constant::Alpha],
    method: Some(MethodInfo {
        title: "as snapkv, the heads of a layer compete for places",
        default: true,
        vatp: true,
    }),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct AdaKv;

impl Allocator for AdaKv {
    fn info(&self) -> &AllocatorInfo {
        &INFO
    }

    fn allocate(&self, request: &Request) -> Result<Budget> {
        let room = Room::of(request)?;
        let layers = checked_scores(request, &room)?;
        let options = request.options;
        let mean = room.mean_past.min(room.limit);
        let everything = room.limit == 0 || (options.reference && room.mean_past > room.limit);
        if everything {
            return room.budget(request, vec![room.limit; room.heads]);
        }
        let stored = request.heads.stored();
        let mut past = Vec::with_capacity(room.heads);
        for scores in layers {
            past.extend(match options.reference {
                true => competed_as_in_reference(scores, stored, mean, &room, options),
                false => competed(scores, stored, stored as u64 * u64::from(mean), &room, options),
            });
        }
        room.budget(request, past)
    }
}

/// What each of `stored` heads of a layer gets of `total` tokens: exactly that in sum. `scores` are
/// `[S, N]`.
pub(super) fn competed(
    scores: &[f32],
    stored: usize,
    total: u64,
    room: &Room,
    options: &BudgetOptions,
) -> Vec<u32> {
    let mean = total as f64 / stored as f64;
    let amount = |n: f64| options.alpha * mean + (1.0 - options.alpha) * n;
    let counts = counts(scores, stored, total as usize);
    let amounts: Vec<f64> = counts.into_iter().map(amount).collect();
    round_to_sum(&amounts, total, 0, room.limit)
}

/// The same of `mean` tokens per head with the rounding of the reference.
pub(super) fn competed_as_in_reference(
    scores: &[f32],
    stored: usize,
    mean: u32,
    room: &Room,
    options: &BudgetOptions,
) -> Vec<u32> {
    let floor = (f64::from(mean) * options.alpha).trunc() as f32;
    let share = (1.0 - options.alpha) as f32;
    let rounded = |n: f64| f64::from((n as f32 * share + floor).round_ties_even());
    let counts = counts(scores, stored, stored * mean as usize);
    counts.into_iter().map(|n| room.cut(rounded(n))).collect()
}

/// The token scores, `[S, T - W]` for each layer.
pub(super) fn checked_scores<'a>(request: &Request<'a>, room: &Room) -> Result<&'a [Vec<f32>]> {
    let absent = || Error::bug("adakv needs a prompt with its token scores");
    request.prompt_tokens.ok_or_else(absent)?;
    let layers = request.token_scores.ok_or_else(absent)?;
    let stored = request.heads.stored();
    let expected = stored * room.limit as usize;
    if layers.len() != request.heads.layers || layers.iter().any(|l| l.len() != expected) {
        return Err(Error::bug("token scores of another shape").expected(format!(
            "{} layers of {stored} heads x {} tokens",
            request.heads.layers, room.limit
        )));
    }
    for (layer, scores) in layers.iter().enumerate() {
        if let Some(i) = scores.iter().position(|s| !s.is_finite() || *s < 0.0) {
            let (head, token) = (i / room.limit as usize, i % room.limit as usize);
            return Err(Error::data("a token score is not a number from 0 upwards")
                .at(format!("layer {layer}, head {head}, token {token}"))
                .got(scores[i]));
        }
    }
    Ok(layers)
}

/// How many of the `wanted` largest of `scores`, `[S, N]`, each head has; the same for all where
/// all scores are 0.
fn counts(scores: &[f32], stored: usize, wanted: usize) -> Vec<f64> {
    // Attention so sharp that f32 has nothing left for these tokens: no head is worth more.
    if scores.iter().all(|score| *score == 0.0) {
        return vec![wanted as f64 / stored as f64; stored];
    }
    let tokens = scores.len() / stored;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if wanted < order.len() {
        // Row-major indices: of equal scores the lower head, then the lower position.
        order.select_nth_unstable_by(wanted, |&a, &b| {
            scores[b].total_cmp(&scores[a]).then(a.cmp(&b))
        });
        order.truncate(wanted);
    }
    let mut counts = vec![0.0; stored];
    order.into_iter().for_each(|i| counts[i / tokens] += 1.0);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::testing::{Case, past};

    /// One layer, two heads, a window of 1; what is before it has these scores.
    fn case(scores: &[&[f32]; 2], capacity: usize) -> Case {
        let tokens = scores[0].len() + 1;
        Case::shaped(1, 2).budget(capacity, 1).prompt(tokens).tokens(vec![scores.concat()])
    }

    #[test]
    fn heads_with_more_of_the_best_tokens_get_more() {
        // B = 3 - 1 = 2; the 4 best of both are .9 .8 .7 and .6: 3 of head 0, 1 of head 1.
        // .2 * 2 + .8 * 3 = 2.8 and .4 + .8 = 1.2: 3 and 1. The reference: int(.4) = 0, so 2.4 and
        // .8: 2 and 1, one token less than the budget.
        let case = case(&[&[0.9, 0.8, 0.7, 0.1], &[0.6, 0.2, 0.1, 0.0]], 3);
        assert_eq!(past(&AdaKv, &case), [3, 1]);
        assert_eq!(past(&AdaKv, &case.clone().reference()), [2, 1]);
        assert_eq!(past(&AdaKv, &case.clone().alpha(0.0)), [3, 1]);
        assert_eq!(past(&AdaKv, &case.alpha(1.0)), [2, 2]);
    }

    #[test]
    fn of_equal_scores_the_lower_head_comes_first() {
        let case = case(&[&[0.5; 3], &[0.5; 3]], 2).alpha(0.0);
        assert_eq!(past(&AdaKv, &case), [2, 0]);
    }

    #[test]
    fn a_short_prompt_is_kept_whole() {
        let case = case(&[&[0.9, 0.8], &[0.6, 0.2]], 9);
        assert_eq!(past(&AdaKv, &case), [2, 2]);
        assert_eq!(past(&AdaKv, &case.reference()), [2, 2]);
    }

    #[test]
    fn a_layer_without_scores_is_divided_evenly() {
        assert_eq!(past(&AdaKv, &case(&[&[0.0; 4], &[0.0; 4]], 3)), [2, 2]);
    }

    #[test]
    fn scores_that_are_no_scores_are_refused() {
        assert_eq!(case(&[&[0.0, f32::NAN], &[0.0, 1.0]], 2).error(&AdaKv), 3);
        assert_eq!(case(&[&[0.0, -1.0], &[0.0, 1.0]], 2).error(&AdaKv), 3);
        assert_eq!(case(&[&[0.0, 1.0], &[0.0, 1.0]], 2).prompt(9).error(&AdaKv), 1);
        assert_eq!(Case::shaped(1, 2).error(&AdaKv), 1);
    }
}
