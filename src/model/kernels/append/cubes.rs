//! The kernel of [`super`].

use cubecl::prelude::*;

use super::UNITS;

/// Numbers of head `y`; a unit has one key's and one value's.
#[cube(launch_unchecked, address_type = "dynamic")]
pub(super) fn copy<F: Float>(
    new_keys: &Tensor<F>,
    new_values: &Tensor<F>,
    keys: &mut Tensor<F>,
    values: &mut Tensor<F>,
    at: u32,
    #[define(F)] _dtype: ElemType,
) {
    let i = CUBE_POS_X as usize * UNITS + UNIT_POS_X as usize;
    let (head, dim) = (CUBE_POS_Y as usize, keys.shape(3));
    let (token, d) = (i / dim, i % dim);
    if token < new_keys.shape(2) {
        let place = (head * keys.shape(2) + at as usize + token) * dim + d;
        keys[place] = new_keys[head * new_keys.stride(1) + token * new_keys.stride(2) + d];
        values[place] = new_values[head * new_values.stride(1) + token * new_values.stride(2) + d];
    }
}
