//! One pass of the decoder over tokens of one sequence or of several side by side.
//!
//! ```text
//! tokens      a a a a a b b c c c      one matrix: products see no sequences, no padding
//! attention   [a  . . . . ][b ][c .]   each over its own cache, the new tokens included
//! ```
//!
//! Behind the last layer only a few tokens are of use: the last of each sequence, and those whose
//! rows are captured. The others end in the last layer with their keys and values.

use std::ops::Range;

use burn::prelude::*;

use super::decoder::Attend;
use super::llama::Llama;
use super::ops::picked;
use super::packed::PackedSequence;
use super::rope::Angles;
use crate::error::Result;

impl Llama {
    /// Runs all `sequences` in one pass; the residual stream behind the last layer, `[m, hidden]`,
    /// of the tokens that are followed there, one sequence behind the other. `after(layer, x)` sees
    /// the residual stream after every layer.
    ///
    /// # Errors
    /// The first error of a sink or of `after`. Caches then hold what they held.
    pub(super) fn run_packed(
        &self,
        sequences: &mut [PackedSequence],
        after: &mut dyn FnMut(usize, &Tensor<2>) -> Result<()>,
    ) -> Result<Tensor<2>> {
        let (config, on_host) = (self.config(), self.compute().on_host);
        let ids: Vec<u32> = sequences.iter().flat_map(|s| s.ids).copied().collect();
        let (mut positions, mut all, mut followed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut token, mut followed_tokens) = (0, 0);
        for s in sequences.iter() {
            let (n, last) = (s.ids.len(), s.followed());
            positions.push(s.cache.len()..s.cache.len() + n);
            all.push(token..token + n);
            token += n;
            followed.push(token - last..token);
            followed_tokens += last;
        }
        // Nothing to leave out, as in a step of answers.
        let wanted = (followed_tokens < token).then_some(&followed[..]);
        let ends = one_behind_another(if wanted.is_some() { &followed } else { &all });
        let mut attend = |layer, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>| {
            let queries = if layer + 1 == config.layers { &ends } else { &all };
            let alone = sequences.len() == 1;
            let own = |x: &Tensor<4>, range: &Range<usize>| match alone {
                true => x.clone(),
                false => picked(x.clone(), 2, std::slice::from_ref(range)),
            };
            let mut outputs = Vec::with_capacity(sequences.len());
            for ((s, tokens), queries) in sequences.iter_mut().zip(&all).zip(queries) {
                let held = s.cache.append(layer, own(&k, tokens), own(&v, tokens));
                let window = config.sliding_window[layer];
                outputs.push(s.attend(layer, own(&q, queries), held, window, on_host)?);
            }
            Ok(match alone {
                true => outputs.swap_remove(0),
                false => Tensor::cat(outputs, 2),
            })
        };
        let angles = self.angles(&positions);
        let hidden = self.decoder().run(self.tokens(&ids), &angles, wanted, &mut attend, after)?;
        for s in sequences {
            s.cache.advance(s.ids.len());
        }
        Ok(hidden)
    }

    /// Runs all `sequences` in one pass, and returns the logits, `[V]`, after the last tokens of
    /// those at the places `ending`. Each captures one row or none.
    ///
    /// # Errors
    /// As [`Llama::run`]; but logits that are not finite are handed on.
    pub(crate) fn run_together(
        &self,
        sequences: &mut [PackedSequence],
        ending: &[usize],
    ) -> Result<Vec<Vec<f32>>> {
        for s in sequences.iter() {
            self.check_ids(s.ids, s.cache)?;
        }
        let hidden = self.run_packed(sequences, &mut |_, _| Ok(()))?;
        if ending.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<Range<usize>> = ending.iter().map(|&i| i..i + 1).collect();
        let hidden = match ending.len() == sequences.len() {
            true => hidden,
            false => picked(hidden, 0, &places),
        };
        let logits = self.logits(hidden)?;
        Ok(logits.chunks_exact(self.config().vocab).map(<[f32]>::to_vec).collect())
    }

    /// One pass over `ids`, the first of which stands at position `start`; hidden states,
    /// `[followed, hidden]`, of the last of them. `attend` as in [`Decoder::run`].
    ///
    /// [`Decoder::run`]: super::decoder::Decoder::run
    pub(super) fn pass(
        &self,
        ids: &[u32],
        start: usize,
        followed: usize,
        attend: Attend,
    ) -> Result<Tensor<2>> {
        let (n, angles) = (ids.len(), self.angles(&[start..start + ids.len()]));
        let last = [n - followed..n];
        let wanted = (followed < n).then_some(&last[..]);
        self.decoder().run(self.tokens(ids), &angles, wanted, attend, &mut |_, _| Ok(()))
    }

    /// Angles of positions, one range behind the other, for every device.
    pub(super) fn angles(&self, positions: &[Range<usize>]) -> Angles {
        let positions: Vec<f32> = positions.iter().cloned().flatten().map(|p| p as f32).collect();
        self.rope().angles(&positions, 1, self.compute().devices())
    }

    /// `ids` on the device, `[1, n]`.
    pub(super) fn tokens(&self, ids: &[u32]) -> Tensor<2, Int> {
        let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
        let shape = [1, ids.len()];
        Tensor::from_data(TensorData::new(ids, shape), &self.compute().device)
    }

    /// `ids` cut into passes of at most `chunk` tokens.
    pub(super) fn parts<'a>(
        &self,
        ids: &'a [u32],
        chunk: usize,
    ) -> impl Iterator<Item = &'a [u32]> {
        cut(ids, pass_lengths(ids.len(), chunk, self.compute().query_block))
    }

    /// The same, but that the last `together` ids are in one pass, however many.
    pub(super) fn parts_with_end<'a>(
        &self,
        ids: &'a [u32],
        chunk: usize,
        together: usize,
    ) -> impl Iterator<Item = &'a [u32]> {
        let mut lengths = pass_lengths(ids.len(), chunk, self.compute().query_block);
        while let [.., last_but_one, last] = lengths[..]
            && last < together
        {
            lengths.truncate(lengths.len() - 2);
            lengths.push(last_but_one + last);
        }
        cut(ids, lengths)
    }
}

/// How many tokens each range has, as ranges one behind the other.
fn one_behind_another(ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut from = 0;
    let next = |r: &Range<usize>| {
        from += r.len();
        from - r.len()..from
    };
    ranges.iter().map(next).collect()
}

/// `ids` in pieces of these lengths.
fn cut(ids: &[u32], lengths: Vec<usize>) -> impl Iterator<Item = &[u32]> {
    let mut rest = ids;
    lengths.into_iter().map(move |n| {
        let (part, after) = rest.split_at(n);
        rest = after;
        part
    })
}

/// How many of `tokens` each pass takes: at most `chunk`, multiples of `block`, and what remains,
/// less than a block, at last. A `chunk` smaller than a block is taken as it is.
pub(crate) fn pass_lengths(tokens: usize, chunk: usize, block: usize) -> Vec<usize> {
    let chunk = chunk.max(1);
    let block = if chunk < block { chunk } else { block };
    let (whole, rest) = (tokens - tokens % block, tokens % block);
    let chunk = chunk - chunk % block;
    let mut lengths = vec![chunk; whole / chunk];
    lengths.extend([whole % chunk, rest].into_iter().filter(|n| *n > 0));
    lengths
}

#[cfg(test)]
mod tests;
