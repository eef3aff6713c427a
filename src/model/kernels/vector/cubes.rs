//! The kernels of [`super`].

use cubecl::prelude::*;

use super::{DEPTH, LANES, OF_ROW, ROWS, SPLITS, UNITS};

/// `x · a`, or `x · a + add`.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(super) fn one<F: Float, R: Size>(
    x: &Tensor<F>,
    a: &Tensor<Vector<F, R>>,
    add: &Tensor<F>,
    y: &mut Tensor<F>,
    #[comptime] adds: bool,
    #[define(F)] _dtype: ElemType,
) {
    let wide = R::value().comptime();
    let mut shares = Shared::<[f32]>::new_slice(comptime!(UNITS * wide));
    let sum = column::<F, R>(x, a, &mut shares);
    let column = own_column::<R>();
    if column < y.shape(1) && (UNIT_POS_X as usize) < comptime!(LANES * wide) {
        let mut sum = sum;
        if adds {
            sum += f32::cast_from(add[column]);
        }
        y[column] = F::cast_from(sum);
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
    #[define(F)] _dtype: ElemType,
) {
    let wide = R::value().comptime();
    let mut shares = Shared::<[f32]>::new_slice(comptime!(UNITS * wide));
    if CUBE_POS_Y == 0 {
        to::<F, R>(x, a, a_y, &mut shares);
    } else if CUBE_POS_Y == 1 {
        to::<F, R>(x, b, b_y, &mut shares);
    } else {
        to::<F, R>(x, c, c_y, &mut shares);
    }
}

/// The cube's columns of `x · w` to `y`, if there are any.
#[cube]
fn to<F: Float, R: Size>(
    x: &Tensor<F>,
    w: &Tensor<Vector<F, R>>,
    y: &mut Tensor<F>,
    shares: &mut Shared<[f32]>,
) {
    let wide = R::value().comptime();
    let columns = comptime!(LANES * wide);
    if CUBE_POS_X as usize * columns < y.shape(1) {
        let sum = column::<F, R>(x, w, shares);
        let column = own_column::<R>();
        if column < y.shape(1) && (UNIT_POS_X as usize) < columns {
            y[column] = F::cast_from(sum);
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
    #[define(F)] _dtype: ElemType,
) {
    let wide = R::value().comptime();
    let mut shares = Shared::<[f32]>::new_slice(comptime!(UNITS * wide));
    let gate = column::<F, R>(x, a, &mut shares);
    let up = column::<F, R>(x, b, &mut shares);
    let column = own_column::<R>();
    if column < y.shape(1) && (UNIT_POS_X as usize) < comptime!(LANES * wide) {
        y[column] = F::cast_from(gate / (1.0 + (-gate).exp()) * up);
    }
}

/// The column whose sum a unit ends up with, if it is one of the first `LANES · R`.
#[cube]
fn own_column<R: Size>() -> usize {
    let wide = R::value().comptime();
    CUBE_POS_X as usize * comptime!(LANES * wide) + UNIT_POS_X as usize
}

/// The sum of [`own_column`], for the first units; `x`, `[1, in]`, `w`, `[in, out]`.
///
/// Barriers: every unit passes the three. The first lets those finish who still read what is
/// overwritten.
#[cube]
fn column<F: Float, R: Size>(
    x: &Tensor<F>,
    w: &Tensor<Vector<F, R>>,
    shares: &mut Shared<[f32]>,
) -> f32 {
    let unit = UNIT_POS_X as usize;
    let (lane, split) = (unit % LANES, unit / LANES);
    let wide = R::value().comptime();
    let columns = comptime!(LANES * wide);
    let loads = w.shape(1) / wide;
    let load = CUBE_POS_X as usize * LANES + lane;
    let mut sums = Array::<f32>::new(wide);
    #[unroll]
    for i in 0..wide {
        sums[i] = f32::new(0.0);
    }
    if load < loads {
        let rows = w.shape(0);
        let mut row = split;
        while row + (DEPTH - 1) * SPLITS < rows {
            let mut numbers = Array::<Vector<F, R>>::new(DEPTH);
            #[unroll]
            for ahead in 0..DEPTH {
                numbers[ahead] = w[(row + ahead * SPLITS) * loads + load];
            }
            #[unroll]
            for ahead in 0..DEPTH {
                let factor = f32::cast_from(x[row + ahead * SPLITS]);
                #[unroll]
                for i in 0..wide {
                    sums[i] += factor * f32::cast_from(numbers[ahead].extract(i));
                }
            }
            row += DEPTH * SPLITS;
        }
        while row < rows {
            let factor = f32::cast_from(x[row]);
            let numbers = w[row * loads + load];
            #[unroll]
            for i in 0..wide {
                sums[i] += factor * f32::cast_from(numbers.extract(i));
            }
            row += SPLITS;
        }
    }
    sync_cube();
    #[unroll]
    for i in 0..wide {
        shares[split * columns + lane * wide + i] = sums[i];
    }
    sync_cube();
    // The splits of a column, by as many units as there are for it, then by one.
    let parts = comptime!(UNITS / columns);
    let (column, part) = (unit % columns, unit / columns);
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
    sum
}

/// `x · eᵀ`: of row `y` of `x`, `[n, in]`, and rows `ROWS · x` and those behind it of `e`, `[out,
/// in]`.
///
/// Barriers: every unit passes the one between the shares and their sums.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(super) fn transposed<F: Float, R: Size>(
    x: &Tensor<Vector<F, R>>,
    e: &Tensor<Vector<F, R>>,
    y: &mut Tensor<F>,
    #[define(F)] _dtype: ElemType,
) {
    let unit = UNIT_POS_X as usize;
    let wide = R::value().comptime();
    let loads = e.shape(1) / wide;
    let (out, own) = (CUBE_POS_X as usize * ROWS + unit / OF_ROW, CUBE_POS_Y as usize * loads);
    let mut sum = f32::new(0.0);
    if out < e.shape(0) {
        let mut load = unit % OF_ROW;
        while load < loads {
            let (a, b) = (x[own + load], e[out * loads + load]);
            #[unroll]
            for i in 0..wide {
                sum += f32::cast_from(a.extract(i)) * f32::cast_from(b.extract(i));
            }
            load += OF_ROW;
        }
    }
    let mut shares = Shared::<[f32]>::new_slice(UNITS);
    shares[unit] = sum;
    sync_cube();
    let out = CUBE_POS_X as usize * ROWS + unit;
    if unit < ROWS && out < e.shape(0) {
        let mut sum = f32::new(0.0);
        for i in 0..OF_ROW {
            sum += shares[unit * OF_ROW + i];
        }
        y[CUBE_POS_Y as usize * e.shape(0) + out] = F::cast_from(sum);
    }
}
