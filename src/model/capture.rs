//! Reduces attention rows to [`RowStats`] where they lie.
//!
//! On the host the definition, [`head_stats`], runs over the row itself. On a GPU the same numbers
//! come from a few tensor operations over all heads of a layer, and one small read-back per query
//! brings `[L, H, 6]` numbers instead of `[L, H, T]` weights.

use burn::prelude::*;
use burn::tensor::{Bool, DType};
use rayon::prelude::*;

use super::device::Compute;
use super::llama::RowSink;
use crate::error::{Error, Result};
use crate::score::{HeadStats, NeedleMask, RowStats, head_stats};

/// Numbers that travel per head.
const FIELDS: usize = 6;

/// Collects the statistics of one query after another, all layers each.
pub struct StatsCapture<'a> {
    needle: &'a NeedleMask,
    top_k: usize,
    on_host: bool,
    /// Host: statistics of the layers seen so far in this query.
    heads: Vec<HeadStats>,
    /// Device: `[H, FIELDS]` per layer seen so far in this query.
    pending: Vec<Tensor<2>>,
    keys: usize,
    heads_per_layer: usize,
    rows: Vec<RowStats>,
}

impl<'a> StatsCapture<'a> {
    /// Statistics about `needle`, with `top_k` largest weights.
    pub fn new(needle: &'a NeedleMask, top_k: usize, compute: &Compute) -> Self {
        Self {
            needle,
            top_k,
            on_host: compute.on_host,
            heads: Vec::new(),
            pending: Vec::new(),
            keys: 0,
            heads_per_layer: 1,
            rows: Vec::new(),
        }
    }

    /// Closes the current query: its statistics become the next row.
    ///
    /// # Errors
    /// [`Error::Resources`] if the device fails, [`Error::Bug`] if no layer was seen.
    pub fn finish_row(&mut self) -> Result<()> {
        let mut heads = std::mem::take(&mut self.heads);
        if !self.pending.is_empty() {
            let all = Tensor::cat(std::mem::take(&mut self.pending), 0);
            let numbers: Vec<f32> = all.try_into_vec_as().map_err(unread)?;
            heads = numbers.as_chunks::<FIELDS>().0.iter().map(unpack).collect();
        }
        if heads.is_empty() {
            return Err(Error::bug("no attention row was captured"));
        }
        if let Some(bad) = heads.iter().position(|h| !h.top_k_mass.is_finite()) {
            return Err(not_finite(bad / self.heads_per_layer));
        }
        self.rows.push(RowStats { keys: self.keys, heads });
        Ok(())
    }

    /// The rows collected.
    pub fn into_rows(self) -> Vec<RowStats> {
        self.rows
    }
}

fn unread(e: burn::tensor::TensorReadError) -> Error {
    Error::resources("the device failed while reading attention statistics")
        .got(format!("{e:?}"))
        .advice("use shorter contexts or --device cpu")
}

fn not_finite(layer: usize) -> Error {
    Error::model("attention weights are not finite")
        .at(format!("model.layers.{layer}"))
        .got("NaN or infinity")
        .expected("finite numbers")
        .advice("the weights are damaged; check them with `headprof verify`")
}

impl RowSink for StatsCapture<'_> {
    fn rows(&mut self, layer: usize, rows: Tensor<3>) -> Result<()> {
        let [heads, n, keys] = rows.dims();
        if n != 1 {
            return Err(Error::bug("statistics are collected one query at a time").got(n));
        }
        (self.keys, self.heads_per_layer) = (keys, heads);
        if !self.on_host {
            self.pending.push(on_device(rows.reshape([heads, keys]), self.needle, self.top_k));
            return Ok(());
        }
        let data = rows
            .try_into_data()
            .map_err(|e| Error::resources("attention rows cannot be read").got(format!("{e:?}")))?;
        let values = data
            .as_slice::<f32>()
            .map_err(|e| Error::bug("attention rows are not f32").got(format!("{e:?}")))?;
        let layer_stats: Result<Vec<HeadStats>> =
            values.par_chunks(keys).map(|row| head_stats(row, self.needle, self.top_k)).collect();
        self.heads.extend(layer_stats.map_err(|e| e.at(format!("model.layers.{layer}")))?);
        Ok(())
    }
}

fn unpack(numbers: &[f32; FIELDS]) -> HeadStats {
    HeadStats {
        argmax: numbers[0] as u32,
        top_k_in_needle: numbers[1] as u32,
        top_k_mass: numbers[2],
        top_k_needle_mass: numbers[3],
        top_n_needle_mass: numbers[4],
        needle_mass: numbers[5],
    }
}

/// The statistics, `[H, FIELDS]`, of `rows`, `[H, T]` in f32, without leaving the device.
///
/// Positions travel as f32, exact up to 2^24 keys.
fn on_device(rows: Tensor<2>, needle: &NeedleMask, top_k: usize) -> Tensor<2> {
    let [heads, keys] = rows.dims();
    let mut inside = vec![0f32; keys];
    for span in needle.spans() {
        inside[span.clone()].fill(1.0);
    }
    let inside = Tensor::<2>::from_data(TensorData::new(inside, [1, keys]), &rows.device());
    let best = top_mask(rows.clone(), 1);
    let position = Tensor::<1, Int>::arange(0..keys as i64, &rows.device()).float();
    let argmax = (best.float().cast(DType::F32) * position.cast(DType::F32).unsqueeze()).sum_dim(1);
    let top_k = top_mask(rows.clone(), top_k.min(keys)).float().cast(DType::F32);
    let top_n = top_mask(rows.clone(), needle.tokens().min(keys)).float().cast(DType::F32);
    let needle_rows = rows.clone() * inside.clone();
    let columns = vec![
        argmax,
        (top_k.clone() * inside).sum_dim(1),
        (top_k.clone() * rows).sum_dim(1),
        (top_k * needle_rows.clone()).sum_dim(1),
        (top_n * needle_rows.clone()).sum_dim(1),
        needle_rows.sum_dim(1),
    ];
    Tensor::cat(columns, 1).reshape([heads, FIELDS])
}

/// True at the `k` largest weights of each row of `rows`, `[H, T]`; equal weights: lower position.
///
/// Halving the interval that holds the k-th largest weight finds it without sorting: after 64
/// steps the bounds are neighbours in f32, whatever the row.
fn top_mask(rows: Tensor<2>, k: usize) -> Tensor<2, Bool> {
    let heads = rows.dims()[0];
    let device = rows.device();
    // Invariant: at least k weights are >= low, fewer than k are >= high.
    let mut low = Tensor::<2>::full([heads, 1], 0.0, (&device, DType::F32));
    let mut high = Tensor::<2>::full([heads, 1], 2.0, (&device, DType::F32));
    for _ in 0..64 {
        let middle = (low.clone() + high.clone()).div_scalar(2.0);
        let count = rows.clone().greater_equal(middle.clone()).float().cast(DType::F32).sum_dim(1);
        let enough = count.greater_equal_elem(k as f32);
        low = low.mask_where(enough.clone(), middle.clone());
        high = high.mask_where(enough.bool_not(), middle);
    }
    let above = rows.clone().greater_equal(high.clone());
    let taken = above.clone().float().cast(DType::F32).sum_dim(1);
    let tied = rows.clone().greater_equal(low).bool_and(rows.lower(high));
    let rank = tied.clone().float().cast(DType::F32).cumsum(1) + taken;
    above.bool_or(tied.bool_and(rank.lower_equal_elem(k as f32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tensor form and the definition agree, with ties, zeros and every k.
    #[test]
    fn device_statistics_equal_the_definition() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        for (keys, top_k) in [(40usize, 10usize), (40, 1), (40, 60), (500, 10), (33, 33)] {
            let heads = 5;
            let mut rows: Vec<f32> = (0..heads * keys).map(|_| random().powi(8)).collect();
            rows[..keys].fill(1.0 / keys as f32);
            for v in &mut rows[keys..2 * keys] {
                *v = (*v * 4.0).round() / 64.0;
            }
            let needle = NeedleMask::new(&[3..9, 20..27]).unwrap();
            let tensor = Tensor::<2>::from_data(
                TensorData::new(rows.clone(), [heads, keys]),
                &Device::flex(),
            );
            let got: Vec<f32> = on_device(tensor, &needle, top_k).try_into_vec_as().unwrap();
            for (row, got) in rows.chunks(keys).zip(got.as_chunks::<FIELDS>().0) {
                let (got, want) = (unpack(got), head_stats(row, &needle, top_k).unwrap());
                assert_eq!(got.argmax, want.argmax);
                assert_eq!(got.top_k_in_needle, want.top_k_in_needle);
                for (g, w) in [
                    (got.top_k_mass, want.top_k_mass),
                    (got.top_k_needle_mass, want.top_k_needle_mass),
                    (got.top_n_needle_mass, want.top_n_needle_mass),
                    (got.needle_mass, want.needle_mass),
                ] {
                    assert!((g - w).abs() <= 1e-5 * w.abs().max(1.0), "{g} {w}");
                }
            }
        }
    }
}
