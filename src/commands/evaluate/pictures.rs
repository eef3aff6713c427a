//! The pictures of a comparison: maps side by side, accuracy against budget and against bytes.

use std::collections::BTreeSet;

use super::outputs::EvaluateRun;
use super::run::PromptRecord;
use super::setting::{Compared, FULL};
use super::table::Row;
use crate::error::Result;
use crate::plot::{
    DepthLengthCell, Line, LinePoint, LinesCaption, Panel, PanelsCaption, Picture, RowAxis, lines,
    panels,
};
use crate::tasks::Part;

/// Every picture with the stem of its file name.
pub(super) fn draw(made: &EvaluateRun) -> Result<Vec<(String, Picture)>> {
    let (model, task) = (&made.facts.model, &made.facts.task);
    let stem = |what: &str| format!("{model}_{task}_{what}");
    let mut all = Vec::new();
    let budgets = budgets(made.rows);
    for budget in &budgets {
        let rows = at_budget(made, *budget);
        all.push((stem(&format!("methods_{budget}")), maps(made, *budget, &rows)?));
    }
    if !budgets.is_empty() {
        let by_budget = |row: &Row| row.budget_tokens.map(|b| b as f64);
        let label = "budget (tokens per head, window included)";
        all.push((stem("accuracy_budget"), curves(made, &by_budget, label)?));
        let by_bytes = |row: &Row| row.budget_tokens.map(|_| row.kv_bytes / 1024.0);
        let label = "keys and values held after the prompt (KiB, mean)";
        all.push((stem("accuracy_bytes"), curves(made, &by_bytes, label)?));
    }
    Ok(all)
}

/// Budgets of the comparison, ascending.
fn budgets(rows: &[Row]) -> Vec<usize> {
    let mut budgets: Vec<usize> = rows.iter().filter_map(|r| r.budget_tokens).collect();
    budgets.sort_unstable();
    budgets.dedup();
    budgets
}

/// FullKV and the settings of one budget, by their place in the list.
fn at_budget(made: &EvaluateRun, budget: usize) -> Vec<usize> {
    let here = |s: &Compared| s.budget_tokens.is_none_or(|b| b == budget);
    let all = made.compared.iter().enumerate();
    all.filter(|(_, s)| here(s)).map(|(i, _)| i).collect()
}

fn maps(made: &EvaluateRun, budget: usize, settings: &[usize]) -> Result<Picture> {
    let titles: Vec<String> = settings
        .iter()
        .map(|&i| format!("{} {:.2}", made.rows[i].name(), made.rows[i].accuracy().mean))
        .collect();
    let depths = made.records.iter().all(|r| !r.depths.is_empty());
    let groups = if depths { Vec::new() } else { groups(made.records) };
    let rows = match depths {
        true => RowAxis::Depths,
        false => RowAxis::Kinds { axis: "task", names: &groups },
    };
    let cells: Vec<Vec<DepthLengthCell>> =
        settings.iter().map(|&i| cells(made, i, &groups)).collect();
    let list: Vec<Panel> =
        titles.iter().zip(&cells).map(|(title, cells)| Panel { title, cells }).collect();
    let together = &made.facts.placing_caption;
    let prompts = made.rows[settings[0]].prompts;
    let subtitle = format!("{} · {prompts} prompts{together}", made.metrics[0].title);
    let title = format!("{} at {budget} tokens per head — {}", made.facts.task, made.facts.model);
    panels(
        &list,
        &PanelsCaption { title: &title, subtitle: &subtitle, value_label: "accuracy", rows },
    )
}

/// The groups of prompts, in the order of the prompts.
fn groups(records: &[PromptRecord]) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for record in records {
        if !groups.contains(&record.group) {
            groups.push(record.group.clone());
        }
    }
    groups
}

/// More lengths than these are no columns that anybody reads.
const MOST_LENGTHS: usize = 12;

/// The column of each prompt: the length that it was made to, or its own; where there are many, the
/// power of two that it is at most.
fn columns(records: &[PromptRecord]) -> Vec<usize> {
    let length = |record: &PromptRecord| match record.part {
        Some(Part::Tokens(tokens)) => tokens,
        _ => record.prompt_tokens,
    };
    let lengths: Vec<usize> = records.iter().map(length).collect();
    match lengths.iter().collect::<BTreeSet<_>>().len() > MOST_LENGTHS {
        true => lengths.into_iter().map(usize::next_power_of_two).collect(),
        false => lengths,
    }
}

/// The accuracy of one setting by depth, or by the place among `groups`, and length. A prompt
/// counts at every depth that leads to it.
fn cells(made: &EvaluateRun, setting: usize, groups: &[String]) -> Vec<DepthLengthCell> {
    let mut cells: Vec<(f64, usize, Vec<f64>)> = Vec::new();
    for (record, column) in made.records.iter().zip(columns(made.records)) {
        let group = groups.iter().position(|g| *g == record.group).unwrap_or(0) as f64;
        let rows = if groups.is_empty() { &record.depths[..] } else { &[group] };
        for &row in rows {
            let place = cells.iter().position(|c| c.0 == row && c.1 == column);
            let place = place.unwrap_or_else(|| {
                cells.push((row, column, Vec::new()));
                cells.len() - 1
            });
            if let Ok(outcomes) = &record.outcomes {
                cells[place].2.push(outcomes[setting].values[0]);
            }
        }
    }
    let cell = |(depth, length, values): (f64, usize, Vec<f64>)| {
        let probes = values.len();
        let value = (probes > 0).then(|| values.iter().sum::<f64>() / probes as f64);
        DepthLengthCell { depth, length, value, probes }
    };
    cells.into_iter().map(cell).collect()
}

/// Accuracy over what `x` says of a row; rows without an x are not drawn.
fn curves(made: &EvaluateRun, x: &dyn Fn(&Row) -> Option<f64>, x_label: &str) -> Result<Picture> {
    let names: Vec<String> = made.rows.iter().map(Row::name).collect();
    let mut list: Vec<Line> = Vec::new();
    for (row, name) in made.rows.iter().zip(&names) {
        let Some(x) = x(row) else { continue };
        let accuracy = row.accuracy();
        let point = LinePoint { x, y: accuracy.mean, interval: accuracy.interval_95 };
        match list.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => list.push(Line { name, points: vec![point] }),
        }
    }
    let full = made.rows.iter().find(|row| row.method == FULL);
    let metric = made.metrics[0];
    let subtitle =
        format!("{} · {} prompts · bars: 95 % interval", metric.title, made.rows[0].prompts);
    lines(
        &list,
        &LinesCaption {
            title: &format!("{}: accuracy and cache — {}", made.facts.task, made.facts.model),
            subtitle: &subtitle,
            x_label,
            y_label: "accuracy (mean)",
            highest: metric.highest,
            level: full.map(|row| ("FullKV", row.accuracy().mean)),
        },
    )
}
