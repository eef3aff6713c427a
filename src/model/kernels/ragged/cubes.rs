//! The kernels of [`super`].
//!
//! Every cube is one-dimensional. Plain loops, memory shared within a cube and barriers are all
//! that is used: no planes (warps), whose size differs among devices, and no tensor cores, as one
//! query has no use for them.
//!
//! Barriers: a cube's units leave together, where its chunk is behind the list, or pass all of
//! them. A tile's shares are written, added up behind a barrier, and written again behind another.
//! Shares of the largest are read behind one, the largest behind the next, before weights take the
//! place of scores; the sums of values are put into the shares behind the barrier after that.

use cubecl::prelude::*;

use crate::model::kernels::LOWEST;

/// Neighbouring units that share one product of a query and a key: 32 bytes of a key in f32 are
/// read at once.
pub(super) const PARTS: usize = 8;
/// Tokens of a chunk.
pub(super) const CHUNK: usize = 256;
/// Numbers that describe a list: its first slot, its tokens, the tokens of the lists before it.
pub(super) const LIST: usize = 3;

/// Chunk `x` of list `y` for the `z`-th `readers` of the `group` query heads that share it.
///
/// Writes of each head and chunk, `[H, chunks, D + 2]`: the sum of its values, each weighted by
/// `exp(score - largest)`, then the largest score, then the sum of the weights. What lies behind
/// the end of a list is not written.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub(super) fn attend_to_chunk<F: Float>(
    query: &Tensor<F>,
    keys: &Tensor<F>,
    values: &Tensor<F>,
    lists: &Tensor<i32>,
    partial: &mut Tensor<f32>,
    scores: &mut Tensor<f32>,
    scale: f32,
    #[comptime] dim: usize,
    #[comptime] group: usize,
    #[comptime] readers: usize,
    #[comptime] units: usize,
    #[comptime] scored: bool,
    #[define(F)] _dtype: ElemType,
) {
    let unit = UNIT_POS_X as usize;
    let (chunk, list) = (CUBE_POS_X as usize, CUBE_POS_Y as usize);
    let first_reader = CUBE_POS_Z as usize * readers;
    let first_head = list * group + first_reader;
    let seen = lists[list * LIST + 1] as usize;
    let from = chunk * CHUNK;
    if from >= seen {
        terminate!();
    }
    let first = lists[list * LIST] as usize + from;
    let count = min(seen - from, CHUNK);

    let mut queries = Shared::<[f32]>::new_slice(readers * dim);
    let mut i = unit;
    while i < readers * dim {
        let head = first_head + i / dim;
        queries[i] = f32::cast_from(query[head * query.stride(0) + i % dim]) * scale;
        i += units;
    }
    sync_cube();

    // Scores, a tile of tokens at a time, `PARTS` units for a token.
    let tile = comptime!(units / PARTS);
    let mut shares = Shared::<[f32]>::new_slice(readers * units);
    let mut weights = Shared::<[f32]>::new_slice(readers * CHUNK);
    let mut start = 0usize;
    while start < count {
        let token = start + unit / PARTS;
        let mut products = Array::<f32>::new(readers);
        #[unroll]
        for r in 0..readers {
            products[r] = f32::new(0.0);
        }
        if token < count {
            let row = (first + token) * keys.stride(0);
            let mut d = unit % PARTS;
            while d < dim {
                let key = f32::cast_from(keys[row + d]);
                #[unroll]
                for r in 0..readers {
                    products[r] += queries[r * dim + d] * key;
                }
                d += PARTS;
            }
        }
        #[unroll]
        for r in 0..readers {
            shares[r * units + unit] = products[r];
        }
        sync_cube();
        let mut i = unit;
        while i < readers * tile {
            let (r, t) = (i / tile, i % tile);
            if start + t < count {
                let mut score = f32::new(0.0);
                #[unroll]
                for part in 0..PARTS {
                    score += shares[r * units + t * PARTS + part];
                }
                weights[r * CHUNK + start + t] = score;
                if scored {
                    let before = lists[list * LIST + 2] as usize * group;
                    scores[before + (first_reader + r) * seen + from + start + t] = score;
                }
            }
            i += units;
        }
        sync_cube();
        start += tile;
    }

    // The largest score of each reader, in two steps.
    let mut largest = Shared::<[f32]>::new_slice(readers);
    let mut i = unit;
    while i < readers * tile {
        let mut max = f32::new(LOWEST);
        let mut t = i % tile;
        while t < count {
            max = max.max(weights[i / tile * CHUNK + t]);
            t += tile;
        }
        shares[i] = max;
        i += units;
    }
    sync_cube();
    if unit < readers {
        let mut max = f32::new(LOWEST);
        for t in 0..tile {
            max = max.max(shares[unit * tile + t]);
        }
        largest[unit] = max;
    }
    sync_cube();
    let mut i = unit;
    while i < readers * CHUNK {
        if i % CHUNK < count {
            weights[i] = (weights[i] - largest[i / CHUNK]).exp();
        }
        i += units;
    }
    sync_cube();

    // Weighted values: a unit has one dimension, of the tokens of its lane.
    let lanes = comptime!(units / dim);
    let (lane, d) = (unit / dim, unit % dim);
    let mut totals = Shared::<[f32]>::new_slice(readers * lanes);
    if lane < lanes {
        let mut sums = Array::<f32>::new(readers);
        let mut sum_of_weights = Array::<f32>::new(readers);
        #[unroll]
        for r in 0..readers {
            sums[r] = f32::new(0.0);
            sum_of_weights[r] = f32::new(0.0);
        }
        let mut token = lane;
        while token < count {
            let value = f32::cast_from(values[(first + token) * values.stride(0) + d]);
            #[unroll]
            for r in 0..readers {
                let weight = weights[r * CHUNK + token];
                sums[r] += weight * value;
                sum_of_weights[r] += weight;
            }
            token += lanes;
        }
        #[unroll]
        for r in 0..readers {
            shares[r * units + unit] = sums[r];
            if d == 0 {
                totals[r * lanes + lane] = sum_of_weights[r];
            }
        }
    }
    sync_cube();
    let width = comptime!(dim + 2);
    let chunks = partial.shape(1);
    let mut i = unit;
    while i < readers * dim {
        let (r, d) = (i / dim, i % dim);
        let mut sum = f32::new(0.0);
        for lane in 0..lanes {
            sum += shares[r * units + lane * dim + d];
        }
        partial[((first_head + r) * chunks + chunk) * width + d] = sum;
        i += units;
    }
    if unit < readers {
        let end = ((first_head + unit) * chunks + chunk) * width + dim;
        let mut total = f32::new(0.0);
        for lane in 0..lanes {
            total += totals[unit * lanes + lane];
        }
        partial[end] = largest[unit];
        partial[end + 1] = total;
    }
}

/// Puts the chunks of query head `x` together; one unit for a dimension.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(super) fn merge_chunks<F: Float>(
    partial: &Tensor<f32>,
    lists: &Tensor<i32>,
    output: &mut Tensor<F>,
    #[comptime] dim: usize,
    #[comptime] group: usize,
    #[define(F)] _dtype: ElemType,
) {
    let (head, d) = (CUBE_POS_X as usize, UNIT_POS_X as usize);
    let width = comptime!(dim + 2);
    let seen = lists[head / group * LIST + 1] as usize;
    let begin = head * partial.shape(1) * width;
    let end = begin + seen.div_ceil(CHUNK) * width;
    let mut largest = f32::new(LOWEST);
    let mut at = begin;
    while at < end {
        largest = largest.max(partial[at + dim]);
        at += width;
    }
    let mut sum = f32::new(0.0);
    let mut total = f32::new(0.0);
    let mut at = begin;
    while at < end {
        let share = (partial[at + dim] - largest).exp();
        sum += share * partial[at + d];
        total += share * partial[at + dim + 1];
        at += width;
    }
    output[head * dim + d] = F::cast_from(sum / total);
}
