//! Reduces attention rows to [`RowStats`] where they lie.
//!
//! On the host the definition, [`head_stats`], runs over the row itself. On a GPU the rows of all
//! layers stay where they are until the query is complete; then tensor operations over all of them
//! at once (of all on the same GPU, if several share the layers) give the same numbers, and one
//! small read-back per query brings `[L, H, 6]` numbers instead of `[L, H, T]` weights.

use burn::prelude::*;
use rayon::prelude::*;

mod reduction;

use reduction::{DeviceMask, FIELDS, reduce, unpack};

use super::device::Compute;
use super::packed::RowSink;
use super::read_back;
use crate::error::{Error, Result};
use crate::score::{HeadStats, NeedleMask, RowStats, head_stats};

/// Collects the statistics of one query after another, all layers each.
pub struct StatsCapture<'a> {
    needle: &'a NeedleMask,
    top_k: usize,
    on_host: bool,
    /// Host: statistics of the layers seen so far in this query.
    heads: Vec<HeadStats>,
    /// Device: the rows, `[H, T]`, of the layers seen so far in this query.
    pending: Vec<Tensor<2>>,
    /// Device: the needle, uploaded to each device with the first query.
    masks: Vec<(Device, DeviceMask)>,
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
            masks: Vec::new(),
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
        let (pending, top_k) = (std::mem::take(&mut self.pending), self.top_k);
        // All are under way before the first is waited for.
        let reduced: Vec<Tensor<2>> = pending
            .chunk_by(|a, b| a.device() == b.device())
            .map(|of_device| {
                let rows = Tensor::cat(of_device.to_vec(), 0);
                reduce(rows, self.mask(&of_device[0].device()), top_k)
            })
            .collect();
        for numbers in reduced {
            let numbers: Vec<f32> = numbers.try_into_vec_as().map_err(unread)?;
            heads.extend(numbers.as_chunks::<FIELDS>().0.iter().map(unpack));
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

    /// The needle's mask on `device`.
    fn mask(&mut self, device: &Device) -> &DeviceMask {
        let known = self.masks.iter().position(|(there, _)| there == device);
        let i = known.unwrap_or_else(|| {
            self.masks.push((device.clone(), DeviceMask::new(self.needle, device)));
            self.masks.len() - 1
        });
        &self.masks[i].1
    }

    /// The rows collected.
    pub fn into_rows(self) -> Vec<RowStats> {
        self.rows
    }
}

fn unread(e: burn::tensor::TensorReadError) -> Error {
    Error::resources("the device failed while reading attention statistics")
        .got(read_back::reason(&e))
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
            if keys < self.needle.end() || self.top_k == 0 {
                return Err(Error::bug(
                    "an attention row does not cover the needle, or top_k is 0",
                )
                .got(format!("{keys} keys, top_k {}", self.top_k)));
            }
            self.pending.push(rows.reshape([heads, keys]));
            return Ok(());
        }
        let data = rows.try_into_data().map_err(|e| {
            Error::resources("attention rows cannot be read").got(read_back::reason(&e))
        })?;
        let values = data
            .as_slice::<f32>()
            .map_err(|e| Error::bug("attention rows are not f32").got(format!("{e:?}")))?;
        let layer_stats: Result<Vec<HeadStats>> =
            values.par_chunks(keys).map(|row| head_stats(row, self.needle, self.top_k)).collect();
        self.heads.extend(layer_stats.map_err(|e| e.at(format!("model.layers.{layer}")))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two layers, two queries of different length: through tensors as on the host.
    #[test]
    fn both_ways_collect_the_same_rows() {
        const HEADS: usize = 3;
        let needle = NeedleMask::new(&[4..7, 9..11]).unwrap();
        let collect = |compute: &Compute| {
            let mut capture = StatsCapture::new(&needle, 4, compute);
            for keys in [20, 21] {
                for layer in 0..2 {
                    let weight = |i: usize| ((i * 7 + layer * 5 + 3) % 31) as f32 / 320.0;
                    let values: Vec<f32> = (0..HEADS * keys).map(weight).collect();
                    let data = TensorData::new(values, [HEADS, 1, keys]);
                    capture.rows(layer, Tensor::from_data(data, &compute.device)).unwrap();
                }
                capture.finish_row().unwrap();
            }
            assert_eq!(capture.finish_row().unwrap_err().exit_code(), 1);
            capture.into_rows()
        };
        let host = collect(&Compute::cpu());
        let device = collect(&Compute { on_host: false, ..Compute::cpu() });
        assert_eq!(host.len(), 2);
        for (host, device) in host.iter().zip(&device) {
            assert_eq!((host.keys, host.heads.len()), (device.keys, device.heads.len()));
            assert_eq!(host.heads.len(), 2 * HEADS);
            for (h, d) in host.heads.iter().zip(&device.heads) {
                assert_eq!((h.argmax, h.top_k_in_needle), (d.argmax, d.top_k_in_needle));
                for (h, d) in [
                    (h.top_k_mass, d.top_k_mass),
                    (h.top_k_needle_mass, d.top_k_needle_mass),
                    (h.top_n_needle_mass, d.top_n_needle_mass),
                    (h.needle_mass, d.needle_mass),
                ] {
                    assert!((h - d).abs() <= 1e-6, "{h} {d}");
                }
            }
        }
    }

    #[test]
    fn damaged_weights_are_an_error_naming_the_layer() {
        let needle = NeedleMask::new(&[4..7]).unwrap();
        for damage in [f32::NAN, f32::INFINITY] {
            let compute = Compute { on_host: false, ..Compute::cpu() };
            let mut capture = StatsCapture::new(&needle, 4, &compute);
            for layer in 0..3 {
                let mut values = vec![0.05; 2 * 20];
                values[33] = if layer == 1 { damage } else { 0.05 };
                let data = TensorData::new(values, [2, 1, 20]);
                capture.rows(layer, Tensor::from_data(data, &compute.device)).unwrap();
            }
            let e = capture.finish_row().unwrap_err();
            assert!(e.exit_code() == 4 && e.to_string().contains("model.layers.1"), "{e}");
        }
    }
}
