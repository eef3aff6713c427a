//! Products of many rows and a weight that was not saved in f32, where there is no tile unit.
//!
//! The library multiplies numbers of one type. A weight that is widened whole is written to memory
//! and read again, which takes half as long as a product of 256 rows; so a part of it is, that a
//! core's own cache holds.

#[cfg(test)]
mod tests;

use burn::prelude::*;
use burn::tensor::DType;
use gemm::{Parallelism, gemm};
use pulp::Arch;
use rayon::prelude::*;

use super::stored::{Stored, Weight, Widen, of_any_type};
use super::{OnHost, Out, RowsView};

/// Numbers of the inner dimension that are widened at a time.
const INNER: usize = 256;
/// Columns that are, at most.
const COLUMNS: usize = 256;
/// Columns that are, at least.
const FEWEST_COLUMNS: usize = 64;
/// Pieces of the columns, at least, where there are as many of the fewest. Not as threads are: the
/// library adds a piece of one column up in another order.
const PIECES: usize = 8;
/// Multiplications for which a thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 20;

/// `x`, `[m, K]`, `· w`, `[K, N]`, the same to the bit with any number of threads.
///
/// `None` where there is nothing to add up, for sizes that do not match, for `x` that is not in
/// host memory in f32, and for `w` that does not lie there row by row, in a narrower type of
/// floats; the caller then does without.
pub fn product(x: &Tensor<2>, w: &Tensor<2>) -> Option<Tensor<2>> {
    let ([m, width], [inner, columns]) = (x.dims(), w.dims());
    if w.dtype() == DType::F32 || width != inner || m * inner * columns == 0 {
        return None;
    }
    let (numbers, weight) = (OnHost::new(x)?, Weight::new(w)?);
    let mut all = Vec::<f32>::with_capacity(m * columns);
    let free = &mut all.spare_capacity_mut()[..m * columns];
    let out = Out { numbers: free.as_mut_ptr().cast(), rows: m, columns };
    of_any_type!(weight.numbers(), w => write(numbers.rows(&[]), w, inner, &out));
    // SAFETY: pieces cover all columns, and each has written them for all rows.
    unsafe { all.set_len(m * columns) };
    Some(Tensor::from_data(TensorData::new(all, [m, columns]), (&x.device(), DType::F32)))
}

/// Writes the product to `out`.
fn write<T: Stored>(x: RowsView, w: RowsView<T>, inner: usize, out: &Out) {
    let each = out.columns.div_ceil(PIECES).next_multiple_of(FEWEST_COLUMNS).min(COLUMNS);
    let pieces = (0..out.columns.div_ceil(each)).into_par_iter();
    let per_thread = WORTH_A_THREAD.div_ceil(out.rows * inner * each);
    pieces.with_min_len(per_thread).for_each_init(
        || vec![0.0; INNER * each],
        |room, piece| {
            let left = piece * each;
            let columns = each.min(out.columns - left);
            for first in (0..inner).step_by(INNER) {
                let some = INNER.min(inner - first);
                let wide = &mut room[..some * columns];
                let w = w.from(first).columns_from(left);
                Arch::new().dispatch(Widen { w, columns, out: wide });
                add(x.columns_from(first), wide, some, left, out, first > 0);
            }
        },
    );
}

/// Writes the product of `some` numbers of each row of `x` and a part of a weight, `[some, ..]`, to
/// the columns from `left` on; or adds it to what is there.
fn add(x: RowsView, part: &[f32], some: usize, left: usize, out: &Out, to_what_is_there: bool) {
    let columns = part.len() / some;
    assert!(x.data.len() >= (out.rows - 1) * x.stride + some && left + columns <= out.columns);
    let [stride, line, width] = [x.stride, out.columns, columns].map(|n| n as isize);
    let (alpha, beta) = (1.0, 1.0);
    // SAFETY: reads `some` numbers of as many rows as there are, and `part`, as was checked above,
    // and writes in columns of this piece alone, which it reads where it has written them before.
    unsafe {
        gemm(
            out.rows,
            columns,
            some,
            out.numbers.add(left),
            1,
            line,
            to_what_is_there,
            x.data.as_ptr(),
            1,
            stride,
            part.as_ptr(),
            1,
            width,
            alpha,
            beta,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
