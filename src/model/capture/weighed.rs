//! Rows of an answer once more, each weight multiplied by the length of the token's value.

use burn::prelude::*;

use super::looks::ROWS;
use crate::error::Result;
use crate::model::token_stats::value_norms;
use crate::model::{KvCache, Llama, RowSink, read_back};
use crate::score::{HeadStats, NeedleMask, RowStats, Weighing, head_stats};

/// Lengths of the values in a cache.
struct Lengths {
    /// `[L * S * T]`, of `S` heads a layer.
    values: Vec<f32>,
    /// Query heads that share one.
    group: usize,
}

impl Lengths {
    fn new(model: &Llama, cache: &KvCache, by: Weighing) -> Result<Self> {
        Ok(match by {
            Weighing::L1 => Self { values: value_norms(cache)?.l1, group: model.config().group() },
            Weighing::Projected => Self { values: model.projected_value_norms(cache)?, group: 1 },
        })
    }
}

/// Rows weighed in one way.
struct OneWay {
    by: Weighing,
    lengths: Lengths,
    /// Those of earlier passes, then those of this one.
    rows: Vec<RowStats>,
}

/// Reduces weighed rows.
struct WeighedRows<'a> {
    ways: Vec<OneWay>,
    /// Tokens whose values have lengths.
    tokens: usize,
    needle: &'a NeedleMask,
    top_k: usize,
    /// How many rows earlier passes had.
    before: usize,
    layers: usize,
}

impl RowSink for WeighedRows<'_> {
    fn rows(&mut self, layer: usize, rows: Tensor<3>) -> Result<()> {
        let [heads, n, keys] = rows.dims();
        let weights = read_back::floats(rows, "attention rows")?;
        let tokens = self.tokens;
        let mut weighed = vec![0.0; keys];
        for way in &mut self.ways {
            let stored = heads / way.lengths.group;
            for (i, row) in weights.chunks_exact(keys).enumerate() {
                let (head, row_of_pass) = (i / n, i % n);
                // Later tokens of the pass are hidden.
                let seen = keys - n + row_of_pass + 1;
                let list = layer * stored + head / way.lengths.group;
                let own = &way.lengths.values[list * tokens..][..seen];
                let of = |(weight, length): (&f32, &f32)| f64::from(*weight) * f64::from(*length);
                let sum: f64 = row.iter().zip(own).map(of).sum();
                for (weighed, pair) in weighed.iter_mut().zip(row.iter().zip(own)) {
                    *weighed = if sum > 0.0 { (of(pair) / sum) as f32 } else { 0.0 };
                }
                let at = self.before + row_of_pass;
                if way.rows.len() == at {
                    let heads = vec![HeadStats::default(); self.layers * heads];
                    way.rows.push(RowStats { keys: seen, heads });
                }
                let stats = head_stats(&weighed[..seen], self.needle, self.top_k)
                    .map_err(|e| e.at(format!("model.layers.{layer}")))?;
                way.rows[at].heads[layer * heads + head] = stats;
            }
        }
        Ok(())
    }
}

/// Runs the last of `prompt` and `fed`, all of an answer but its last token, once more: the
/// statistics of their rows, weighed in each of the `ways`. `cache` holds both before and
/// afterwards.
///
/// # Errors
/// As [`Llama::run`].
pub fn weighed_rows(
    model: &Llama,
    cache: &mut KvCache,
    (prompt, fed): (&[u32], &[u32]),
    ways: &[Weighing],
    (needle, top_k): (&NeedleMask, usize),
) -> Result<Vec<(Weighing, Vec<RowStats>)>> {
    // All lengths first: what is run again has values with other roundings.
    let lengths = ways.iter().map(|&by| {
        let lengths = Lengths::new(model, cache, by)?;
        Ok(OneWay { by, lengths, rows: Vec::with_capacity(fed.len() + 1) })
    });
    let ways = lengths.collect::<Result<Vec<_>>>()?;
    let (tokens, layers) = (cache.len(), model.config().layers);
    let mut sink = WeighedRows { ways, tokens, needle, top_k, before: 0, layers };
    cache.rewind(prompt.len() - 1);
    let ids = [&prompt[prompt.len() - 1..], fed].concat();
    for part in ids.chunks(ROWS) {
        model.run(part, cache, part.len(), part.len(), &mut sink)?;
        sink.before += part.len();
    }
    Ok(sink.ways.into_iter().map(|way| (way.by, way.rows)).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::full_rows::FullRows;
    use crate::model::{Compute, NoRows};

    /// By whole rows and by values read from the cache; 20 answer tokens, so that there are two
    /// passes.
    #[test]
    fn weighed_rows_are_rows_times_lengths() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama-biases");
        let model = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let ids: Vec<u32> = (0..60).map(|i| (i * 37 + i / 5) % 96).collect();
        let (prompt, fed) = ids.split_at(40);
        let (needle, top_k) = (NeedleMask::new(&[4..7, 9..11]).unwrap(), 5);
        let mut cache = model.new_cache(60);
        let mut full = FullRows::default();
        model.run(&ids[..39], &mut cache, 16, 0, &mut NoRows).unwrap();
        model.run(&ids[39..], &mut cache, 64, 21, &mut full).unwrap();
        let full = full.take();
        let c = model.config();
        let ways = [Weighing::L1, Weighing::Projected];
        let got = weighed_rows(&model, &mut cache, (prompt, fed), &ways, (&needle, top_k));
        assert_eq!(cache.len(), 60);
        for (by, got) in got.unwrap() {
            assert_eq!(got.len(), 21);
            let projected = model.projected_value_norms(&cache).unwrap();
            for (layer, rows) in full.iter().enumerate() {
                let values: Vec<f32> = cache.values(layer).into_data().try_into_vec().unwrap();
                for head in 0..c.heads {
                    let length = |j: usize| match by {
                        Weighing::L1 => {
                            let at = (head / c.group() * 60 + j) * c.head_dim;
                            values[at..at + c.head_dim].iter().map(|v| v.abs()).sum::<f32>()
                        }
                        Weighing::Projected => projected[(layer * c.heads + head) * 60 + j],
                    };
                    for (t, got) in got.iter().enumerate() {
                        assert_eq!(got.keys, 40 + t);
                        let row = &rows.row(head, t)[..40 + t];
                        let row: Vec<f32> =
                            row.iter().enumerate().map(|(j, a)| a * length(j)).collect();
                        let sum: f32 = row.iter().sum();
                        let row: Vec<f32> = row.iter().map(|w| w / sum).collect();
                        let want = head_stats(&row, &needle, top_k).unwrap();
                        let got = got.heads[layer * c.heads + head];
                        for (got, want) in [
                            (got.needle_mass, want.needle_mass),
                            (got.top_k_mass, want.top_k_mass),
                            (got.top_k_needle_mass, want.top_k_needle_mass),
                        ] {
                            assert!((got - want).abs() < 2e-5, "{layer}-{head} {t}: {got} {want}");
                        }
                        assert_eq!(got.argmax, want.argmax, "{layer}-{head} {t}");
                    }
                }
            }
        }
    }
}
