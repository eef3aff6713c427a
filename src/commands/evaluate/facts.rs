//! [`EvaluateFacts`]: what the outputs of a comparison say beside the answers to its prompts.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::EvaluateConfig;
use super::evidence::Evidence;
use super::setting::Compared;
use crate::error::{Error, Result};
use crate::eviction;
use crate::head_score::UsedFile;
use crate::job::{self, Running};
use crate::system::digest::sha256;
use crate::tasks::{BenchmarkInfo, Common, Metric, Task, ids};

/// What a comparison is about, as its plan keeps it. Nothing here needs the model or the texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluateFacts {
    /// The command line of whoever began it.
    pub command: Vec<String>,
    /// The model's name.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// The task as it was asked for, with its list.
    pub asked: String,
    /// SHA-256 of the names of all prompts.
    pub prompts: String,
    /// What makes an answer accurate.
    pub judged_by: String,
    /// Whether groups of prompts are reported one by one.
    pub reported_groups: bool,
    /// What captions say of places of the grid that fell together.
    pub placing_caption: String,
    /// Methods and budgets.
    pub settings: Vec<SettingName>,
    /// How many settings answered a prompt together, at most.
    pub batch: usize,
    /// Decides about the texts around needles.
    pub seed: u64,
    /// How tokens are chosen, as `evaluate.json` has it.
    pub compression: Value,
    /// What prompts and answers were made of, as there.
    pub provenance: Value,
}

/// A method at a budget, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingName {
    method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head_score: Option<String>,
    budget_tokens: Option<usize>,
}

#[derive(Serialize)]
struct CompressionMeta<'a> {
    methods: Vec<MethodMeta>,
    granularity: &'static str,
    reduce: &'static str,
    head_score: Option<&'a UsedFile>,
    /// Where there are several, each with the name that rows call it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    head_scores: Vec<NamedScores<'a>>,
    utility: Option<&'a UsedFile>,
    form: &'static str,
    window_size: usize,
    kernel_size: usize,
    pooling: String,
    alpha: f64,
    temp: f64,
    pyramid_beta: usize,
    value_norm: &'static str,
    sink_len: usize,
    streaming_sinks: usize,
    scissorhands_rows: usize,
}

#[derive(Serialize)]
struct NamedScores<'a> {
    name: &'a str,
    #[serde(flatten)]
    file: Option<&'a UsedFile>,
}

#[derive(Serialize)]
struct MethodMeta {
    name: &'static str,
    title: &'static str,
    source: &'static str,
    /// Where it has one.
    beta: Option<f64>,
}

impl EvaluateFacts {
    /// Of a comparison that is about to run.
    ///
    /// # Errors
    /// [`Error::Bug`] if something has no form in JSON.
    pub(super) fn new(
        config: &EvaluateConfig,
        inputs: Common,
        task: &dyn Task,
        evidence: &Evidence,
        batch: usize,
        model: Running,
    ) -> Result<Self> {
        let name = |setting: &super::Setting| {
            let Compared { method, head_score, budget_tokens } =
                setting.compared(config.head_scores.names());
            SettingName { method: method.name().to_owned(), head_score, budget_tokens }
        };
        Ok(Self {
            command: config.command.clone(),
            model: inputs.model().name.clone(),
            task: config.task.info().name.to_owned(),
            asked: config.asked.clone(),
            prompts: sha256(ids(task).join("\n")),
            judged_by: task.judged_by(),
            reported_groups: task.has_reported_groups(),
            placing_caption: inputs.placing_caption(),
            settings: config.settings.iter().map(name).collect(),
            batch,
            seed: config.probes.seed,
            compression: job::to_value(&compression(config, evidence))?,
            provenance: job::to_value(&inputs.provenance(&config.probes, model))?,
        })
    }

    /// All that decides about the results.
    ///
    /// # Errors
    /// [`Error::Bug`] if it has no form in JSON.
    pub fn fingerprint(&self) -> Result<Value> {
        let mut all = job::fingerprint(&self.provenance)?;
        all["headprof"] = env!("CARGO_PKG_VERSION").into();
        all["task"] = json!({
            "asked": self.asked,
            "prompts": self.prompts,
            "accuracy": self.judged_by,
        });
        all["settings"] = json!(self.labels()?);
        all["compression"] = job::fingerprint(&self.compression)?;
        all["seed"] = self.seed.into();
        Ok(all)
    }

    fn labels(&self) -> Result<Vec<String>> {
        Ok(self.compared()?.iter().map(Compared::label).collect())
    }

    /// The settings.
    ///
    /// # Errors
    /// [`Error::Usage`] for a method that this version does not know.
    pub(super) fn compared(&self) -> Result<Vec<Compared>> {
        let compared = |name: &SettingName| {
            let method = eviction::by_name(&name.method)?;
            let head_score = name.head_score.clone();
            Ok(Compared { method, head_score, budget_tokens: name.budget_tokens })
        };
        self.settings.iter().map(compared).collect()
    }

    /// What answers are measured by.
    ///
    /// # Errors
    /// [`Error::Data`] for a task that this version does not know.
    pub(super) fn metrics(&self) -> Result<&'static [Metric]> {
        let info = BenchmarkInfo::by_name(&self.task);
        info.map(|info| info.metrics).ok_or_else(|| {
            Error::data("the plan of the run names a task that there is not").got(&self.task)
        })
    }
}

fn compression<'a>(config: &'a EvaluateConfig, evidence: &'a Evidence) -> CompressionMeta<'a> {
    // The constants are those of every setting; only the budget differs.
    let options = &config.settings[0].options;
    let mut methods: Vec<MethodMeta> = Vec::new();
    for setting in &config.settings {
        let method = setting.method;
        if methods.iter().all(|m| m.name != method.name()) {
            methods.push(MethodMeta {
                name: method.name(),
                title: method.title(),
                source: method.source(),
                beta: method.needs_head_scores().then_some(setting.options.budget.beta),
            });
        }
    }
    let files = evidence.head_score_files.iter().map(Option::as_ref);
    let named = config.head_scores.names().iter().zip(files.clone());
    let named = named.map(|(name, file)| NamedScores { name, file });
    let several = config.head_scores.names().len() > 1;
    CompressionMeta {
        methods,
        granularity: config.granularity.name(),
        reduce: options.budget.reduce.name(),
        head_score: files.flatten().next().filter(|_| !several),
        head_scores: named.filter(|_| several).collect(),
        utility: evidence.utility_file.as_ref(),
        form: if options.budget.reference { "reference" } else { "fair" },
        window_size: options.budget.window_tokens,
        kernel_size: options.kernel_size,
        pooling: options.pooling.to_string(),
        alpha: options.budget.alpha,
        temp: options.budget.temp,
        pyramid_beta: options.budget.pyramid_beta,
        value_norm: options.value_norm.name(),
        sink_len: options.sink_tokens,
        streaming_sinks: options.streaming_sinks,
        scissorhands_rows: options.scissorhands_rows,
    }
}
