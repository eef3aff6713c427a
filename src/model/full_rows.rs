//! Whole attention rows on the host: for verification, where statistics are not enough.

use burn::prelude::*;

use super::packed::RowSink;
use super::read_back;
use crate::error::{Error, Result};

/// The rows of one layer, `[H, n, t]` row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerRows {
    /// Query heads, `H`.
    pub heads: usize,
    /// Captured queries, `n`.
    pub queries: usize,
    /// Keys that each row covers, `t`.
    pub keys: usize,
    /// The weights.
    pub values: Vec<f32>,
}

impl LayerRows {
    /// The row, `[t]`, of one head and one of the `n` queries.
    pub fn row(&self, head: usize, query: usize) -> &[f32] {
        &self.values[(head * self.queries + query) * self.keys..][..self.keys]
    }
}

/// Collects the rows of every captured query: `H * n * t` numbers per layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FullRows {
    layers: Vec<LayerRows>,
}

impl FullRows {
    /// What was collected since the last call, one per layer in order.
    pub fn take(&mut self) -> Vec<LayerRows> {
        std::mem::take(&mut self.layers)
    }
}

impl RowSink for FullRows {
    /// # Errors
    /// [`Error::Model`] if a weight is not finite, [`Error::Resources`] if the device fails.
    fn rows(&mut self, layer: usize, rows: Tensor<3>) -> Result<()> {
        let [heads, queries, keys] = rows.dims();
        let values: Vec<f32> = rows.try_into_vec_as().map_err(|e| {
            Error::resources("the device failed while reading attention rows")
                .got(read_back::reason(&e))
        })?;
        if !values.iter().all(|v| v.is_finite()) {
            return Err(Error::model("attention weights are not finite")
                .at(format!("model.layers.{layer}"))
                .got("NaN or infinity")
                .expected("finite numbers")
                .advice("the weights are damaged; download the checkpoint again"));
        }
        self.layers.push(LayerRows { heads, queries, keys, values });
        Ok(())
    }
}
