//! Reduces attention rows to [`RowStats`] where they lie.
//!
//! On the host the definition, [`head_stats`], runs over the row itself. On a GPU a kernel
//! (`kernels::statistics`) gives the same numbers of a layer's rows in one launch, and one small
//! read-back per query brings `[L, H, 6]` numbers instead of `[L, H, T]` weights.

pub mod head_types;
pub mod looks;
pub mod replay;
pub mod watch;
pub mod weighed;

use burn::prelude::*;
#[cfg(feature = "kernels")]
use burn::tensor::DType;
use rayon::prelude::*;

#[cfg(feature = "kernels")]
use super::attention::Scores;
#[cfg(feature = "kernels")]
use super::kernels::statistics::{self, FIELDS, MOST_KEYS, Needle, unpack};
use super::packed::RowSink;
use super::read_back;
use crate::error::{Error, Result};
use crate::score::{HeadStats, NeedleMask, RowStats, head_stats};

/// Collects the statistics of one query after another, all layers each.
pub struct StatsCapture<'a> {
    needle: &'a NeedleMask,
    top_k: usize,
    /// Statistics of the layers seen so far in this query, each with its layer.
    heads: Vec<(usize, HeadStats)>,
    /// Those that are still on GPUs, each of which has layers in a row.
    #[cfg(feature = "kernels")]
    pending: Vec<OnDevice>,
    keys: usize,
    heads_per_layer: usize,
    rows: Vec<RowStats>,
}

/// Numbers of the layers of one GPU.
#[cfg(feature = "kernels")]
struct OnDevice {
    device: Device,
    needle: Needle,
    /// `[L, H, FIELDS]`, with room for more layers than there are.
    numbers: Option<Tensor<3>>,
    /// The first layer there, and how many.
    first: usize,
    layers: usize,
}

impl<'a> StatsCapture<'a> {
    /// Statistics about `needle`, with `top_k` largest weights.
    pub fn new(needle: &'a NeedleMask, top_k: usize) -> Self {
        Self {
            needle,
            top_k,
            heads: Vec::new(),
            #[cfg(feature = "kernels")]
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
        #[cfg(feature = "kernels")]
        self.fetch()?;
        let mut heads = std::mem::take(&mut self.heads);
        // Devices are asked in any order.
        heads.sort_by_key(|(layer, _)| *layer);
        let heads: Vec<HeadStats> = heads.into_iter().map(|(_, head)| head).collect();
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
        let data = rows.try_into_data().map_err(|e| {
            Error::resources("attention rows cannot be read").got(read_back::reason(&e))
        })?;
        let values = data
            .as_slice::<f32>()
            .map_err(|e| Error::bug("attention rows are not f32").got(format!("{e:?}")))?;
        let layer_stats: Result<Vec<HeadStats>> =
            values.par_chunks(keys).map(|row| head_stats(row, self.needle, self.top_k)).collect();
        let layer_stats = layer_stats.map_err(|e| e.at(format!("model.layers.{layer}")))?;
        self.heads.extend(layer_stats.into_iter().map(|head| (layer, head)));
        Ok(())
    }

    #[cfg(feature = "kernels")]
    fn scores(&mut self, layer: usize, scores: Scores) -> Result<()> {
        let (keys, [heads, _]) = (scores.keys(), scores.seen.dims());
        if keys < self.needle.end() || keys > MOST_KEYS || self.top_k == 0 {
            return Err(Error::bug("an attention row does not cover the needle, or top_k is 0")
                .got(format!("{keys} keys, top_k {}", self.top_k)));
        }
        (self.keys, self.heads_per_layer) = (keys, heads);
        let device = scores.seen.device();
        let known = self.pending.iter().position(|here| here.device == device);
        let i = known.unwrap_or_else(|| {
            let needle = Needle::new(self.needle, &device);
            self.pending.push(OnDevice {
                device: device.clone(),
                needle,
                numbers: None,
                first: 0,
                layers: 0,
            });
            self.pending.len() - 1
        });
        let here = &mut self.pending[i];
        let numbers = match here.numbers.take() {
            Some(numbers) if here.layers < numbers.dims()[0] => numbers,
            full => {
                // How many layers follow is not known here: room for 32, then twice as many.
                let more =
                    Tensor::zeros([here.layers.max(32), heads, FIELDS], (&device, DType::F32));
                full.map_or(more.clone(), |full| Tensor::cat(vec![full, more], 0))
            }
        };
        let numbers = statistics::set(numbers, here.layers, scores, &here.needle, self.top_k);
        here.numbers = Some(numbers);
        if here.layers == 0 {
            here.first = layer;
        }
        here.layers += 1;
        Ok(())
    }
}

#[cfg(feature = "kernels")]
impl StatsCapture<'_> {
    /// Brings the numbers from the GPUs.
    fn fetch(&mut self) -> Result<()> {
        for here in &mut self.pending {
            let Some(numbers) = here.numbers.clone() else { continue };
            let numbers = read_back::floats(numbers, "attention statistics")?;
            let numbers = &numbers[..here.layers * self.heads_per_layer * FIELDS];
            let of_head = |(i, numbers)| (here.first + i / self.heads_per_layer, unpack(numbers));
            self.heads.extend(numbers.as_chunks::<FIELDS>().0.iter().enumerate().map(of_head));
            here.layers = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two layers, two queries of different length.
    #[test]
    fn rows_are_collected_layer_by_layer() {
        const HEADS: usize = 3;
        let needle = NeedleMask::new(&[4..7, 9..11]).unwrap();
        let mut capture = StatsCapture::new(&needle, 4);
        let mut wanted = Vec::new();
        for keys in [20, 21] {
            for layer in 0..2 {
                let weight = |i: usize| ((i * 7 + layer * 5 + 3) % 31) as f32 / 320.0;
                let values: Vec<f32> = (0..HEADS * keys).map(weight).collect();
                let of_row = |row| head_stats(row, &needle, 4).unwrap();
                wanted.extend(values.chunks(keys).map(of_row));
                let data = TensorData::new(values, [HEADS, 1, keys]);
                capture.rows(layer, Tensor::from_data(data, &Device::flex())).unwrap();
            }
            capture.finish_row().unwrap();
        }
        assert_eq!(capture.finish_row().unwrap_err().exit_code(), 1);
        let rows = capture.into_rows();
        assert_eq!(rows.iter().map(|row| row.keys).collect::<Vec<_>>(), [20, 21]);
        let all: Vec<HeadStats> = rows.into_iter().flat_map(|row| row.heads).collect();
        assert_eq!(all, wanted);
    }

    #[test]
    fn damaged_weights_are_an_error_naming_the_layer() {
        let needle = NeedleMask::new(&[4..7]).unwrap();
        for damage in [f32::NAN, f32::INFINITY] {
            let mut capture = StatsCapture::new(&needle, 4);
            let mut failed = None;
            for layer in 0..3 {
                let mut values = vec![0.05; 2 * 20];
                values[33] = if layer == 1 { damage } else { 0.05 };
                let data = TensorData::new(values, [2, 1, 20]);
                let rows = Tensor::from_data(data, &Device::flex());
                if let Err(e) = capture.rows(layer, rows) {
                    failed = Some(e);
                }
            }
            let e = failed.unwrap_or_else(|| capture.finish_row().unwrap_err());
            assert!(e.exit_code() == 4 && e.to_string().contains("model.layers.1"), "{e}");
        }
    }
}
