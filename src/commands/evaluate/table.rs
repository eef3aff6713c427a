//! [`Row`]: what a setting comes to over all prompts, with intervals and against the baselines.

use serde::Serialize;

use super::run::{Outcome, PromptRecord};
use super::setting::{self, Compared, FULL, SNAPKV};
use crate::score::clusters::Clusters;
use crate::score::estimate::Estimate;
use crate::tasks::Metric;

/// A metric of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricEstimate {
    /// Its name.
    pub name: &'static str,
    /// Mean over the prompts, with its interval.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// A setting over all prompts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The method.
    pub method: &'static str,
    /// Whose scores its budgets follow, where the comparison has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_score: Option<String>,
    /// Tokens per stored head on average; `None` where everything is kept.
    pub budget_tokens: Option<usize>,
    /// Prompts behind the means.
    pub prompts: usize,
    /// The task's metrics; the first is the accuracy.
    pub metrics: Vec<MetricEstimate>,
    /// Accuracy less FullKV's, prompt by prompt.
    pub against_full: Option<Estimate>,
    /// Accuracy less SnapKV's at the same budget, prompt by prompt.
    pub against_snapkv: Option<Estimate>,
    /// Accuracy less that of the same method and budget by the first of several head scores, prompt
    /// by prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_first_score: Option<Estimate>,
    /// Bytes of keys and values held after the prompt, mean.
    pub kv_bytes: f64,
    /// The same as a share of FullKV's, 0 to 1.
    pub kv_share: Option<f64>,
    /// Bytes held when the answer ends, mean: methods that evict nothing while they answer have
    /// grown by the answer.
    pub kv_bytes_end: f64,
    /// Bytes set aside with the room for the answer, mean.
    pub kv_bytes_allocated: f64,
    /// Timings.
    pub seconds: RowSeconds,
}

/// Means over the prompts, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RowSeconds {
    /// The prompt, statistics of all methods included; shared by all settings.
    pub prefill: f64,
    /// Choosing tokens and building the compressed cache.
    pub compress: f64,
    /// One generated token after the first, which the prefill gives; `None` where there are none.
    pub decode_per_token: Option<f64>,
}

impl Row {
    /// Method and score in one word: `snapkv`, `headkv:inf`.
    pub fn name(&self) -> String {
        setting::name(self.method, self.head_score.as_deref())
    }

    /// The accuracy.
    pub fn accuracy(&self) -> Estimate {
        self.metrics[0].estimate
    }
}

/// One row per setting, over the prompts that did not fail; none if all failed. Answers about the
/// same and at the same place are alike: [`Clusters`].
pub fn rows(settings: &[Compared], metrics: &[Metric], records: &[PromptRecord]) -> Vec<Row> {
    let answered: Vec<(&PromptRecord, &Vec<Outcome>)> =
        records.iter().filter_map(|r| r.outcomes.as_ref().ok().map(|o| (r, o))).collect();
    if answered.is_empty() {
        return Vec::new();
    }
    let clusters = Clusters::new(answered.iter().map(|(r, _)| (&r.about, &r.place)));
    let accuracy = |setting: usize| -> Vec<f64> {
        answered.iter().map(|(_, outcomes)| outcomes[setting].values[0]).collect()
    };
    let n = answered.len() as f64;
    let mean_of = |setting: usize, of: &dyn Fn(&Outcome) -> f64| -> f64 {
        answered.iter().map(|(_, outcomes)| of(&outcomes[setting])).sum::<f64>() / n
    };
    let bytes = |setting: usize| mean_of(setting, &|o| o.kv_bytes as f64);
    let find = |name: &str, budget: Option<usize>| {
        settings.iter().position(|s| s.method.name() == name && s.budget_tokens == budget)
    };
    let full = find(FULL, None);
    let prefill = answered.iter().map(|(r, _)| r.prefill_secs).sum::<f64>() / n;
    let row = |(i, setting): (usize, &Compared)| {
        let own = accuracy(i);
        let against = |base: Option<usize>| {
            base.filter(|b| *b != i).and_then(|b| clusters.difference(&own, &accuracy(b)))
        };
        let metric = |(m, metric): (usize, &Metric)| {
            let values: Vec<f64> =
                answered.iter().map(|(_, outcomes)| outcomes[i].values[m]).collect();
            // Likeness of embeddings may be below 0.
            let lowest = values.iter().copied().fold(0.0, f64::min);
            let estimate = clusters.mean(&values)?.within(lowest, metric.highest);
            Some(MetricEstimate { name: metric.name, estimate })
        };
        let steps = mean_of(i, &|o| o.new_tokens.saturating_sub(1) as f64);
        Row {
            method: setting.method.name(),
            head_score: setting.head_score.clone(),
            budget_tokens: setting.budget_tokens,
            prompts: answered.len(),
            metrics: metrics.iter().enumerate().filter_map(metric).collect(),
            against_full: against(full),
            against_snapkv: against(find(SNAPKV, setting.budget_tokens)),
            // The first of several is also the first of its method and budget among the settings.
            against_first_score: setting
                .head_score
                .as_ref()
                .and_then(|_| against(find(setting.method.name(), setting.budget_tokens))),
            kv_bytes: bytes(i),
            kv_bytes_end: mean_of(i, &|o| o.kv_bytes_end as f64),
            kv_bytes_allocated: mean_of(i, &|o| o.kv_bytes_allocated as f64),
            kv_share: full.map(|full| bytes(i) / bytes(full)),
            seconds: RowSeconds {
                prefill,
                compress: mean_of(i, &|o| o.compress_secs),
                decode_per_token: (steps > 0.0).then(|| mean_of(i, &|o| o.decode_secs) / steps),
            },
        }
    };
    settings.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::BudgetOptions;
    use crate::commands::evaluate::Setting;
    use crate::eviction::{EvictionOptions, by_name};

    const METRICS: &[Metric] = &[
        Metric { name: "accuracy", title: "", highest: 1.0 },
        Metric { name: "other", title: "", highest: 10.0 },
    ];

    fn outcome(right: bool, kv_bytes: u64) -> Outcome {
        Outcome {
            answer: String::new(),
            judged: None,
            thinking: None,
            values: vec![f64::from(u8::from(right)), 5.0],
            kv_tokens: kv_bytes / 8,
            kv_bytes,
            kv_bytes_end: kv_bytes + 4,
            kv_bytes_allocated: kv_bytes + 8,
            new_tokens: 5,
            compress_secs: 0.5,
            decode_secs: 2.0,
        }
    }

    fn record(index: usize, outcomes: std::result::Result<Vec<Outcome>, String>) -> PromptRecord {
        PromptRecord {
            id: index.to_string(),
            haystack_cycles: 1,
            group: "a".into(),
            about: index.to_string(),
            place: "100@0.5".into(),
            part: None,
            prompt_tokens: 100,
            depths: vec![0.5],
            gold: "g".into(),
            prefill_secs: 3.0,
            kv_bytes_peak: 0,
            outcomes,
        }
    }

    /// Three settings over four prompts, one of which failed. FullKV is right in 3 of 3, SnapKV in
    /// 1, StreamingLLM in 2 of 3.
    #[test]
    fn by_hand() {
        let options = EvictionOptions::new(BudgetOptions::default());
        let methods = ["snapkv", "full", "streaming_llm"].map(|name| by_name(name).unwrap());
        let settings = Setting::all(&methods, &[64], 0, &options, None).unwrap();
        let settings: Vec<Compared> = settings.iter().map(|s| s.compared(&[])).collect();
        let labels: Vec<String> = settings.iter().map(Compared::label).collect();
        assert_eq!(labels, ["full", "snapkv@64", "streaming_llm@64"]);
        let of = |full, snapkv, streaming| {
            Ok(vec![outcome(full, 800), outcome(snapkv, 200), outcome(streaming, 200)])
        };
        let records = [
            record(0, of(true, true, true)),
            record(1, of(true, false, true)),
            record(2, Err("memory".into())),
            record(3, of(true, false, false)),
        ];
        let rows = rows(&settings, METRICS, &records);
        let mean = |e: Option<Estimate>| e.map(|e| e.mean);
        let near = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-12, "{a:?} {b}");
        assert_eq!(rows[0].accuracy().mean, 1.0);
        assert_eq!((rows[0].against_full, rows[0].kv_share), (None, Some(1.0)));
        // At no budget there is no SnapKV to compare FullKV with.
        assert_eq!(rows[0].against_snapkv, None);
        near(mean(rows[1].against_full), -2.0 / 3.0);
        assert_eq!(rows[1].against_snapkv, None);
        near(mean(rows[2].against_full), -1.0 / 3.0);
        near(mean(rows[2].against_snapkv), 1.0 / 3.0);
        assert_eq!((rows[2].prompts, rows[2].kv_bytes, rows[2].kv_share), (3, 200.0, Some(0.25)));
        assert_eq!((rows[2].kv_bytes_end, rows[2].kv_bytes_allocated), (204.0, 208.0));
        // Five tokens, of which the prefill gives one: 2 s for 4 steps.
        assert_eq!(rows[2].seconds.decode_per_token, Some(0.5));
        assert_eq!((rows[2].seconds.prefill, rows[2].metrics[1].estimate.mean), (3.0, 5.0));
        assert!(super::rows(&settings, METRICS, &records[2..3]).is_empty());
    }

    /// HeadKV by two scores: right in 2 and in 1 of 3 prompts.
    #[test]
    fn the_second_score_is_compared_with_the_first() {
        let options = EvictionOptions::new(BudgetOptions::default());
        let methods = ["snapkv", "headkv"].map(|name| by_name(name).unwrap());
        let settings = Setting::all(&methods, &[64], 2, &options, None).unwrap();
        let names = ["inf".to_owned(), "lazy".to_owned()];
        let settings: Vec<Compared> = settings.iter().map(|s| s.compared(&names)).collect();
        let labels: Vec<String> = settings.iter().map(Compared::label).collect();
        assert_eq!(labels, ["snapkv@64", "headkv:inf@64", "headkv:lazy@64"]);
        let of = |snapkv, inf, lazy| {
            Ok(vec![outcome(snapkv, 200), outcome(inf, 200), outcome(lazy, 200)])
        };
        let records = [
            record(0, of(false, true, true)),
            record(1, of(false, true, false)),
            record(2, of(false, false, false)),
        ];
        let rows = rows(&settings, METRICS, &records);
        let differences: Vec<_> = rows
            .iter()
            .map(|row| row.against_first_score.map(|e| (3.0 * e.mean).round()))
            .collect();
        assert_eq!(differences, [None, None, Some(-1.0)]);
        assert_eq!(rows[2].against_snapkv.map(|e| (3.0 * e.mean).round()), Some(1.0));
    }
}
