//! The kernel on tensor cores, for 16-bit numbers.
//!
//! As in FlashAttention-2 (Dao, 2023): a plane (warp) has 16 queries, whose numbers stay in its
//! registers from the first key to the last, as do the sums; the scores of a block become the
//! weights of the next product where they are, as the instruction's result lies among the lanes
//! like its left factor. Four planes share the keys and values that pass through shared memory.
//!
//! ```text
//! mma.m16n8k16   left [16, 16]: lane l has rows l/4 and l/4 + 8, columns 2·(l%4) and the next, and 8 on
//!                right [16, 8]: lane l has column l/4, rows 2·(l%4) and the next, and 8 on
//!                sum   [16, 8]: lane l has rows l/4 and l/4 + 8, columns 2·(l%4) and the next
//! ```
//!
//! Barriers: shared memory is written between the barrier that ends a block and the one before its
//! products, and read from there to the next that ends a block; all units pass all of them, as the
//! number of blocks is the cube's.

use cubecl::cmma::{MatrixIdent, MmaDefinition};
use cubecl::prelude::*;

use crate::model::kernels::LOWEST;
use crate::model::kernels::tile::Stretch;

/// Sizes of the instruction's product.
pub(super) const M: usize = 16;
pub(super) const N: usize = 8;
pub(super) const K: usize = 16;
/// Units of a plane.
pub(super) const LANES: usize = 32;
/// Planes of a cube.
pub(super) const PLANES: usize = 4;
/// Queries of a cube.
pub(super) const QUERIES: usize = M * PLANES;
/// Numbers that one load brings, 16 bytes.
pub(super) const ROW: usize = 8;
const UNITS: usize = LANES * PLANES;

/// Keys of a block: as many as keep a cube below 48 KiB of shared memory, of heads of up to 256
/// dimensions.
pub(super) const fn block(dim: usize) -> usize {
    if dim <= 128 { 64 } else { 32 }
}

/// Loads from row to row in shared memory: an odd number, so that eight rows lie in all banks.
const fn pitch(dim: usize) -> usize {
    dim / ROW + 1
}

/// Shared memory of a cube.
pub(super) const fn shared_bytes(dim: usize) -> usize {
    2 * block(dim) * pitch(dim) * ROW * 2
}

/// Queries of head `y`, the last of them in the first cube, as they have the most to do; tensors as
/// in [`super::attend`], the output as `[n, H, D]`, and `totals` as there.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub(super) fn attend<F: Float, R: Size>(
    query: &Tensor<Vector<F, R>>,
    keys: &Tensor<Vector<F, R>>,
    values: &Tensor<Vector<F, R>>,
    output: &mut Tensor<F>,
    totals: &mut Tensor<f32>,
    scale: f32,
    tokens: u32,
    window: u32,
    #[comptime] dim: usize,
    #[comptime] group: usize,
    #[comptime] block: usize,
    #[define(F)] _dtype: ElemType,
) {
    let (lane, plane) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let unit = plane * LANES + lane;
    let head = CUBE_POS_Y as usize;
    let queries = query.shape(2);
    let first_query = (queries.div_ceil(QUERIES) - 1 - CUBE_POS_X as usize) * QUERIES;
    let of = Stretch::new(first_query, QUERIES, queries, tokens as usize, window as usize);
    let begin_q = head * query.stride(1);
    let begin_k = head / group * keys.stride(1);
    let begin_v = head / group * values.stride(1);

    let pitch = comptime!(pitch(dim));
    let rows = comptime!(dim / ROW);
    let steps = comptime!(dim / K);
    let mut some_keys = Shared::<[Vector<F, R>]>::new_aligned_slice(block * pitch, 16usize);
    let mut some_values = Shared::<[Vector<F, R>]>::new_aligned_slice(block * pitch, 16usize);

    let product = MmaDefinition::<F, F, f32>::new(M, N, K);
    let size!(A) = product.vector_size(MatrixIdent::A);
    let size!(B) = product.vector_size(MatrixIdent::B);
    let size!(C) = product.vector_size(MatrixIdent::Accumulator);

    // The plane's queries, by way of the memory of the keys.
    let mut own = Array::<Vector<F, A>>::new(steps * 4);
    #[unroll]
    for round in 0..comptime!(QUERIES / block) {
        let mut i = unit;
        while i < block * rows {
            let (q, at) = (i / rows, i % rows);
            let q_there = first_query + round * block + q;
            let mut numbers = Vector::<F, R>::new(F::new(0.0));
            if q_there < queries {
                numbers = query[(begin_q + q_there * query.stride(2)) / ROW + at];
            }
            some_keys[q * pitch + at] = numbers;
            i += UNITS;
        }
        sync_cube();
        if plane * M / block == round {
            let q = plane * M - round * block + lane % M;
            #[unroll]
            for step in 0..steps {
                let at = q * pitch + step * 2 + lane / M;
                let row = &some_keys[at..at + 1];
                let four =
                    product.load_matrix::<Vector<F, R>, A>(row, MatrixIdent::A, 4usize, false);
                #[unroll]
                for i in 0..4usize {
                    own[step * 4 + i] = four[i];
                }
            }
        }
        sync_cube();
    }

    // Of the lane's two queries, eight apart.
    let mut largest = Array::<f32>::new(2usize);
    let mut sum_of_weights = Array::<f32>::new(2usize);
    #[unroll]
    for h in 0..2usize {
        largest[h] = f32::new(LOWEST);
        sum_of_weights[h] = f32::new(0.0);
    }
    let mut sums = Array::<Vector<f32, C>>::new(steps * 4);
    #[unroll]
    for i in 0..comptime!(steps * 4) {
        sums[i] = Vector::<f32, C>::new(0.0);
    }

    let mut start = of.first_key();
    // Which row a lane addresses of the matrices that a load brings, and which of them.
    let (in_matrix, matrix) = (lane % 8, lane / 8);
    while start <= of.last {
        let mut i = unit;
        while i < block * rows {
            let (token, at) = (i / rows, i % rows);
            let mut key = Vector::<F, R>::new(F::new(0.0));
            let mut value = Vector::<F, R>::new(F::new(0.0));
            if start + token < of.tokens {
                key = keys[(begin_k + (start + token) * keys.stride(2)) / ROW + at];
                value = values[(begin_v + (start + token) * values.stride(2)) / ROW + at];
            }
            some_keys[token * pitch + at] = key;
            some_values[token * pitch + at] = value;
            i += UNITS;
        }
        sync_cube();

        // Scores, sixteen keys at a time.
        let mut scores = Array::<f32>::new(comptime!(block / 2));
        #[unroll]
        for pair in 0..comptime!(block / K) {
            let mut low = Array::<Vector<f32, C>>::new(2usize);
            let mut high = Array::<Vector<f32, C>>::new(2usize);
            #[unroll]
            for h in 0..2usize {
                low[h] = Vector::<f32, C>::new(0.0);
                high[h] = Vector::<f32, C>::new(0.0);
            }
            #[unroll]
            for step in 0..steps {
                let key = pair * K + matrix / 2 * 8 + in_matrix;
                let at = key * pitch + step * 2 + matrix % 2;
                let row = &some_keys[at..at + 1];
                let four =
                    product.load_matrix::<Vector<F, R>, B>(row, MatrixIdent::B, 4usize, false);
                let mut left = Array::<Vector<F, A>>::new(4usize);
                #[unroll]
                for i in 0..4usize {
                    left[i] = own[step * 4 + i];
                }
                let mut right = Array::<Vector<F, B>>::new(2usize);
                right[0] = four[0];
                right[1] = four[1];
                product.execute_inplace(&left, &right, &mut low);
                right[0] = four[2];
                right[1] = four[3];
                product.execute_inplace(&left, &right, &mut high);
            }
            #[unroll]
            for h in 0..2usize {
                #[unroll]
                for e in 0..2usize {
                    scores[(pair * 4 + h) * 2 + e] = low[h].extract(e) * scale;
                    scores[(pair * 4 + 2 + h) * 2 + e] = high[h].extract(e) * scale;
                }
            }
        }

        // Whether some query of the cube does not see some key of the block.
        let masked = start + block > of.first + 1 || start + of.window <= of.last;
        let mut weights = Array::<Vector<F, A>>::new(comptime!(block / 4));
        let mut corrections = Array::<f32>::new(2usize);
        #[unroll]
        for h in 0..2usize {
            let q = plane * M + lane / 4 + h * 8;
            let mut max = largest[h];
            #[unroll]
            for tile in 0..comptime!(block / N) {
                #[unroll]
                for e in 0..2usize {
                    let mut score = scores[(tile * 2 + h) * 2 + e];
                    if masked {
                        let key = start + tile * N + lane % 4 * 2 + e;
                        let seen = of.sees(q, key);
                        score = select(seen, score, f32::new(LOWEST));
                    }
                    scores[(tile * 2 + h) * 2 + e] = score;
                    max = max.max(score);
                }
            }
            max = max.max(plane_shuffle_xor(max, 1u32));
            max = max.max(plane_shuffle_xor(max, 2u32));
            let correction = (largest[h] - max).exp();
            largest[h] = max;
            let mut total = sum_of_weights[h] * correction;
            #[unroll]
            for tile in 0..comptime!(block / N) {
                let mut two = Vector::<F, A>::new(F::new(0.0));
                #[unroll]
                for e in 0..2usize {
                    let mut weight = (scores[(tile * 2 + h) * 2 + e] - max).exp();
                    if masked {
                        // By place, not by value: a score that is no number has to be seen.
                        let key = start + tile * N + lane % 4 * 2 + e;
                        let seen = of.sees(q, key);
                        weight = select(seen, weight, f32::new(0.0));
                    }
                    total += weight;
                    two.insert(e, F::cast_from(weight));
                }
                weights[tile * 2 + h] = two;
            }
            sum_of_weights[h] = total;
            corrections[h] = correction;
        }
        #[unroll]
        for i in 0..comptime!(steps * 4) {
            let correction = Vector::<f32, C>::new(corrections[comptime!(i % 2)]);
            sums[i] *= correction;
        }

        // Weighted values, sixteen tokens and sixteen dimensions at a time.
        #[unroll]
        for pair in 0..comptime!(block / K) {
            let mut left = Array::<Vector<F, A>>::new(4usize);
            #[unroll]
            for i in 0..4usize {
                left[i] = weights[pair * 4 + i];
            }
            #[unroll]
            for step in 0..steps {
                let token = pair * K + matrix % 2 * 8 + in_matrix;
                let at = token * pitch + step * 2 + matrix / 2;
                let row = &some_values[at..at + 1];
                let four =
                    product.load_matrix::<Vector<F, R>, B>(row, MatrixIdent::B, 4usize, true);
                #[unroll]
                for half in 0..2usize {
                    let mut right = Array::<Vector<F, B>>::new(2usize);
                    right[0] = four[half * 2];
                    right[1] = four[half * 2 + 1];
                    let mut sum = Array::<Vector<f32, C>>::new(2usize);
                    sum[0] = sums[step * 4 + half * 2];
                    sum[1] = sums[step * 4 + half * 2 + 1];
                    product.execute_inplace(&left, &right, &mut sum);
                    sums[step * 4 + half * 2] = sum[0];
                    sums[step * 4 + half * 2 + 1] = sum[1];
                }
            }
        }
        sync_cube();
        start += block;
    }

    let heads = query.shape(1);
    #[unroll]
    for h in 0..2usize {
        let mut total = sum_of_weights[h];
        total += plane_shuffle_xor(total, 1u32);
        total += plane_shuffle_xor(total, 2u32);
        let q = first_query + plane * M + lane / 4 + h * 8;
        if q < queries {
            if lane % 4 == 0 {
                totals[head * queries + q] = largest[h] + total.ln();
            }
            let place = (q * heads + head) * dim + lane % 4 * 2;
            #[unroll]
            for tile in 0..comptime!(dim / N) {
                #[unroll]
                for e in 0..2usize {
                    let number = sums[tile * 2 + h].extract(e) / total;
                    output[place + tile * N + e] = F::cast_from(number);
                }
            }
        }
    }
}
