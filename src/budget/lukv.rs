//! `lukv`: tokens go where the next one is worth most.
//!
//! LU-KV (<https://arxiv.org/abs/2602.08585>), known from kvpress as `LUKVPress`.
//!
//! ```text
//! u[l, s](x) = utility that the head keeps with its best x tokens, made concave (upper hull)
//! give tokens one after the other to the head whose u rises most; 1 token per head at least
//! table[r - 1, l, s] = fraction to prune from the head when r % of all are pruned, r = 1 ... 99
//! ```
//!
//! The curves come from a file or a profile ([`super::UtilityCurves`]); kvpress has only tables,
//! made for one model. Tokens whose worth is equal are shared evenly, not given to the first head:
//! equal curves are a uniform budget. Amounts are divided as real numbers and rounded once, by
//! largest remainder. There is no other published form to restore.
//!
//! A fraction is of the tokens before the window: with a window, every head has its token already.

use super::rounding::round_to_sum;
use super::{Allocator, AllocatorInfo, Budget, MethodInfo, Needs, Request, Room, UtilityCurves};
use crate::error::{Error, Result};

static INFO: AllocatorInfo = AllocatorInfo {
    name: "lukv",
    aliases: &["LU-KV"],
    title: "tokens go where the next one is worth most, by utility curves",
    formula: "maximize sum u[l, s](past), u concave, sum past = B * L * S",
    source: "LU-KV, https://arxiv.org/abs/2602.08585",
    needs: Needs::Utility,
    constants: &[],
    method: Some(MethodInfo {
        title: "as snapkv, places go where the next token is worth most",
        default: false,
        vatp: false,
    }),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct LuKv;

/// Rows of the table of prune fractions: 1 % to 99 %.
pub const TABLE_ROWS: usize = 99;

impl Allocator for LuKv {
    fn info(&self) -> &AllocatorInfo {
        &INFO
    }

    fn allocate(&self, request: &Request) -> Result<Budget> {
        let room = Room::of(request)?;
        let absent = || Error::bug("lukv needs utility curves and the length of the prompt");
        let curves = request.utility.ok_or_else(absent)?;
        request.prompt_tokens.ok_or_else(absent)?;
        let (layers, stored) = (request.heads.layers, request.heads.stored());
        if (curves.layers(), curves.heads()) != (layers, stored) {
            return Err(Error::data("utility curves of another shape")
                .got(format!("{} layers x {} heads", curves.layers(), curves.heads()))
                .expected(format!("{layers} layers x {stored} heads that keep tokens"))
                .advice("use curves of this model, made for the same --granularity"));
        }
        let least = u32::from(request.options.window_tokens == 0).min(room.limit);
        let total = room.total_past();
        let amounts = greedy(curves, f64::from(room.limit), f64::from(least), total as f64);
        room.budget(request, round_to_sum(&amounts, total, least, room.limit))
    }
}

/// The fraction to prune from every head when `r` % of all tokens are pruned, `[99, L, S]`
/// row-major with `r - 1` first. The mean over the heads of each row is `r / 100`.
pub fn prune_table(curves: &UtilityCurves) -> Vec<f32> {
    let heads = curves.layers() * curves.heads();
    let row = |percent: usize| {
        let kept = heads as f64 * (100 - percent) as f64 / 100.0;
        greedy(curves, 1.0, 0.0, kept).into_iter().map(|kept| (1.0 - kept) as f32)
    };
    (1..=TABLE_ROWS).flat_map(row).collect()
}

/// A stretch of a concave curve: `length` tokens that are worth `slope` each.
struct Segment {
    head: usize,
    length: f64,
    slope: f64,
}

/// The amounts, `[L * S]`, that make the utility of all heads together largest: from `least` to
/// `tokens` each, `total` together.
fn greedy(curves: &UtilityCurves, tokens: f64, least: f64, total: f64) -> Vec<f64> {
    let heads = curves.layers() * curves.heads();
    let mut stretches: Vec<Segment> = Vec::new();
    for head in 0..heads {
        let curve = curves.curve(head / curves.heads(), head % curves.heads());
        let mut given = least;
        for (start, end) in concave_hull(curves.fractions(), curve) {
            let length = (end.0 - start.0) * tokens;
            let slope = (end.1 - start.1) / (end.0 - start.0);
            let taken = given.min(length);
            given -= taken;
            stretches.push(Segment { head, length: length - taken, slope });
        }
    }
    // Stable: the stretches of a head stay in order.
    stretches.sort_by(|a, b| b.slope.total_cmp(&a.slope));
    let mut amounts = vec![least; heads];
    let mut rest = total - least * heads as f64;
    for equal in stretches.chunk_by(|a, b| a.slope == b.slope) {
        let length: f64 = equal.iter().map(|stretch| stretch.length).sum();
        let share = if length > rest { rest.max(0.0) / length } else { 1.0 };
        for stretch in equal {
            let amount = &mut amounts[stretch.head];
            *amount = (*amount + share * stretch.length).min(tokens);
        }
        rest -= share * length;
    }
    amounts
}

/// A point of a curve: fraction of the tokens, utility.
type Point = (f64, f64);

/// The straight stretches of the smallest concave curve that is nowhere below the points, from
/// `(0, 0)` on; their slopes fall strictly.
fn concave_hull(fractions: &[f32], utilities: &[f32]) -> Vec<(Point, Point)> {
    let mut hull: Vec<Point> = vec![(0.0, 0.0)];
    for (fraction, utility) in fractions.iter().zip(utilities) {
        let point = (f64::from(*fraction), f64::from(*utility));
        // A corner that is not above the line from its neighbour to the new point is none.
        while let [.., a, b] = hull[..] {
            if (b.1 - a.1) * (point.0 - a.0) > (point.1 - a.1) * (b.0 - a.0) {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    hull.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::budget::testing::{Case, past};

    fn curves(layers: usize, heads: usize, points: &[&[f32]]) -> UtilityCurves {
        let n = points[0].len();
        let fractions = (1..=n).map(|k| k as f32 / n as f32).collect();
        UtilityCurves::new(layers, heads, fractions, points.concat()).unwrap()
    }

    #[test]
    fn a_dent_is_filled_up() {
        // From (0, 0) over (.25, .1), (.5, .6), (.75, .7) to (1, .8): the first point is below the
        // line to the second; .7 lies on the line from .6 to .8.
        let hull = concave_hull(&[0.25, 0.5, 0.75, 1.0], &[0.1, 0.6, 0.7, 0.8]);
        let corners: Vec<f64> = hull.iter().map(|(_, end)| end.0).collect();
        assert_eq!(corners.first(), Some(&0.5));
        assert_eq!(corners.last(), Some(&1.0));
        let slopes: Vec<f64> = hull.iter().map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect();
        assert!(slopes.is_sorted_by(|a, b| a > b), "{slopes:?}");
    }

    #[test]
    fn tokens_go_where_they_are_worth_most() {
        // 8 tokens before a window of 1, fractions in quarters: 2 tokens a stretch. Worth of each
        // token of a stretch, times 2: head 0: .5 .25 .125 .0; head 1: .375 .0 .0 .0.
        let curves = curves(1, 2, &[&[0.5, 0.75, 0.875, 0.875], &[0.375, 0.375, 0.375, 0.375]]);
        let case =
            |capacity| Case::shaped(1, 2).budget(capacity, 1).prompt(9).utility(curves.clone());
        // 2 of 16: to .5. 4: and .375. 6: and .25. 8: and .125.
        assert_eq!(past(&LuKv, &case(2)), [2, 0]);
        assert_eq!(past(&LuKv, &case(3)), [2, 2]);
        assert_eq!(past(&LuKv, &case(4)), [4, 2]);
        assert_eq!(past(&LuKv, &case(5)), [6, 2]);
        // Then nothing is worth anything: the 2 and 6 that are left share 4 of 8: 1 and 3.
        assert_eq!(past(&LuKv, &case(7)), [7, 5]);
        assert_eq!(past(&LuKv, &case(9)), [8, 8]);
        // Without a window every head keeps its best token.
        let bare = Case::shaped(1, 2).budget(1, 0).prompt(8).utility(curves.clone());
        assert_eq!(past(&LuKv, &bare), [1, 1]);
        let bare = Case::shaped(1, 2).budget(2, 0).prompt(8).utility(curves.clone());
        assert_eq!(past(&LuKv, &bare), [2, 2]);
    }

    #[test]
    fn equal_curves_are_a_uniform_budget() {
        let curve: &[f32] = &[0.5, 0.8, 0.9, 1.0];
        let case = Case::shaped(2, 2).budget(12, 2).prompt(62).utility(curves(2, 2, &[curve; 4]));
        assert_eq!(past(&LuKv, &case), [10; 4]);
    }

    #[test]
    fn the_table_prunes_what_it_says_in_every_row() {
        let table_curves = curves(
            2,
            2,
            &[&[0.9, 0.95, 1.0, 1.0], &[0.25, 0.5, 0.75, 1.0], &[0.1, 0.6, 0.7, 0.9], &[0.0; 4]],
        );
        let table = prune_table(&table_curves);
        assert_eq!(table.len(), TABLE_ROWS * 4);
        for (i, row) in table.chunks(4).enumerate() {
            let mean: f64 = row.iter().map(|p| f64::from(*p)).sum::<f64>() / 4.0;
            assert!((mean - (i + 1) as f64 / 100.0).abs() < 1e-6, "row {i}: {mean}");
            assert!(row.iter().all(|p| (0.0..=1.0).contains(p)), "{row:?}");
            // The steep head is pruned less than the useless one, until there is nothing left.
            assert!(row[0] <= row[3], "{row:?}");
        }
        // 50 %, 2 heads' worth of tokens to keep. Slopes: 3.6 (.25 of head 0), 1.2 (.5 of head 2),
        // 1 (all of head 1) and then .6 (.5 of head 2, over its dent): .25 + .5 + 1 + .25.
        let row = &table[49 * 4..50 * 4];
        for (got, want) in row.iter().zip([0.75, 0.0, 0.25, 1.0]) {
            assert!((got - want).abs() < 1e-6, "{row:?}");
        }
    }

    #[test]
    fn curves_of_other_heads_are_refused() {
        let case = Case::shaped(2, 1).prompt(500).utility(curves(1, 2, &[&[1.0], &[1.0]]));
        assert_eq!(case.error(&LuKv), 3);
        assert_eq!(Case::shaped(2, 1).prompt(500).error(&LuKv), 1);
    }

    /// Utility of a concave curve with the first `kept` of its tokens.
    fn utility(curves: &UtilityCurves, head: usize, kept: f64) -> f64 {
        let curve = curves.curve(head / curves.heads(), head % curves.heads());
        let of_stretch = |(a, b): (Point, Point)| {
            let share = ((kept - a.0) / (b.0 - a.0)).clamp(0.0, 1.0);
            share * (b.1 - a.1)
        };
        concave_hull(curves.fractions(), curve).into_iter().map(of_stretch).sum()
    }

    proptest! {
        #[test]
        fn no_other_division_is_worth_more(
            rises in prop::collection::vec(prop_oneof![Just(0.0f32), 0.0..1.0f32], 6 * 5),
            other in prop::collection::vec(0.0..1.0f64, 6),
        ) {
            let mut points = rises;
            points[0] = 0.5;
            for curve in points.chunks_mut(5) {
                (1..5).for_each(|k| curve[k] += curve[k - 1]);
            }
            let curves =
                UtilityCurves::new(2, 3, vec![0.1, 0.2, 0.4, 0.7, 1.0], points).unwrap();
            let worth = |amounts: &[f64]| -> f64 {
                amounts.iter().enumerate().map(|(head, kept)| utility(&curves, head, *kept)).sum()
            };
            let best = greedy(&curves, 1.0, 0.0, other.iter().sum());
            prop_assert!((best.iter().sum::<f64>() - other.iter().sum::<f64>()).abs() < 1e-9);
            prop_assert!(worth(&best) >= worth(&other) - 1e-9, "{best:?} {other:?}");

            let table = prune_table(&curves);
            let mut before = [0.0f32; 6];
            for (i, row) in table.chunks(6).enumerate() {
                let mean = row.iter().map(|p| f64::from(*p)).sum::<f64>() / 6.0;
                prop_assert!((mean - (i + 1) as f64 / 100.0).abs() < 1e-6);
                // Whoever keeps less of the whole keeps less of every head.
                for (now, before) in row.iter().zip(&mut before) {
                    prop_assert!(*now >= *before - 1e-6);
                    *before = *now;
                }
            }
        }
    }
}
