//! One token after another over a [`RaggedCache`].

use std::ops::Range;
use std::time::Instant;

use burn::prelude::*;
use burn::tensor::DType;

use super::llama::{Llama, not_finite};
use super::packed::NoRows;
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

/// The next token of one sequence.
pub struct RaggedStep<'a> {
    /// Its id.
    pub id: u32,
    /// What came before.
    pub cache: &'a mut RaggedCache,
    /// Sees its attention rows.
    pub observer: &'a mut dyn RaggedRows,
    /// Seconds that its own attention took are added here.
    pub attention_secs: f64,
}

impl RaggedStep<'_> {
    /// Appends `k` and `v`, `[1, G, 1, D]`, and attends to all with `q`, `[1, H, 1, D]`: outputs,
    /// `[1, H, 1, D]`.
    fn attend(
        &mut self,
        model: &Llama,
        layer: usize,
        q: Tensor<4>,
        [k, v]: [Tensor<4>; 2],
    ) -> Result<Tensor<4>> {
        let start = Instant::now();
        let (heads, dim) = (self.cache.heads(), self.cache.head_dim());
        let (want_rows, readers) = (self.observer.wanted(), heads.readers());
        let want_norms = want_rows && self.observer.projected_norms();
        let values = match want_rows {
            true => read_back::floats(v.clone().cast(DType::F32), "a token's values")?,
            false => vec![],
        };
        let norms = match want_norms {
            true => model.projected_norms(layer, v.clone())?,
            false => vec![],
        };
        let window = model.config().sliding_window[layer];
        let attended = self.cache.attend(layer, [q, k, v], window, want_rows)?;
        for (list, rows) in attended.rows.iter().enumerate() {
            let of_readers = list * readers..(list + 1) * readers;
            let value = NewValue {
                entries: &values[heads.kv_head(list) * dim..][..dim],
                projected_norms: if want_norms { &norms[of_readers] } else { &[] },
            };
            self.observer.rows(layer, list, rows, value)?;
        }
        self.attention_secs += start.elapsed().as_secs_f64();
        Ok(attended.output)
    }
}

impl Llama {
    /// Runs the next token, `id`, at its true position after what `cache` has seen, appends it to
    /// every list and returns the logits, `[V]`. `observer` sees its attention rows.
    ///
    /// # Errors
    /// As [`Llama::decode_together`].
    pub fn decode(
        &self,
        id: u32,
        cache: &mut RaggedCache,
        observer: &mut dyn RaggedRows,
    ) -> Result<Vec<f32>> {
        let step = RaggedStep { id, cache, observer, attention_secs: 0.0 };
        let mut logits = self.decode_together(&mut [step])?;
        logits.pop().ok_or_else(|| Error::bug("a token was not run"))
    }

    /// The same for a token of each of several sequences in one pass, in which weights are read
    /// once for all: the logits, `[V]`, of each.
    ///
    /// After an error in the middle of a pass the caches are of no more use.
    ///
    /// # Errors
    /// [`Error::Bug`] for no sequence, if a cache is another model's or a list has no room,
    /// [`Error::Model`] for an id beyond the vocabulary and logits that are not finite,
    /// [`Error::Resources`] if the device fails, the first error of an observer.
    pub fn decode_together(&self, steps: &mut [RaggedStep]) -> Result<Vec<Vec<f32>>> {
        let c = self.config();
        let ids: Vec<u32> = steps.iter().map(|step| step.id).collect();
        for step in steps.iter() {
            let heads = step.cache.heads();
            let shape = [heads.layers, heads.heads, heads.kv_heads, step.cache.head_dim()];
            if shape != [c.layers, c.heads, c.kv_heads, c.head_dim] {
                return Err(Error::bug("a compressed cache belongs to another model"));
            }
            if step.cache.room() == 0 {
                return Err(Error::bug("a compressed cache has no room for another token")
                    .at(format!("position {}", step.cache.seen())));
            }
        }
        if ids.is_empty() {
            return Err(Error::bug("no sequence goes on"));
        }
        self.check_vocabulary(&ids)?;
        let positions: Vec<usize> = steps.iter().map(|step| step.cache.seen()).collect();
        let ranges: Vec<Range<usize>> = positions.iter().map(|&p| p..p + 1).collect();
        let mut attend = |layer: usize, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>| {
            if let [step] = &mut *steps {
                return step.attend(self, layer, q, [k, v]);
            }
            let own = |x: &Tensor<4>, i| x.clone().narrow(2, i, 1);
            let outputs = steps
                .iter_mut()
                .enumerate()
                .map(|(i, step)| step.attend(self, layer, own(&q, i), [own(&k, i), own(&v, i)]));
            Ok(Tensor::cat(outputs.collect::<Result<_>>()?, 2))
        };
        let (tokens, angles) = (self.tokens(&ids), self.angles(&ranges));
        let hidden = self.decoder().run(tokens, &angles, None, &mut attend, &mut |_, _| Ok(()))?;
        steps.iter_mut().for_each(|step| step.cache.advance());
        let logits = self.logits(hidden)?;
        // The prompts' logits were finite: there is no layer to blame before these tokens'.
        let each = |(logits, position): (&[f32], &usize)| match logits.iter().all(|l| l.is_finite())
        {
            true => Ok(logits.to_vec()),
            false => Err(not_finite(Some(format!("the token at position {position}")))),
        };
        logits.chunks_exact(c.vocab).zip(&positions).map(each).collect()
    }
}
