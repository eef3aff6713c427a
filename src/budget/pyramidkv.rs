//! `pyramidkv`: fewer tokens from layer to layer, all heads of a layer alike.
//!
//! PyramidKV (Cai et al. 2024, <https://arxiv.org/abs/2406.02069>).
//!
//! ```text
//! B = C - W ;  min = B / beta ;  max = 2 * B - min                             beta = 20
//! if max > T - W:  max = T - W ;  min = 2 * B - max
//! past[l, s] = max - l * (max - min) / (L - 1)
//! ```
//!
//! Where ours differs: the reference divides in whole numbers and rounds the step between layers
//! down, so that the layers keep more than the budget: 4 % more with 32 layers and 128 tokens, 27 %
//! with 80 layers. The fair form divides exactly and rounds once, by largest remainder. The
//! reference form is that of KVCache-Factory, which is uniform in prompts shorter than `2 * B` (not
//! `2 * B + W`). HeadKV's and AdaKV's copies compute the layers' budgets from the first prompt
//! alone and keep them for all that follow: that is not reproduced in either form. A single layer,
//! with which the reference divides by 0, keeps the mean.

use super::rounding::round_to_sum;
use super::{Allocator, AllocatorInfo, Budget, Constant, MethodInfo, Needs, Request, Room};
use crate::error::Result;

static INFO: AllocatorInfo = AllocatorInfo {
    name: "pyramidkv",
    aliases: &["pyramid"],
    title: "fewer from layer to layer, the same for the heads of a layer",
    formula: "past = max - l * (max - min) / (L - 1), min = B / beta, max = 2 * B - min",
    source: "PyramidKV, https://arxiv.org/abs/2406.02069",
    needs: Needs::Nothing,
    constants: &[Constant::PyramidBeta],
    method: Some(MethodInfo {
        title: "as snapkv, more in early layers, less in late ones",
        default: true,
        vatp: true,
    }),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct PyramidKv;

impl Allocator for PyramidKv {
    fn info(&self) -> &AllocatorInfo {
        &INFO
    }

    fn allocate(&self, request: &Request) -> Result<Budget> {
        let room = Room::of(request)?;
        let (layers, stored) = (request.heads.layers, request.heads.stored());
        let beta = request.options.pyramid_beta;
        let of_layers = |past: &[f64]| -> Vec<f64> {
            past.iter().flat_map(|tokens| std::iter::repeat_n(*tokens, stored)).collect()
        };
        let past = if request.options.reference {
            let short = request.prompt_tokens.is_some_and(|t| t < 2 * room.mean_past as usize);
            let past = match short {
                true => vec![f64::from(room.mean_past); layers],
                false => of_reference(room.mean_past, room.limit, beta, layers)
                    .into_iter()
                    .map(|tokens| tokens as f64)
                    .collect(),
            };
            of_layers(&past).into_iter().map(|capacity| room.cut(capacity)).collect()
        } else {
            let past = slope(room.mean_past.min(room.limit), room.limit, beta, layers);
            round_to_sum(&of_layers(&past), room.total_past(), 0, room.limit)
        };
        room.budget(request, past)
    }
}

/// The layers' tokens before the window, on a straight line of mean `mean_past`, none above
/// `limit`.
fn slope(mean_past: u32, limit: u32, beta: usize, layers: usize) -> Vec<f64> {
    let (mean, limit) = (f64::from(mean_past), f64::from(limit));
    let max = (2.0 * mean - mean / beta as f64).min(limit);
    let min = 2.0 * mean - max;
    let place = |layer: usize| match layers {
        1 => 0.5,
        _ => layer as f64 / (layers - 1) as f64,
    };
    (0..layers).map(|layer| max + (min - max) * place(layer)).collect()
}

/// The same in whole numbers, as in the reference: the step is rounded down.
pub(super) fn of_reference(mean_past: u32, limit: u32, beta: usize, layers: usize) -> Vec<i64> {
    let (mean, limit) = (i64::from(mean_past), i64::from(limit));
    // A constant beyond any number of tokens divides them to 0.
    let mut min = mean / i64::try_from(beta).unwrap_or(i64::MAX);
    let mut max = 2 * mean - min;
    if max >= limit {
        max = limit;
        min = 2 * mean - max;
    }
    match layers {
        1 => vec![mean],
        _ => {
            let step = (max - min).div_euclid(layers as i64 - 1);
            (0..layers as i64).map(|layer| (max - layer * step).max(0)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::testing::{Case, past};

    #[test]
    fn the_layers_are_on_a_line_whose_mean_is_the_budget() {
        // B = 40, min = 40 / 20 = 2, max = 78: 78, 78 - 76 / 3 = 52.67, 27.33, 2. One head a layer:
        // 78 + 52 + 27 + 2 = 159 of 160: .67 gets one more. Rounded down, the step is 25.
        let case = Case::shaped(4, 1).budget(48, 8);
        assert_eq!(past(&PyramidKv, &case), [78, 53, 27, 2]);
        assert_eq!(past(&PyramidKv, &case.clone().reference()), [78, 53, 28, 3]);
        // 68 tokens, 60 before the window: from 60 down to 20. In the reference 68 < 80: uniform.
        assert_eq!(past(&PyramidKv, &case.clone().prompt(68)), [60, 47, 33, 20]);
        assert_eq!(past(&PyramidKv, &case.clone().prompt(68).reference()), [40; 4]);
        // 80 tokens, 72: 72 - 64 / 3 * l; the reference rounds 21.33 down.
        assert_eq!(past(&PyramidKv, &case.clone().prompt(80)), [72, 51, 29, 8]);
        assert_eq!(past(&PyramidKv, &case.clone().prompt(80).reference()), [72, 51, 30, 9]);
        // Shorter than the budget: all there is.
        assert_eq!(past(&PyramidKv, &case.clone().prompt(40)), [32; 4]);
        assert_eq!(past(&PyramidKv, &case.prompt(40).reference()), [32; 4]);
    }

    #[test]
    fn heads_of_a_layer_differ_by_one_at_most() {
        // B = 3, beta 2: 4.5 and 1.5 per head, 10 of 12 rounded down: of equal remainders the lower
        // index gets one more.
        let case = Case::shaped(2, 2).budget(3, 0).pyramid_beta(2);
        assert_eq!(past(&PyramidKv, &case), [5, 5, 1, 1]);
    }

    #[test]
    fn a_single_layer_keeps_the_mean() {
        let case = Case::shaped(1, 2).budget(48, 8);
        assert_eq!(past(&PyramidKv, &case), [40, 40]);
        assert_eq!(past(&PyramidKv, &case.reference()), [40, 40]);
    }
}
