//! The page: markup, style and scripts of `report/page/` around the data.

use super::ReportData;
use crate::error::{Error, Result};

const PAGE: &str = include_str!("page/page.html");
const STYLES: [&str; 2] = [include_str!("page/report.css"), include_str!("page/sections.css")];
/// In the order in which they build on one another.
const SCRIPTS: [&str; 16] = [
    include_str!("page/data.js"),
    include_str!("page/dom.js"),
    include_str!("page/color.js"),
    include_str!("page/chart.js"),
    include_str!("page/heatmap.js"),
    include_str!("page/table.js"),
    include_str!("page/scores.js"),
    include_str!("page/heads.js"),
    include_str!("page/head_panel.js"),
    include_str!("page/curve.js"),
    include_str!("page/answers.js"),
    include_str!("page/budgets.js"),
    include_str!("page/compression.js"),
    include_str!("page/ablation.js"),
    include_str!("page/look.js"),
    include_str!("page/report.js"),
];

/// The whole file.
///
/// # Errors
/// [`Error::Bug`] if the data has no form in JSON, or the page no place for it.
pub(super) fn html(data: &ReportData) -> Result<String> {
    let json = serde_json::to_string(data)
        .map_err(|e| Error::bug("a report cannot be written as JSON").got(e))?;
    let parts = [
        ("{{title}}", escaped(&format!("{} · headprof", data.model.name))),
        ("{{style}}", STYLES.concat()),
        ("{{data}}", in_a_script(&json)),
        ("{{script}}", SCRIPTS.join("\n")),
    ];
    // From the template alone: what is put in may well hold another placeholder.
    let mut page = String::with_capacity(PAGE.len() + json.len());
    let mut rest = PAGE;
    for (place, content) in parts {
        let (before, behind) = rest
            .split_once(place)
            .ok_or_else(|| Error::bug("the page has no place for a part of it").got(place))?;
        page.push_str(before);
        page.push_str(&content);
        rest = behind;
    }
    page.push_str(rest);
    Ok(page)
}

/// A text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// JSON inside a script element: nothing in it can end the element or begin another.
fn in_a_script(json: &str) -> String {
    // All five stand in strings alone.
    let escapes = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    escapes.iter().fold(json.to_owned(), |text, (c, escape)| text.replace(*c, escape))
}
