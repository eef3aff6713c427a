//! The accuracy of every setting on each data set or task, as benchmarks report it.

use std::fmt;

use serde::Serialize;

use super::run::PromptRecord;
use super::setting::Compared;
use crate::tasks::{Part, mean_score};

/// Prompts of one group, or of one part of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The data set or the task.
    pub group: String,
    /// The part of it, if it has parts.
    pub part: Option<Part>,
    /// Prompts that did not fail.
    pub prompts: usize,
    /// One per setting.
    pub scores: Vec<GroupScore>,
}

/// One setting on one group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupScore {
    /// The method.
    pub method: &'static str,
    /// Whose scores its budgets follow, where the comparison has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_score: Option<String>,
    /// Tokens per stored head on average; `None` where everything is kept.
    pub budget_tokens: Option<usize>,
    /// The first metric, [`mean_score`] as LongBench reports it: mean times 100, two decimals.
    pub score: f64,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Some(part) => write!(f, "{} {part}", self.group),
            None => f.write_str(&self.group),
        }
    }
}

/// Groups in the order of their first prompts, the parts of each ascending.
pub fn groups(settings: &[Compared], records: &[PromptRecord]) -> Vec<Group> {
    let mut names: Vec<&str> = Vec::new();
    let mut keys: Vec<(usize, Option<Part>)> = Vec::new();
    for record in records.iter().filter(|r| r.outcomes.is_ok()) {
        let place = names.iter().position(|name| *name == record.group);
        let place = place.unwrap_or_else(|| {
            names.push(&record.group);
            names.len() - 1
        });
        if !keys.contains(&(place, record.part)) {
            keys.push((place, record.part));
        }
    }
    keys.sort();
    let group = |(place, part): (usize, Option<Part>)| {
        let here = records.iter().filter(|r| r.group == names[place] && r.part == part);
        let outcomes: Vec<_> = here.filter_map(|r| r.outcomes.as_ref().ok()).collect();
        let score = |(i, setting): (usize, &Compared)| {
            let values: Vec<f64> = outcomes.iter().map(|o| o[i].values[0]).collect();
            Some(GroupScore {
                method: setting.method.name(),
                head_score: setting.head_score.clone(),
                budget_tokens: setting.budget_tokens,
                score: mean_score(&values)?,
            })
        };
        Group {
            group: names[place].to_owned(),
            part,
            prompts: outcomes.len(),
            scores: settings.iter().enumerate().filter_map(score).collect(),
        }
    };
    keys.into_iter().map(group).collect()
}
