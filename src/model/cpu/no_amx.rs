//! In place of products on the tile unit, on systems where there is none or it is not used.

use burn::prelude::*;

/// There is none.
pub fn is_there() -> bool {
    false
}

/// None: the caller does without.
pub fn products<const W: usize>(_: &Tensor<2>, _: [&Tensor<2>; W]) -> Option<[Tensor<2>; W]> {
    None
}
