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
    /// The constants, the budget among them.
    pub options: EvictionOptions,
}

/// A method at a budget, as the outputs know it.
#[derive(Debug, Clone, Copy)]
pub struct Compared {
    /// How tokens are chosen.
    pub method: &'static Method,
    /// Tokens per stored head on average; `None` where everything is kept.
    pub budget_tokens: Option<usize>,
}

/// The baseline of all comparisons.
pub const FULL: &str = "full";
/// The baseline of methods that divide their budget by head.
pub const SNAPKV: &str = "snapkv";

impl Setting {
    /// Every method at every budget, methods in the order given, FullKV first and once. Without a
    /// `beta`, each method has its own.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] for a budget that a method cannot use.
    pub fn all(
        methods: &[&'static Method],
        budgets: &[usize],
        options: &EvictionOptions,
        beta: Option<f64>,
    ) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for method in methods {
            if method.token_score().is_none() {
                let full = Self { method, budget_tokens: None, options: options.clone() };
                all.insert(0, full);
                continue;
            }
            for &budget in budgets {
                let mut options = options.clone();
                options.budget.capacity_tokens = budget;
                let own = method.allocator().map(|allocator| allocator.info().default_beta());
                options.budget.beta = beta.or(own).unwrap_or(options.budget.beta);
                method.check(&options)?;
                all.push(Self { method, budget_tokens: Some(budget), options });
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

    /// Which row of a comparison it is.
    pub fn compared(&self) -> Compared {
        Compared { method: self.method, budget_tokens: self.budget_tokens }
    }

    /// Method and budget in one word: `snapkv@64`, `full`.
    pub fn label(&self) -> String {
        self.compared().label()
    }
}

impl Compared {
    /// Method and budget in one word: `snapkv@64`, `full`.
    pub fn label(&self) -> String {
        match self.budget_tokens {
            Some(budget) => format!("{}@{budget}", self.method.name()),
            None => self.method.name().to_owned(),
        }
    }
}
