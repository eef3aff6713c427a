//! [`Method`]: a token score, an allocator, and what they select.

use std::fmt;

use super::{Decoding, EvictionOptions, Kept, Selector, TokenScore, TokenStats, Wanted};
use crate::budget::{Allocator, Budget, BudgetOptions, Needs, UtilityCurves};
use crate::error::{Error, Result};
use crate::heads::CacheHeads;
use crate::heads::HeadMatrix;

/// A way to shrink a cache, as the literature names it.
#[derive(Clone, Copy)]
pub struct Method {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) title: &'static str,
    pub(super) source: &'static str,
    /// Absent where everything is kept.
    pub(super) rule: Option<Rule>,
}

/// How a method chooses.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) token_score: &'static dyn TokenScore,
    pub(super) allocator: &'static dyn Allocator,
}

/// What is known about the heads of a model besides the prompt at hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadEvidence<'a> {
    /// Scores of the query heads, `[L, H]`.
    pub scores: Option<&'a HeadMatrix>,
    /// What each stored head's tokens are worth, `[L, S, K]`.
    pub utility: Option<&'a UtilityCurves>,
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Method").field(&self.name).finish()
    }
}

impl Method {
    /// The name in options, tables and files.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Names under which the references know it.
    pub fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    /// One line for people.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// The paper or code that it comes from.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// What it holds a token to be worth; `None` where everything is kept.
    pub fn token_score(&self) -> Option<&'static dyn TokenScore> {
        self.rule.map(|rule| rule.token_score)
    }

    /// How it divides the budget; `None` where everything is kept.
    pub fn allocator(&self) -> Option<&'static dyn Allocator> {
        self.rule.map(|rule| rule.allocator)
    }

    /// Whether values count besides attention.
    pub fn vatp(&self) -> bool {
        self.rule.is_some_and(|rule| rule.token_score.vatp())
    }

    /// What it does with the tokens that are generated.
    pub fn decoding(&self) -> Decoding {
        self.rule.map_or(Decoding::Append, |rule| rule.token_score.decoding())
    }

    /// Whether its budgets follow head scores.
    pub fn needs_head_scores(&self) -> bool {
        self.needs() == Needs::HeadScores
    }

    /// Whether its budgets follow utility curves.
    pub fn needs_utility(&self) -> bool {
        self.needs() == Needs::Utility
    }

    fn needs(&self) -> Needs {
        self.rule.map_or(Needs::Nothing, |rule| rule.allocator.needs())
    }

    /// What has to be recorded while the prompt is read.
    pub fn wanted(&self, options: &EvictionOptions) -> Wanted {
        self.rule.map(|rule| rule.token_score.wanted(options)).unwrap_or_default()
    }

    /// Checks `options` for this method; what can be known without a prompt.
    ///
    /// # Errors
    /// [`Error::Usage`] as [`EvictionOptions::check`], and for more protected sinks than the tokens
    /// before the window that a head keeps on average: no value would count.
    pub fn check(&self, options: &EvictionOptions) -> Result<()> {
        options.check()?;
        if options.heavy_ratio.is_some() && self.decoding() != Decoding::Append {
            return Ok(());
        }
        self.check_sinks(options)
    }

    fn check_sinks(&self, options: &EvictionOptions) -> Result<()> {
        let BudgetOptions { capacity_tokens, window_tokens, .. } = options.budget;
        let past = capacity_tokens - window_tokens;
        if self.vatp() && options.sink_tokens > past {
            return Err(Error::usage(
                "there are more protected sinks than places before the window",
            )
            .at(format!("{}: --sink-len", self.name))
            .got(options.sink_tokens)
            .expected(format!(
                "at most {past}, the capacity of {capacity_tokens} less the window of \
                     {window_tokens}"
            ))
            .advice("fewer sinks or a larger capacity"));
        }
        Ok(())
    }

    /// The options for a prompt of `tokens` tokens: with [`EvictionOptions::heavy_ratio`] resolved
    /// into a capacity and a window, for the methods that it is about.
    ///
    /// # Errors
    /// As [`Method::check`], also where the share of this prompt leaves no token.
    pub fn for_prompt(&self, tokens: usize, options: &EvictionOptions) -> Result<EvictionOptions> {
        self.check(options)?;
        let mut options = options.clone();
        let Some((ratio, rule)) = options.heavy_ratio.zip(self.rule) else {
            return Ok(options);
        };
        if rule.token_score.decoding() != Decoding::Append {
            let half = (ratio * tokens as f64) as usize;
            options.budget.capacity_tokens = 2 * half;
            options.budget.window_tokens = rule.token_score.recent_tokens(half, &options);
            options.check().and_then(|()| self.check_sinks(&options)).map_err(|e| {
                e.advice(format!("a prompt of {tokens} tokens needs a larger heavy_ratio"))
            })?;
        }
        Ok(options)
    }

    /// The tokens of a prompt that each stored head keeps, and the budget behind them: as
    /// [`Method::select_by`], with head scores as all that is known about the heads.
    ///
    /// # Errors
    /// As [`Method::select_by`].
    pub fn select(
        &self,
        stats: &TokenStats,
        heads: CacheHeads,
        head_scores: Option<&HeadMatrix>,
        options: &EvictionOptions,
    ) -> Result<(Kept, Budget)> {
        let evidence = HeadEvidence { scores: head_scores, utility: None };
        self.select_by(stats, heads, evidence, options)
    }

    /// The tokens of a prompt that each stored head keeps, and the budget behind them.
    ///
    /// A prompt that fits into the capacity is kept whole, by every method. In a reference form an
    /// allocator may give a head more than there is; it keeps what there is.
    ///
    /// # Errors
    /// [`Error::Usage`] for options out of range and for head scores or utility curves that are
    /// needed and absent, [`Error::Data`] for ones that say nothing, [`Error::Model`] if attention
    /// or a norm is not finite, [`Error::Bug`] if the statistics are not what [`Method::wanted`] asks
    /// for.
    pub fn select_by(
        &self,
        stats: &TokenStats,
        heads: CacheHeads,
        evidence: HeadEvidence,
        options: &EvictionOptions,
    ) -> Result<(Kept, Budget)> {
        stats.check(&heads)?;
        let selector = Selector::new(self, stats.tokens, heads, evidence, options)?;
        let mut layers = Vec::with_capacity(heads.layers);
        let (mut window, mut past) = (0, Vec::with_capacity(heads.layers * heads.stored()));
        for layer in 0..heads.layers {
            let (kept, budget) = selector.select(layer, stats, layer)?;
            layers.push(kept);
            window = budget.window_tokens();
            past.extend(budget.past_tokens());
        }
        let budget = Budget::new(heads.layers, heads.stored(), window, past)?;
        Ok((Kept::of_layers(layers)?, budget))
    }
}
