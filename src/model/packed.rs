//! [`PackedSequence`]: tokens of one sequence in a pass; [`RowSink`]: where their rows go.

use burn::prelude::*;

use super::ablation::Ablation;
#[cfg(feature = "kernels")]
use super::attention::Scores;
use super::attention::{self, Row};
use super::kv_cache::{Held, KvCache};
use crate::error::{Error, Result};

/// Receives attention rows while the model runs.
pub trait RowSink {
    /// The rows, `[H, n, t]` in f32, of one layer's captured queries.
    ///
    /// # Errors
    /// If the rows cannot be used; the run ends with that error.
    fn rows(&mut self, layer: usize, rows: Tensor<3>) -> Result<()>;

    /// The scores of one layer's only captured query, where a GPU has them.
    ///
    /// # Errors
    /// As [`RowSink::rows`], which gets the row that follows unless this is overridden.
    #[cfg(feature = "kernels")]
    fn scores(&mut self, layer: usize, scores: Scores) -> Result<()> {
        self.rows(layer, scores.rows())
    }
}

/// Hands a row over.
fn row_to(sink: &mut dyn RowSink, layer: usize, row: Row) -> Result<()> {
    match row {
        Row::Weights(rows) => sink.rows(layer, rows),
        #[cfg(feature = "kernels")]
        Row::Scores(scores) => sink.scores(layer, scores),
    }
}

/// Ignores rows.
pub struct NoRows;

impl RowSink for NoRows {
    fn rows(&mut self, _: usize, _: Tensor<3>) -> Result<()> {
        Ok(())
    }
}

/// Tokens of one sequence, to be run after what its cache holds.
pub struct PackedSequence<'a> {
    /// Their ids; at least one, and no more than the cache has room for.
    pub ids: &'a [u32],
    /// What came before; it holds `ids`, too, after the pass.
    pub cache: &'a mut KvCache,
    /// How many of the last ids are followed behind the last layer; one at least, and all captured.
    pub followed: usize,
    /// Of how many of the last ids the rows go to `sink`.
    pub captured: usize,
    /// Sees attention rows, if some are captured.
    pub sink: &'a mut dyn RowSink,
    /// Heads that are off.
    pub ablation: Option<&'a Ablation>,
}

impl PackedSequence<'_> {
    /// How many of the last ids are followed behind the last layer.
    pub(super) fn followed(&self) -> usize {
        self.followed.max(self.captured).clamp(1, self.ids.len())
    }

    /// Outputs, `[1, H, n, D]`, of the newest queries `q`, `[1, H, n, D]`, the last of which are
    /// captured.
    pub(super) fn attend(
        &mut self,
        layer: usize,
        q: Tensor<4>,
        held: Held,
        window: Option<usize>,
        on_host: bool,
    ) -> Result<Tensor<4>> {
        let Some(ablation) = self.ablation else {
            return self.attend_all(layer, q, held, window, on_host);
        };
        let q = ablation.queries(layer, q);
        let outputs = self.attend_all(layer, q, held, window, on_host)?;
        Ok(ablation.outputs(layer, outputs))
    }

    /// The same with all heads on.
    fn attend_all(
        &mut self,
        layer: usize,
        q: Tensor<4>,
        held: Held,
        window: Option<usize>,
        on_host: bool,
    ) -> Result<Tensor<4>> {
        let queries = q.dims()[2];
        if queries == 1 {
            let (row, output) = attention::single(q, held, window, on_host, self.captured > 0);
            if let Some(row) = row {
                row_to(self.sink, layer, row)?;
            }
            return Ok(output);
        }
        let captured = self.captured.min(queries);
        let last = || q.clone().narrow(2, queries - captured, captured);
        match captured {
            0 => {}
            // As where it is the only query of a pass, to the bit on the host.
            1 => {
                let (row, _) = attention::single(last(), held.clone(), window, on_host, true);
                let row = row.ok_or_else(|| Error::bug("no row was captured"))?;
                row_to(self.sink, layer, row)?;
            }
            _ => self.sink.rows(layer, attention::rows(last(), &held, window))?,
        }
        Ok(attention::chunk(q, held, window, on_host).output)
    }
}
