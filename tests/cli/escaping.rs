//! Texts that would be something else where they are written to: markup, formulas, commands of a
//! terminal.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{checkpoint, ended, files_in, headprof, stderr, text};

/// What a page, a spreadsheet, a table and a terminal would each obey.
const HOSTILE: &str =
    "=HYPERLINK(\"x\") <script>alert('1')</script> & | \u{1b}[31m\u{7} \u{202e}שלום\u{9b}2J";

/// Needles whose every text is hostile, one beginning of a formula each.
fn hostile_needles(dir: &Path) -> std::path::PathBuf {
    let lines: Vec<String> = ["=", "+", "-", "@", "\t", "\r"]
        .iter()
        .enumerate()
        .map(|(i, formula)| {
            json!({"id": format!("{formula}{i}{HOSTILE}"), "needle": format!("{i} {HOSTILE}."),
                "question": format!("{formula} {i} {HOSTILE}?"), "answer": HOSTILE})
            .to_string()
        })
        .collect();
    let path = dir.join("hostile.jsonl");
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

/// Nothing that a terminal obeys, but for the ends of lines.
fn is_harmless(text: &str) {
    let obeyed = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(obeyed), "{text:?}");
}

fn is_quiet_svg(svg: &str) {
    assert!(svg.starts_with("<svg") && !svg.contains("<script") && !svg.contains("\u{1b}"));
}

/// Every cell is a number, or a word that headprof has for itself.
fn is_safe_csv(csv: &str) {
    let columns = csv.lines().next().unwrap().split(',').count();
    assert!(columns > 1 && csv.lines().count() > 1, "{csv}");
    for cell in csv.lines().flat_map(|line| {
        assert_eq!(line.split(',').count(), columns, "{line}");
        line.split(',')
    }) {
        let word = cell.starts_with(|c: char| c.is_ascii_alphabetic())
            && cell.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        assert!(cell.is_empty() || cell.parse::<f64>().is_ok() || word, "{cell:?}");
    }
}

/// As many cells in each line of a table.
fn is_safe_markdown(markdown: &str) {
    let tables: Vec<&str> = markdown.lines().filter(|line| line.starts_with('|')).collect();
    assert!(tables.len() > 2, "{markdown}");
    let cells = |line: &str| line.matches('|').count();
    assert!(tables.iter().all(|line| cells(line) == cells(tables[0])), "{markdown}");
    assert!(!markdown.contains('<') && !markdown.contains('\u{1b}'), "{markdown}");
}

#[test]
fn hostile_needles_stay_texts_in_every_file_of_a_profile() {
    let dir = tempfile::tempdir().unwrap();
    // The folder of the model, whose name stands in titles and file names, is hostile, too.
    let model = dir.path().join("<script>=1+1 & \u{202e}\"m\"");
    fs::rename(checkpoint(dir.path()), &model).unwrap();
    let (needles, out) = (hostile_needles(dir.path()), dir.path().join("out"));
    let files = ["--model", text(&model), "--needles", text(&needles), "--out", text(&out)];
    let grid = ["--lengths", "512", "--depths", "0.1,0.9", "--gate", "none"];
    let output = headprof(&[&files[..], &grid, &["--max-new-tokens", "2"]].concat());
    ended(&output, 0, &[]);
    is_harmless(&stderr(&output));
    is_harmless(&String::from_utf8(output.stdout).unwrap());
    let plots = files_in(&out.join("plots"));
    let svgs: Vec<&String> = plots.iter().filter(|name| name.ends_with(".svg")).collect();
    assert!(!svgs.is_empty());
    for name in svgs {
        let svg = fs::read_to_string(out.join("plots").join(name)).unwrap();
        is_quiet_svg(&svg);
        assert!(svg.contains("_script__1_1"), "{name} has no title");
    }
    for name in plots.iter().chain(&files_in(&out.join("head_score"))) {
        assert!(!name.contains(['<', '"', '&', '\u{202e}', '/']), "{name}");
    }
    // The record has the texts as they are, a line each.
    let probes = fs::read_to_string(out.join("probes.jsonl")).unwrap();
    assert_eq!(probes.lines().count(), 12);
    is_harmless(&probes.replace(['\u{202e}', '\u{9b}'], ""));
    for line in probes.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["gold"], HOSTILE);
        assert!(record["needle_id"].as_str().unwrap().contains(HOSTILE));
    }
}

#[test]
fn hostile_needles_stay_texts_in_every_file_of_a_comparison() {
    let dir = tempfile::tempdir().unwrap();
    let (needles, out) = (hostile_needles(dir.path()), dir.path().join("out"));
    let files = ["evaluate", "--needles", text(&needles), "--out", text(&out)];
    let grid = ["--lengths", "512", "--depths", "0.5", "--max-new-tokens", "2"];
    let methods = ["--methods", "full,streaming_llm", "--budgets", "32"];
    let output = headprof(&[&files[..], &grid, &methods].concat());
    ended(&output, 0, &[]);
    is_harmless(&stderr(&output));
    is_harmless(&String::from_utf8(output.stdout).unwrap());
    is_safe_csv(&fs::read_to_string(out.join("evaluate.csv")).unwrap());
    is_safe_markdown(&fs::read_to_string(out.join("evaluate.md")).unwrap());
    for name in files_in(&out.join("plots")).iter().filter(|name| name.ends_with(".svg")) {
        is_quiet_svg(&fs::read_to_string(out.join("plots").join(name)).unwrap());
    }
}

#[test]
fn a_hostile_text_that_is_observed_stays_out_of_tables_and_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let context = dir.path().join("<script>=1+1.txt");
    let harmless_bytes = HOSTILE.replace('\u{9b}', " ");
    fs::write(&context, format!("{harmless_bytes}\n").repeat(40)).unwrap();
    let out = dir.path().join("out");
    let args = ["observe", "--context", text(&context), "--length", "64", "--out", text(&out)];
    let output = headprof(&[&args[..], &["--layer", "1", "--head", "2", "--all"]].concat());
    ended(&output, 0, &[]);
    is_harmless(&String::from_utf8(output.stdout).unwrap());
    let mut tables = 0;
    for folder in ["plots", "observe"] {
        for name in files_in(&out.join(folder)) {
            let path = out.join(folder).join(&name);
            if name.ends_with(".svg") {
                is_quiet_svg(&fs::read_to_string(path).unwrap());
            } else if name.ends_with(".csv") {
                is_safe_csv(&fs::read_to_string(path).unwrap());
                tables += 1;
            }
        }
    }
    assert!(tables >= 2);
}

/// What is quoted of a file in an error does not reach the terminal as a command.
#[test]
fn errors_quote_files_harmlessly() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("twice.jsonl");
    let line = json!({"id": HOSTILE, "needle": "A.", "question": "Q?", "answer": "B."}).to_string();
    fs::write(&path, format!("{line}\n{line}")).unwrap();
    let out = dir.path().join("out");
    let output = headprof(&["--needles", text(&path), "--out", text(&out)]);
    ended(&output, 3, &["twice.jsonl:1", "\\u{1b}[31m", "\\u{202e}"]);
    is_harmless(&stderr(&output));
    // No probe passes: answers are quoted.
    let needles = hostile_needles(dir.path());
    let args = ["--needles", text(&needles), "--out", text(&out), "--lengths", "512"];
    let rest = ["--depths", "0.5", "--gate", "exact", "--max-new-tokens", "2"];
    let output = headprof(&[&args[..], &rest].concat());
    ended(&output, 6, &["<script>"]);
    is_harmless(&stderr(&output));
}
