//! [`AllocatorInfo`]: the constants of an allocator.

use super::{BudgetOptions, Needs};

/// The constants of an allocator.
#[derive(Debug, Clone, PartialEq)]
pub struct AllocatorInfo {
    /// The name in options, tables and files.
    pub name: &'static str,
    /// Names under which the references know it.
    pub aliases: &'static [&'static str],
    /// One line for people.
    pub title: &'static str,
    /// The formula in ASCII.
    pub formula: &'static str,
    /// The paper or code that it comes from.
    pub source: &'static str,
    /// What it looks at besides the heads and the options.
    pub needs: Needs,
    /// The constants of [`BudgetOptions`] that its formula has.
    pub constants: &'static [Constant],
    /// The method of `evaluate` that it is with SnapKV's token score, under the same names. `None`
    /// for a budget that is the same for all heads: such a method is named after its token score.
    pub method: Option<MethodInfo>,
}

/// The method that an allocator is with SnapKV's token score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodInfo {
    /// One line for people, about tokens and budget.
    pub title: &'static str,
    /// Whether `evaluate` compares it where no methods are named.
    pub default: bool,
    /// Whether there is also a `+vatp` of it.
    pub vatp: bool,
}

/// A constant of an allocator's formula, and an option of the command line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant {
    /// `--beta`, [`BudgetOptions::beta`].
    Beta {
        /// The value on the command line of the allocator's reference.
        default: f64,
    },
    /// `--temp`, [`BudgetOptions::temp`].
    Temp,
    /// `--alpha`, [`BudgetOptions::alpha`].
    Alpha,
    /// `--pyramid-beta`, [`BudgetOptions::pyramid_beta`].
    PyramidBeta,
}

impl Constant {
    /// What `options` set it to.
    pub fn value(self, options: &BudgetOptions) -> f64 {
        match self {
            Self::Beta { .. } => options.beta,
            Self::Temp => options.temp,
            Self::Alpha => options.alpha,
            Self::PyramidBeta => options.pyramid_beta as f64,
        }
    }

    /// The option that sets it.
    pub fn option(self) -> &'static str {
        match self {
            Self::Beta { .. } => "--beta",
            Self::Temp => "--temp",
            Self::Alpha => "--alpha",
            Self::PyramidBeta => "--pyramid-beta",
        }
    }
}

impl AllocatorInfo {
    /// Whether the formula has the constant that `option` sets, such as `--beta`.
    pub fn reads(&self, option: &str) -> bool {
        self.constants.iter().any(|constant| constant.option() == option)
    }

    /// The `beta` of its reference's command line; where it reads none, that of [`BudgetOptions`].
    pub fn default_beta(&self) -> f64 {
        let own = self.constants.iter().find_map(|constant| match constant {
            Constant::Beta { default } => Some(*default),
            Constant::Temp | Constant::Alpha | Constant::PyramidBeta => None,
        });
        own.unwrap_or(BudgetOptions::default().beta)
    }
}
