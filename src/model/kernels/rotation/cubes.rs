//! The kernel of [`super`].

use cubecl::prelude::*;

/// Head `y` of token `x`, queries' before keys'.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub(super) fn rotate<F: Float>(
    queries: &Tensor<F>,
    keys: &Tensor<F>,
    query_cos: &Tensor<f32>,
    query_sin: &Tensor<f32>,
    key_cos: &Tensor<f32>,
    key_sin: &Tensor<f32>,
    query_norm: &Tensor<F>,
    key_norm: &Tensor<F>,
    rotated_queries: &mut Tensor<F>,
    rotated_keys: &mut Tensor<F>,
    eps: f32,
    #[comptime] heads: usize,
    #[comptime] half: usize,
    #[comptime] normed: bool,
    #[define(F)] _dtype: ElemType,
) {
    let (token, head) = (CUBE_POS_X as usize, CUBE_POS_Y as usize);
    let mut squares = Shared::<[f32]>::new_slice(half);
    if head < heads {
        if token < queries.shape(0) {
            one::<F>(
                queries,
                query_cos,
                query_sin,
                query_norm,
                rotated_queries,
                &mut squares,
                token,
                head,
                eps,
                half,
                normed,
            );
        }
    } else if token < keys.shape(0) {
        one::<F>(
            keys,
            key_cos,
            key_sin,
            key_norm,
            rotated_keys,
            &mut squares,
            token,
            head - heads,
            eps,
            half,
            normed,
        );
    }
}

/// One head of one token; a unit has a pair of dimensions.
///
/// Barriers: all units of a cube have the same head and token, and pass the one there is together.
#[cube]
#[allow(clippy::too_many_arguments, reason = "as the kernel")]
fn one<F: Float>(
    x: &Tensor<F>,
    cos: &Tensor<f32>,
    sin: &Tensor<f32>,
    norm: &Tensor<F>,
    rotated: &mut Tensor<F>,
    squares: &mut Shared<[f32]>,
    token: usize,
    head: usize,
    eps: f32,
    #[comptime] half: usize,
    #[comptime] normed: bool,
) {
    let unit = UNIT_POS_X as usize;
    let first = (token * x.shape(1) + head) * half * 2 + unit;
    let second = first + half;
    let mut a = f32::cast_from(x[first]);
    let mut b = f32::cast_from(x[second]);
    if normed {
        squares[unit] = a * a + b * b;
        sync_cube();
        let mut sum = f32::new(0.0);
        for i in 0..half {
            sum += squares[i];
        }
        let scale = 1.0 / (sum / f32::cast_from(half as u32 * 2) + eps).sqrt();
        a *= scale * f32::cast_from(norm[unit]);
        b *= scale * f32::cast_from(norm[unit + half]);
    }
    let (c, s) = (cos[token * cos.stride(2) + unit], sin[token * sin.stride(2) + unit]);
    rotated[first] = F::cast_from(a * c - b * s);
    rotated[second] = F::cast_from(b * c + a * s);
}
