//! [`TokenStats`]: what the prefill of one prompt says about each of its tokens.

use std::collections::{BTreeMap, BTreeSet};

use super::{EvictionOptions, ValueNorm};
use crate::error::{Error, Result};
use crate::heads::CacheHeads;
use crate::score::ReplayedTokens;

/// The queries whose rows of attention are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueryRows {
    /// The last so many of the prompt; all, if it has fewer.
    Last(usize),
    /// All of the prompt's.
    All,
}

/// What a run has to record; the union of what its methods need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Sums of attention to record, each once.
    pub row_sums: BTreeSet<QueryRows>,
    /// Whether norms of the values are needed.
    pub value_norms: bool,
    /// Whether norms of the values behind the output projection are needed; they cost a product of
    /// matrices per layer.
    pub projected_norms: bool,
    /// Whether the context is to be replayed behind the prompt, which is about as much work again.
    /// A prefill does not: whoever runs it does.
    pub replay: bool,
}

/// Norms of the values, `[L, G, T]` each, of the value projection's output, before the output
/// projection.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueNorms {
    /// Sums of absolute entries.
    pub l1: Vec<f32>,
    /// Euclidean lengths.
    pub l2: Vec<f32>,
    /// Largest absolute entries.
    pub linf: Vec<f32>,
}

/// What eviction methods see of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenStats {
    /// Layers, `L`.
    pub layers: usize,
    /// Query heads, `H`.
    pub heads: usize,
    /// KV heads, `G`.
    pub kv_heads: usize,
    /// Tokens of the prompt, `T`.
    pub tokens: usize,
    /// Attention that each token receives, summed over the rows, `[L, H, T]`. Each row is a softmax
    /// over all keys that its query sees.
    pub row_sums: BTreeMap<QueryRows, Vec<f32>>,
    /// Norms of the values, where wanted.
    pub value_norms: Option<ValueNorms>,
    /// Norms of the values behind each query head's part of the output projection, `[L, H, T]`,
    /// where wanted; [`ValueNorm::Projected`].
    pub projected_norms: Option<Vec<f32>>,
    /// What a replay of the context gives to its tokens, where wanted.
    pub replayed: Option<ReplayedTokens>,
}

impl Wanted {
    /// Adds what `other` needs.
    pub fn add(&mut self, other: &Self) {
        self.row_sums.extend(&other.row_sums);
        self.value_norms |= other.value_norms;
        self.projected_norms |= other.projected_norms;
        self.replay |= other.replay;
    }
}

impl TokenStats {
    /// Checks that these are statistics of a model with `heads`.
    ///
    /// # Errors
    /// [`Error::Bug`]: both come from the same model.
    pub fn check(&self, heads: &CacheHeads) -> Result<()> {
        let got = (self.layers, self.heads, self.kv_heads);
        let expected = (heads.layers, heads.heads, heads.kv_heads);
        if got != expected {
            return Err(Error::bug("token statistics of other heads")
                .got(format!("{got:?} layers, heads, KV heads"))
                .expected(format!("{expected:?}")));
        }
        Ok(())
    }

    /// Tokens before the window, `N = T - W`; 0 in a prompt that is no longer than it.
    pub(super) fn before_window(&self, options: &EvictionOptions) -> usize {
        self.tokens.saturating_sub(options.budget.window_tokens)
    }

    /// Puts the layers of `next`, statistics of the same prompt, behind these.
    pub fn append_layers(&mut self, next: Self) {
        self.layers += next.layers;
        for (rows, sums) in next.row_sums {
            self.row_sums.entry(rows).or_default().extend(sums);
        }
        if let (Some(norms), Some(next)) = (&mut self.value_norms, next.value_norms) {
            norms.l1.extend(next.l1);
            norms.l2.extend(next.l2);
            norms.linf.extend(next.linf);
        }
        if let (Some(norms), Some(next)) = (&mut self.projected_norms, next.projected_norms) {
            norms.extend(next);
        }
        if let (Some(replayed), Some(next)) = (&mut self.replayed, next.replayed) {
            replayed.most.extend(next.most);
        }
    }

    /// The attention that each token of a layer receives from `rows`, `[H, T]`.
    ///
    /// # Errors
    /// [`Error::Bug`] if it was not recorded.
    pub fn row_sums(&self, rows: QueryRows, layer: usize) -> Result<&[f32]> {
        let n = self.heads * self.tokens;
        let sums = self.row_sums.get(&rows).and_then(|all| all.get(layer * n..(layer + 1) * n));
        sums.ok_or_else(|| {
            Error::bug("attention sums were not recorded").at(format!("layer {layer}, {rows:?}"))
        })
    }

    /// The value norms of a layer, `[G, T]`; of [`ValueNorm::Projected`] `[H, T]`.
    ///
    /// # Errors
    /// [`Error::Bug`] if they were not recorded, or no norm is asked for.
    pub fn value_norms(&self, norm: ValueNorm, layer: usize) -> Result<&[f32]> {
        let plain = self.value_norms.as_ref();
        let (heads, norms) = match norm {
            ValueNorm::L1 => (self.kv_heads, plain.map(|norms| &norms.l1)),
            ValueNorm::L2 => (self.kv_heads, plain.map(|norms| &norms.l2)),
            ValueNorm::LInf => (self.kv_heads, plain.map(|norms| &norms.linf)),
            ValueNorm::Projected => (self.heads, self.projected_norms.as_ref()),
            ValueNorm::Off => (0, None),
        };
        let n = heads * self.tokens;
        norms
            .and_then(|all| all.get(layer * n..(layer + 1) * n))
            .ok_or_else(|| Error::bug("value norms were not recorded").at(format!("layer {layer}")))
    }
}
