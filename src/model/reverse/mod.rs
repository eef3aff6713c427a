//! What every head's output does for an answer: a reverse pass of our own, as the way up goes
//! through kernels and stored weights that a library's gradients do not see.
//!
//! ```text
//! the prompt's tokens but the last: keys and values in the cache, constant
//! n rows: the prompt's last token, the answer's tokens but the last
//!
//! up    x ─► norm ─► q, k, v ─► attention ─► heads' outputs ─► O ─► + ─► norm ─► MLP ─► + ─► … ─► logits
//! down  x ◄─ norm ◄─ q, k, v ◄─ attention ◄─ gradient ◄─────── Oᵀ ◄ + ◄─ norm ◄─ MLP ◄─ + ◄─ … ◄─ ln p(answer)
//!                                             · output, added up over rows: the attribution
//! ```
//!
//! Only the n rows are gone through, as no token sees a later one: what stands before them is the
//! same whatever they are. The gradient is that of the whole computation over these rows, all in
//! f32: also through the keys and values that a row gives to those behind it. Every weight is read
//! once on the way up and once on the way down.

mod attention;
mod layer;
mod norm;

#[cfg(test)]
mod tests;

use burn::prelude::*;
use burn::tensor::DType;

use super::KvCache;
use super::decoder::{Linear, brought_to};
use super::llama::{Llama, not_finite};
use super::ops::{product_transposed, products};
use super::read_back;
use crate::error::{Error, Result};
use crate::heads::HeadMatrix;
use layer::LayerRun;
use norm::NormRun;

/// Rows whose logits exist at a time.
const LOGITS_AT_ONCE: usize = 64;

/// What heads do for an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Attributed {
    /// The natural logarithm of the answer's probability behind the prompt, all tokens together.
    pub log_probability: f64,
    /// Per head, in nats: its output times the gradient of the log-probability there, added up over
    /// the rows that produce the answer, `[L, H]`.
    pub heads: HeadMatrix,
}

impl Llama {
    /// By how much the log-probability of `answer`, ids, behind `prompt` would drop without each
    /// head's output in the rows that produce the answer, in nats, to first order: gradient times
    /// output (Michel et al. 2019, <https://arxiv.org/abs/1905.10650>; attribution patching, Nanda
    /// 2023). Below 0 the answer would be more likely.
    ///
    /// `cache` holds the prompt's tokens, at least all but the last, and is left as it is. It costs
    /// two to three passes over as many tokens as the answer has.
    ///
    /// # Errors
    /// [`Error::Bug`] for an answer without ids, a prompt of less than two or a cache that does not
    /// hold it; [`Error::Model`] for ids beyond the vocabulary and numbers that are not finite;
    /// [`Error::Resources`] if the device fails.
    pub fn attributed(
        &self,
        prompt: &[u32],
        answer: &[u32],
        cache: &KvCache,
    ) -> Result<Attributed> {
        let before = prompt.len().saturating_sub(1);
        if before == 0 || cache.len() < before || answer.is_empty() {
            return Err(Error::bug("there is nothing to attribute an answer to")
                .got(format!(
                    "a prompt of {} tokens, {} of them run, an answer of {}",
                    prompt.len(),
                    cache.len(),
                    answer.len()
                ))
                .expected("two, one and one at least"));
        }
        let ids = [&prompt[before..], &answer[..answer.len() - 1]].concat();
        self.check_vocabulary(&ids)?;
        self.check_vocabulary(answer)?;
        let (config, decoder) = (self.config(), self.decoder());
        let angles = self.angles(&[before..before + ids.len()]);
        let mut x = decoder.embed(self.tokens(&ids)).cast(DType::F32);
        let mut runs = Vec::with_capacity(config.layers);
        for (i, layer) in decoder.layers.iter().enumerate() {
            let held = cache.held(i, before);
            let (run, out) = LayerRun::new(layer, config, x, &angles, held, i);
            runs.push(run);
            x = out;
        }
        let (log_probability, mut gradient) = self.of_answer(x, answer)?;
        let mut values = vec![0.0; config.layers * config.heads];
        for (i, run) in runs.into_iter().enumerate().rev() {
            let (stream, outputs) = run.to_outputs(gradient);
            let rows = (outputs.clone() * run.outputs.clone()).sum_dim(3);
            let rows = read_back::floats(rows, "gradients of heads")?;
            let own = &mut values[i * config.heads..][..config.heads];
            for (value, rows) in own.iter_mut().zip(rows.chunks_exact(ids.len())) {
                *value = rows.iter().map(|row| f64::from(*row)).sum::<f64>() as f32;
            }
            if i == 0 {
                break;
            }
            gradient = run.to_input(stream, outputs);
        }
        let heads = HeadMatrix::new(config.layers, config.heads, values)?;
        Ok(Attributed { log_probability, heads })
    }

    /// The natural logarithm of the probability of `answer`, and its gradient, `[n, hidden]`, to
    /// the states behind the last layer, `[n, hidden]`, of the rows that produce it.
    fn of_answer(&self, hidden: Tensor<2>, answer: &[u32]) -> Result<(f64, Tensor<2>)> {
        let (decoder, vocab) = (self.decoder(), self.config().vocab);
        let device = decoder.norm.weight.val().device();
        let (normed, norm) = NormRun::new(Some(&decoder.norm), brought_to(hidden, &device));
        let embedding = decoder.embedding.val();
        let (mut sum, mut gradients) = (0.0, Vec::new());
        for (some, ids) in
            normed.split(LOGITS_AT_ONCE, 0).into_iter().zip(answer.chunks(LOGITS_AT_ONCE))
        {
            let rows = ids.len();
            let logits = match &decoder.output {
                Some(output) => output.forward(some),
                None => product_transposed(brought_to(some, &embedding.device()), &embedding),
            };
            let there = logits.device();
            let mut logits = read_back::floats(logits, "logits")?;
            for (logits, id) in logits.chunks_exact_mut(vocab).zip(ids) {
                sum += to_gradient(logits, *id);
            }
            let data = TensorData::new(logits, [rows, vocab]);
            let gradient = Tensor::from_data(data, (&there, DType::F32));
            let gradient = match &decoder.output {
                Some(output) => back_through(output, gradient),
                None => {
                    let [gradient] = products(&gradient, [&embedding]);
                    brought_to(gradient, &device)
                }
            };
            gradients.push(gradient);
        }
        match sum.is_finite() {
            true => Ok((sum, norm.back(Tensor::cat(gradients, 0)))),
            false => Err(not_finite(None)),
        }
    }
}

/// The natural logarithm of what `logits`, `[V]`, make of `id`; in their place its gradient to
/// them: 1 for `id`, less the probability of each.
fn to_gradient(logits: &mut [f32], id: u32) -> f64 {
    let id = id as usize;
    let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - most).exp()).sum();
    let log_probability = f64::from(logits[id]) - most - sum.ln();
    for (i, logit) in logits.iter_mut().enumerate() {
        let probability = (f64::from(*logit) - most).exp() / sum;
        *logit = (f64::from(u8::from(i == id)) - probability) as f32;
    }
    log_probability
}

/// The gradient, `[n, in]`, to what `linear` was given, from that to what it made, `[n, out]`.
fn back_through(linear: &Linear, gradient: Tensor<2>) -> Tensor<2> {
    product_transposed(gradient, &linear.weight.val())
}
