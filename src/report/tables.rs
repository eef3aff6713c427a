//! What `evaluate`, `ablate` and `allocate` left in a folder.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::about::About;
use super::data::{Ablation, AblationRow, Budget, Evaluation, EvaluationRow, Model};
use super::read::{Estimate, json};
use crate::error::Result;
use crate::head_score::named;
use crate::system::files;

/// A table with what it says of its run.
pub(super) enum Table {
    Evaluation(Box<EvaluationFile>),
    Ablation(Box<AblationFile>),
}

/// `evaluate.json`, as far as it is shown.
#[derive(Deserialize)]
pub(super) struct EvaluationFile {
    task: String,
    accuracy: String,
    prompts: usize,
    rows: Vec<SettingRow>,
    #[serde(flatten)]
    about: About,
}

#[derive(Deserialize)]
struct SettingRow {
    method: String,
    #[serde(default)]
    head_score: Option<String>,
    budget_tokens: Option<usize>,
    prompts: usize,
    /// The first is the accuracy.
    metrics: Vec<Estimate>,
    against_full: Option<Estimate>,
    against_snapkv: Option<Estimate>,
    #[serde(default)]
    against_first_score: Option<Estimate>,
    kv_share: Option<f64>,
}

/// `ablate.json`, as far as it is shown.
#[derive(Deserialize)]
pub(super) struct AblationFile {
    off: String,
    when: String,
    #[serde(default)]
    head_score: Option<UsedScores>,
    prompts: usize,
    rows: Vec<SetRow>,
    #[serde(flatten)]
    about: About,
}

#[derive(Deserialize)]
struct UsedScores {
    path: String,
}

#[derive(Deserialize)]
struct SetRow {
    chosen: String,
    k: usize,
    accuracy: Estimate,
    drop: Option<Estimate>,
    p: Option<f64>,
}

/// What `allocate --json` prints, as far as it is shown.
#[derive(Deserialize)]
struct BudgetFile {
    method: String,
    parameters: Parameters,
    /// Tokens beside the window, `[L][S]`.
    capacities: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct Parameters {
    max_capacity_prompts: usize,
    window_size: usize,
    granularity: String,
}

/// The table of `headprof evaluate` in `folder`.
///
/// # Errors
/// As [`json`].
pub(super) fn evaluation(folder: &Path) -> Result<Option<Table>> {
    Ok(json(&folder.join("evaluate.json"))?.map(|file| Table::Evaluation(Box::new(file))))
}

/// The table of `headprof ablate` in `folder`.
///
/// # Errors
/// As [`json`].
pub(super) fn ablation(folder: &Path) -> Result<Option<Table>> {
    Ok(json(&folder.join("ablate.json"))?.map(|file| Table::Ablation(Box::new(file))))
}

impl Table {
    /// About its run.
    pub fn about(&self) -> &About {
        match self {
            Self::Evaluation(file) => &file.about,
            Self::Ablation(file) => &file.about,
        }
    }

    /// Its model.
    pub fn model(&self) -> &Model {
        &self.about().model
    }

    /// As the page shows it, if it is one of `evaluate`.
    pub fn evaluation(self) -> Option<Evaluation> {
        let Self::Evaluation(file) = self else { return None };
        let row = |row: SettingRow| {
            let (accuracy, low, high) = row.metrics.first()?.triple();
            Some(EvaluationRow {
                method: row.method,
                head_score: row.head_score,
                budget: row.budget_tokens,
                accuracy,
                low,
                high,
                against_full: row.against_full.map(Estimate::triple),
                against_snapkv: row.against_snapkv.map(Estimate::triple),
                against_first: row.against_first_score.map(Estimate::triple),
                kv_share: row.kv_share,
                prompts: row.prompts,
            })
        };
        Some(Evaluation {
            title: format!("{}, {} prompts", file.task, file.prompts),
            accuracy: file.accuracy,
            rows: file.rows.into_iter().filter_map(row).collect(),
        })
    }

    /// As the page shows it, if it is one of `ablate`.
    pub fn ablation(self) -> Option<Ablation> {
        let Self::Ablation(file) = self else { return None };
        let when = match file.when.as_str() {
            "question" => "from the question on",
            "answer" => "for the answer",
            _ => "for prompt and answer",
        };
        let path = file.head_score.map(|used| used.path).unwrap_or_default();
        let scores = Path::new(&path).file_stem().unwrap_or_default().to_string_lossy();
        let row = |row: SetRow| {
            let (accuracy, low, high) = row.accuracy.triple();
            let drop = row.drop.map(Estimate::triple);
            AblationRow { chosen: row.chosen, k: row.k, accuracy, low, high, drop, p: row.p }
        };
        Some(Ablation {
            title: format!("by {scores}: heads off {when}, output {}", file.off),
            prompts: file.prompts,
            rows: file.rows.into_iter().map(row).collect(),
        })
    }
}

/// Budgets of `model` in `folder` and its `head_score/`, the smallest first. Other JSON is passed
/// over.
///
/// # Errors
/// As [`files::ending_with`].
pub(super) fn budgets(folder: &Path, model: &Model) -> Result<Vec<Budget>> {
    let mut all = Vec::new();
    let mut found = files::ending_with(folder, ".json")?;
    found.extend(files::ending_with(&folder.join(named::FOLDER), ".json")?);
    let named = |path: &&PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains("budget"))
    };
    for path in found.iter().filter(named) {
        let Ok(Some(file)) = json::<BudgetFile>(path) else { continue };
        let stored = match file.parameters.granularity.as_str() {
            "kv_head" => model.kv_heads,
            _ => model.heads,
        };
        let fits = file.capacities.len() == model.layers
            && file.capacities.iter().all(|layer| layer.len() == stored);
        if !fits {
            continue;
        }
        let window = file.parameters.window_size;
        let tokens: Vec<usize> =
            file.capacities.concat().into_iter().map(|past| past.saturating_add(window)).collect();
        let mean = tokens.iter().map(|n| *n as f64).sum::<f64>() / tokens.len().max(1) as f64;
        let name =
            format!("{}, {} tokens a head", file.method, file.parameters.max_capacity_prompts);
        let granularity = file.parameters.granularity;
        all.push(Budget { name, granularity, window, tokens, mean });
    }
    all.sort_by(|a, b| a.mean.total_cmp(&b.mean).then_with(|| a.name.cmp(&b.name)));
    Ok(all)
}
