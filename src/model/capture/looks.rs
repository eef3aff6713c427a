//! What heads look at while they read a prompt's question: rows of its tokens, before any answer.

use std::ops::Range;

use burn::prelude::*;

use crate::error::Result;
use crate::model::{KvCache, Llama, RowSink, read_back};

/// Rows of a question that are looked at in one pass.
pub(super) const ROWS: usize = 16;

/// Adds up what rows give to tokens of the prompt.
struct Sums {
    /// Places of the tokens.
    tokens: Vec<usize>,
    /// `[L][H * n]`, by layer.
    layers: Vec<Vec<f64>>,
}

impl RowSink for Sums {
    fn rows(&mut self, layer: usize, rows: Tensor<3>) -> Result<()> {
        let [heads, _, keys] = rows.dims();
        let sums = read_back::floats(rows.sum_dim(1), "attention rows")?;
        if self.layers.len() <= layer {
            self.layers.resize(layer + 1, vec![0.0; heads * self.tokens.len()]);
        }
        let own = &mut self.layers[layer];
        for (head, row) in sums.chunks_exact(keys).enumerate() {
            for (i, &token) in self.tokens.iter().enumerate() {
                own[head * self.tokens.len() + i] += f64::from(row[token]);
            }
        }
        Ok(())
    }
}

/// Runs the `question` behind what `cache` holds, and forgets it again: what its tokens give on
/// average to the tokens of `spans`, one span behind the other, of every head, `[L * H * n]`.
///
/// # Errors
/// As [`Llama::run`].
pub fn looks(
    model: &Llama,
    cache: &mut KvCache,
    question: &[u32],
    spans: &[Range<usize>],
) -> Result<Vec<f32>> {
    let before = cache.len();
    let tokens: Vec<usize> = spans.iter().cloned().flatten().collect();
    let mut sums = Sums { tokens, layers: Vec::new() };
    for part in question.chunks(ROWS) {
        model.run(part, cache, part.len(), part.len(), &mut sums)?;
    }
    cache.rewind(before);
    let rows = question.len().max(1) as f64;
    Ok(sums.layers.iter().flatten().map(|sum| (sum / rows) as f32).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Compute;
    use crate::model::full_rows::FullRows;

    /// The means of whole rows, whatever the number of passes; the cache is as it was.
    #[test]
    fn looks_are_means_of_rows() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama-biases");
        let model = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let ids: Vec<u32> = (0..60).map(|i| (i * 37 + i / 5) % 96).collect();
        let (before, question) = ids.split_at(22);
        let mut cache = model.new_cache(60);
        let mut rows = FullRows::default();
        model.run(before, &mut cache, 16, 0, &mut crate::model::NoRows).unwrap();
        let mut other = cache.clone();
        model.run(question, &mut other, 64, question.len(), &mut rows).unwrap();
        let spans = [3..5, 9..12];
        let got = looks(&model, &mut cache, question, &spans).unwrap();
        assert_eq!(cache.len(), 22);
        let (config, tokens) = (model.config(), [3, 4, 9, 10, 11]);
        assert_eq!(got.len(), config.layers * config.heads * tokens.len());
        for (layer, rows) in rows.take().iter().enumerate() {
            for head in 0..config.heads {
                for (i, &token) in tokens.iter().enumerate() {
                    let sum: f32 = (0..question.len()).map(|row| rows.row(head, row)[token]).sum();
                    let want = sum / question.len() as f32;
                    let got = got[(layer * config.heads + head) * tokens.len() + i];
                    assert!((got - want).abs() < 1e-5, "{layer}-{head} {token}: {got} {want}");
                }
            }
        }
        assert_eq!(looks(&model, &mut cache, question, &spans).unwrap(), got, "again");
    }
}
