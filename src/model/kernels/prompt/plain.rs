//! The kernel by multiplications and additions, for every device and type.
//!
//! A cube has [`QUERIES`] queries of a head and goes over [`KEYS`] keys at a time. Plain loops,
//! memory shared within a cube and barriers are all that is used.
//!
//! Barriers: all units pass all of them, as the number of blocks is the cube's. Within a block each
//! array is written and read in turn, a barrier between: scores behind those of the products;
//! shares of the largest, then the largest; weights and shares of their sums, which one barrier
//! ends; values, of which one barrier is before the products and one behind them. The last of these
//! also lets everyone be done with the weights before the next block's scores take their place.

use cubecl::prelude::*;

use crate::model::kernels::LOWEST;
use crate::model::kernels::tile::{
    ACROSS, DOWN, KEYS, QUERIES, SIDE, Slices, Stretch, UNITS, products,
};

/// Tokens whose values are in shared memory at a time.
const VALUES: usize = 16;
/// Units that look for a query's largest score together.
const PARTS: usize = UNITS / QUERIES;
/// From row to row in shared memory: odd, so that rows begin in different banks.
const PITCH: usize = KEYS + 1;

/// Queries `QUERIES · x` and those behind it of head `y`; tensors as in [`super::attend`], the
/// output as `[n, H, D]`, and `totals`, `[H, n]`, the logarithms of the sums of exponentials.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub(super) fn attend<F: Float>(
    query: &Tensor<F>,
    keys: &Tensor<F>,
    values: &Tensor<F>,
    output: &mut Tensor<F>,
    totals: &mut Tensor<f32>,
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
    let of = Stretch::new(
        CUBE_POS_X as usize * QUERIES,
        QUERIES,
        queries,
        tokens as usize,
        window as usize,
    );
    let begin_q = head * query.stride(1);
    let begin_k = head / group * keys.stride(1);
    let begin_v = head / group * values.stride(1);

    let mut slices = Slices::new();
    let mut some_values = Shared::<[f32]>::new_slice(VALUES * dim);
    let mut weights = Shared::<[f32]>::new_slice(QUERIES * PITCH);
    let mut shares = Shared::<[f32]>::new_slice(UNITS);
    let mut largest = Shared::<[f32]>::new_slice(QUERIES);
    let mut sum_of_weights = Shared::<[f32]>::new_slice(QUERIES);
    let mut corrections = Shared::<[f32]>::new_slice(QUERIES);
    if unit < QUERIES {
        largest[unit] = f32::new(LOWEST);
        sum_of_weights[unit] = f32::new(0.0);
    }
    let wide = comptime!(dim.div_ceil(SIDE));
    let mut sums = Array::<f32>::new(DOWN * wide);
    #[unroll]
    for i in 0..DOWN * wide {
        sums[i] = f32::new(0.0);
    }

    let mut start = of.first_key();
    while start <= of.last {
        let products = products::<F>(query, keys, begin_q, begin_k, &of, start, &mut slices, dim);
        #[unroll]
        for i in 0..DOWN {
            #[unroll]
            for j in 0..ACROSS {
                let (q, k) = (down + i * SIDE, across + j * SIDE);
                let seen = of.sees(q, start + k);
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
            let seen = of.sees(row, start + k);
            let weight = (weights[row * PITCH + k] - max).exp();
            let weight = select(seen, weight, f32::new(0.0));
            weights[row * PITCH + k] = weight;
            total += weight;
            k += PARTS;
        }
        shares[unit] = total;
        sync_cube();
        if unit < QUERIES {
            let mut total = sum_of_weights[unit] * corrections[unit];
            for p in 0..PARTS {
                total += shares[unit * PARTS + p];
            }
            sum_of_weights[unit] = total;
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
                if token < of.tokens {
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

    if unit < QUERIES && of.first_query + unit < queries {
        let total = largest[unit] + sum_of_weights[unit].ln();
        totals[head * queries + of.first_query + unit] = total;
    }
    let heads = query.shape(1);
    #[unroll]
    for i in 0..DOWN {
        let q = down + i * SIDE;
        #[unroll]
        for j in 0..wide {
            let d = across + j * SIDE;
            if of.first_query + q < queries && d < dim {
                let place = ((of.first_query + q) * heads + head) * dim + d;
                output[place] = F::cast_from(sums[i * wide + j] / sum_of_weights[q]);
            }
        }
    }
}
