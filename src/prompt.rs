//! Needle in a haystack, as token ids: [`Prompt`].

use std::ops::Range;

/// The input of one probe. Assembled from token ids, never by decoding and encoding again.
///
/// Invariants: `ids.len()` is the context length asked for; `ids[needle]` are the needle's tokens;
/// BOS, where the tokenizer has one, stands once, at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Token ids, `[T]`.
    pub ids: Vec<u32>,
    /// The needle: token spans in ascending order, not overlapping. One span for a needle in a
    /// haystack, several where the needle is a set of facts.
    pub needle: Vec<Range<usize>>,
    /// Where in the haystack the needle was asked to be, 0 (start) to 1 (end).
    pub depth_asked: f64,
    /// Where it came to stand: tokens of haystack before it over tokens of haystack.
    pub depth_reached: f64,
    /// How many times the haystack text was used up to fill the context (1 = once or less).
    pub haystack_cycles: usize,
}

impl Prompt {
    /// Number of tokens of the needle, `n`.
    pub fn needle_tokens(&self) -> usize {
        self.needle.iter().map(|s| s.len()).sum()
    }
}
