//! The table of a run as Markdown, as CSV and on the terminal.

use super::sets::Chosen;
use super::table::Row;
use crate::score::estimate::Estimate;
use crate::system::terminal::aligned;

const CSV_HEADER: &str = "chosen,k,sets,prompts,accuracy,accuracy_low_95,accuracy_high_95,\
    against_none,against_none_low_95,against_none_high_95,lost,gained,p,\
    lowest_draw,highest_draw,draws_as_low,\
    log_probability,log_probability_low_95,log_probability_high_95,drop,drop_low_95,drop_high_95,\
    token_probability,heads";

/// A Markdown table, one line per row.
pub fn markdown(rows: &[Row]) -> String {
    let mut lines = vec![
        "| heads off | k | sets | accuracy % | against none | lost, gained | p | draws % | \
         log-probability | drop | per token | heads |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for row in rows {
        let cells = [
            row.chosen.name().to_owned(),
            row.k.to_string(),
            row.sets.to_string(),
            row.accuracy.percent(),
            row.against_none.map_or_else(String::new, Estimate::points),
            row.lost_and_gained
                .map_or_else(String::new, |[lost, gained]| format!("{lost}, {gained}")),
            row.p.map_or_else(String::new, p_value),
            draws(row),
            row.log_probability.text(2),
            row.drop.map_or_else(String::new, |drop| drop.text(2)),
            format!("{:.3}", row.token_probability.mean),
            row.heads.as_ref().map_or_else(String::new, ToString::to_string),
        ];
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    lines.join("\n") + "\n"
}

/// The table for a terminal: what fits beside each other in some eighty columns.
pub fn terminal(rows: &[Row]) -> String {
    let header = ["heads off", "k", "accuracy %", "- none", "p", "drop, nats", "draws"];
    let mut lines = vec![header.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        [
            row.chosen.name().to_owned(),
            row.k.to_string(),
            row.accuracy.percent(),
            row.against_none.map_or_else(String::new, Estimate::starred),
            row.p.map_or_else(String::new, p_value),
            row.drop.map_or_else(String::new, |drop| format!("{:+.2}", drop.mean)),
            draws(row),
        ]
    }));
    aligned(&lines)
}

/// One line per row, numbers in full.
pub fn csv(rows: &[Row]) -> String {
    let mut text = format!("{CSV_HEADER}\n");
    for row in rows {
        let mut cells = vec![
            row.chosen.name().to_owned(),
            row.k.to_string(),
            row.sets.to_string(),
            row.prompts.to_string(),
        ];
        cells.extend(Estimate::cells(Some(row.accuracy)));
        cells.extend(Estimate::cells(row.against_none));
        let [lost, gained] = row.lost_and_gained.map_or([None, None], |pair| pair.map(Some));
        cells.extend([optional(lost), optional(gained), optional(row.p)]);
        cells.extend([optional(row.of_draws.first()), optional(row.of_draws.last())]);
        cells.push(optional(row.draws_as_low));
        cells.extend(Estimate::cells(Some(row.log_probability)));
        cells.extend(Estimate::cells(row.drop));
        cells.push(row.token_probability.mean.to_string());
        cells.push(optional(row.heads.as_ref()));
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

/// Of random heads the range of the draws; of the best, how many draws are not more accurate.
fn draws(row: &Row) -> String {
    match (row.chosen, &row.of_draws[..], row.draws_as_low) {
        (Chosen::Random, [lowest, .., highest], _) => {
            format!("{:.0} to {:.0}", 100.0 * lowest, 100.0 * highest)
        }
        (Chosen::Top, _, Some(low)) => format!("{low} as low"),
        _ => String::new(),
    }
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |v| v.to_string())
}

/// `0.031`, `1e-6`.
fn p_value(p: f64) -> String {
    if p >= 0.001 { format!("{p:.3}") } else { format!("{p:.0e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(chosen: Chosen) -> Row {
        let estimate = |mean, interval_95| Estimate { mean, interval_95 };
        Row {
            chosen,
            k: 2,
            sets: 1,
            prompts: 40,
            accuracy: estimate(0.25, Some([0.125, 0.4])),
            against_none: Some(estimate(-0.5, Some([-0.625, -0.375]))),
            log_probability: estimate(-3.5, Some([-4.0, -3.0])),
            drop: Some(estimate(1.25, None)),
            token_probability: estimate(0.5, None),
            lost_and_gained: Some([21, 1]),
            p: Some(1.1e-5),
            of_draws: Vec::new(),
            draws_as_low: Some(0),
            heads: Some([(3, 1), (2, 0)].into_iter().collect()),
        }
    }

    #[test]
    fn by_hand() {
        let random = Row {
            sets: 3,
            lost_and_gained: None,
            p: None,
            of_draws: vec![0.5, 0.6, 0.875],
            draws_as_low: None,
            heads: None,
            ..row(Chosen::Random)
        };
        let rows = [row(Chosen::Top), random];
        let text = markdown(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2],
            "| top | 2 | 1 | 25.0 [12.5, 40.0] | -50.0 [-62.5, -37.5] | 21, 1 | 1e-5 | 0 as low | \
             -3.50 [-4.00, -3.00] | 1.25 | 0.500 | 2-0 3-1 |"
        );
        assert!(lines[3].contains("| 50 to 88 |"), "{}", lines[3]);
        assert!(lines.iter().all(|line| line.matches('|').count() == 13));
        let csv = csv(&rows);
        let columns: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(columns, [24; 3]);
        assert!(csv.contains("\ntop,2,1,40,0.25,0.125,0.4,-0.5,-0.625,-0.375,21,1,0.000011,,,0,"));
        let widest = terminal(&rows).lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{widest:?}");
        assert_eq!((p_value(0.0625), p_value(1e-9)), ("0.062".to_owned(), "1e-9".to_owned()));
    }
}
