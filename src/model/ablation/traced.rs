//! [`TracedPrompt`]: a prompt that was run once, to be run again with heads off.
//!
//! Nothing before the first head that is off changes: not the tokens before `from`, not the layers
//! below. The states between two layers that runs begin at are kept, `[n, hidden]` each, and so is
//! the cache of the whole prompt, of which every run gets a fork.

use std::collections::{BTreeMap, BTreeSet};

use burn::prelude::*;

use super::Ablation;
use crate::error::{Error, Result};
use crate::model::llama::not_finite;
use crate::model::packed::{NoRows, PackedSequence};
use crate::model::rope::Angles;
use crate::model::{KvCache, Llama};

/// A prompt, run with all heads on.
pub struct TracedPrompt<'a> {
    model: &'a Llama,
    /// Those over the tokens that are run again.
    passes: Vec<TracedPass>,
    from: usize,
    cache: KvCache,
    logits: Vec<f32>,
}

struct TracedPass {
    ids: Vec<u32>,
    angles: Angles,
    /// What layers begin with, `[n, hidden]`.
    inputs: BTreeMap<usize, Tensor<2>>,
}

impl<'a> TracedPrompt<'a> {
    /// Runs `prompt`, `chunk` tokens at a time, in a cache with room for `room` more. Heads may be
    /// switched off for its tokens `from` and up, in one of `layers` or above.
    ///
    /// # Errors
    /// [`Error::Bug`] if nothing is left to run again; as [`Llama::run`].
    pub fn run(
        model: &'a Llama,
        prompt: &[u32],
        from: usize,
        layers: &BTreeSet<usize>,
        room: usize,
        chunk: usize,
    ) -> Result<Self> {
        if from >= prompt.len() {
            return Err(Error::bug("no token of a prompt is left to run with heads off")
                .got(format!("{from} of {}", prompt.len())));
        }
        let mut cache = model.new_cache(prompt.len() + room);
        if from > 0 {
            model.run(&prompt[..from], &mut cache, chunk, 0, &mut NoRows)?;
        }
        let (mut passes, mut last) = (Vec::new(), None);
        for ids in model.parts(&prompt[from..], chunk) {
            model.check_ids(ids, &cache)?;
            let angles = model.angles(&[cache.len()..cache.len() + ids.len()]);
            let mut inputs = BTreeMap::new();
            if layers.contains(&0) {
                inputs.insert(0, model.decoder().embed(model.tokens(ids)));
            }
            let mut after = |layer: usize, x: &Tensor<2>| {
                if layers.contains(&(layer + 1)) {
                    inputs.insert(layer + 1, x.clone());
                }
                Ok(())
            };
            let sequence = PackedSequence {
                ids,
                cache: &mut cache,
                followed: 1,
                captured: 0,
                sink: &mut NoRows,
                ablation: None,
            };
            last = Some(model.run_packed(&mut [sequence], &mut after)?);
            passes.push(TracedPass { ids: ids.to_vec(), angles, inputs });
        }
        let last = last.ok_or_else(|| Error::bug("a prompt without tokens was run"))?;
        let logits = finite(model.logits(last)?)?;
        Ok(Self { model, passes, from, cache, logits })
    }

    /// Tokens of the prompt.
    pub fn tokens(&self) -> usize {
        self.cache.len()
    }

    /// The prompt's cache and the logits, `[V]`, after its last token, with all heads on.
    pub fn as_it_is(&self) -> (KvCache, Vec<f32>) {
        (self.cache.clone(), self.logits.clone())
    }

    /// The same with heads off.
    ///
    /// # Errors
    /// [`Error::Bug`] for a layer that the prompt was not run for; [`Error::Model`] for numbers
    /// that are not finite.
    pub fn without(&self, ablation: &Ablation) -> Result<(KvCache, Vec<f32>)> {
        let (layers, first) = (self.model.config().layers, ablation.first_layer());
        if first >= layers {
            return Ok(self.as_it_is());
        }
        let mut cache = self.cache.clone();
        cache.rewind(self.from);
        let mut last = None;
        for pass in &self.passes {
            let (start, x) = pass.inputs.range(..=first).next_back().ok_or_else(|| {
                Error::bug("a prompt is not kept from a layer on").got(format!("layer {first}"))
            })?;
            last = Some(self.layers_from(*start, x.clone(), pass, &mut cache, ablation)?);
            cache.advance(pass.ids.len());
        }
        let last = last.ok_or_else(|| Error::bug("a prompt without tokens was run"))?;
        Ok((cache, finite(self.model.logits(last)?)?))
    }

    /// The state behind the last layer, `[1, hidden]`, of the last token of `pass`, whose states
    /// before layer `start` are `x`.
    fn layers_from(
        &self,
        start: usize,
        x: Tensor<2>,
        pass: &TracedPass,
        cache: &mut KvCache,
        ablation: &Ablation,
    ) -> Result<Tensor<2>> {
        let (config, on_host) = (self.model.config(), self.model.compute().on_host);
        let n = pass.ids.len();
        let last = [n - 1..n];
        let mut x = x;
        for layer in start..config.layers {
            let wanted = (layer + 1 == config.layers && n > 1).then_some(&last[..]);
            let mut attend = |layer: usize, q: Tensor<4>, k, v| {
                let held = cache.append(layer, k, v);
                let mut sequence = PackedSequence {
                    ids: &pass.ids,
                    cache,
                    followed: 1,
                    captured: 0,
                    sink: &mut NoRows,
                    ablation: Some(ablation),
                };
                sequence.attend(layer, q, held, config.sliding_window[layer], on_host)
            };
            x = self.model.decoder().layer(layer, x, 1, &pass.angles, wanted, &mut attend)?;
        }
        Ok(x)
    }
}

/// `logits`, if all of them are numbers.
fn finite(logits: Vec<f32>) -> Result<Vec<f32>> {
    match logits.iter().all(|logit| logit.is_finite()) {
        true => Ok(logits),
        false => Err(not_finite(None)),
    }
}
