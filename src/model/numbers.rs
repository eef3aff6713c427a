//! Many numbers at a time: from type to type, and looked through, on all threads.

use burn::prelude::*;
use burn::tensor::{DType, Element};
use half::{bf16, f16};
use rayon::prelude::*;

/// `data` in the type `dtype`; widened on all threads, unlike by the library.
pub(super) fn converted(data: TensorData, dtype: DType) -> TensorData {
    fn wide<T: Element + Into<f32>>(data: &TensorData) -> Option<Vec<f32>> {
        Some(data.as_slice::<T>().ok()?.par_iter().map(|v| (*v).into()).collect())
    }
    let values = match (data.dtype(), dtype) {
        (DType::F16, DType::F32) => wide::<f16>(&data),
        (DType::BF16, DType::F32) => wide::<bf16>(&data),
        _ => None,
    };
    match values {
        Some(values) => TensorData::new(values, data.shape().clone()),
        None => data.convert_dtype(dtype),
    }
}

/// Where the first of `values` is that is `bad`.
pub(super) fn first<T: Element + Into<f32>>(
    values: &[T],
    bad: impl Fn(f32) -> bool + Sync,
) -> Option<usize> {
    /// Without a jump out of it, the loop over so many is one of vectors.
    const PIECE: usize = 1 << 14;
    let any = |piece: &[T]| piece.iter().fold(false, |any, v| any | bad((*v).into()));
    let from = values.par_chunks(PIECE).position_first(any)? * PIECE;
    values[from..].iter().position(|v| bad((*v).into())).map(|i| from + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_is_found() {
        let mut values = vec![0f32; 100_000];
        assert_eq!(first(&values, |v| v > 0.5), None);
        for at in [99_999, 70_000, 69_999, 16_384, 16_383, 0] {
            values[at] = 1.0;
            assert_eq!(first(&values, |v| v > 0.5), Some(at));
        }
    }
}
