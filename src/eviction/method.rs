//! [`Method`]: a token score, an allocator, and what they select.

use std::fmt;

use super::{Decoding, EvictionOptions, TokenScore, Wanted};
use crate::budget::{Allocator, BudgetOptions, Needs, UtilityCurves};
use crate::error::{Error, Result};
use crate::heads::HeadMatrix;

/// A way to shrink a cache, as the literature names it.
#[derive(Clone)]
pub struct Method {
    pub(super) name: String,
    pub(super) aliases: &'static [&'static str],
    pub(super) title: String,
    pub(super) source: &'static str,
    pub(super) default: bool,
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
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names under which the references know it.
    pub fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    /// One line for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The paper or code that it comes from.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Whether a comparison has it where no methods are named.
    pub fn is_default(&self) -> bool {
        self.default
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
        self.rule.map_or(Decoding::Append, |rule| rule.token_score.info().decoding)
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
        let BudgetOptions { capacity_tokens, window_tokens, .. } = options.budget;
        let past = capacity_tokens - window_tokens;
        if self.vatp() && options.sink_tokens > past {
            return Err(Error::usage(
                "there are more protected sinks than places before the window",
            )
            .at(format!("{}: --sink-len", self.name()))
            .got(options.sink_tokens)
            .expected(format!(
                "at most {past}, the capacity of {capacity_tokens} less the window of \
                     {window_tokens}"
            ))
            .advice("fewer sinks or a larger capacity"));
        }
        Ok(())
    }
}

/// What tests of methods call: all layers of a prompt at once.
#[cfg(test)]
mod of_all_layers {
    use super::super::{Kept, Selector, TokenStats};
    use super::*;
    use crate::budget::Budget;
    use crate::heads::CacheHeads;

    impl Method {
        /// As [`Method::select_by`], with head scores as all that is known about the heads.
        pub(crate) fn select(
            &self,
            stats: &TokenStats,
            heads: CacheHeads,
            head_scores: Option<&HeadMatrix>,
            options: &EvictionOptions,
        ) -> Result<(Kept, Budget)> {
            let evidence = HeadEvidence { scores: head_scores, utility: None };
            self.select_by(stats, heads, evidence, options)
        }

        /// What a [`Selector`] keeps of all layers, and the budget behind it.
        pub(crate) fn select_by(
            &self,
            stats: &TokenStats,
            heads: CacheHeads,
            evidence: HeadEvidence,
            options: &EvictionOptions,
        ) -> Result<(Kept, Budget)> {
            stats.check(&heads)?;
            let selector = Selector::new(self, stats.tokens, heads, evidence, options)?;
            let of_layer = |layer| selector.select(layer, stats, layer);
            let (kept, budgets): (Vec<_>, Vec<_>) =
                (0..heads.layers).map(of_layer).collect::<Result<Vec<_>>>()?.into_iter().unzip();
            let window = budgets.first().map_or(0, Budget::window_tokens);
            let past = budgets.iter().flat_map(|b| b.past_tokens().to_vec()).collect();
            let budget = Budget::new(heads.layers, heads.stored(), window, past)?;
            Ok((Kept::of_layers(kept)?, budget))
        }
    }
}
