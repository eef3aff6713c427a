//! [`HeadTypes`] of a model, by a few random texts in which all tokens come twice.

use burn::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::looks::ROWS;
use crate::error::Result;
use crate::heads::HeadTypes;
use crate::model::{Llama, NoRows, RowSink, read_back};

/// Random texts.
const TEXTS: usize = 4;
/// Tokens of one, before they come again.
const TOKENS: usize = 48;

/// Adds up the weights of three places in each row.
struct PlaceSums {
    /// Position of a pass's first row.
    first: usize,
    /// `[L][H][3]`, by layer.
    layers: Vec<Vec<[f64; 3]>>,
}

impl RowSink for PlaceSums {
    fn rows(&mut self, layer: usize, rows: Tensor<3>) -> Result<()> {
        let [heads, n, keys] = rows.dims();
        let weights = read_back::floats(rows, "attention rows")?;
        if self.layers.len() <= layer {
            self.layers.resize(layer + 1, vec![[0.0; 3]; heads]);
        }
        for (i, row) in weights.chunks_exact(keys).enumerate() {
            let position = self.first + i % n;
            let places = [position - 1, position - TOKENS, position - TOKENS + 1];
            for (sum, place) in self.layers[layer][i / n].iter_mut().zip(places) {
                *sum += f64::from(row[place]);
            }
        }
        Ok(())
    }
}

/// Where the heads of `model` look in random tokens that come a second time. `bos` stands before
/// them, where prompts begin with it. About 400 tokens are run; the same every time.
///
/// # Errors
/// As [`Llama::run`].
pub fn head_types(model: &Llama, bos: Option<u32>) -> Result<HeadTypes> {
    let config = model.config();
    let mut rng = StdRng::seed_from_u64(0);
    let mut sums = PlaceSums { first: 0, layers: Vec::new() };
    for _ in 0..TEXTS {
        let random: Vec<u32> =
            (0..TOKENS).map(|_| rng.random_range(0..config.vocab as u32)).collect();
        let before: Vec<u32> = bos.into_iter().chain(random.iter().copied()).collect();
        let mut cache = model.new_cache(before.len() + TOKENS);
        model.run(&before, &mut cache, before.len(), 0, &mut NoRows)?;
        for part in random.chunks(ROWS) {
            sums.first = cache.len();
            model.run(part, &mut cache, part.len(), part.len(), &mut sums)?;
        }
    }
    let rows = (TEXTS * TOKENS) as f64;
    let share = |which: usize| -> Vec<Vec<f32>> {
        let rounded = |sum: f64| ((sum / rows * 1000.0).round() / 1000.0) as f32;
        let of_layer = |heads: &Vec<[f64; 3]>| heads.iter().map(|s| rounded(s[which])).collect();
        sums.layers.iter().map(of_layer).collect()
    };
    Ok(HeadTypes { previous_token: share(0), duplicate_token: share(1), induction: share(2) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::HeadType;
    use crate::model::Compute;
    use crate::model::planted;

    /// Of the planted model it is known what its heads are.
    #[test]
    fn the_heads_that_were_planted_have_their_types() {
        let model = planted::build(7).unwrap().load(&Compute::cpu()).unwrap();
        let types = head_types(&model, Some(planted::BOS)).unwrap();
        let config = model.config();
        let found: Vec<(usize, usize, HeadType)> = (0..config.layers)
            .flat_map(|layer| (0..config.heads).map(move |head| (layer, head)))
            .filter_map(|(layer, head)| Some((layer, head, types.of(layer, head)?)))
            .collect();
        // 0-2 spreads over the neighbours of the token before, 0-3 looks at the one before that.
        let wanted = [
            (0, 1, HeadType::PreviousToken),
            (0, 2, HeadType::PreviousToken),
            (1, 2, HeadType::Induction),
        ];
        assert_eq!(found, wanted);
        assert!(types.induction[1][2] > 0.95 && types.duplicate_token[1][2] < 0.05, "{types:?}");
    }
}
