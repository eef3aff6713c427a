//! The kernels of [`super`], on tiles of [`QUERIES`] queries and [`KEYS`] keys.

use cubecl::prelude::*;

use crate::model::kernels::tile::{
    ACROSS, DOWN, KEYS, QUERIES, SIDE, Slices, Stretch, UNITS, products,
};

/// Weights of the queries of tile `y` and the keys of tile `x`, of head `z`; `rows`, `[H, n, t]`.
///
/// Barriers: those of [`products`]; nothing is shared behind them.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub(super) fn rows<F: Float>(
    query: &Tensor<F>,
    keys: &Tensor<F>,
    totals: &Tensor<f32>,
    rows: &mut Tensor<f32>,
    scale: f32,
    tokens: u32,
    window: u32,
    #[comptime] dim: usize,
    #[comptime] group: usize,
    #[define(F)] _dtype: ElemType,
) {
    let unit = UNIT_POS_X as usize;
    let (down, across) = (unit / SIDE, unit % SIDE);
    let (head, start) = (CUBE_POS_Z as usize, CUBE_POS_X as usize * KEYS);
    let (tokens, queries) = (tokens as usize, query.shape(2));
    let first_query = CUBE_POS_Y as usize * QUERIES;
    let of = Stretch::new(first_query, QUERIES, queries, tokens, window as usize);
    let begin_q = head * query.stride(1);
    let begin_k = head / group * keys.stride(1);
    let mut slices = Slices::new();
    let products = products::<F>(query, keys, begin_q, begin_k, &of, start, &mut slices, dim);
    #[unroll]
    for i in 0..DOWN {
        let q = down + i * SIDE;
        if first_query + q < queries {
            let row = head * queries + first_query + q;
            let total = totals[head * totals.stride(0) + first_query + q];
            #[unroll]
            for j in 0..ACROSS {
                let key = start + across + j * SIDE;
                if key < tokens {
                    let weight = (products[i * ACROSS + j] * scale - total).exp();
                    rows[row * tokens + key] = select(of.sees(q, key), weight, f32::new(0.0));
                }
            }
        }
    }
}

/// Adds to `sums`, `[H, T]`, of the keys of tile `x` behind `first` the weights of all queries of
/// head `y` but the first `skip`.
///
/// Barriers: all units of a cube go over the same tiles of queries. Behind the last of
/// [`products`]' nothing is shared but the sums, which are written once and read behind one more.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub(super) fn sums<F: Float>(
    query: &Tensor<F>,
    keys: &Tensor<F>,
    totals: &Tensor<f32>,
    sums: &mut Tensor<f32>,
    scale: f32,
    tokens: u32,
    window: u32,
    first: u32,
    skip: u32,
    #[comptime] dim: usize,
    #[comptime] group: usize,
    #[define(F)] _dtype: ElemType,
) {
    let unit = UNIT_POS_X as usize;
    let (down, across) = (unit / SIDE, unit % SIDE);
    let head = CUBE_POS_Y as usize;
    let start = first as usize + CUBE_POS_X as usize * KEYS;
    let (tokens, window, skip) = (tokens as usize, window as usize, skip as usize);
    let queries = query.shape(2);
    let begin_q = head * query.stride(1);
    let begin_k = head / group * keys.stride(1);
    let mut slices = Slices::new();
    let mut columns = Array::<f32>::new(ACROSS);
    #[unroll]
    for j in 0..ACROSS {
        columns[j] = f32::new(0.0);
    }

    // The first query that sees the tile's first key, and that which no longer sees the last.
    let before = tokens - queries;
    let mut first_query = skip;
    if start > before + skip {
        first_query = start - before;
    }
    let end = min(queries + before, start + KEYS - 1 + window) - before;
    while first_query < end {
        let of = Stretch::new(first_query, QUERIES, queries, tokens, window);
        let products = products::<F>(query, keys, begin_q, begin_k, &of, start, &mut slices, dim);
        #[unroll]
        for i in 0..DOWN {
            let q = down + i * SIDE;
            if first_query + q < queries {
                let total = totals[head * totals.stride(0) + first_query + q];
                #[unroll]
                for j in 0..ACROSS {
                    let weight = (products[i * ACROSS + j] * scale - total).exp();
                    let seen = of.sees(q, start + across + j * SIDE);
                    columns[j] += select(seen, weight, f32::new(0.0));
                }
            }
        }
        first_query += QUERIES;
    }
    let mut shares = Shared::<[f32]>::new_slice(UNITS * ACROSS);
    #[unroll]
    for j in 0..ACROSS {
        shares[down * KEYS + across + j * SIDE] = columns[j];
    }
    sync_cube();
    if unit < KEYS && start + unit < tokens {
        let mut sum = f32::new(0.0);
        for row in 0..SIDE {
            sum += shares[row * KEYS + unit];
        }
        let place = head * sums.shape(1) + start + unit;
        sums[place] += sum;
    }
}
