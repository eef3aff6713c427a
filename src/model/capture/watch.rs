//! [`watched`]: the whole rows of a few heads while an answer is written.

use burn::prelude::*;

use super::looks::ROWS;
use crate::error::{Error, Result};
use crate::model::{Llama, NoRows, RowSink, read_back};

/// Rows of some heads over the prompt.
struct Watch<'a> {
    /// Layer and head.
    heads: &'a [(usize, usize)],
    /// Tokens of the prompt, `T`.
    tokens: usize,
    /// For each head its rows, `[T]` each.
    rows: Vec<Vec<Vec<f32>>>,
}

impl RowSink for Watch<'_> {
    fn rows(&mut self, layer: usize, rows: Tensor<3>) -> Result<()> {
        let [_, n, _] = rows.dims();
        for (own, &(of_layer, head)) in self.rows.iter_mut().zip(self.heads) {
            if of_layer != layer {
                continue;
            }
            let of_head = rows.clone().slice([head..head + 1, 0..n, 0..self.tokens]);
            let values = read_back::floats(of_head, "attention rows")?;
            own.extend(values.chunks_exact(self.tokens).map(<[f32]>::to_vec));
        }
        Ok(())
    }
}

/// What each of `heads`, layer and head, gives to the tokens of `prompt`, `[T]`, in the rows that
/// produce an answer: that of the prompt's last token, and those of `fed`, the answer's tokens but
/// for its last. For each head one row per token of the answer. The prompt is run in passes of
/// `chunk` tokens.
///
/// # Errors
/// [`Error::Bug`] for an empty prompt and a head that the model does not have; as [`Llama::run`].
pub fn watched(
    model: &Llama,
    prompt: &[u32],
    fed: &[u32],
    heads: &[(usize, usize)],
    chunk: usize,
) -> Result<Vec<Vec<Vec<f32>>>> {
    let config = model.config();
    let there = |(layer, head): &(usize, usize)| *layer < config.layers && *head < config.heads;
    let (Some((last, before)), true) = (prompt.split_last(), heads.iter().all(there)) else {
        return Err(Error::bug("there is no such head to watch, or no prompt")
            .got(format!("{heads:?}, {} tokens", prompt.len())));
    };
    let mut cache = model.new_cache(prompt.len() + fed.len());
    if !before.is_empty() {
        model.run(before, &mut cache, chunk, 0, &mut NoRows)?;
    }
    let mut watch = Watch { heads, tokens: prompt.len(), rows: vec![Vec::new(); heads.len()] };
    // A pass has a row over all of its own tokens, too.
    let answer: Vec<u32> = std::iter::once(*last).chain(fed.iter().copied()).collect();
    for part in answer.chunks(ROWS) {
        model.run(part, &mut cache, part.len(), part.len(), &mut watch)?;
    }
    Ok(watch.rows)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Compute;
    use crate::model::full_rows::FullRows;

    /// The rows of a run token by token, cut to the prompt.
    #[test]
    fn rows_are_those_of_one_token_after_another() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama-biases");
        let model = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let ids: Vec<u32> = (0..50).map(|i| (i * 37 + i / 5) % 96).collect();
        let (prompt, fed) = ids.split_at(30);
        let heads = [(1, 2), (0, 0), (1, 0)];
        let got = watched(&model, prompt, fed, &heads, 8).unwrap();
        assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [21; 3]);
        let mut cache = model.new_cache(50);
        model.run(&ids[..29], &mut cache, 16, 0, &mut NoRows).unwrap();
        for (step, id) in ids[29..].iter().enumerate() {
            let mut rows = FullRows::default();
            model.run(&[*id], &mut cache, 1, 1, &mut rows).unwrap();
            let layers = rows.take();
            for (got, (layer, head)) in got.iter().zip(heads) {
                let want = &layers[layer].row(head, 0)[..30];
                assert_eq!(got[step].len(), 30);
                let far = got[step].iter().zip(want).map(|(a, b)| (a - b).abs());
                assert!(far.fold(0.0, f32::max) < 1e-5, "{layer}-{head}, step {step}");
            }
        }
        assert_eq!(watched(&model, &[], fed, &heads, 8).unwrap_err().exit_code(), 1);
        assert_eq!(watched(&model, prompt, fed, &[(9, 0)], 8).unwrap_err().exit_code(), 1);
    }
}
