//! Requests as values, for the tests of allocators.

use super::{Allocator, Budget, BudgetOptions, LayerPlace, Request, UtilityCurves};
use crate::error::Result;
use crate::heads::HeadMatrix;
use crate::heads::{CacheHeads, Granularity};

/// Everything that a [`Request`] borrows.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub heads: CacheHeads,
    pub options: BudgetOptions,
    pub prompt: Option<usize>,
    pub scores: Option<HeadMatrix>,
    pub tokens: Option<Vec<Vec<f32>>>,
    pub utility: Option<UtilityCurves>,
    pub place: Option<LayerPlace>,
}

impl Case {
    /// Query heads without scores.
    pub fn shaped(layers: usize, heads: usize) -> Self {
        let granularity = Granularity::QueryHead;
        Self {
            heads: CacheHeads { layers, heads, kv_heads: heads, granularity },
            options: BudgetOptions::default(),
            prompt: None,
            scores: None,
            tokens: None,
            utility: None,
            place: None,
        }
    }

    /// Query heads with these scores, `[L][H]`.
    pub fn scored(layers: &[&[f32]]) -> Self {
        let (n, heads) = (layers.len(), layers[0].len());
        let scores = HeadMatrix::new(n, heads, layers.concat()).unwrap();
        Self { scores: Some(scores), ..Self::shaped(n, heads) }
    }

    pub fn kv_heads(mut self, kv_heads: usize) -> Self {
        self.heads = CacheHeads { kv_heads, granularity: Granularity::KvHead, ..self.heads };
        self
    }

    pub fn budget(mut self, capacity: usize, window: usize) -> Self {
        (self.options.capacity_tokens, self.options.window_tokens) = (capacity, window);
        self
    }

    pub fn beta(mut self, beta: f64) -> Self {
        self.options.beta = beta;
        self
    }

    pub fn temp(mut self, temp: f64) -> Self {
        self.options.temp = temp;
        self
    }

    pub fn alpha(mut self, alpha: f64) -> Self {
        self.options.alpha = alpha;
        self
    }

    pub fn pyramid_beta(mut self, beta: usize) -> Self {
        self.options.pyramid_beta = beta;
        self
    }

    pub fn reference(mut self) -> Self {
        self.options.reference = true;
        self
    }

    pub fn prompt(mut self, tokens: usize) -> Self {
        self.prompt = Some(tokens);
        self
    }

    pub fn tokens(mut self, scores: Vec<Vec<f32>>) -> Self {
        self.tokens = Some(scores);
        self
    }

    pub fn utility(mut self, curves: UtilityCurves) -> Self {
        self.utility = Some(curves);
        self
    }

    pub fn place(mut self, place: LayerPlace) -> Self {
        self.place = Some(place);
        self
    }

    pub fn allocate(&self, allocator: &dyn Allocator) -> Result<Budget> {
        allocator.allocate(&Request {
            heads: self.heads,
            prompt_tokens: self.prompt,
            options: &self.options,
            head_scores: self.scores.as_ref(),
            token_scores: self.tokens.as_deref(),
            utility: self.utility.as_ref(),
            place: self.place,
        })
    }

    /// The exit code of the failure.
    pub fn error(&self, allocator: &dyn Allocator) -> u8 {
        self.allocate(allocator).unwrap_err().exit_code()
    }
}

/// Tokens before the window, row-major.
pub(super) fn past(allocator: &dyn Allocator, case: &Case) -> Vec<u32> {
    case.allocate(allocator).unwrap().past_tokens().to_vec()
}
