//! Budgets: how many tokens each head may keep.
//!
//! ```text
//! head scores [L, H] | token scores [S, T - W] per layer | utility curves ─► Allocator ─► Budget [L, S]
//! ```
//!
//! Every allocator has two forms. The *fair* one (the default) spends exactly what the options
//! say, so that two methods can be compared; the *reference* one is the reference code's, with its
//! rounding.
//!
//! To add an allocator: one file with an [`AllocatorInfo`] and an `impl Allocator`, its `mod` line,
//! and one line in [`registry`]. Its method of `evaluate` follows from that.

pub mod ada_pyramidkv;
pub mod adakv;
pub mod dililazykv;
pub mod dililazykv_variance;
pub mod headkv;
pub mod info;
pub mod lukv;
pub mod npy;
pub mod options;
pub mod pyramidkv;
pub mod reference;
pub mod room;
pub mod uniform;
pub mod utility;
pub mod utility_file;

mod rounding;
mod scores;

#[cfg(test)]
mod conformance_tests;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod testing;

use crate::error::{Error, Result};
use crate::heads::CacheHeads;
use crate::heads::HeadMatrix;

pub use info::{AllocatorInfo, Constant, MethodInfo};
pub use options::BudgetOptions;
pub use room::Room;
pub use scores::refuse_all_zero;
pub use utility::UtilityCurves;
pub use utility_file::UtilityFile;

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
    /// What each stored head's tokens are worth.
    pub utility: Option<&'a UtilityCurves>,
    /// Which layer of how many it is about, where `heads` and `token_scores` are of one layer of a
    /// larger model; `None` where they are of all.
    pub place: Option<LayerPlace>,
}

/// A layer's place in its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerPlace {
    /// The layer, from 0.
    pub layer: usize,
    /// Layers of the model, `L`.
    pub layers: usize,
}

/// What an allocator looks at besides the heads and the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// [`Request::head_scores`].
    HeadScores,
    /// [`Request::token_scores`] and [`Request::prompt_tokens`]. No layer's budget depends on
    /// another's scores: a request may be about one layer alone, with its [`Request::place`].
    TokenScores,
    /// [`Request::utility`] and [`Request::prompt_tokens`].
    Utility,
}

/// A way to divide a budget among heads.
pub trait Allocator: Sync {
    /// Its constants.
    fn info(&self) -> &AllocatorInfo;

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

    /// [`AllocatorInfo::name`].
    fn name(&self) -> &'static str {
        self.info().name
    }

    /// [`AllocatorInfo::needs`].
    fn needs(&self) -> Needs {
        self.info().needs
    }
}

/// Every allocator, in the order in which they are reported.
pub fn registry() -> &'static [&'static dyn Allocator] {
    static REGISTRY: &[&dyn Allocator] = &[
        &uniform::Uniform,
        &pyramidkv::PyramidKv,
        &adakv::AdaKv,
        &ada_pyramidkv::AdaPyramidKv,
        &headkv::HeadKv,
        &dililazykv::DiliLazyKv,
        &dililazykv_variance::DiliLazyKvVariance,
        &lukv::LuKv,
    ];
    REGISTRY
}

/// The allocator that is called `name`, by itself or by a reference, in capitals or not.
///
/// # Errors
/// [`Error::Usage`] with the names there are.
pub fn by_name(name: &str) -> Result<&'static dyn Allocator> {
    let is_called = |allocator: &&&dyn Allocator| {
        let own = allocator.name().eq_ignore_ascii_case(name);
        own || allocator.info().aliases.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    registry().iter().find(is_called).copied().ok_or_else(|| {
        let names: Vec<&str> = registry().iter().map(|allocator| allocator.name()).collect();
        Error::usage("there is no such way to divide a budget")
            .got(format!("\"{name}\""))
            .expected(format!("one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_known_in_any_case_and_are_unique() {
        let mut known = std::collections::BTreeSet::new();
        for allocator in registry() {
            for name in allocator.info().aliases.iter().chain([&allocator.name()]) {
                assert!(known.insert(name.to_lowercase()), "{name} twice");
                let found = by_name(&name.to_uppercase()).unwrap();
                assert_eq!(found.name(), allocator.name());
            }
        }
        for (alias, name) in [("ReasonKV", "headkv"), ("AdativeKV", "adakv"), ("SnapKV", "uniform")]
        {
            assert_eq!(by_name(alias).unwrap().name(), name);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_names_there_are() {
        let error = by_name("headkvv").err().unwrap();
        assert_eq!(error.exit_code(), 2);
        for allocator in registry() {
            assert!(error.to_string().contains(allocator.name()), "{error}");
        }
    }
}
