//! A matrix with its rows as columns.

use burn::tensor::Element;
use rayon::prelude::*;

/// `[rows, columns]` → `[columns, rows]`, tile by tile so that both sides stay in the cache.
pub(super) fn transposed<T: Element>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    const TILE: usize = 32;
    assert_eq!(values.len(), rows * columns);
    let mut out = Vec::with_capacity(values.len());
    let free = &mut out.spare_capacity_mut()[..values.len()];
    free.par_chunks_mut((TILE * rows).max(1)).enumerate().for_each(|(block, out)| {
        let first = block * TILE;
        let width = TILE.min(columns - first);
        for row_block in (0..rows).step_by(TILE) {
            for row in row_block..(row_block + TILE).min(rows) {
                let line = &values[row * columns + first..][..width];
                for (i, value) in line.iter().enumerate() {
                    out[i * rows + row].write(*value);
                }
            }
        }
    });
    // SAFETY: blocks are all columns, and each has written all rows of its own.
    unsafe { out.set_len(values.len()) };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposes_shapes_that_are_no_multiple_of_the_tile() {
        let (rows, columns) = (37, 70);
        let values: Vec<f32> = (0..rows * columns).map(|v| v as f32).collect();
        let out = transposed(&values, rows, columns);
        for r in 0..rows {
            for c in 0..columns {
                assert_eq!(out[c * rows + r], values[r * columns + c]);
            }
        }
    }
}
