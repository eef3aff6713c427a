//! The kernels of [`super`].

use cubecl::prelude::*;

use super::{DEPTH, LANES, OF_ROW, ROWS, SPLITS, UNITS};

/// `x · a`, or `x · a + add`.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub(super) fn one<F: Float, R: Size>(
    x: &Tensor<F>,
    a: &Tensor<Vector<F, R>>,
    add: &Tensor<F>,
    y: &mut Tensor<F>,
    #[comptime] rows: usize,
    #[comptime] adds: bool,
    #[define(F)] _dtype: ElemType,
) {
    let wide = R::value().comptime();
    let mut shares = Shared::<[f32]>::new_slice(comptime!(UNITS * wide));
    let sums = column::<F, R>(x, a, &mut shares, rows);
    let column = own_column::<R>();
    let out = y.shape(1);
    if column < out && (UNIT_POS_X as usize) < comptime!(LANES * wide) {
        #[unroll]
        for r in 0..rows {
            let mut sum = sums[r];
            if adds {
                sum += f32::cast_from(add[r * out + column]);
            }
            y[r * out + column] = F::cast_from(sum);
        }
    }
}

/// `x · a`, `x · b` and `x · c`, one for each `y`.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub(super) fn three<F: Float, R: Size>(
    x: &Tensor<F>,
    a: &Tensor<Vector<F, R>>,
    b: &Tensor<Vector<F, R>>,
    c: &Tensor<Vector<F, R>>,
    a_y: &mut Tensor<F>,
    b_y: &mut Tensor<F>,
    c_y: &mut Tensor<F>,
    #[comptime] rows: usize,
    #[define(F)] _dtype: ElemType,
) {
    let wide = R::value().comptime();
    let mut shares = Shared::<[f32]>::new_slice(comptime!(UNITS * wide));
    if CUBE_POS_Y == 0 {
        to::<F, R>(x, a, a_y, &mut shares, rows);
    } else if CUBE_POS_Y == 1 {
        to::<F, R>(x, b, b_y, &mut shares, rows);
    } else {
        to::<F, R>(x, c, c_y, &mut shares, rows);
    }
}

/// The cube's columns of `x · w` to `y`, if there are any.
#[cube]
fn to<F: Float, R: Size>(
    x: &Tensor<F>,
    w: &Tensor<Vector<F, R>>,
    y: &mut Tensor<F>,
    shares: &mut Shared<[f32]>,
    #[comptime] rows: usize,
) {
    let wide = R::value().comptime();
    let columns = comptime!(LANES * wide);
    let out = y.shape(1);
    if CUBE_POS_X as usize * columns < out {
        let sums = column::<F, R>(x, w, shares, rows);
        let column = own_column::<R>();
        if column < out && (UNIT_POS_X as usize) < columns {
            #[unroll]
            for r in 0..rows {
                y[r * out + column] = F::cast_from(sums[r]);
            }
        }
    }
}

/// `silu(x · a) ⊙ (x · b)`.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(super) fn gate<F: Float, R: Size>(
    x: &Tensor<F>,
    a: &Tensor<Vector<F, R>>,
    b: &Tensor<Vector<F, R>>,
    y: &mut Tensor<F>,
    #[comptime] rows: usize,
    #[define(F)] _dtype: ElemType,
) {
    let wide = R::value().comptime();
    let mut shares = Shared::<[f32]>::new_slice(comptime!(UNITS * wide));
    let gates = column::<F, R>(x, a, &mut shares, rows);
    let ups = column::<F, R>(x, b, &mut shares, rows);
    let column = own_column::<R>();
    let out = y.shape(1);
    if column < out && (UNIT_POS_X as usize) < comptime!(LANES * wide) {
        #[unroll]
        for r in 0..rows {
            let gate = gates[r];
            y[r * out + column] = F::cast_from(gate / (1.0 + (-gate).exp()) * ups[r]);
        }
    }
}

/// The column whose sums a unit ends up with, if it is one of the first `LANES · R`.
#[cube]
fn own_column<R: Size>() -> usize {
    let wide = R::value().comptime();
    CUBE_POS_X as usize * comptime!(LANES * wide) + UNIT_POS_X as usize
}

/// The sums of [`own_column`], one for each row of `x`, for the first units; `x`, `[rows, in]`,
/// `w`, `[in, out]`.
///
/// Barriers: every unit passes the three of each row. The first lets those finish who still read
/// what is overwritten.
#[cube]
fn column<F: Float, R: Size>(
    x: &Tensor<F>,
    w: &Tensor<Vector<F, R>>,
    shares: &mut Shared<[f32]>,
    #[comptime] rows: usize,
) -> Array<f32> {
    let unit = UNIT_POS_X as usize;
    let (lane, split) = (unit % LANES, unit / LANES);
    let wide = R::value().comptime();
    let columns = comptime!(LANES * wide);
    let loads = w.shape(1) / wide;
    let pitch = w.stride(0) / wide;
    let load = CUBE_POS_X as usize * LANES + lane;
    let input = w.shape(0);
    let mut sums = Array::<f32>::new(comptime!(rows * wide));
    #[unroll]
    for i in 0..comptime!(rows * wide) {
        sums[i] = f32::new(0.0);
    }
    if load < loads {
        let mut k = split;
        while k + (DEPTH - 1) * SPLITS < input {
            let mut numbers = Array::<Vector<F, R>>::new(DEPTH);
            #[unroll]
            for ahead in 0..DEPTH {
                numbers[ahead] = w[(k + ahead * SPLITS) * pitch + load];
            }
            #[unroll]
            for ahead in 0..DEPTH {
                #[unroll]
                for r in 0..rows {
                    let factor = f32::cast_from(x[r * input + k + ahead * SPLITS]);
                    #[unroll]
                    for i in 0..wide {
                        sums[r * wide + i] += factor * f32::cast_from(numbers[ahead].extract(i));
                    }
                }
            }
            k += DEPTH * SPLITS;
        }
        while k < input {
            let numbers = w[k * pitch + load];
            #[unroll]
            for r in 0..rows {
                let factor = f32::cast_from(x[r * input + k]);
                #[unroll]
                for i in 0..wide {
                    sums[r * wide + i] += factor * f32::cast_from(numbers.extract(i));
                }
            }
            k += SPLITS;
        }
    }
    // The splits of a column, by as many units as there are for it, then by one.
    let parts = comptime!(UNITS / columns);
    let (column, part) = (unit % columns, unit / columns);
    let mut own = Array::<f32>::new(rows);
    #[unroll]
    for r in 0..rows {
        sync_cube();
        #[unroll]
        for i in 0..wide {
            shares[split * columns + lane * wide + i] = sums[r * wide + i];
        }
        sync_cube();
        let mut sum = f32::new(0.0);
        let mut split = part;
        while split < SPLITS {
            sum += shares[split * columns + column];
            split += parts;
        }
        // Where this unit alone has read.
        shares[part * columns + column] = sum;
        sync_cube();
        let mut sum = f32::new(0.0);
        if unit < columns {
            #[unroll]
            for part in 0..parts {
                sum += shares[part * columns + unit];
            }
        }
        own[r] = sum;
    }
    own
}

/// `x · eᵀ`: all rows of `x`, `[rows, in]`, and rows `ROWS · x` and those behind it of `e`, `[out,
/// in]`.
///
/// Barriers: every unit passes the two of each row. The second lets those finish who still read
/// what is overwritten.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(super) fn transposed<F: Float, R: Size>(
    x: &Tensor<Vector<F, R>>,
    e: &Tensor<Vector<F, R>>,
    y: &mut Tensor<F>,
    #[comptime] rows: usize,
    #[define(F)] _dtype: ElemType,
) {
    let unit = UNIT_POS_X as usize;
    let wide = R::value().comptime();
    let (loads, outs) = (e.shape(1) / wide, e.shape(0));
    let pitch = e.stride(0) / wide;
    let out = CUBE_POS_X as usize * ROWS + unit / OF_ROW;
    let mut sums = Array::<f32>::new(rows);
    #[unroll]
    for r in 0..rows {
        sums[r] = f32::new(0.0);
    }
    if out < outs {
        let mut load = unit % OF_ROW;
        while load < loads {
            let numbers = e[out * pitch + load];
            #[unroll]
            for r in 0..rows {
                let factors = x[r * loads + load];
                #[unroll]
                for i in 0..wide {
                    let factor = f32::cast_from(factors.extract(i));
                    sums[r] += factor * f32::cast_from(numbers.extract(i));
                }
            }
            load += OF_ROW;
        }
    }
    let mut shares = Shared::<[f32]>::new_slice(UNITS);
    let out = CUBE_POS_X as usize * ROWS + unit;
    #[unroll]
    for r in 0..rows {
        shares[unit] = sums[r];
        sync_cube();
        if unit < ROWS && out < outs {
            let mut sum = f32::new(0.0);
            for i in 0..OF_ROW {
                sum += shares[unit * OF_ROW + i];
            }
            y[r * outs + out] = F::cast_from(sum);
        }
        sync_cube();
    }
}
