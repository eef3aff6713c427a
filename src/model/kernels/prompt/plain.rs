//! The kernel by multiplications and additions, for every device and type.
//!
//! A cube has [`QUERIES`] queries of a head and goes over [`KEYS`] keys at a time. Plain loops,
//! memory shared within a cube and barriers are all that is used.

use cubecl::prelude::*;

use crate::model::kernels::LOWEST;

/// Units of a cube, as a square of queries and keys, or queries and dimensions.
pub(super) const UNITS: usize = SIDE * SIDE;
const SIDE: usize = 16;
/// Queries of a cube.
pub(super) const QUERIES: usize = 32;
/// Keys of a block.
const KEYS: usize = 64;
/// Dimensions of queries and keys that are in shared memory at a time.
const SLICE: usize = 16;
/// Tokens whose values are in shared memory at a time.
const VALUES: usize = 16;
/// Units that look for a query's largest score together.
const PARTS: usize = UNITS / QUERIES;
/// Numbers of a unit's products along queries and keys.
const DOWN: usize = QUERIES / SIDE;
const ACROSS: usize = KEYS / SIDE;
/// From row to row in shared memory: odd, so that rows begin in different banks.
const SLICE_PITCH: usize = SLICE + 1;
const PITCH: usize = KEYS + 1;

/// Queries `QUERIES · x` and those behind it of head `y`; tensors as in [`super::attend`], the
/// output as `[n, H, D]`.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub(super) fn attend<F: Float>(
    query: &Tensor<F>,
    keys: &Tensor<F>,
    values: &Tensor<F>,
    output: &mut Tensor<F>,
    scale: f32,
    tokens: u32,
    window: u32,
    #[comptime] dim: usize,
    #[comptime] group: usize,
    #[define(F)] _dtype: ElemType,
) {
    let unit = UNIT_POS_X as usize;
    let (down, across) = (unit / SIDE, unit % SIDE);
    let (row, part) = (unit / PARTS, unit % PARTS);
    let head = CUBE_POS_Y as usize;
    let queries = query.shape(2);
    let first_query = CUBE_POS_X as usize * QUERIES;
    let (tokens, window) = (tokens as usize, window as usize);
    // Positions of the first query and of the last.
    let first = tokens - queries + first_query;
    let last = tokens - queries + min(first_query + QUERIES, queries) - 1;
    let begin_q = head * query.stride(1);
    let begin_k = head / group * keys.stride(1);
    let begin_v = head / group * values.stride(1);

    let mut some_queries = Shared::<[f32]>::new_slice(QUERIES * SLICE_PITCH);
    let mut some_keys = Shared::<[f32]>::new_slice(KEYS * SLICE_PITCH);
    let mut some_values = Shared::<[f32]>::new_slice(VALUES * dim);
    let mut weights = Shared::<[f32]>::new_slice(QUERIES * PITCH);
    let mut shares = Shared::<[f32]>::new_slice(UNITS);
    let mut largest = Shared::<[f32]>::new_slice(QUERIES);
    let mut totals = Shared::<[f32]>::new_slice(QUERIES);
    let mut corrections = Shared::<[f32]>::new_slice(QUERIES);
    if unit < QUERIES {
        largest[unit] = f32::new(LOWEST);
        totals[unit] = f32::new(0.0);
    }
    let wide = comptime!(dim.div_ceil(SIDE));
    let mut sums = Array::<f32>::new(DOWN * wide);
    #[unroll]
    for i in 0..DOWN * wide {
        sums[i] = f32::new(0.0);
    }

    let mut start = 0usize;
    if first + 1 > window {
        start = first + 1 - window;
    }
    while start <= last {
        // Scores, a slice of the dimensions at a time.
        let mut products = Array::<f32>::new(DOWN * ACROSS);
        #[unroll]
        for i in 0..DOWN * ACROSS {
            products[i] = f32::new(0.0);
        }
        let mut d = 0usize;
        while d < dim {
            let mut i = unit;
            while i < QUERIES * SLICE {
                let (q, at) = (i / SLICE, i % SLICE);
                let mut number = f32::new(0.0);
                if first_query + q < queries && d + at < dim {
                    let place = begin_q + (first_query + q) * query.stride(2) + d + at;
                    number = f32::cast_from(query[place]);
                }
                some_queries[q * SLICE_PITCH + at] = number;
                i += UNITS;
            }
            let mut i = unit;
            while i < KEYS * SLICE {
                let (k, at) = (i / SLICE, i % SLICE);
                let mut number = f32::new(0.0);
                if start + k < tokens && d + at < dim {
                    number = f32::cast_from(keys[begin_k + (start + k) * keys.stride(2) + d + at]);
                }
                some_keys[k * SLICE_PITCH + at] = number;
                i += UNITS;
            }
            sync_cube();
            for at in 0..SLICE {
                let mut own = Array::<f32>::new(ACROSS);
                #[unroll]
                for j in 0..ACROSS {
                    own[j] = some_keys[(across + j * SIDE) * SLICE_PITCH + at];
                }
                #[unroll]
                for i in 0..DOWN {
                    let q = some_queries[(down + i * SIDE) * SLICE_PITCH + at];
                    #[unroll]
                    for j in 0..ACROSS {
                        products[i * ACROSS + j] += q * own[j];
                    }
                }
            }
            sync_cube();
            d += SLICE;
        }
        #[unroll]
        for i in 0..DOWN {
            #[unroll]
            for j in 0..ACROSS {
                let (q, k) = (down + i * SIDE, across + j * SIDE);
                let seen = start + k <= first + q && start + k + window > first + q;
                let score = products[i * ACROSS + j] * scale;
                weights[q * PITCH + k] = select(seen, score, f32::new(LOWEST));
            }
        }
        sync_cube();

        // The largest of each query so far, and what the sums before have to be corrected by.
        let mut max = f32::new(LOWEST);
        let mut k = part;
        while k < KEYS {
            max = max.max(weights[row * PITCH + k]);
            k += PARTS;
        }
        shares[unit] = max;
        sync_cube();
        if unit < QUERIES {
            let before = largest[unit];
            let mut max = before;
            for p in 0..PARTS {
                max = max.max(shares[unit * PARTS + p]);
            }
            largest[unit] = max;
            corrections[unit] = (before - max).exp();
        }
        sync_cube();
        let max = largest[row];
        let mut total = f32::new(0.0);
        let mut k = part;
        while k < KEYS {
            // By place, not by value: a score that is no number has to be seen.
            let seen = start + k <= first + row && start + k + window > first + row;
            let weight = (weights[row * PITCH + k] - max).exp();
            let weight = select(seen, weight, f32::new(0.0));
            weights[row * PITCH + k] = weight;
            total += weight;
            k += PARTS;
        }
        shares[unit] = total;
        sync_cube();
        if unit < QUERIES {
            let mut total = totals[unit] * corrections[unit];
            for p in 0..PARTS {
                total += shares[unit * PARTS + p];
            }
            totals[unit] = total;
        }

        // Weighted values, some tokens at a time.
        #[unroll]
        for i in 0..DOWN {
            let correction = corrections[down + i * SIDE];
            #[unroll]
            for j in 0..wide {
                sums[i * wide + j] *= correction;
            }
        }
        let mut v = 0usize;
        while v < KEYS {
            let mut i = unit;
            while i < VALUES * dim {
                let token = start + v + i / dim;
                let mut number = f32::new(0.0);
                if token < tokens {
                    number = f32::cast_from(values[begin_v + token * values.stride(2) + i % dim]);
                }
                some_values[i] = number;
                i += UNITS;
            }
            sync_cube();
            for token in 0..VALUES {
                #[unroll]
                for i in 0..DOWN {
                    let weight = weights[(down + i * SIDE) * PITCH + v + token];
                    #[unroll]
                    for j in 0..wide {
                        // Of heads that are no multiple of the side the last unit has none.
                        let d = min(across + j * SIDE, dim - 1);
                        sums[i * wide + j] += weight * some_values[token * dim + d];
                    }
                }
            }
            sync_cube();
            v += VALUES;
        }
        start += KEYS;
    }

    let heads = query.shape(1);
    #[unroll]
    for i in 0..DOWN {
        let q = down + i * SIDE;
        #[unroll]
        for j in 0..wide {
            let d = across + j * SIDE;
            if first_query + q < queries && d < dim {
                let place = ((first_query + q) * heads + head) * dim + d;
                output[place] = F::cast_from(sums[i * wide + j] / totals[q]);
            }
        }
    }
}
