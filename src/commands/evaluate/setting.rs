//! [`Setting`]: a method at a budget, the row of a comparison.

use crate::error::Result;
use crate::eviction::{EvictionOptions, Method, Wanted};

/// A method with all its constants.
#[derive(Debug, Clone)]
pub struct Setting {
    /// How tokens are chosen.
    pub method: &'static Method,
    /// Tokens per stored head on average; `None` where everything is kept.
    pub budget_tokens: Option<usize>,
    /// Which of the comparison's head scores its budgets follow, if any.
    pub head_score: Option<usize>,
    /// The constants, the budget among them.
    pub options: EvictionOptions,
}

/// A method at a budget, as the outputs know it.
#[derive(Debug, Clone)]
pub struct Compared {
    /// How tokens are chosen.
    pub method: &'static Method,
    /// Whose scores its budgets follow, where the comparison has several.
    pub head_score: Option<String>,
    /// Tokens per stored head on average; `None` where everything is kept.
    pub budget_tokens: Option<usize>,
}

/// The baseline of all comparisons.
pub const FULL: &str = "full";
/// The baseline of methods that divide their budget by head.
pub const SNAPKV: &str = "snapkv";

impl Setting {
    /// Every method at every budget, methods in the order given, FullKV first and once; methods
    /// that follow head scores once for each of so many `head_scores`. Without a `beta`, each
    /// method has its own.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] for a budget that a method cannot use.
    pub fn all(
        methods: &[&'static Method],
        budgets: &[usize],
        head_scores: usize,
        options: &EvictionOptions,
        beta: Option<f64>,
    ) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for method in methods {
            if method.token_score().is_none() {
                let options = options.clone();
                all.insert(0, Self { method, budget_tokens: None, head_score: None, options });
                continue;
            }
            let followed: Vec<Option<usize>> = match method.needs_head_scores() {
                // Without any, choosing tokens says what is missing.
                true => (0..head_scores.max(1)).map(Some).collect(),
                false => vec![None],
            };
            for head_score in followed {
                for &budget in budgets {
                    let mut options = options.clone();
                    options.budget.capacity_tokens = budget;
                    let own = method.allocator().map(|allocator| allocator.info().default_beta());
                    options.budget.beta = beta.or(own).unwrap_or(options.budget.beta);
                    method.check(&options)?;
                    all.push(Self { method, budget_tokens: Some(budget), head_score, options });
                }
            }
        }
        Ok(all)
    }

    /// What all of `settings` look at of a prompt.
    pub fn wanted(settings: &[Self]) -> Wanted {
        let mut wanted = Wanted::default();
        settings.iter().for_each(|s| wanted.add(&s.method.wanted(&s.options)));
        wanted
    }

    /// Which row of a comparison it is, if that has head scores of these `names`.
    pub fn compared(&self, names: &[String]) -> Compared {
        let named = self.head_score.filter(|_| names.len() > 1);
        Compared {
            method: self.method,
            head_score: named.and_then(|i| names.get(i)).cloned(),
            budget_tokens: self.budget_tokens,
        }
    }
}

impl Compared {
    /// Method and score in one word: `snapkv`, `headkv:inf`.
    pub fn name(&self) -> String {
        name(self.method.name(), self.head_score.as_deref())
    }

    /// Method, score and budget in one word: `snapkv@64`, `headkv:inf@64`, `full`.
    pub fn label(&self) -> String {
        match self.budget_tokens {
            Some(budget) => format!("{}@{budget}", self.name()),
            None => self.name(),
        }
    }
}

/// A method in one word with the score that its budgets follow, where that is told apart.
pub fn name(method: &str, head_score: Option<&str>) -> String {
    match head_score {
        Some(score) => format!("{method}:{score}"),
        None => method.to_owned(),
    }
}
