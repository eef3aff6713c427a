//! The table of a comparison as Markdown, as CSV and on the terminal.

use super::groups::Group;
use super::setting;
use super::table::Row;
use crate::score::estimate::Estimate;
use crate::system::terminal::aligned;

/// What the columns of the CSV are called.
const CSV_HEADER: &str = "method,head_score,budget_tokens,prompts,metric,mean,low_95,high_95,\
    against_full,against_full_low_95,against_full_high_95,\
    against_snapkv,against_snapkv_low_95,against_snapkv_high_95,\
    against_first_score,against_first_score_low_95,against_first_score_high_95,\
    kv_bytes,kv_share,kv_bytes_end,kv_bytes_allocated,prefill_secs,compress_secs,decode_secs_per_token";

/// A Markdown table, one line per row, accuracy in percent.
pub fn markdown(rows: &[Row]) -> String {
    let first = first_score(rows);
    let mut header = vec!["method", "budget", "accuracy %", "against full", "against snapkv"];
    let against_first = first.map(|score| format!("against {}", escaped(score)));
    header.extend(against_first.as_deref());
    header.extend(["KV KiB", "KV %", "at the end KiB", "prefill s", "compress ms"]);
    header.push("decode ms/token");
    let mut lines =
        vec![format!("| {} |", header.join(" | ")), format!("|{}", "---|".repeat(header.len()))];
    for row in rows {
        let mut cells = vec![
            escaped(&row.name()),
            row.budget_tokens.map_or_else(|| "all".to_owned(), |b| b.to_string()),
            row.accuracy().percent(),
            row.against_full.map_or_else(String::new, Estimate::points),
            row.against_snapkv.map_or_else(String::new, Estimate::points),
        ];
        let against_first = row.against_first_score.map_or_else(String::new, Estimate::points);
        cells.extend(first.map(|_| against_first));
        cells.extend([
            format!("{:.0}", row.kv_bytes / 1024.0),
            row.kv_share.map_or_else(String::new, |share| format!("{:.1}", 100.0 * share)),
            format!("{:.0}", row.kv_bytes_end / 1024.0),
            format!("{:.3}", row.seconds.prefill),
            format!("{:.2}", 1e3 * row.seconds.compress),
            row.seconds.decode_per_token.map_or_else(String::new, |s| format!("{:.2}", 1e3 * s)),
        ]);
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    lines.join("\n") + "\n"
}

/// One line per setting and a column per group; `metric` is what the scores are of.
pub fn groups_markdown(metric: &str, groups: &[Group]) -> String {
    let columns: Vec<String> =
        groups.iter().map(|group| format!("{group} ({})", group.prompts)).collect();
    let mut lines = vec![
        format!("`{metric}` x 100 of each group (prompts), mean to two decimals:\n"),
        format!("| method | budget | {} |", columns.join(" | ")),
        format!("|---|---{}|", "|---".repeat(columns.len())),
    ];
    // Every group has a score of every setting.
    for (i, setting) in groups.iter().take(1).flat_map(|g| g.scores.iter().enumerate()) {
        let budget = setting.budget_tokens.map_or_else(|| "all".to_owned(), |b| b.to_string());
        let scores: Vec<String> =
            groups.iter().map(|group| format!("{:.2}", group.scores[i].score)).collect();
        let name = escaped(&setting::name(setting.method, setting.head_score.as_deref()));
        lines.push(format!("| {name} | {budget} | {} |", scores.join(" | ")));
    }
    lines.join("\n") + "\n"
}

/// The table for a terminal: what fits beside each other in some eighty columns. A star stands
/// where the interval of a difference does not contain 0. Several head scores take the place of
/// bytes and seconds, which hardly differ between them.
pub fn terminal(rows: &[Row]) -> String {
    let first = first_score(rows);
    let mut header =
        ["method", "budget", "accuracy %", "- full", "- snapkv"].map(str::to_owned).to_vec();
    match first {
        Some(score) => header.push(format!("- {score}")),
        None => header.extend(["KV %", "ms/token"].map(str::to_owned)),
    }
    let mut lines = vec![header];
    lines.extend(rows.iter().map(|row| {
        let starred =
            |difference: Option<Estimate>| difference.map_or_else(String::new, Estimate::starred);
        let mut cells = vec![
            row.name(),
            row.budget_tokens.map_or_else(|| "all".to_owned(), |b| b.to_string()),
            row.accuracy().percent(),
            starred(row.against_full),
            starred(row.against_snapkv),
        ];
        let (share, decode) = (row.kv_share, row.seconds.decode_per_token);
        match first {
            Some(_) => cells.push(starred(row.against_first_score)),
            None => cells.extend([
                share.map_or_else(String::new, |share| format!("{:.1}", 100.0 * share)),
                decode.map_or_else(String::new, |s| format!("{:.2}", 1e3 * s)),
            ]),
        }
        cells
    }));
    aligned(&lines)
}

/// The first of several head scores, which the others are compared with.
fn first_score(rows: &[Row]) -> Option<&str> {
    rows.iter().find_map(|row| row.head_score.as_deref())
}

/// One line per row and metric, numbers in full.
pub fn csv(rows: &[Row]) -> String {
    let mut text = format!("{CSV_HEADER}\n");
    for row in rows {
        for (m, metric) in row.metrics.iter().enumerate() {
            let mut cells = vec![
                row.method.to_owned(),
                row.head_score.as_deref().map_or_else(String::new, csv_cell),
                row.budget_tokens.map_or_else(String::new, |b| b.to_string()),
                row.prompts.to_string(),
                metric.name.to_owned(),
            ];
            cells.extend(Estimate::cells(Some(metric.estimate)));
            // The comparisons are about the accuracy.
            let of_accuracy = |estimate: Option<Estimate>| estimate.filter(|_| m == 0);
            cells.extend(Estimate::cells(of_accuracy(row.against_full)));
            cells.extend(Estimate::cells(of_accuracy(row.against_snapkv)));
            cells.extend(Estimate::cells(of_accuracy(row.against_first_score)));
            cells.push(row.kv_bytes.to_string());
            cells.push(optional(row.kv_share));
            cells.push(row.kv_bytes_end.to_string());
            cells.push(row.kv_bytes_allocated.to_string());
            cells.push(row.seconds.prefill.to_string());
            cells.push(row.seconds.compress.to_string());
            cells.push(optional(row.seconds.decode_per_token));
            text.push_str(&cells.join(","));
            text.push('\n');
        }
    }
    text
}

/// A text that comes from a file's name, in a cell of Markdown.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A text that comes from a file's name, as RFC 4180 has it.
fn csv_cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, |v| v.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::groups::GroupScore;
    use super::super::table::{MetricEstimate, RowSeconds};
    use super::*;
    use crate::tasks::Part;

    fn row() -> Row {
        let estimate = Estimate { mean: 0.875, interval_95: Some([0.81, 0.931]) };
        Row {
            method: "snapkv",
            head_score: None,
            budget_tokens: Some(64),
            prompts: 40,
            metrics: vec![
                MetricEstimate { name: "accuracy", estimate },
                MetricEstimate {
                    name: "word_recall",
                    estimate: Estimate { mean: 0.5, interval_95: None },
                },
            ],
            against_full: Some(Estimate { mean: -0.125, interval_95: Some([-0.2, -0.05]) }),
            against_snapkv: None,
            against_first_score: None,
            kv_bytes: 2048.0,
            kv_share: Some(0.125),
            kv_bytes_end: 4096.0,
            kv_bytes_allocated: 8192.0,
            seconds: RowSeconds { prefill: 0.5, compress: 0.002, decode_per_token: Some(0.01) },
        }
    }

    #[test]
    fn markdown_by_hand() {
        let text = markdown(&[row()]);
        let line = text.lines().last().unwrap();
        assert_eq!(
            line,
            "| snapkv | 64 | 87.5 [81.0, 93.1] | -12.5 [-20.0, -5.0] |  | 2 | 12.5 | 4 | 0.500 | 2.00 \
             | 10.00 |"
        );
        let widths: Vec<usize> = text.lines().map(|l| l.matches('|').count()).collect();
        assert_eq!(widths, [12; 3]);
    }

    #[test]
    fn groups_by_hand() {
        let score = |method, budget_tokens, score| GroupScore {
            method,
            head_score: None,
            budget_tokens,
            score,
        };
        let group =
            |name: &str, part, scores| Group { group: name.to_owned(), part, prompts: 3, scores };
        let part = Some(Part::Tokens(256));
        let all = [
            group("vt", part, vec![score("full", None, 66.67), score("snapkv", Some(64), 0.0)]),
            group("cwe", None, vec![score("full", None, 100.0), score("snapkv", Some(64), 5.5)]),
        ];
        let text = groups_markdown("string_match", &all);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines[0], "| method | budget | vt 256 (3) | cwe (3) |");
        assert_eq!(lines[1], "|---|---|---|---|");
        assert_eq!(lines[2], "| full | all | 66.67 | 100.00 |");
        assert_eq!(lines[3], "| snapkv | 64 | 0.00 | 5.50 |");
    }

    #[test]
    fn a_terminal_of_eighty_columns_is_enough() {
        let mut long = row();
        long.method = "scissorhands+vatp";
        long.budget_tokens = Some(16_384);
        let text = terminal(&[row(), long]);
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
        let line = text.lines().nth(1).unwrap();
        assert!(line.starts_with("snapkv") && line.contains("87.5 [81.0, 93.1]"), "{line}");
        assert!(line.contains("-12.5 *") && line.ends_with("10.00"), "{line}");
    }

    #[test]
    fn csv_has_a_cell_for_every_column() {
        let text = csv(&[row()]);
        let cells: Vec<usize> = text.lines().map(|l| l.split(',').count()).collect();
        assert_eq!(cells, [24; 3]);
        assert!(
            text.lines()
                .nth(1)
                .unwrap()
                .starts_with("snapkv,,64,40,accuracy,0.875,0.81,0.931,-0.125,")
        );
        // Comparisons stand beside the accuracy alone.
        assert!(
            text.lines()
                .nth(2)
                .unwrap()
                .starts_with("snapkv,,64,40,word_recall,0.5,,,,,,,,,,,,2048,")
        );
    }

    #[test]
    fn several_scores_are_compared_with_the_first() {
        let by = |score: &str, against_first_score| Row {
            method: "headkv",
            head_score: Some(score.into()),
            against_first_score,
            ..row()
        };
        let less = Estimate { mean: -0.25, interval_95: Some([-0.4, -0.1]) };
        let rows = [row(), by("inf", None), by("a,\"b\"", Some(less))];
        let text = terminal(&rows);
        let line = |i: usize| text.lines().nth(i).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(line(0)[6..], ["-", "snapkv", "-", "inf"]);
        assert!(!text.contains("KV %") && line(2)[0] == "headkv:inf", "{text}");
        assert_eq!(line(3)[line(3).len() - 2..], ["-25.0", "*"], "{text}");
        let text = markdown(&rows);
        let widths: Vec<usize> = text.lines().map(|l| l.matches('|').count()).collect();
        assert_eq!(widths, [13; 5]);
        assert!(text.contains("| against inf |") && text.contains("| -25.0 [-40.0, -10.0] |"));
        let text = csv(&rows);
        assert!(text.lines().nth(3).unwrap().starts_with("headkv,inf,64,40,accuracy,"), "{text}");
        let last = text.lines().nth(5).unwrap();
        assert!(
            last.starts_with("headkv,\"a,\"\"b\"\"\",64,40,") && last.contains(",-0.25,-0.4,-0.1,")
        );
    }
}
