//! [`RowSums`]: attention rows added up per key while the model runs.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::prelude::*;
use burn::tensor::DType;
use rayon::prelude::*;

use crate::error::Result;
use crate::eviction::{QueryRows, Wanted};
use crate::model::attention;
use crate::model::cpu::softmax::RowsOfHead;
use crate::model::device::Compute;
#[cfg(feature = "kernels")]
use crate::model::kernels::{self, weights::Queries};
use crate::model::kv_cache::Held;
use crate::model::read_back;

/// How many scores, `H * n * t`, exist at a time: 4 MiB on the host, about what stays in its
/// caches; on a GPU, where small blocks cost time, 512 MiB, and as much for each intermediate step.
pub(super) fn scores_at_once(compute: &Compute) -> usize {
    if compute.on_host { 1 << 20 } else { 128 << 20 }
}

/// The sums of one set of rows.
struct Sums {
    rows: QueryRows,
    /// The first query that counts.
    from: usize,
    /// Host: `[L, H, T]`.
    host: Vec<f32>,
    /// Device: `[H, T]` per layer, where its keys are; `None` before the first row.
    device: Vec<Option<Tensor<2>>>,
}

/// Sums of one or several sets of rows, each row computed once.
pub(super) struct RowSums {
    heads: usize,
    tokens: usize,
    on_host: bool,
    at_once: usize,
    sets: Vec<Sums>,
}

/// Where a block of queries and its keys stand.
#[derive(Clone, Copy)]
struct Block {
    layer: usize,
    /// Position of the first query.
    query: usize,
    /// Position of the first key.
    key: usize,
    /// Keys, `t`; the last query is the last key's.
    keys: usize,
    window: Option<usize>,
}

impl RowSums {
    /// Zeros for a prompt of `tokens` tokens and `[L, H]` heads.
    pub fn new(
        [layers, heads]: [usize; 2],
        compute: &Compute,
        wanted: &Wanted,
        tokens: usize,
        at_once: usize,
    ) -> Self {
        let set = |rows: &QueryRows| {
            let from = match rows {
                QueryRows::All => 0,
                QueryRows::Last(n) => tokens.saturating_sub(*n),
            };
            let (host, device) = match compute.on_host {
                true => (vec![0.0; layers * heads * tokens], vec![]),
                false => (vec![], vec![None; layers]),
            };
            Sums { rows: *rows, from, host, device }
        };
        let sets = wanted.row_sums.iter().map(set).collect();
        Self { heads, tokens, on_host: compute.on_host, at_once, sets }
    }

    /// Position of the first query that any set counts.
    pub fn first_query(&self) -> Option<usize> {
        self.sets.iter().map(|set| set.from).min().filter(|from| *from < self.tokens)
    }

    /// How many of the last tokens of a pass over `positions` are of use behind the last layer: the
    /// last one, and all whose rows count.
    pub fn followed(&self, positions: Range<usize>) -> usize {
        let first = self.first_query().unwrap_or(positions.end).max(positions.start);
        positions.end.saturating_sub(first).max(1)
    }

    /// Adds the rows of queries `q`, `[1, H, n, D]`, the first of which stands at position `start`,
    /// over the keys so far, `start + n` of them; `totals` as attention has left them.
    pub fn add(
        &mut self,
        layer: usize,
        start: usize,
        q: &Tensor<4>,
        held: &Held,
        window: Option<usize>,
        totals: Option<Tensor<2>>,
    ) -> Result<()> {
        let Some(first) = self.first_query() else { return Ok(()) };
        let n = q.dims()[2];
        if start + n <= first {
            return Ok(());
        }
        #[cfg(feature = "kernels")]
        if kernels::run_on(&q.device()) {
            let queries = attention::queries(q.clone(), held, window, totals);
            self.add_by_kernel(layer, start, &queries);
            return Ok(());
        }
        #[cfg(not(feature = "kernels"))]
        let _ = totals;
        let k = held.keys();
        let most = (self.at_once / (self.heads * (start + n))).max(1);
        let mut done = first.saturating_sub(start);
        while done < n {
            let (count, query) = (most.min(n - done), start + done);
            let key = window.map_or(0, |w| (query + 1).saturating_sub(w));
            let keys = query + count - key;
            let (q, k) = (q.clone().narrow(2, done, count), k.clone().narrow(2, key, keys));
            let block = Block { layer, query, key, keys, window };
            match self.on_host {
                true => self.add_on_host(block, attention::scores(q, k))?,
                false => self.add_on_device(block, attention::rows_of(q, k, window)),
            }
            done += count;
        }
        Ok(())
    }

    /// Softmax over what each query sees of `scores`, `[H, n, t]`, and sums, over slices.
    fn add_on_host(&mut self, block: Block, scores: Tensor<3>) -> Result<()> {
        let (n, keys) = (scores.dims()[1], block.keys);
        let mut scores = read_back::data(scores, "attention scores")?;
        // How many of the block's first rows each set leaves out.
        let skips: Vec<usize> =
            self.sets.iter().map(|set| set.from.saturating_sub(block.query)).collect();
        let sum_of_head =
            |rows: &mut [f32]| RowsOfHead { rows, keys, window: block.window }.sums(&skips);
        let scores = read_back::slice_mut(&mut scores)?;
        let sums: Vec<Vec<f32>> = scores.par_chunks_mut(n * keys).map(sum_of_head).collect();
        for (h, sums) in sums.iter().enumerate() {
            let start = (block.layer * self.heads + h) * self.tokens + block.key;
            for (set, sums) in self.sets.iter_mut().zip(sums.chunks(keys)) {
                let all = &mut set.host[start..start + keys];
                all.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
            }
        }
        Ok(())
    }

    /// Adds the rows of all queries that count, none of which is written.
    #[cfg(feature = "kernels")]
    fn add_by_kernel(&mut self, layer: usize, start: usize, queries: &Queries) {
        let [_, heads, n, _] = queries.query.dims();
        for set in &mut self.sets {
            let skip = set.from.saturating_sub(start);
            if skip < n {
                let sums = set.device[layer].get_or_insert_with(|| {
                    let device = queries.query.device();
                    Tensor::zeros([heads, self.tokens], (&device, DType::F32))
                });
                sums.inplace(|sums| queries.clone().added_to(sums, skip));
            }
        }
    }

    /// Sums of `rows`, `[H, n, t]`, where they lie.
    fn add_on_device(&mut self, block: Block, rows: Tensor<3>) {
        let [heads, n, keys] = rows.dims();
        for set in &mut self.sets {
            let skip = set.from.saturating_sub(block.query);
            if skip >= n {
                continue;
            }
            let sum = rows.clone().narrow(1, skip, n - skip).sum_dim(1).reshape([heads, keys]);
            let all = set.device[block.layer].get_or_insert_with(|| {
                Tensor::zeros([heads, self.tokens], (&rows.device(), DType::F32))
            });
            let sum = all.clone().narrow(1, block.key, keys) + sum;
            all.inplace(|all| all.slice_assign([0..heads, block.key..block.key + keys], sum));
        }
    }

    /// The sums, `[L, H, T]` each.
    pub fn finish(self) -> Result<BTreeMap<QueryRows, Vec<f32>>> {
        let read = |set: Sums| {
            let mut sums = set.host;
            for layer in set.device {
                match layer {
                    Some(layer) => sums.extend(read_back::floats(layer, "sums of attention")?),
                    None => sums.resize(sums.len() + self.heads * self.tokens, 0.0),
                }
            }
            Ok((set.rows, sums))
        };
        self.sets.into_iter().map(read).collect()
    }
}
