//! `ada_pyramidkv`: fewer tokens from layer to layer, for which the heads of a layer compete.
//!
//! Ada-Pyramid of AdaKV (Feng et al. 2024, <https://arxiv.org/abs/2407.11550>), which its code
//! calls Ada-PyramidKV: the competition of [`super::adakv`] for the layers' tokens of
//! [`super::pyramidkv`].
//!
//! ```text
//! B[l] = tokens of a head of layer l under pyramidkv, on average
//! past[l, s] = alpha * B[l] + (1 - alpha) * cnt[s]     cnt: of the S * B[l] best of the layer
//! ```
//!
//! Where ours differs: the fair form gives each layer exactly what the fair form of `pyramidkv`
//! gives it, rounded by largest remainder within the layer. The reference rounds the step between
//! layers down, takes `int(alpha * B[l])` and rounds each head half to even. Unlike
//! KVCache-Factory's PyramidKV it is not uniform in prompts shorter than `2 * B`. That its code
//! keeps the layers' budgets of the first prompt for all that follow is not reproduced.

use super::adakv::{checked_scores, competed, competed_as_in_reference};
use super::pyramidkv::{PyramidKv, of_reference};
use super::{
    Allocator, AllocatorInfo, Budget, Constant, LayerPlace, MethodInfo, Needs, Request, Room,
};
use crate::error::Result;
use crate::heads::CacheHeads;

static INFO: AllocatorInfo = AllocatorInfo {
    name: "ada_pyramidkv",
    aliases: &["Ada-PyramidKV", "Ada-Pyramid"],
    title: "fewer from layer to layer, for which the heads of a layer compete",
    formula: "past = alpha * B[l] + (1 - alpha) * cnt, B[l] of pyramidkv, \
         cnt = tokens of the head among the layer's S * B[l] best",
    source: "AdaKV, https://arxiv.org/abs/2407.11550",
    needs: Needs::TokenScores,
    constants: &[Constant::Alpha, Constant::PyramidBeta],
    method: Some(MethodInfo {
        title: "as pyramidkv, the heads of a layer compete for its places",
        default: false,
        vatp: false,
    }),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct AdaPyramidKv;

impl Allocator for AdaPyramidKv {
    fn info(&self) -> &AllocatorInfo {
        &INFO
    }

    fn allocate(&self, request: &Request) -> Result<Budget> {
        let room = Room::of(request)?;
        let layers = checked_scores(request, &room)?;
        let (options, stored) = (request.options, request.heads.stored());
        if room.limit <= room.mean_past {
            return room.budget(request, vec![room.limit; room.heads]);
        }
        // The pyramid is the whole model's, whichever layers the request is about.
        let place = request.place.unwrap_or(LayerPlace { layer: 0, layers: layers.len() });
        let mut past = Vec::with_capacity(room.heads);
        if options.reference {
            let of_layers =
                of_reference(room.mean_past, room.limit, options.pyramid_beta, place.layers);
            for (scores, mean) in layers.iter().zip(of_layers.into_iter().skip(place.layer)) {
                let mean = u32::try_from(mean).unwrap_or(room.limit).min(room.limit);
                past.extend(competed_as_in_reference(scores, stored, mean, &room, options));
            }
        } else {
            let whole = CacheHeads { layers: place.layers, ..request.heads };
            let pyramid = PyramidKv.allocate(&Request { heads: whole, place: None, ..*request })?;
            let of_layers = pyramid.past_tokens().chunks(stored).skip(place.layer);
            for (scores, of_layer) in layers.iter().zip(of_layers) {
                let total = of_layer.iter().map(|n| u64::from(*n)).sum();
                past.extend(competed(scores, stored, total, &room, options));
            }
        }
        room.budget(request, past)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::testing::{Case, past};

    /// Two layers of two heads, four tokens before a window of 1, the same scores in both layers.
    fn case() -> Case {
        let layer = vec![0.9, 0.8, 0.7, 0.1, 0.6, 0.2, 0.15, 0.0];
        Case::shaped(2, 2).budget(3, 1).prompt(5).tokens(vec![layer; 2]).pyramid_beta(2)
    }

    #[test]
    fn heads_compete_for_what_the_pyramid_gives_their_layer() {
        // B = 2, min = 2 / 2 = 1, max = 3: B[0] = 3 and B[1] = 1. The 6 best are .9 .8 .7 .6 .2
        // .15, 3 of each head; the 2 best .9 and .8 of head 0. alpha .2: 3 and 3 (.6 + .8 * 3); .2
        // + 1.6 = 1.8 and .2, of 2 tokens 1 and 0, and the one that is left goes to .8.
        assert_eq!(past(&AdaPyramidKv, &case()), [3, 3, 2, 0]);
        // The reference: int(.6) + 2.4 is 2 each; int(.2) + 1.6 is 2, and 0.
        assert_eq!(past(&AdaPyramidKv, &case().reference()), [2, 2, 2, 0]);
        // Nothing to compete for, then everything.
        assert_eq!(past(&AdaPyramidKv, &case().alpha(1.0)), [3, 3, 1, 1]);
        assert_eq!(past(&AdaPyramidKv, &case().alpha(0.0)), [3, 3, 2, 0]);
    }

    #[test]
    fn a_layer_alone_gets_what_it_gets_among_the_others() {
        let layer = vec![0.9, 0.8, 0.7, 0.1, 0.6, 0.2, 0.15, 0.0];
        let alone = Case::shaped(1, 2).budget(3, 1).prompt(5).tokens(vec![layer]).pyramid_beta(2);
        for (number, expected) in [(0, [3, 3]), (1, [2, 0])] {
            let place = LayerPlace { layer: number, layers: 2 };
            assert_eq!(past(&AdaPyramidKv, &alone.clone().place(place)), expected);
        }
        let last = LayerPlace { layer: 1, layers: 2 };
        assert_eq!(past(&AdaPyramidKv, &alone.reference().place(last)), [2, 0]);
    }

    #[test]
    fn a_layer_may_keep_all_or_nothing() {
        // B = 3, min = 3 / 4, max = 5.25, above the 4 there are: 4 and 2. Of the 4 best, .9 .8 .7
        // and .6, head 0 has 3: .4 + 2.4 and .4 + .8.
        assert_eq!(past(&AdaPyramidKv, &case().budget(4, 1).pyramid_beta(4)), [4, 4, 3, 1]);
        // B = 1: 1.75 and .25 for each of two heads; of 4 tokens, .75 comes before .25: 4 and 0.
        assert_eq!(past(&AdaPyramidKv, &case().budget(2, 1).pyramid_beta(4)), [3, 1, 0, 0]);
    }

    #[test]
    fn a_short_prompt_is_kept_whole() {
        assert_eq!(past(&AdaPyramidKv, &case().budget(6, 1)), [4; 4]);
        assert_eq!(past(&AdaPyramidKv, &case().budget(6, 1).reference()), [4; 4]);
    }

    #[test]
    fn a_layer_without_scores_is_divided_evenly() {
        let case = case().tokens(vec![vec![0.0; 8]; 2]);
        assert_eq!(past(&AdaPyramidKv, &case), [3, 3, 1, 1]);
        assert_eq!(case.tokens(vec![vec![0.0; 7]; 2]).error(&AdaPyramidKv), 1);
    }
}
