//! Head scores: one file per published score, all from the same per-row statistics.
//!
//! The model reduces each attention row to [`RowStats`] where the row lies (on a GPU, there), so
//! that only `[L, H]` numbers travel; a score turns the rows of one probe into a `[L, H]` matrix.

/// What one attention row (one query token, one head) has to do with the needle.
///
/// `a` is the row, `N` its number of keys, `needle` the needle's token positions, `n` how many,
/// `Top_k` the positions of the `k` largest weights (equal weights: lower position first).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HeadStats {
    /// Position of the largest weight.
    pub argmax: u32,
    /// Number of needle positions in `Top_k`.
    pub top_k_in_needle: u32,
    /// Sum of the weights in `Top_k`.
    pub top_k_mass: f32,
    /// Sum of the weights in `Top_k` that lie in the needle.
    pub top_k_needle_mass: f32,
    /// Sum of the weights in `Top_n` (`n` = needle length) that lie in the needle.
    pub top_n_needle_mass: f32,
    /// Sum of all weights in the needle.
    pub needle_mass: f32,
}

/// The statistics of one query token over all heads.
#[derive(Debug, Clone, PartialEq)]
pub struct RowStats {
    /// Number of keys of the row, `N`.
    pub keys: usize,
    /// `[L * H]` row-major.
    pub heads: Vec<HeadStats>,
}

/// Everything the scores need of one probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Number of layers, `L`.
    pub layers: usize,
    /// Number of query heads, `H`.
    pub heads: usize,
    /// Prompt token ids, `[T]`.
    pub prompt: Vec<u32>,
    /// Needle spans in the prompt.
    pub needle: Vec<std::ops::Range<usize>>,
    /// Generated token ids; the last may be a stop token.
    pub generated: Vec<u32>,
    /// Whether the last generated token is a stop token.
    pub stopped: bool,
    /// Row `t` belongs to the query that produced `generated[t]`; row 0 to the prompt's last token.
    pub rows: Vec<RowStats>,
    /// The `k` of `Top_k`.
    pub top_k: usize,
}
