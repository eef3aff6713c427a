//! Curves over the number of heads that are off.

use super::facts::AblateFacts;
use super::sets::Chosen;
use super::table::Row;
use crate::error::Result;
use crate::plot::{Line, LinePoint, LinesCaption, Picture, lines};
use crate::score::estimate::Estimate;

/// Every picture with the stem of its file name; none without heads that are off.
pub(super) fn draw(facts: &AblateFacts, rows: &[Row]) -> Result<Vec<(String, Picture)>> {
    if rows.iter().all(|row| row.chosen == Chosen::None) {
        return Ok(Vec::new());
    }
    let stem = |what: &str| format!("{}_{}_ablation_{what}", facts.model, facts.task);
    let probability = curve(
        facts,
        rows,
        "probability of a token of the expected answer",
        "geometric mean per answer, mean over prompts",
        |row| row.token_probability,
    )?;
    let accuracy = curve(
        facts,
        rows,
        "accuracy",
        &format!("share of answers that pass {}", facts.judged_by),
        |row| row.accuracy,
    )?;
    Ok(vec![(stem("accuracy"), accuracy), (stem("probability"), probability)])
}

fn curve(
    facts: &AblateFacts,
    rows: &[Row],
    y_label: &str,
    measured: &str,
    value: impl Fn(&Row) -> Estimate,
) -> Result<Picture> {
    let of = |chosen: Chosen, name: &'static str| {
        let point = |row: &Row| {
            let Estimate { mean, interval_95 } = value(row);
            LinePoint { x: row.k as f64, y: mean, interval: interval_95 }
        };
        let points: Vec<LinePoint> =
            rows.iter().filter(|row| row.chosen == chosen).map(point).collect();
        (!points.is_empty()).then_some(Line { name, points })
    };
    let list: Vec<Line> = [
        of(Chosen::Top, "highest scores"),
        of(Chosen::Random, "random, of the same layers"),
        of(Chosen::Bottom, "lowest scores"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let none = rows.iter().find(|row| row.chosen == Chosen::None);
    let prompts = rows.first().map_or(0, |row| row.prompts);
    lines(
        &list,
        &LinesCaption {
            title: &format!("{} with heads off — {}", facts.task, facts.model),
            subtitle: &format!(
                "{measured} · {prompts} prompts{} · {} · bars: 95 % interval",
                facts.placing_caption,
                facts.in_words()
            ),
            x_label: "heads that are off",
            y_label,
            highest: 1.0,
            level: none.map(|row| ("all heads on", value(row).mean)),
        },
    )
}
