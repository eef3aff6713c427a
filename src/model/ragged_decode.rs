//! One token after another over a [`RaggedCache`].

use burn::prelude::*;
use burn::tensor::DType;

use super::llama::{Llama, NoRows, not_finite};
use super::ragged_cache::RaggedCache;
use super::read_back;
use crate::error::{Error, Result};

/// The value that a new token adds to a list.
#[derive(Debug, Clone, Copy)]
pub struct NewValue<'a> {
    /// It, `[D]`.
    pub entries: &'a [f32],
    /// `‖v · O_h‖₁` in each query head that reads the list, `[readers]`, as
    /// [`Llama::projected_value_norms`]; empty unless [`RaggedRows::projected_norms`].
    pub projected_norms: &'a [f32],
}

/// Receives the attention rows of a query over what each head has kept.
pub trait RaggedRows {
    /// Whether it wants them at all; they travel only if so.
    fn wanted(&self) -> bool {
        true
    }

    /// Whether it wants the norms of projected values; they are computed only if so.
    fn projected_norms(&self) -> bool {
        false
    }

    /// The rows, `[readers, len]` row-major in f32, of the query heads that share list `list` of
    /// `layer`. Entry `i` of a row is the weight of slot `i`; the last is the new token's own. Keys
    /// outside a sliding window have weight 0. `value` is what the new token adds to the list.
    ///
    /// # Errors
    /// If the rows cannot be used; the step ends with that error.
    fn rows(&mut self, layer: usize, list: usize, rows: &[f32], value: NewValue) -> Result<()>;
}

impl RaggedRows for NoRows {
    fn wanted(&self) -> bool {
        false
    }

    fn rows(&mut self, _: usize, _: usize, _: &[f32], _: NewValue) -> Result<()> {
        Ok(())
    }
}

impl Llama {
    /// Runs the next token, `id`, at its true position after what `cache` has seen, appends it to
    /// every list and returns the logits, `[V]`. `observer` sees its attention rows.
    ///
    /// After an error in the middle of a step the cache is of no more use.
    ///
    /// # Errors
    /// [`Error::Bug`] if the cache is another model's or a list has no room, [`Error::Model`] for an
    /// id beyond the vocabulary and logits that are not finite, [`Error::Resources`] if the device
    /// fails, the first error of `observer`.
    pub fn decode(
        &self,
        id: u32,
        cache: &mut RaggedCache,
        observer: &mut dyn RaggedRows,
    ) -> Result<Vec<f32>> {
        let (c, heads) = (self.config(), cache.heads());
        let shape = [heads.layers, heads.heads, heads.kv_heads, cache.head_dim()];
        if shape != [c.layers, c.heads, c.kv_heads, c.head_dim] {
            return Err(Error::bug("a compressed cache belongs to another model"));
        }
        if cache.room() == 0 {
            return Err(Error::bug("a compressed cache has no room for another token")
                .at(format!("position {}", cache.seen())));
        }
        self.check_vocabulary(&[id])?;
        let (position, want_rows) = (cache.seen(), observer.wanted());
        let (want_norms, readers) = (want_rows && observer.projected_norms(), heads.readers());
        let mut attend = |layer: usize, q, k, v: Tensor<4>| {
            let window = c.sliding_window[layer];
            let values = match want_rows {
                true => read_back::floats(v.clone().cast(DType::F32), "a token's values")?,
                false => vec![],
            };
            let norms = match want_norms {
                true => self.projected_norms(layer, v.clone())?,
                false => vec![],
            };
            let attended = cache.attend(layer, [q, k, v], window, want_rows)?;
            for (list, rows) in attended.rows.iter().enumerate() {
                let of_readers = list * readers..(list + 1) * readers;
                let value = NewValue {
                    entries: &values[heads.kv_head(list) * c.head_dim..][..c.head_dim],
                    projected_norms: if want_norms { &norms[of_readers] } else { &[] },
                };
                observer.rows(layer, list, rows, value)?;
            }
            Ok(attended.output)
        };
        let hidden = self.pass(&[id], position, 1, &mut attend)?;
        cache.advance();
        let logits = self.logits(hidden)?;
        match logits.iter().all(|l| l.is_finite()) {
            true => Ok(logits),
            // The prompt's logits were finite: there is no layer to blame before this token's.
            false => Err(not_finite(Some(format!("the token at position {position}")))),
        }
    }
}
