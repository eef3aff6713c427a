//! [`Verification`]: how far this build is from what transformers computed, and how far it may be.

use std::fmt;

use burn::tensor::DType;
use serde::Serialize;

pub use super::golden::TorchError;

/// How far apart two computations of the same model may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tolerances {
    /// Logits, relative to the largest |logit| of the golden.
    pub logits: f32,
    /// Attention weights, absolute, where scores are of moderate size.
    pub attention: f32,
    /// Share of greedy ids, of the answer and in the prompt together, that must be equal and not
    /// merely as good.
    pub equal_ids: f64,
}

impl Tolerances {
    /// What rounding explains. In 16 bits a number has 8 (bf16) or 11 (f16) significant bits, and
    /// errors add up over the layers: of attention weights in f32 transformers itself is off by up
    /// to 2.3e-2 (bf16) and 4.9e-3 (f16) on the fixtures, by 3.7e-2 and 6.7e-3 on SmolLM2-135M.
    /// What passes for a tie is then so wide that most wrong ids would, too: there nine of ten ids
    /// must be the same.
    pub fn of(dtype: DType) -> Self {
        match dtype {
            DType::F32 | DType::F64 => Self { logits: 1e-4, attention: 1e-5, equal_ids: 0.0 },
            DType::F16 => Self { logits: 1e-2, attention: 1e-2, equal_ids: 0.9 },
            _ => Self { logits: 5e-2, attention: 5e-2, equal_ids: 0.9 },
        }
    }

    /// Where rounding to f32 alone may explain more than is allowed: scores that are sums of
    /// products as large as `size`, the largest `Σ |q_i k_i| / √D` of this layer and those before.
    ///
    /// Queries, keys and their product are each rounded, half a unit of 2⁻²³ at a time, which moves
    /// a score by some `size · 2⁻²³`, a weight by at most half of the difference of two scores, and
    /// all that comes after by more.
    pub fn is_explained_by_rounding(&self, size: f32) -> bool {
        2.0 * f32::EPSILON * size > self.attention
    }

    /// `tolerance`; or [`WITHIN`] times what another computation in f32 is off, after scores as
    /// large as `size`, and where that one is off by more than the tolerance.
    pub(super) fn or_as_torch(&self, tolerance: f32, size: f32, torch: Option<f32>) -> f32 {
        let ill = |off: &f32| self.is_explained_by_rounding(size) || *off > tolerance;
        torch.filter(ill).map_or(tolerance, |off| tolerance.max(WITHIN * off))
    }
}

/// Two computations in f32 that sum in different orders are about as far off; each may be unlucky.
const WITHIN: f32 = 4.0;

/// A difference, the largest against its tolerance, and where it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The difference.
    pub largest: f32,
    /// What is allowed there.
    pub tolerance: f32,
    /// Where: row, and token id or layer, head and key.
    pub place: String,
}

/// How many greedy ids agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// Ids compared.
    pub total: usize,
    /// Ids that are equal.
    pub equal: usize,
    /// Ids that differ, but whose logits here are equal within the tolerance.
    pub tied: usize,
}

impl Difference {
    /// Nothing was compared yet.
    pub(super) fn none(tolerance: f32) -> Self {
        Self { largest: 0.0, tolerance, place: "nowhere".to_owned() }
    }

    /// Takes note of another difference.
    pub(super) fn add(&mut self, difference: f32, tolerance: f32, place: impl FnOnce() -> String) {
        if difference / tolerance > self.largest / self.tolerance {
            *self = Self { largest: difference, tolerance, place: place() };
        }
    }

    /// Whether all are within their tolerances.
    pub fn is_within(&self) -> bool {
        self.largest <= self.tolerance
    }
}

impl Agreement {
    /// Whether every id is equal, or as good.
    pub fn complete(&self) -> bool {
        self.equal + self.tied == self.total
    }
}

/// What [`verify`](super::verify) measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// The checkpoint's folder.
    pub model: String,
    /// The golden file.
    pub golden: String,
    /// The version of transformers that wrote it, if it says so.
    pub transformers: Option<String>,
    /// `model_type` of the checkpoint.
    pub family: String,
    /// Layers, `L`.
    pub layers: usize,
    /// Query heads per layer, `H`.
    pub heads: usize,
    /// Where this build computed: `cpu` or `cuda:N`.
    pub device: String,
    /// Type of weights and activations here.
    pub dtype: String,
    /// Tokens of the prompt, `T`.
    pub prompt_tokens: usize,
    /// Queries compared: the prompt's last token and all but the last generated one.
    pub rows: usize,
    /// Largest difference of logits, relative to the largest |logit| of the golden.
    pub logits: Difference,
    /// Largest difference of attention weights.
    pub attention: Difference,
    /// How far transformers in f32 is from the same golden, where that is in f64.
    pub torch_f32: Option<TorchError>,
    /// The largest `Σ |q_i k_i| / √D`, if rounding to f32 alone then explains more than the
    /// tolerance.
    pub large_scores: Option<f32>,
    /// Greedy ids after each compared row.
    pub greedy: Agreement,
    /// Greedy ids after each token of the prompt.
    pub argmax: Agreement,
    /// What is allowed.
    pub tolerances: Tolerances,
    /// Whether all are within the tolerances.
    pub passed: bool,
}

impl Verification {
    /// Whether this build computes what transformers computes, within the tolerances.
    pub fn passed(&self) -> bool {
        self.passed
    }
}

/// Whether as many ids are equal as `tolerances` want.
pub(super) fn enough_equal(greedy: Agreement, argmax: Agreement, tolerances: Tolerances) -> bool {
    let (equal, total) = (greedy.equal + argmax.equal, greedy.total + argmax.total);
    equal as f64 >= tolerances.equal_ids * total as f64
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match &self.transformers {
            Some(version) => format!(" (transformers {version})"),
            None => String::new(),
        };
        writeln!(f, "model     {}", self.model)?;
        writeln!(f, "golden    {}{by}", self.golden)?;
        writeln!(
            f,
            "here      {}, {} layers x {} heads, {} on {}; {} prompt tokens, {} rows",
            self.family,
            self.layers,
            self.heads,
            self.dtype,
            self.device,
            self.prompt_tokens,
            self.rows
        )?;
        writeln!(f)?;
        writeln!(f, "{:<28} {:>12} {:>12}", "largest difference", "measured", "tolerance")?;
        let t = self.tolerances;
        for (what, difference) in
            [("logits / largest |logit|", &self.logits), ("attention weights", &self.attention)]
        {
            let verdict = verdict(difference.is_within());
            let Difference { largest, tolerance, place } = difference;
            writeln!(f, "{what:<28} {largest:>12.1e} {tolerance:>12.0e}  {verdict:<6}  {place}")?;
        }
        if let Some(TorchError { logits, attention }) = &self.torch_f32 {
            let attention = attention.iter().copied().fold(0.0, f32::max);
            writeln!(
                f,
                "transformers in f32 is off by {logits:.1e} and {attention:.1e} from the same golden, \
                 which is in f64"
            )?;
        }
        for (what, agreement) in
            [("greedy ids of the answer", self.greedy), ("greedy ids in the prompt", self.argmax)]
        {
            let equal = format!("{}/{}", agreement.equal, agreement.total);
            let verdict = verdict(agreement.complete());
            write!(f, "{what:<28} {equal:>12} {:>12}  {verdict:<6}", agreement.total)?;
            match agreement.tied {
                0 => writeln!(f)?,
                n => writeln!(f, "  {n} more differ by a tie only")?,
            }
        }
        if t.equal_ids > 0.0 {
            let (equal, total) =
                (self.greedy.equal + self.argmax.equal, self.greedy.total + self.argmax.total);
            let share = 100.0 * equal as f64 / total.max(1) as f64;
            let verdict = verdict(enough_equal(self.greedy, self.argmax, t));
            let wanted = format!(">= {:.0} %", 100.0 * t.equal_ids);
            let share = format!("{share:.1} %");
            writeln!(f, "{:<28} {share:>12} {wanted:>12}  {verdict}", "greedy ids without ties")?;
        }
        writeln!(f)?;
        if let (false, None, Some(size)) = (self.passed, &self.torch_f32, self.large_scores) {
            writeln!(
                f,
                "Scores are sums of products as large as {size:.0}, which f32 cannot hold exactly: \
                 judge by a golden in f64 (scripts/make_golden.py without --f32)."
            )?;
        }
        match self.passed {
            true => writeln!(f, "This build computes what transformers computes."),
            false => writeln!(f, "This build does NOT compute what transformers computes."),
        }
    }
}

fn verdict(within: bool) -> &'static str {
    if within { "ok" } else { "DIFFERS" }
}
