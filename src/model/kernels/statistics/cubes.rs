//! The kernel of [`super`].
//!
//! Barriers: how often a cube counts depends on its row alone, which all its units read from shared
//! memory behind a barrier; every unit passes every barrier. Shares and places are written behind
//! the barrier that ends their last use. Counters are emptied, counted in, and added up with a
//! barrier between; what is found is read behind one and written again behind another.

use cubecl::prelude::*;

use super::FIELDS;
use crate::model::kernels::LOWEST;
use crate::model::kernels::tile::sum_of_cube;

/// Values of a digit.
pub(super) const DIGITS: usize = 256;
const BITS: u32 = 8;
/// Counters for each value: neighbouring units, whose weights are often alike, count in their own.
const COPIES: usize = 16;
/// Digits of a weight, and of a position behind it.
const OF_WEIGHT: u32 = 4;
const OF_POSITION: u32 = 3;
/// Above every position.
const POSITIONS: u32 = 1 << (BITS * OF_POSITION);

/// Where the largest weights of a row end: the last of them has these bits, and those of them with
/// the same bits stand no later.
#[derive(CubeType)]
struct Cut {
    bits: u32,
    last: u32,
}

/// Whether a weight with these bits at `position` is before the cut.
#[cube]
fn taken(bits: u32, position: u32, cut_bits: u32, cut_last: u32) -> bool {
    bits > cut_bits || (bits == cut_bits && position <= cut_last)
}

/// Row `x`: its `scores`, `[H, seen]`, become weights; its numbers are at `first_row` + `x`.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its numbers one by one")]
pub(super) fn statistics(
    scores: &mut Tensor<f32>,
    inside: &Tensor<f32>,
    numbers: &mut Tensor<f32>,
    first_row: u32,
    hidden: u32,
    start: u32,
    top_k: u32,
    top_n: u32,
    #[comptime] units: usize,
) {
    let unit = UNIT_POS_X as usize;
    let seen = scores.shape(1);
    let begin = CUBE_POS_X as usize * seen;
    let mut shares = Shared::<[f32]>::new_slice(units);

    // Softmax. A score that is no number makes the sum none, and that all weights.
    let mut max = f32::new(LOWEST);
    let mut i = unit;
    while i < seen {
        max = max.max(scores[begin + i]);
        i += units;
    }
    shares[unit] = max;
    sync_cube();
    let mut half = comptime!(units / 2).runtime();
    while half > 0 {
        if unit < half {
            shares[unit] = shares[unit].max(shares[unit + half]);
        }
        sync_cube();
        half /= 2;
    }
    let max = shares[0];
    let mut sum = f32::new(0.0);
    let mut i = unit;
    while i < seen {
        let weight = (scores[begin + i] - max).exp();
        scores[begin + i] = weight;
        sum += weight;
        i += units;
    }
    let total = sum_of_cube(&mut shares, sum, unit, units);
    let mut largest = f32::new(-1.0);
    let mut at = 0u32;
    let mut i = unit;
    while i < seen {
        let weight = scores[begin + i] / total;
        scores[begin + i] = weight;
        if weight > largest {
            largest = weight;
            at = i as u32;
        }
        i += units;
    }

    // The first of the largest: each unit has its own first.
    let mut places = Shared::<[u32]>::new_slice(units);
    sync_cube();
    shares[unit] = largest;
    places[unit] = at;
    sync_cube();
    let mut half = comptime!(units / 2).runtime();
    while half > 0 {
        if unit < half {
            let (mine, other) = (shares[unit], shares[unit + half]);
            let earlier = places[unit + half] < places[unit];
            if other > mine || (other == mine && earlier) {
                shares[unit] = other;
                places[unit] = places[unit + half];
            }
        }
        sync_cube();
        half /= 2;
    }
    let argmax = hidden + places[0];

    let counters = Shared::<[Atomic<u32>]>::new_slice(DIGITS * COPIES);
    let mut counts = Shared::<[u32]>::new_slice(DIGITS);
    let mut found = Shared::<[u32]>::new_slice(3usize);
    let keys = hidden as usize + seen;
    let top_k_cut =
        cut(scores, begin, hidden, keys, top_k, &counters, &mut counts, &mut found, units);
    let mut top_n_bits = top_k_cut.bits;
    let mut top_n_last = top_k_cut.last;
    if top_n != top_k {
        let top_n_cut =
            cut(scores, begin, hidden, keys, top_n, &counters, &mut counts, &mut found, units);
        top_n_bits = top_n_cut.bits;
        top_n_last = top_n_cut.last;
    }

    let mut needles = f32::new(0.0);
    let mut top_k_mass = f32::new(0.0);
    let mut top_k_needle_mass = f32::new(0.0);
    let mut top_n_needle_mass = f32::new(0.0);
    let mut needle_mass = f32::new(0.0);
    let mut i = unit;
    while i < keys {
        let weight = weight_at(scores, begin, hidden, i);
        let bits = u32::reinterpret(weight);
        let in_top_k = taken(bits, i as u32, top_k_cut.bits, top_k_cut.last);
        if in_top_k {
            top_k_mass += weight;
        }
        let mut in_needle = f32::new(0.0);
        if i >= start as usize && i - (start as usize) < inside.shape(0) {
            in_needle = inside[i - start as usize];
        }
        if in_needle > 0.0 {
            needle_mass += weight;
            if in_top_k {
                needles += 1.0;
                top_k_needle_mass += weight;
            }
            if taken(bits, i as u32, top_n_bits, top_n_last) {
                top_n_needle_mass += weight;
            }
        }
        i += units;
    }
    let needles = sum_of_cube(&mut shares, needles, unit, units);
    let top_k_mass = sum_of_cube(&mut shares, top_k_mass, unit, units);
    let top_k_needle_mass = sum_of_cube(&mut shares, top_k_needle_mass, unit, units);
    let top_n_needle_mass = sum_of_cube(&mut shares, top_n_needle_mass, unit, units);
    let needle_mass = sum_of_cube(&mut shares, needle_mass, unit, units);
    if unit == 0 {
        let place = (first_row as usize + CUBE_POS_X as usize) * FIELDS;
        numbers[place] = f32::cast_from(argmax);
        numbers[place + 1] = needles;
        numbers[place + 2] = top_k_mass;
        numbers[place + 3] = top_k_needle_mass;
        numbers[place + 4] = top_n_needle_mass;
        numbers[place + 5] = needle_mass;
    }
}

/// The weight of key `i`, 0 where it is hidden.
#[cube]
fn weight_at(scores: &mut Tensor<f32>, begin: usize, hidden: u32, i: usize) -> f32 {
    let mut weight = f32::new(0.0);
    if i >= hidden as usize {
        weight = scores[begin + i - hidden as usize];
    }
    weight
}

/// Where the `rank` largest of a row's weights end.
#[cube]
#[allow(clippy::too_many_arguments, reason = "as the kernel")]
fn cut(
    weights: &mut Tensor<f32>,
    begin: usize,
    hidden: u32,
    keys: usize,
    rank: u32,
    counters: &Shared<[Atomic<u32>]>,
    counts: &mut Shared<[u32]>,
    found: &mut Shared<[u32]>,
    #[comptime] units: usize,
) -> Cut {
    let unit = UNIT_POS_X as usize;
    // The digits known, of the weight's bits and of the position counted from the other end, so
    // that the earlier one is larger.
    let mut bits = 0u32;
    let mut known_bits = 0u32;
    let mut place = 0u32;
    let mut known_places = 0u32;
    let mut rank = rank;
    let mut digit = 0u32;
    let mut digits = OF_WEIGHT.runtime();
    while digit < digits {
        let mut i = unit;
        while i < DIGITS * COPIES {
            counters[i].store(0u32);
            i += units;
        }
        sync_cube();
        let of_weight = digit < OF_WEIGHT;
        let behind = select(of_weight, OF_WEIGHT.runtime(), (OF_WEIGHT + OF_POSITION).runtime());
        let shift = (behind - 1 - digit) * BITS;
        let mut i = unit;
        while i < keys {
            let own_bits = u32::reinterpret(weight_at(weights, begin, hidden, i));
            let own_place = POSITIONS - 1 - i as u32;
            if (own_bits & known_bits) == bits && (own_place & known_places) == place {
                let value = (select(of_weight, own_bits, own_place) >> shift) & (DIGITS as u32 - 1);
                counters[value as usize * COPIES + unit % COPIES].fetch_add(1u32);
            }
            i += units;
        }
        sync_cube();
        if unit < DIGITS {
            let mut count = 0u32;
            for copy in 0..COPIES {
                count += counters[unit * COPIES + copy].load();
            }
            counts[unit] = count;
        }
        sync_cube();
        if unit < DIGITS {
            let mut above = 0u32;
            for value in 0..DIGITS {
                if value > unit {
                    above += counts[value];
                }
            }
            // One value's unit finds this true, as `rank` is one of those counted.
            if above < rank && rank <= above + counts[unit] {
                found[0] = unit as u32;
                found[1] = rank - above;
                found[2] = counts[unit];
            }
        }
        sync_cube();
        let value = found[0] << shift;
        let mask = (DIGITS as u32 - 1) << shift;
        rank = found[1];
        if of_weight {
            bits |= value;
            known_bits |= mask;
        } else {
            place |= value;
            known_places |= mask;
        }
        digit += 1;
        // All that have these bits are taken, or the earliest of them have to be found.
        if digit == OF_WEIGHT && rank < found[2] {
            digits = OF_WEIGHT + OF_POSITION;
        }
        // `found` is read before it is written again.
        sync_cube();
    }
    Cut { bits, last: POSITIONS - 1 - place }
}
