//! The kernel of [`super`].

use cubecl::prelude::*;

use super::UNITS;
use crate::model::kernels::tile::sum_of_cube;

/// Row `x`.
///
/// Barriers: every unit passes those of the sum, behind which nothing is shared any more.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(super) fn norm<F: Float>(
    x: &Tensor<F>,
    weight: &Tensor<F>,
    output: &mut Tensor<F>,
    eps: f32,
    #[define(F)] _dtype: ElemType,
) {
    let unit = UNIT_POS_X as usize;
    let width = x.shape(1);
    let begin = CUBE_POS_X as usize * width;
    let mut sum = f32::new(0.0);
    let mut i = unit;
    while i < width {
        let number = f32::cast_from(x[begin + i]);
        sum += number * number;
        i += UNITS;
    }
    let mut shares = Shared::<[f32]>::new_slice(UNITS);
    let sum = sum_of_cube(&mut shares, sum, unit, UNITS);
    let scale = 1.0 / (sum / f32::cast_from(width as u32) + eps).sqrt();
    let mut i = unit;
    while i < width {
        let number = f32::cast_from(x[begin + i]) * scale * f32::cast_from(weight[i]);
        output[begin + i] = F::cast_from(number);
        i += UNITS;
    }
}
