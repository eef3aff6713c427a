//! [`AttentionMap`]: one head's `T x T` attention, coarse enough for a picture.
//!
//! ```text
//! cell (r, c) = mean of a[i, j] over i in r·s .. (r+1)·s, j in c·s .. (c+1)·s, j visible from i
//! s = ceil(T / cells)
//! ```
//!
//! The rows of a block of queries are computed as the sums' are, added up per cell and dropped, so
//! that the largest thing to exist is `block x T`. VATP's notebook keeps the whole matrix.

use burn::prelude::*;

use super::attention;
use super::kv_cache::Held;
use super::read_back;
use crate::error::Result;

/// Which head is mapped, and how finely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapOf {
    /// Layer, from 0.
    pub layer: usize,
    /// Query head, from 0.
    pub head: usize,
    /// Most cells along a side, at least 1.
    pub cells: usize,
}

/// Means of one head's attention over squares of tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionMap {
    /// Tokens, `T`.
    pub tokens: usize,
    /// Tokens along a side of a cell, `s`; the last cells may have fewer.
    pub side: usize,
    /// Cells along a side, `ceil(T / s)`.
    pub cells: usize,
    /// `[cells, cells]`, row = queries, column = keys; `None` where no query of the row sees a key
    /// of the column.
    pub means: Vec<Option<f64>>,
}

impl AttentionMap {
    /// The mean of one cell.
    pub fn mean(&self, row: usize, column: usize) -> Option<f64> {
        self.means[row * self.cells + column]
    }
}

/// Attention added up per cell while the model runs.
pub(super) struct CellSums {
    of: MapOf,
    /// The KV head that the query head reads.
    kv_head: usize,
    tokens: usize,
    window: Option<usize>,
    side: usize,
    cells: usize,
    at_once: usize,
    /// `[cells, cells]`.
    sums: Vec<f64>,
}

impl CellSums {
    /// Zeros for a prompt of `tokens` tokens; `group` query heads share a KV head, `window` is the
    /// layer's, `at_once` the number of scores that exist at a time.
    pub fn new(
        of: MapOf,
        group: usize,
        tokens: usize,
        window: Option<usize>,
        at_once: usize,
    ) -> Self {
        let side = tokens.div_ceil(of.cells.max(1)).max(1);
        let cells = tokens.div_ceil(side);
        let kv_head = of.head / group;
        Self { of, kv_head, tokens, window, side, cells, at_once, sums: vec![0.0; cells * cells] }
    }

    /// Adds the rows of queries `q`, `[1, H, n, D]`, the first of which stands at position `start`,
    /// over the keys so far, `start + n` of them; other layers are passed over.
    pub fn add(&mut self, layer: usize, start: usize, q: &Tensor<4>, held: &Held) -> Result<()> {
        if layer != self.of.layer {
            return Ok(());
        }
        let n = q.dims()[2];
        let q = q.clone().narrow(1, self.of.head, 1);
        let held = held.of_head(self.kv_head);
        let most = (self.at_once / (start + n)).max(1);
        let mut done = 0;
        while done < n {
            let (count, query) = (most.min(n - done), start + done);
            let (q, held) = (q.clone().narrow(2, done, count), held.clone().first(query + count));
            self.add_rows(query, attention::rows(q, &held, self.window))?;
            done += count;
        }
        Ok(())
    }

    /// Adds `rows`, `[1, n, t]`, the first of which is the query at position `query`.
    fn add_rows(&mut self, query: usize, rows: Tensor<3>) -> Result<()> {
        let [_, n, keys] = rows.dims();
        // Added up where they lie, so that `n x t / s` numbers travel.
        let columns = keys.div_ceil(self.side);
        let rows = match columns * self.side - keys {
            0 => rows,
            missing => {
                let zeros = Tensor::zeros([1, n, missing], (&rows.device(), rows.dtype()));
                Tensor::cat(vec![rows, zeros], 2)
            }
        };
        let sums = rows.reshape([n, columns, self.side]).sum_dim(2).reshape([n, columns]);
        let sums = read_back::floats(sums, "attention rows")?;
        for (i, sums) in sums.chunks(columns).enumerate() {
            let row = (query + i) / self.side * self.cells;
            let cells = &mut self.sums[row..row + columns];
            cells.iter_mut().zip(sums).for_each(|(cell, sum)| *cell += f64::from(*sum));
        }
        Ok(())
    }

    /// The means.
    pub fn finish(self) -> AttentionMap {
        let mut means = Vec::with_capacity(self.sums.len());
        for (i, sum) in self.sums.iter().enumerate() {
            let pairs = self.visible_pairs(i / self.cells, i % self.cells);
            means.push((pairs > 0).then(|| sum / pairs as f64));
        }
        AttentionMap { tokens: self.tokens, side: self.side, cells: self.cells, means }
    }

    /// Pairs of a query and a key that it sees in one cell.
    fn visible_pairs(&self, row: usize, column: usize) -> usize {
        let of = |cell: usize| cell * self.side..((cell + 1) * self.side).min(self.tokens);
        let keys = of(column);
        let seen = |i: usize| {
            let first = self.window.map_or(0, |w| (i + 1).saturating_sub(w));
            keys.end.min(i + 1).saturating_sub(keys.start.max(first))
        };
        of(row).map(seen).sum()
    }
}
