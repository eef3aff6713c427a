//! Budgets: how many tokens each head may keep.

use crate::cache_heads::{CacheHeads, GroupReduce};
use crate::error::{Error, Result};
use crate::head_matrix::HeadMatrix;

/// How many prompt tokens each stored head keeps, `[L, S]` row-major: the last `window` ones, and
/// `past` of those before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    layers: usize,
    heads: usize,
    window_tokens: usize,
    past_tokens: Vec<u32>,
}

impl Budget {
    /// Takes the tokens besides the window, `[layers * heads]` row-major.
    ///
    /// # Errors
    /// [`Error::Bug`] if the length is wrong.
    pub fn new(
        layers: usize,
        heads: usize,
        window_tokens: usize,
        past_tokens: Vec<u32>,
    ) -> Result<Self> {
        if past_tokens.len() != layers * heads {
            return Err(Error::bug("a budget has the wrong number of heads")
                .got(past_tokens.len())
                .expected(format!("{layers} layers x {heads} heads")));
        }
        Ok(Self { layers, heads, window_tokens, past_tokens })
    }

    /// Layers, `L`.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Stored heads per layer, `S`.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Tokens at the end of the prompt that every head keeps.
    pub fn window_tokens(&self) -> usize {
        self.window_tokens
    }

    /// Tokens before the window that each head keeps, `[L * S]` row-major; what the references
    /// call capacity.
    pub fn past_tokens(&self) -> &[u32] {
        &self.past_tokens
    }

    /// Tokens before the window that one head keeps.
    pub fn past(&self, layer: usize, head: usize) -> usize {
        self.past_tokens[layer * self.heads + head] as usize
    }

    /// Tokens of all heads, with their windows.
    pub fn total_tokens(&self) -> u64 {
        let windows = (self.past_tokens.len() * self.window_tokens) as u64;
        windows + self.past_tokens.iter().map(|n| u64::from(*n)).sum::<u64>()
    }
}

/// What an allocator divides, and what it may look at.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The heads that get a budget.
    pub heads: CacheHeads,
    /// Tokens of the prompt, `T`: no head can keep more. `None` where there is no prompt yet.
    pub prompt_tokens: Option<usize>,
    /// How much, and the method's constants.
    pub options: &'a BudgetOptions,
    /// Scores of the query heads, `[L, H]`.
    pub head_scores: Option<&'a HeadMatrix>,
    /// The prompt's own token scores, one `[S, T - W]` per layer, pooled.
    pub token_scores: Option<&'a [Vec<f32>]>,
}

/// How many tokens, and the constants of the methods under the references' names.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetOptions {
    /// `base_capacity`, `max_capacity_prompts`: tokens per stored head on average, with the window.
    pub capacity_tokens: usize,
    /// The last tokens of the prompt, which all heads keep, `W`.
    pub window_tokens: usize,
    /// HeadKV, DiliLazyKV: one `beta`-th of the budget is the pool that follows the scores.
    pub beta: f64,
    /// HeadKV, DiliLazyKV: exponent of the scores.
    pub temp: f64,
    /// AdaKV: share of the budget that is uniform.
    pub alpha: f64,
    /// PyramidKV: the last layer's past tokens are one `pyramid_beta`-th of the mean.
    pub pyramid_beta: usize,
    /// How query heads' scores become one of their KV head.
    pub reduce: GroupReduce,
    /// As the published code computes it, with its rounding, instead of an exact sum.
    pub reference: bool,
}

/// A way to divide a budget among heads.
pub trait Allocator: Sync {
    /// The name in options, tables and files.
    fn name(&self) -> &'static str;

    /// Names under which the references know it.
    fn aliases(&self) -> &'static [&'static str];

    /// One line for people.
    fn title(&self) -> &'static str;

    /// The formula in ASCII.
    fn formula(&self) -> &'static str;

    /// The paper or code that it comes from.
    fn source(&self) -> &'static str;

    /// The tokens of every head.
    ///
    /// In the default, fair form: window and past tokens of all heads sum up to exactly
    /// `capacity_tokens * L * S` (or to all there are, where the prompt is shorter), no head has
    /// more than the prompt, and what one head cannot use goes to the others.
    ///
    /// # Errors
    /// [`Error::Usage`] for constants out of range, [`Error::Data`] for scores that say nothing
    /// (all zero, negative), [`Error::Bug`] if an input that the method needs is absent.
    fn allocate(&self, request: &Request) -> Result<Budget>;
}
