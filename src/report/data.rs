//! [`ReportData`]: what the page shows, as its scripts read it. `report/page/` draws it.

use serde::{Deserialize, Serialize};

use super::Look;
use crate::gate::GateKind;

/// The data of a page. Numbers per head are `[L * H]`, row-major; query heads unless said
/// otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportData {
    /// Version of headprof that made the page.
    pub headprof: &'static str,
    /// Whose heads they are.
    pub model: Model,
    /// Label and text of each line about the run.
    pub about: Vec<(&'static str, String)>,
    /// The scores, the main ones first.
    pub scores: Vec<Score>,
    /// Kinds of heads.
    pub kinds: Option<Kinds>,
    /// The places of the grid.
    pub places: Vec<Place>,
    /// The probes' answers.
    pub answers: Vec<Answer>,
    /// What decided whether they count.
    pub gate: Option<Gate>,
    /// Budgets per stored head.
    pub budgets: Vec<Budget>,
    /// Tables of `headprof evaluate`.
    pub evaluations: Vec<Evaluation>,
    /// Tables of `headprof ablate`.
    pub ablations: Vec<Ablation>,
    /// Where heads looked.
    pub looks: Vec<Look>,
}

/// A model, as sidecars name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Layers, `L`.
    pub layers: usize,
    /// Query heads per layer, `H`.
    pub heads: usize,
    /// KV heads per layer, `G`.
    pub kv_heads: usize,
    /// Weights.
    #[serde(default)]
    pub parameters: Option<u64>,
    /// The number type in which they were held.
    #[serde(default, rename(deserialize = "weights_dtype"))]
    pub weights: Option<String>,
    /// SHA-256 of the weights.
    #[serde(default, skip_serializing)]
    pub sha256: Option<String>,
}

/// A score of every head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Its name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The formula in ASCII.
    pub formula: String,
    /// Where it comes from.
    pub source: String,
    /// Probes behind the means.
    pub probes: usize,
    /// Whether the heads of a KV group share their values.
    pub kv: bool,
    /// Mean over the probes.
    pub mean: Vec<f64>,
    /// Lower end of its 95 % interval.
    pub low: Option<Vec<f64>>,
    /// Upper end.
    pub high: Option<Vec<f64>>,
    /// Probability of being among the ten best.
    pub top: Option<Vec<f64>>,
    /// Means at each place of the grid.
    pub by_place: Option<ByPlace>,
}

/// A number per place and head in 16 bits: `[places][L][H]`, `min + v / 65534 (max - min)`; 65535
/// where no probe was accepted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByPlace {
    /// The smallest number.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Base64 of little-endian numbers.
    pub values: String,
}

/// Shares of attention, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kinds {
    /// On the token before.
    pub previous_token: Vec<f64>,
    /// On the same token, the first time.
    pub duplicate_token: Vec<f64>,
    /// On the token that came behind it the first time.
    pub induction: Vec<f64>,
}

/// A place of the grid.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    /// Tokens.
    pub length: usize,
    /// Depth, 0 to 1; `None` for facts that are scattered.
    pub depth: Option<f64>,
    /// What it is called where there is no depth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Probes.
    pub probes: usize,
    /// Those that feed the scores.
    pub accepted: usize,
}

/// What the model said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The probe's name.
    pub id: String,
    /// What was asked about.
    pub about: String,
    /// Tokens of the context.
    pub length: usize,
    /// Depth asked for.
    pub depth: Option<f64>,
    /// The task of a story.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The expected answer.
    pub expected: String,
    /// The model's.
    pub answer: Option<String>,
    /// What the gate made of it.
    pub gate: Option<f64>,
    /// `accepted`, `rejected` or `failed`.
    pub status: String,
    /// Why it failed.
    pub reason: Option<String>,
}

/// A gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Its name.
    pub name: String,
    /// An answer counts above it; `None` for gates without one.
    #[serde(default)]
    pub threshold: Option<f64>,
}

impl Gate {
    /// What an answer has to reach, in words.
    pub fn rule(&self) -> String {
        match self.threshold {
            Some(threshold) => format!("{} > {threshold}", self.name),
            None => self.name.clone(),
        }
    }

    /// Without the number that the sidecars of gates without a threshold have.
    pub fn checked(self) -> Self {
        let kind = self.name.parse::<GateKind>().ok();
        let has_one = kind.is_none_or(|kind| kind.default_threshold().is_some());
        Self { threshold: self.threshold.filter(|_| has_one), ..self }
    }
}

/// A budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budget {
    /// Allocator and tokens.
    pub name: String,
    /// `kv_head` or `query_head`.
    pub granularity: String,
    /// Tokens of the window.
    pub window: usize,
    /// Tokens that each stored head keeps, the window included, `[L * S]`.
    pub tokens: Vec<usize>,
    /// Their mean.
    pub mean: f64,
}

/// Mean, lower and upper end of the 95 % interval, where there is one.
pub type Triple = (f64, Option<f64>, Option<f64>);

/// A table of accuracies under compression.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Task and prompts.
    pub title: String,
    /// What makes an answer accurate.
    pub accuracy: String,
    /// One per setting.
    pub rows: Vec<EvaluationRow>,
}

/// A method at a budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvaluationRow {
    /// The method.
    pub method: String,
    /// Whose scores its budgets follow, where there are several.
    pub head_score: Option<String>,
    /// Tokens per stored head; `None` for all.
    pub budget: Option<usize>,
    /// Accuracy, 0 to 1.
    pub accuracy: f64,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Less that of the full cache.
    pub against_full: Option<Triple>,
    /// Less that of SnapKV at the same budget.
    pub against_snapkv: Option<Triple>,
    /// Less that by the first of several head scores.
    pub against_first: Option<Triple>,
    /// Bytes as a share of the full cache's.
    pub kv_share: Option<f64>,
    /// Prompts.
    pub prompts: usize,
}

/// A table of answers with heads switched off.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ablation {
    /// By which score, and how.
    pub title: String,
    /// Prompts.
    pub prompts: usize,
    /// One per kind and number of heads.
    pub rows: Vec<AblationRow>,
}

/// A number of heads switched off.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AblationRow {
    /// `none`, `top`, `random` or `bottom`.
    pub chosen: String,
    /// How many heads.
    pub k: usize,
    /// Accuracy, 0 to 1.
    pub accuracy: f64,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// By how much the expected answer's log-probability drops, in nats.
    pub drop: Option<Triple>,
    /// McNemar's exact test.
    pub p: Option<f64>,
}
