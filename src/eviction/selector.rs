//! [`Selector`]: what a method keeps of a prompt, one layer after the other.
//!
//! Most budgets are known before the prompt is read, and where they follow the prompt's own token
//! scores, no layer's budget depends on another's. A layer can therefore be chosen from as soon as
//! all tokens have passed it, and its other keys and values need not wait for the layers above.

use super::method::Rule;
use super::{EvictionOptions, HeadEvidence, Kept, Method, TokenStats};
use crate::budget::{Budget, LayerPlace, Needs, Request};
use crate::error::{Error, Result};
use crate::heads::CacheHeads;

/// A method that is ready for the layers of one prompt.
///
/// A prompt that fits into the capacity is kept whole, by every method. In a reference form an
/// allocator may give a head more than there is; it keeps what there is.
#[derive(Clone)]
pub struct Selector {
    heads: CacheHeads,
    tokens: usize,
    options: EvictionOptions,
    protected: usize,
    plan: LayerBudgets,
}

#[derive(Clone)]
enum LayerBudgets {
    /// Nothing is evicted.
    Everything,
    /// The budget of all layers is known.
    Known(Rule, Budget),
    /// Each layer's budget follows its token scores.
    ByLayer(Rule),
}

impl Selector {
    /// For a prompt of `tokens` tokens.
    ///
    /// # Errors
    /// [`Error::Usage`] for options out of range and for head scores or utility curves that are
    /// needed and absent, [`Error::Data`] for ones that say nothing.
    pub fn new(
        method: &Method,
        tokens: usize,
        heads: CacheHeads,
        evidence: HeadEvidence,
        options: &EvictionOptions,
    ) -> Result<Self> {
        method.check(options)?;
        let options = options.clone();
        let absent = |what: &str, file: &str| {
            let error = Error::usage(format!("the method needs {what}"));
            Err(error.at(method.name()).got("none").expected(file))
        };
        let everything = options.budget.capacity_tokens >= tokens;
        let plan = match method.rule {
            None => LayerBudgets::Everything,
            Some(rule) => match rule.allocator.needs() {
                Needs::HeadScores if evidence.scores.is_none() => {
                    return absent("head scores", "a head_score file");
                }
                Needs::Utility if evidence.utility.is_none() => {
                    return absent("utility curves", "curves of the model's stored heads");
                }
                _ if everything => LayerBudgets::Everything,
                Needs::TokenScores => LayerBudgets::ByLayer(rule),
                _ => LayerBudgets::Known(
                    rule,
                    rule.allocator.allocate(&Request {
                        heads,
                        prompt_tokens: Some(tokens),
                        options: &options.budget,
                        head_scores: evidence.scores,
                        token_scores: None,
                        utility: evidence.utility,
                        place: None,
                    })?,
                ),
            },
        };
        let protected = if method.vatp() { options.sink_tokens } else { 0 };
        Ok(Self { heads, tokens, options, protected, plan })
    }

    /// The tokens that the stored heads of `layer` keep, and the budget behind them, both of this
    /// layer alone. `stats` hold the layer at `at`: at 0, where they are of this layer alone.
    ///
    /// # Errors
    /// [`Error::Model`] if attention or a norm is not finite, [`Error::Bug`] if the statistics are
    /// of another prompt or not what [`Method::wanted`] asks for, the errors of the allocator.
    pub fn select(&self, layer: usize, stats: &TokenStats, at: usize) -> Result<(Kept, Budget)> {
        if stats.tokens != self.tokens || layer >= self.heads.layers {
            return Err(Error::bug("token statistics of another prompt or model")
                .got(format!("{} tokens, layer {layer}", stats.tokens))
                .expected(format!("{} tokens, {} layers", self.tokens, self.heads.layers)));
        }
        let heads = CacheHeads { layers: 1, ..self.heads };
        let (rule, known) = match &self.plan {
            LayerBudgets::Everything => return self.everything(heads),
            LayerBudgets::Known(rule, budget) => (rule, Some(budget)),
            LayerBudgets::ByLayer(rule) => (rule, None),
        };
        let in_stats = CacheHeads { layers: stats.layers, ..heads };
        let scores = [rule.token_score.scores(stats, at, &in_stats, &self.options)?];
        let budget = match known {
            Some(all) => {
                let past = &all.past_tokens()[layer * heads.stored()..][..heads.stored()];
                Budget::new(1, heads.stored(), all.window_tokens(), past.to_vec())?
            }
            None => rule.allocator.allocate(&Request {
                heads,
                prompt_tokens: Some(self.tokens),
                options: &self.options.budget,
                head_scores: None,
                token_scores: Some(&scores),
                utility: None,
                place: Some(LayerPlace { layer, layers: self.heads.layers }),
            })?,
        };
        Ok((Kept::best(heads, self.tokens, &scores, &budget, self.protected)?, budget))
    }

    /// Every token in every head. The window is the prompt where that is shorter.
    fn everything(&self, heads: CacheHeads) -> Result<(Kept, Budget)> {
        let window = self.options.budget.window_tokens.min(self.tokens);
        let past = vec![(self.tokens - window) as u32; heads.stored()];
        Ok((Kept::all(heads, self.tokens), Budget::new(1, heads.stored(), window, past)?))
    }
}
