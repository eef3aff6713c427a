//! [`Kept`]: the tokens that survive.

use crate::cache_heads::CacheHeads;
use crate::error::{Error, Result};

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
