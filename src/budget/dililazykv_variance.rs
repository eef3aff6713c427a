//! `dililazykv_variance`: between layers by score and variance, within a layer by score.
//!
//! The paper of DiliLazyKV (<https://openreview.net/forum?id=ye4rjRYBPj>) promises aggregation
//! between layers and distribution within a layer that follow the variance of the scores. Neither
//! its code nor a formula is published; this one is ours:
//!
//! ```text
//! B = C - W ;  q = B // beta ;  a = (m / max(m))^temp
//! A[l] = sum_s a[l, s] ;  v[l] = mean_s (a[l, s] - A[l] / S)^2 ;  u = mean_l v[l]
//! layer weight   w[l] = A[l] * (1 + v[l] / u)                                (A[l] where u = 0)
//! past[l, s]  = q * L * S * (w[l] / sum(w)) * (a[l, s] / A[l]) + B - q
//! ```
//!
//! A layer whose heads differ has specialists, for whom a budget of their own is worth something;
//! where all heads of a layer are alike, the layer needs no more than its score says. Equal scores
//! give equal budgets; of two layers of equal mean the one with more variance gets more; within a
//! layer more score never means less; scores in another unit give the same budgets.
//!
//! There is nothing to compare with, so both forms are this one: exact in sum, water-filled.

use super::reference::floor_div;
use super::{Allocator, AllocatorInfo, Budget, Constant, MethodInfo, Needs, Request, Room, scores};
use crate::error::Result;

static INFO: AllocatorInfo = AllocatorInfo {
    name: "dililazykv_variance",
    aliases: &["dililazykv-variance"],
    title: "between layers by score and variance, within a layer by score, \
            as DiliLazyKV's paper says",
    formula: "past = q * L * S * (w[l] / sum w) * (a / A[l]) + B - q, \
              w[l] = A[l] * (1 + v[l] / mean v)",
    source: "DiliLazyKV, https://openreview.net/forum?id=ye4rjRYBPj",
    needs: Needs::HeadScores,
    constants: &[Constant::Beta { default: 1.351 }, Constant::Temp],
    method: Some(MethodInfo {
        title: "as dililazykv, by the variance of the scores that its paper describes",
        default: false,
        vatp: false,
    }),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct DiliLazyKvVariance;

impl Allocator for DiliLazyKvVariance {
    fn info(&self) -> &AllocatorInfo {
        &INFO
    }

    fn allocate(&self, request: &Request) -> Result<Budget> {
        let room = Room::of(request)?;
        let options = request.options;
        let powers = scores::powers(&scores::of_stored_heads(request)?, options.temp);
        let pool = floor_div(f64::from(room.mean_past), options.beta);
        room.budget(request, room.by_weight(pool, &weights(&powers, request.heads.stored())))
    }
}

/// `w[l] * a[l, s] / A[l]`, `[L * S]`: the weight of a head is its score, raised by the variance of
/// its layer.
fn weights(powers: &[f64], stored: usize) -> Vec<f64> {
    let variance = |layer: &[f64]| {
        let mean = layer.iter().sum::<f64>() / stored as f64;
        layer.iter().map(|a| (a - mean) * (a - mean)).sum::<f64>() / stored as f64
    };
    let variances: Vec<f64> = powers.chunks(stored).map(variance).collect();
    let mean = variances.iter().sum::<f64>() / variances.len() as f64;
    let raised = |(layer, variance): (&[f64], f64)| {
        let factor = if mean > 0.0 { 1.0 + variance / mean } else { 1.0 };
        layer.iter().map(|a| a * factor).collect::<Vec<f64>>()
    };
    powers.chunks(stored).zip(variances).flat_map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::testing::{Case, past};

    const METHOD: DiliLazyKvVariance = DiliLazyKvVariance;

    #[test]
    fn equal_scores_are_uniform() {
        let case = Case::scored(&[&[0.3; 3], &[0.3; 3]]).budget(50, 8);
        assert_eq!(past(&METHOD, &case), [42; 6]);
    }

    #[test]
    fn of_two_layers_of_equal_mean_the_varied_one_gets_more() {
        // Of max 4: a = .5 .5 and 0 1; A = 1 and 1; v = 0 and .25, u = .125: factors 1 and 3.
        // B = 32, q = 16, pool 64: 16 and 48; within the layers 8 8 and 0 48.
        let case = Case::scored(&[&[2.0, 2.0], &[0.0, 4.0]]).budget(32, 0).beta(2.0);
        assert_eq!(past(&METHOD, &case), [24, 24, 16, 64]);
        let layer = |past: &[u32]| past[2] + past[3];
        let mut before = 0;
        for spread in [0.0, 0.5, 1.0, 1.5, 2.0] {
            let scores: [&[f32]; 2] = [&[1.0, 3.0], &[2.0 - spread, 2.0 + spread]];
            let now = layer(&past(&METHOD, &Case::scored(&scores).budget(1000, 0)));
            assert!(now > before, "{spread}");
            before = now;
        }
    }

    #[test]
    fn the_unit_of_the_scores_does_not_matter() {
        let case = Case::scored(&[&[0.1, 0.7, 0.2], &[0.05, 0.9, 0.4]]);
        let scaled = Case::scored(&[&[0.4, 2.8, 0.8], &[0.2, 3.6, 1.6]]);
        assert_eq!(past(&METHOD, &case), past(&METHOD, &scaled));
    }
}
