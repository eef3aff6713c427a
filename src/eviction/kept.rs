//! [`Kept`]: the tokens that survive.

use super::top_k::top_k_behind;
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::heads::CacheHeads;

/// The positions that each stored head keeps, `[L, S]` lists in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    heads: CacheHeads,
    tokens: usize,
    positions: Vec<Vec<u32>>,
}

impl Kept {
    /// Takes the lists of a prompt of `tokens` tokens, `[L * S]` row-major.
    ///
    /// # Errors
    /// [`Error::Bug`] if there are not `L * S` lists, or one is empty, not strictly ascending or
    /// reaches beyond the prompt.
    pub fn new(heads: CacheHeads, tokens: usize, positions: Vec<Vec<u32>>) -> Result<Self> {
        if positions.len() != heads.layers * heads.stored() {
            return Err(Error::bug("lists of kept tokens do not match the heads")
                .got(positions.len())
                .expected(heads.layers * heads.stored()));
        }
        let wrong = |list: &Vec<u32>| {
            list.last().is_none_or(|last| *last as usize >= tokens)
                || list.windows(2).any(|pair| pair[0] >= pair[1])
        };
        if let Some(head) = positions.iter().position(wrong) {
            return Err(Error::bug("a list of kept tokens is empty, unordered or too long")
                .at(format!("layer {}, head {}", head / heads.stored(), head % heads.stored())));
        }
        Ok(Self { heads, tokens, positions })
    }

    /// The best tokens before the window, as many as the budget gives each head, and the window.
    /// `scores` has `[S, T - W]` per layer; the first `protected` tokens come before all others. A
    /// head with a larger budget than there are tokens keeps them all.
    ///
    /// # Errors
    /// [`Error::Bug`] if budget or scores are of other heads, or the prompt is not longer than the
    /// window.
    pub fn best(
        heads: CacheHeads,
        tokens: usize,
        scores: &[Vec<f32>],
        budget: &Budget,
        protected: usize,
    ) -> Result<Self> {
        let stored = heads.stored();
        let before_window = tokens.saturating_sub(budget.window_tokens());
        let alike = (budget.layers(), budget.heads()) == (heads.layers, stored)
            && scores.len() == heads.layers
            && scores.iter().all(|layer| layer.len() == stored * before_window);
        if !alike || before_window == 0 {
            return Err(Error::bug("token scores, budget and heads do not go together")
                .got(format!(
                    "scores of {} layers, a budget of {} x {} heads, {before_window} tokens",
                    scores.len(),
                    budget.layers(),
                    budget.heads()
                ))
                .expected(format!("{} x {stored} heads", heads.layers)));
        }
        let window = before_window as u32..tokens as u32;
        let mut positions = Vec::with_capacity(heads.layers * stored);
        for (layer, scores) in scores.iter().enumerate() {
            for (s, row) in scores.chunks(before_window).enumerate() {
                let mut list = top_k_behind(protected, row, budget.past(layer, s));
                list.extend(window.clone());
                positions.push(list);
            }
        }
        Self::new(heads, tokens, positions)
    }

    /// Puts layers of one prompt together.
    ///
    /// # Errors
    /// [`Error::Bug`] if there are none, or they are of different prompts or heads.
    pub fn of_layers(layers: Vec<Self>) -> Result<Self> {
        let mut layers = layers.into_iter();
        let mut all = layers.next().ok_or_else(|| Error::bug("no layers of kept tokens"))?;
        for next in layers {
            let heads = CacheHeads { layers: all.heads.layers, ..next.heads };
            if (heads, next.tokens) != (all.heads, all.tokens) {
                return Err(Error::bug("kept tokens of different prompts or heads"));
            }
            all.heads.layers += next.heads.layers;
            all.positions.extend(next.positions);
        }
        Ok(all)
    }

    /// Every token in every head.
    pub fn all(heads: CacheHeads, tokens: usize) -> Self {
        let list: Vec<u32> = (0..tokens as u32).collect();
        Self { heads, tokens, positions: vec![list; heads.layers * heads.stored()] }
    }

    /// Whose lists these are.
    pub fn heads(&self) -> CacheHeads {
        self.heads
    }

    /// Tokens of the prompt, `T`.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// What one stored head keeps, ascending.
    pub fn positions(&self, layer: usize, head: usize) -> &[u32] {
        &self.positions[layer * self.heads.stored() + head]
    }

    /// Tokens kept, over all heads.
    pub fn total_tokens(&self) -> u64 {
        self.positions.iter().map(|list| list.len() as u64).sum()
    }
}
